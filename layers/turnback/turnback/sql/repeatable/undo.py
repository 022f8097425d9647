"""The SQL that brings back what was before a repeatable was applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from turnback.errors import RollbackMissing
from turnback.migrations.model import Migration, Script
from turnback.migrations.psql import skip_comments
from turnback.sql.deparse import deparse, without_places
from turnback.sql.repeatable.content import Content, arguments, bare_name, read, subjects
from turnback.sql.statements import Statement
from turnback.sql.tree import Named, Node, object_parts, strings

_DIRECTIVE = "-- turnback:"
# What CREATE OR REPLACE FUNCTION cannot change.
_HEAD = ("parameters", "returnType", "is_procedure")
# What gives an object a state that CREATE OR REPLACE leaves as it is.
_STATES = ("AlterTableStmt", "AlterOwnerStmt", "AlterFunctionStmt", "SecLabelStmt")
GRANTS = ("GrantStmt", "GrantRoleStmt")
# A header may have these several times.
_REPEATED = ("waive", "keep")


def undo(repeatable: Migration, before: Script | None = None) -> str | None:
    """The SQL that brings back what was before this repeatable was applied.

    Args:
        repeatable: what is applied; its own rollback script, where it has one, comes first.
        before: the text of its file that was applied before; None for the first time.

    Returns:
        The text; None where the file says that it is irreversible.

    Raises:
        RollbackMissing: the text does not tell, and there is no rollback script.
        InvalidMigration: a script cannot be run.
    """
    content = read(repeatable.forward)
    if repeatable.rollback is not None:
        return _text([repeatable.rollback.sql, before.sql if before else ""])
    if before is not None:
        return _back_to(read(before), content)
    unclear = content.underived()
    if content.statements is not None and unclear is None:
        return _text([*settings_of(content), *_removals(content, Content(content.script, ()))])
    if repeatable.forward.directives.irreversible is not None:
        return None
    line, column = repeatable.forward.position(unclear.offset) if unclear else (None, None)
    raise RollbackMissing(
        "what undoes this statement cannot be told from its text",
        file=repeatable.forward.path,
        line=line,
        column=column,
        version=repeatable.version,
        hint=f"{repeatable.write_rollback}, move the statement to a migration, or say "
        "in the header: -- turnback: irreversible because REASON",
    )


def _back_to(before: Content, content: Content) -> str:
    """From one text of a file back to the one before it."""
    old = [without_places(one.tree) for one in before.statements or ()]
    states = {
        name
        for one in content.statements or ()
        if one.kind in _STATES and without_places(one.tree) not in old
        for name in subjects(one)
    }
    # What the text before cannot replace is dropped first.
    dropped_first = {
        item: statement
        for item, statement in content.made.items()
        if (earlier := before.made.get(item)) is not None
        and (bare_name(statement) in states or not _same_head(statement, earlier))
    }
    gone = frozenset(map(bare_name, dropped_first.values()))
    head = [removal(item, statement) for item, statement in dropped_first.items()]
    tail = list(_removals(content, before, gone))
    return _text(
        [
            *([*settings_of(content), *head] if head else []),
            before.script.sql,
            *([*settings_of(content), *tail] if tail else []),
        ]
    )


def _same_head(statement: Statement, earlier: Statement) -> bool:
    """Whether CREATE OR REPLACE can make the earlier of a routine's two definitions again."""
    return all(
        without_places(statement.tree.get(part)) == without_places(earlier.tree.get(part))
        for part in _HEAD
    )


def _removals(
    content: Content, before: Content, dropped_before: frozenset[str] = frozenset()
) -> Iterator[str]:
    """What removes what a text has and the one before it has not, last made first.

    Args:
        content: the text.
        before: the one before it.
        dropped_before: what is dropped and made again: it has nothing of the later text.
    """
    old = [(one.kind, without_places(one.tree)) for one in before.statements or ()]
    of = {id(statement): item for item, statement in content.made.items()}
    for statement in reversed(content.statements or ()):
        tree = statement.tree
        if (statement.kind, without_places(tree)) in old:
            continue
        item = of.get(id(statement))
        if item is not None:
            if item not in before.made:
                yield removal(item, statement)
            continue
        of_these = subjects(statement)
        if of_these and all(
            name in dropped_before or (name in content.names and name not in before.names)
            for name in of_these
        ):
            # It goes with what it is of.
            continue
        if statement.kind in GRANTS:
            yield opposite(statement)
        elif statement.kind == "CommentStmt":
            # Where the text before has one as well, it has come first and would be lost.
            without = _without_comment(tree)
            if not any(
                _without_comment(one) == without for kind, one in old if kind == "CommentStmt"
            ):
                yield deparse(statement.kind, without)


def opposite(statement: Statement) -> str:
    """The REVOKE of a GRANT, and the GRANT of a REVOKE."""
    tree = {k: v for k, v in statement.tree.items() if k not in ("is_grant", "grant_option")}
    if not statement.tree.get("is_grant"):
        tree["is_grant"] = True
    return deparse(statement.kind, tree)


def _without_comment(tree: Node) -> Node:
    return {key: without_places(value) for key, value in tree.items() if key != "comment"}


def settings_of(content: Content) -> list[str]:
    """The settings of a text: the names in it are found by them."""
    return [one.sql for one in content.statements or () if one.kind == "VariableSetStmt"]


def _text(parts: Iterable[str]) -> str:
    """One text of several, each of which may end in a comment, or without a semicolon.

    The directives of all their headers come first, each once.
    """
    directives, bodies = dict[str, str](), list[str]()
    for part in filter(str.strip, parts):
        end = skip_comments(part)
        header = part[:end].splitlines(keepends=True)
        for line in header:
            if line.startswith(_DIRECTIVE):
                directive = line.strip()
                word = directive.removeprefix(_DIRECTIVE).split(None, 1)[0]
                directives.setdefault(directive if word in _REPEATED else word, directive)
        kept = "".join(line for line in header if not line.startswith(_DIRECTIVE))
        bodies.append(f"{kept}{part[end:].rstrip()}\n;\n")
    return "".join(f"{line}\n" for line in directives.values()) + "".join(bodies)


def removal(item: Named, statement: Statement) -> str:
    """The DROP of what a statement makes."""
    named = [{"String": {"sval": part}} for part in name_of(statement)]
    what: Node = {"List": {"items": named}}
    if statement.kind == "CreateFunctionStmt":
        given = arguments(statement)
        what = {
            "ObjectWithArgs": {
                "objname": named,
                "objargs": [{"TypeName": one["argType"]} for one in given],
                "objfuncargs": [
                    {"FunctionParameter": {k: v for k, v in one.items() if k != "defexpr"}}
                    for one in given
                ],
            }
        }
    return deparse(
        "DropStmt",
        {
            "objects": [what],
            "removeType": item.kind,
            "behavior": "DROP_RESTRICT",
            "missing_ok": True,
        },
    )


def name_of(statement: Statement) -> list[str]:
    """The parts of the name of what a statement makes, as written."""
    tree = statement.tree
    match statement.kind:
        case "ViewStmt":
            return _parts(tree["view"])
        case "CreateTableAsStmt":
            return _parts(tree["into"]["rel"])
        case "CreateTrigStmt":
            return [*_parts(tree["relation"]), tree["trigname"]]
        case "CreatePolicyStmt":
            return [*_parts(tree["table"]), tree["policy_name"]]
        case "RuleStmt":
            return [*_parts(tree["relation"]), tree["rulename"]]
    return strings(tree["funcname"])


def _parts(relation: Node) -> list[str]:
    return object_parts({"RangeVar": relation})
