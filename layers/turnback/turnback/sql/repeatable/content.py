"""What a repeatable makes, what it needs, and whether it can run a second time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from turnback.errors import InvalidMigration, TurnbackError
from turnback.migrations.model import Script
from turnback.sql.definitions import calls
from turnback.sql.parser import SqlSyntaxError, parse_tree
from turnback.sql.script import prepare
from turnback.sql.statements import Statement
from turnback.sql.tree import (
    Named,
    Node,
    commands,
    dotted,
    dropped,
    joined,
    made,
    object_parts,
    relations,
    table_name,
    text_options,
    walk,
)

_WORDS = {
    "OBJECT_VIEW": "VIEW",
    "OBJECT_MATVIEW": "MATERIALIZED VIEW",
    "OBJECT_FUNCTION": "FUNCTION",
    "OBJECT_PROCEDURE": "PROCEDURE",
    "OBJECT_TRIGGER": "TRIGGER",
    "OBJECT_POLICY": "POLICY",
    "OBJECT_RULE": "RULE",
}
_REPLACED = ("ViewStmt", "CreateFunctionStmt", "CreateTrigStmt", "RuleStmt", "DefineStmt")
_ADDITIONS = ("AT_AddColumn", "AT_AddConstraint", "AT_AddInherit", "AT_AttachPartition")
# Of a procedure all parameters count, of a function those that are handed in (manual, DROP
# FUNCTION and DROP PROCEDURE).
_NO_ARGUMENTS = ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE")


@dataclass(frozen=True)
class Content:
    """The statements of a repeatable, read for what they make.

    Attributes:
        script: the file.
        statements: None where the bundled grammar does not know its text.
    """

    script: Script
    statements: Sequence[Statement] | None

    @cached_property
    def made(self) -> Mapping[Named, Statement]:
        """What it makes and can be removed by name; a routine with the types of its arguments."""
        found = {}
        for statement in self.statements or ():
            for item in made(statement):
                kind = _kind(statement, item)
                if kind in _WORDS:
                    found[Named(kind, item.name + _signature(statement))] = statement
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of what it makes, routines without their arguments."""
        return frozenset(map(bare_name, self.made.values()))

    @cached_property
    def needs(self) -> frozenset[str]:
        """The names that its statements refer to, and that it does not make itself."""
        found = set[str]()
        for statement in self.statements or ():
            found |= _references(statement.kind, statement.tree)
        return frozenset(found - self.names)

    def is_of_own(self, statement: Statement) -> bool:
        """Whether a statement changes only what this file makes, and goes when that is dropped."""
        found = subjects(statement)
        return bool(found) and all(name in self.names for name in found)

    def faults(self) -> Iterator[TurnbackError]:
        """Statements that cannot run a second time."""
        cleared = set[tuple[str, str]]()
        for statement in self.statements or ():
            if fault := self._fault(statement, cleared):
                line, column = self.script.position(statement.offset)
                message, hint = fault
                yield InvalidMigration(
                    message, file=self.script.path, line=line, column=column, hint=hint
                )
            if statement.kind == "DropStmt":
                cleared |= {(item.kind, item.name) for item in dropped(statement.tree)}

    def _fault(self, statement: Statement, cleared: set[tuple[str, str]]) -> tuple[str, str] | None:
        """What is wrong with a statement, and what to write; None if it can run again.

        Args:
            cleared: kind and name of what the statements before it have dropped.
        """
        tree = statement.tree
        if statement.kind == "DropStmt":
            if not tree.get("missing_ok"):
                return "DROP fails where there is nothing yet", "write DROP … IF EXISTS"
            if tree.get("behavior") == "DROP_CASCADE":
                return (
                    "CASCADE drops what other files have made, and they are not applied again",
                    "drop without CASCADE; views that depend on a view are made again by turnback",
                )
            return None
        if statement.kind in ("RenameStmt", "AlterObjectSchemaStmt") or (
            statement.kind == "AlterTableStmt"
            and any(
                one["subtype"] in _ADDITIONS and not one.get("missing_ok") for one in commands(tree)
            )
        ):
            return "this cannot run a second time", "write it in a migration"
        if not made(statement) or tree.get("if_not_exists") or tree.get("replace"):
            return None
        found = [(_kind(statement, item), item.name) for item in made(statement)]
        on_own = statement.kind == "IndexStmt" and self.is_of_own(statement)
        if on_own or statement.kind == "AlterTableStmt" or cleared.issuperset(found):
            return None
        word = _WORDS.get(found[0][0])
        if statement.kind in _REPLACED:
            return "CREATE fails where it exists already", "write CREATE OR REPLACE"
        if word:
            return "CREATE fails where it exists already", f"write DROP {word} IF EXISTS before it"
        return (
            "this fails where it exists already",
            "write it in a migration: a repeatable makes views, functions, triggers, policies and "
            "grants",
        )

    def underived(self) -> Statement | None:
        """The first statement of which the text does not tell how it is undone."""
        return next((one for one in self.statements or () if not self._is_derived(one)), None)

    def _is_derived(self, statement: Statement) -> bool:
        if statement.kind in ("VariableSetStmt", "TransactionStmt"):
            return True
        if statement.kind == "DropStmt":
            return all(item.name in self.names for item in dropped(statement.tree))
        if statement in self.made.values() or self.is_of_own(statement):
            return True
        return statement.kind in ("GrantStmt", "GrantRoleStmt") and bool(
            statement.tree.get("is_grant")
        )


def read(script: Script) -> Content:
    """What a repeatable makes and needs.

    Raises:
        InvalidMigration: the script cannot be run, or not in one transaction.
    """
    runnable = prepare(script)
    if not runnable.in_one_transaction:
        raise InvalidMigration(
            "a repeatable runs in one transaction, and this file cannot",
            file=script.path,
            hint="write it in a migration",
        )
    # A large file makes its statements anew each time, and ``Content`` compares them.
    statements = None if runnable.statements is None else tuple(runnable.statements)
    return Content(script, statements)


def bare_name(statement: Statement) -> str:
    """The name of what a statement makes; of a routine, without its arguments."""
    return made(statement)[0].name


def _kind(statement: Statement, item: Named) -> str:
    if statement.kind == "CreateFunctionStmt" and statement.tree.get("is_procedure"):
        return "OBJECT_PROCEDURE"
    return item.kind


def arguments(statement: Statement) -> list[Node]:
    """The parameters by which a routine is named, of a CREATE FUNCTION."""
    left_out = () if statement.tree.get("is_procedure") else _NO_ARGUMENTS
    found = (one["FunctionParameter"] for one in statement.tree.get("parameters", ()))
    return [one for one in found if one["mode"] not in left_out]


def _signature(statement: Statement) -> str:
    if statement.kind != "CreateFunctionStmt":
        return ""
    types = (
        dotted(one["argType"]["names"]) + "[]" * bool(one["argType"].get("arrayBounds"))
        for one in arguments(statement)
    )
    return f"({', '.join(types)})"


def _references(kind: str, tree: Node) -> set[str]:
    """The names of relations, routines and types in a statement."""
    found = set(relations({kind: tree}))
    found |= {item.name for item in calls(tree)}
    for inner_kind, inner in walk({kind: tree}):
        if inner_kind in ("argType", "returnType", "typeName", "TypeName"):
            found.add(dotted(inner.get("names", ())))
    match kind:
        case "ViewStmt":
            found.discard(table_name(tree["view"]))
        case "CreateTrigStmt":
            found |= {dotted(tree["funcname"]), table_name(tree["relation"])}
        case "CreatePolicyStmt":
            found.add(table_name(tree["table"]))
        case "CreateFunctionStmt":
            options = text_options(tree.get("options", ()))
            if options.get("language", "").lower() == "sql" and "as" in options:
                found |= _in_body(options["as"])
        case "GrantStmt" if tree.get("targtype") == "ACL_TARGET_OBJECT":
            found |= {joined(object_parts(item)) for item in tree.get("objects", ())}
        case "CommentStmt" | "AlterOwnerStmt" | "AlterFunctionStmt" | "SecLabelStmt":
            found |= set(subjects(Statement("", 0, kind, tree)))
    return found


def _in_body(text: str) -> set[str]:
    """The names in the body of a function in SQL, which the server checks when it is made."""
    try:
        parsed = parse_tree(text)
    except SqlSyntaxError:
        return set()
    found = set[str]()
    for raw in parsed:
        kind, tree = next(iter(raw["stmt"].items()))
        found |= _references(kind, tree)
    return found


def subjects(statement: Statement) -> list[str]:
    """The names of the objects whose state a statement changes, without making them."""
    tree = statement.tree
    match statement.kind:
        case "GrantStmt" if tree.get("targtype") == "ACL_TARGET_OBJECT":
            return [joined(object_parts(item)) for item in tree["objects"]]
        case "CommentStmt" | "SecLabelStmt":
            parts = object_parts(tree["object"])
            return [joined(parts[:-1] if tree["objtype"] == "OBJECT_COLUMN" else parts)]
        case "AlterOwnerStmt":
            return [joined(object_parts(tree["object"]))] if "object" in tree else []
        case "AlterFunctionStmt":
            return [dotted(tree["func"]["objname"])]
        case "AlterTableStmt" | "RefreshMatViewStmt" | "IndexStmt":
            return [table_name(tree["relation"])]
    return []
