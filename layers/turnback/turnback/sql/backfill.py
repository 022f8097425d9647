"""The statement of a backfill, and the same for one range of keys."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from turnback.errors import InvalidMigration
from turnback.migrations.large import LargeScript
from turnback.migrations.model import BATCH, Backfill, Script
from turnback.migrations.psql import unquoted
from turnback.migrations.python import Code, read_code
from turnback.sql.quoting import identifier, joined
from turnback.sql.statements import Statement
from turnback.sql.tree import walk

_KINDS = {"UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "InsertStmt": "INSERT"}
# The name of the table where a migration in Python is read.
_READ = "read"
# The sides of an outer join whose rows are there whatever its condition says.
_KEPT = {"JOIN_LEFT": ("larg",), "JOIN_RIGHT": ("rarg",), "JOIN_FULL": ("larg", "rarg")}
# The node of the clause that a statement may not have, by its name in the tree.
_RETURNING = ("returningList", "returningClause")


@dataclass(frozen=True, slots=True)
class RangedStatement:
    """An UPDATE, DELETE or INSERT … SELECT that is run over ranges of a table's keys.

    In Python, the SELECT of the rows that the code gets.

    Attributes:
        options: what the directive asks for.
        statement: the statement as it is in the file.
        text: its text, with ``{batch}`` where the range belongs.
        alias: what it calls the table, quoted.
        code: what a file in Python says of itself; None of one in SQL.
    """

    options: Backfill
    statement: Statement
    text: str
    alias: str
    code: Code | None = None

    @property
    def table(self) -> str:
        """The table's name, quoted."""
        return joined(self.options.table)

    @property
    def columns(self) -> list[str]:
        """The columns of the key, as the statement can name them."""
        return [f"{self.alias}.{identifier(column)}" for column in self.options.key]

    def over(self, condition: str) -> str:
        """The statement, with a condition in place of each ``{batch}``."""
        parts, at = list[str](), 0
        for place in unquoted(self.text, BATCH):
            parts += [self.text[at:place], "(", condition, ")"]
            at = place + len(BATCH)
        return "".join([*parts, self.text[at:]])

    def place(self, offset: int, condition: str) -> int:
        """Where in the file a character of ``over(condition)`` is."""
        for at in unquoted(self.text, BATCH):
            if offset <= at:
                break
            longer = len(condition) + len("()") - len(BATCH)
            offset = max(at, offset - longer)
        return self.statement.offset + min(offset, len(self.text))


def read_ranged(script: Script, statements: Sequence[Statement]) -> RangedStatement:
    """The statement of a backfill.

    Raises:
        InvalidMigration: the file is not one statement with ``{batch}`` that changes rows, or does
            not say which of its tables the directive means.
    """
    options = script.directives.backfill
    assert options is not None

    def refused(message: str, hint: str, offset: int | None = None) -> InvalidMigration:
        line, column = (options.line, 1) if offset is None else script.position(offset)
        return InvalidMigration(message, file=script.path, line=line, column=column, hint=hint)

    if isinstance(script, LargeScript) or len(statements) != 1:
        raise refused(
            "a backfill is one statement, in a file of its own",
            "move the other statements to migrations before and after it",
            statements[1].offset if len(statements) > 1 else None,
        )
    statement = statements[0]
    text = script.sql[statement.offset : statement.end]
    if statement.kind not in _KINDS:
        raise refused(
            "a backfill is an UPDATE, a DELETE or an INSERT … SELECT",
            "write one of these, with {batch} in its WHERE",
            statement.offset,
        )
    if not unquoted(text, BATCH):
        raise refused(
            "the statement of a backfill has no {batch}",
            "write {batch} in its WHERE, where the range of keys belongs: WHERE … AND {batch}",
            statement.offset,
        )
    begins = len(script.sql[: statement.offset].encode())
    places = {
        # Read as ``( true)``; the parser counts bytes.
        begins + len(text[:at].encode()) + len("( ")
        for at in unquoted(text, BATCH)
    }
    if not _is_bounded(statement.tree, places):
        raise refused(
            "{batch} is not a condition of every row: behind OR or NOT, in an outer join or "
            "outside of WHERE, rows of other ranges would be changed in each batch",
            "write it behind all other conditions, and those in parentheses: WHERE (…) AND {batch}",
            statement.offset,
        )
    if "limitCount" in statement.tree.get("selectStmt", {}).get("SelectStmt", {}):
        raise refused(
            "the LIMIT of the statement would be one of each batch",
            "remove LIMIT",
            statement.offset,
        )
    if any(statement.tree.get(clause) for clause in _RETURNING):
        raise refused(
            "the statement of a backfill returns rows, which nobody reads",
            "remove RETURNING",
            statement.offset,
        )
    if any(
        _KINDS.keys() & cte["ctequery"] for kind, cte in walk(statement.tree) if "ctequery" in cte
    ):
        raise refused(
            "a WITH of the statement changes rows, which the server allows in a whole statement "
            "only: a batch is inside another one, which records it",
            "change these rows in a backfill of their own",
            statement.offset,
        )
    if changed := _changed_key(statement, options):
        raise refused(
            f"the statement changes {changed}, which its ranges are of: a row that moves into a "
            "later range would be changed twice",
            "name another unique index in key=, or change the key in a migration without batches",
            statement.offset,
        )
    alias = options.alias or _alias(statement, options)
    if alias is None:
        raise refused(
            f"the statement does not say once what it calls {'.'.join(options.table)}",
            "say in the directive which one the range is of: alias=u",
            statement.offset,
        )
    return RangedStatement(options, statement, text, identifier(alias))


def read_python(script: Script) -> RangedStatement:
    """The rows that a migration in Python reads. Nothing of the file is run.

    Raises:
        InvalidMigration: it cannot be run, or does not say which table it is for.
    """
    if isinstance(script, LargeScript):
        raise InvalidMigration("the file is too long for Python code", file=script.path)
    code = read_code(script.path, script.sql)
    options = script.directives.backfill
    if options is None:
        raise InvalidMigration(
            "a migration in Python does not say which rows transform gets",
            file=script.path,
            line=1,
            column=1,
            hint="write at its beginning, for example: # turnback: backfill table=users key=id; "
            "[ignore] in turnback.toml leaves out a file that is no migration",
        )
    alias = identifier(_READ)
    columns = ", ".join(f"{alias}.{identifier(name)}" for name in options.columns) or f"{alias}.*"
    text = f"SELECT {columns} FROM {joined(options.table)} AS {alias} WHERE {BATCH}"
    offset = script.line_start(code.line)
    line = script.sql[offset:].partition("\n")[0].rstrip()
    return RangedStatement(options, Statement(line, offset, "Python", {}), text, alias, code)


def _is_bounded(node: object, places: Container[int]) -> bool:
    """Whether the constants at these places are conditions of each row that a node has."""
    match node:
        case list():
            return any(_is_bounded(one, places) for one in node)
        case {"A_Const": {"location": int(at)}}:
            return at in places
        case {"boolop": "OR_EXPR", "args": args}:
            return all(_is_bounded(one, places) for one in args)
        case {"boolop": "NOT_EXPR"}:
            return False
        case {"jointype": str(kind), **sides} if kind in _KEPT:
            return all(_is_bounded(sides[side], places) for side in _KEPT[kind])
        case {"op": "SETOP_UNION", "larg": first, "rarg": second}:
            return _is_bounded(first, places) and _is_bounded(second, places)
        case {"op": "SETOP_EXCEPT", "larg": first}:
            return _is_bounded(first, places)
        case dict():
            # What is computed for a row leaves out none.
            named = node.items()
            return any(_is_bounded(one, places) for name, one in named if name != "targetList")
    return False


def _changed_key(statement: Statement, options: Backfill) -> str | None:
    """A column of the key that an UPDATE of the table of the directive sets."""
    if statement.kind != "UpdateStmt" or statement.tree["relation"]["relname"] != options.table[-1]:
        return None
    columns = (one["ResTarget"]["name"] for one in statement.tree["targetList"])
    return next((name for name in columns if name in options.key), None)


def _alias(statement: Statement, options: Backfill) -> str | None:
    """What the statement calls the table of the directive; None unless it does so once."""
    found = set[str]()
    into = statement.tree.get("relation") if statement.kind == "InsertStmt" else None
    for kind, node in walk(statement.tree):
        # Only names of relations are RangeVars; a column's table is in its ColumnRef.
        is_relation = kind == "RangeVar" or (kind == "relation" and "relname" in node)
        if not is_relation or node is into or node["relname"] != options.table[-1]:
            continue
        schema = node.get("schemaname")
        if schema and len(options.table) > 1 and schema != options.table[0]:
            continue
        found.add(node.get("alias", {}).get("aliasname") or node["relname"])
    return found.pop() if len(found) == 1 else None
