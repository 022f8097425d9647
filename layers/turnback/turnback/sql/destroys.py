"""The one judge of loss: what SQL destroys that no rollback script brings back.

A loss is data that is gone, or a protection that was open for a while. A definition alone (a view,
a function, an index) is no loss: a rollback script makes it again, and the schema is compared.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path

from turnback.migrations.model import Script
from turnback.migrations.text import position
from turnback.sql.blocks import Embedded, embedded
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.scope import Scope
from turnback.sql.statements import Statement, json_value, split
from turnback.sql.tables import Table
from turnback.sql.tokens import tokens
from turnback.sql.tree import (
    Node,
    commands,
    definition,
    dropped,
    joined,
    object_parts,
    strings,
    table_name,
    walk,
)
from turnback.sql.types import keeps_values


class Kind(StrEnum):
    """What is lost."""

    TABLES = "tables"
    COLUMNS = "columns"
    ROWS = "rows"
    VALUES = "values"
    TYPES = "types"
    SCHEMAS = "schemas"
    EXTENSIONS = "extensions"
    PRIVILEGES = "privileges"
    PROTECTIONS = "protections"


class Certainty(StrEnum):
    """Whether the text says so, or leaves it open: dynamic SQL, a function that is called."""

    CERTAIN = "certain"
    POSSIBLE = "possible"


UNKNOWN = "unknown tables"
_WORDS = {
    Kind.TABLES: "table {}, with its rows",
    Kind.COLUMNS: "column {}, with its values",
    Kind.ROWS: "rows of {}",
    Kind.VALUES: "values of {}",
    Kind.TYPES: "type {}",
    Kind.SCHEMAS: "schema {}",
    Kind.EXTENSIONS: "extension {}",
    Kind.PRIVILEGES: "privileges on {}, given to everybody",
    Kind.PROTECTIONS: "protection: {}",
}


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that a script destroys.

    Attributes:
        object: its name before the release, with its schema unless that is ``public``.
        file: the script.
        line: of the statement, from 1.
        origin: what does it, as SQL: ``DROP TABLE``, ``UPDATE``, ``EXECUTE in a DO block``.
    """

    kind: Kind
    object: str
    file: str
    line: int
    certainty: Certainty
    origin: str

    @property
    def is_data(self) -> bool:
        """Whether it stays lost; a protection is there again once the schema is as before."""
        return self.kind not in (Kind.PRIVILEGES, Kind.PROTECTIONS)

    @property
    def words(self) -> str:
        """What is lost, in a few words."""
        words = _WORDS[self.kind].format(self.object)
        if self.object == UNKNOWN:
            words = f"data of {UNKNOWN}"
        elif self.object.startswith(("all ", "what ")):
            words = self.object
        return words if self.certainty is Certainty.CERTAIN else f"possibly {words}"

    @property
    def with_place(self) -> str:
        """File and line, what is lost, and by what."""
        return f"{self.file}:{self.line} {self.words} ({self.origin})"


@dataclass(frozen=True, slots=True)
class _Found:
    """A loss without its place."""

    kind: Kind
    object: str
    origin: str
    certainty: Certainty = Certainty.CERTAIN

    def inside(self, where: str, certainty: Certainty | None = None) -> _Found:
        return replace(
            self, origin=f"{self.origin} in {where}", certainty=certainty or self.certainty
        )


@dataclass(frozen=True, slots=True)
class _Function:
    """A function as a script makes it: its language and its body, as text or as a tree."""

    language: str
    body: str
    statements: tuple[Statement, ...] = ()


class Judge:
    """Says what the scripts of a release destroy, read in the order in which they run."""

    def __init__(self, *, history: str = "public") -> None:
        """Know nothing yet.

        Args:
            history: the schema of turnback's own tables.
        """
        self._scope = Scope()
        self._functions: dict[str, list[_Function]] = {}
        self._calling: list[str] = []
        # Table → the rows that the release inserted, each with the columns that are constants.
        self._inserted: dict[str, list[dict[str, str]]] = {}
        self._own = {
            joined([history, name])
            for name in ("migrations", "migration_log", "migration_health", "migration_backfills")
        }

    def fork(self) -> Judge:
        """One that knows the same, and what it reads from here on does not change this one."""
        other = copy.copy(self)
        other._scope = self._scope.fork()
        other._functions = {name: list(known) for name, known in self._functions.items()}
        other._inserted = {name: list(rows) for name, rows in self._inserted.items()}
        return other

    def learn(self, script: Script) -> None:
        """Read a script that ran before the release: what it makes is there, and may be lost."""
        self._scope.begin_script()
        for statement in _statements(script) or ():
            self._remember(self._scope.qualified(statement), script.path)
        self._scope.forget_what_is_new()
        self._inserted.clear()

    def losses(self, script: Script) -> list[Loss]:
        """What a script of the release destroys; of what the release made itself nothing is lost.

        A script that the parser cannot read may destroy anything.
        """
        self._scope.begin_script()
        statements = _statements(script)
        if statements is None:
            lost = _Found(Kind.TABLES, UNKNOWN, "SQL that cannot be read", Certainty.POSSIBLE)
            return [_loss(lost, script, 0)]
        found: list[Loss] = []
        for statement in statements:
            for offset, lost in self._of(statement, script.path):
                found.append(_loss(lost, script, statement.offset + offset))
        return list(dict.fromkeys(found))

    def _of(self, statement: Statement, path: str) -> Iterator[tuple[int, _Found]]:
        """What a statement destroys; each with its offset in the statement."""
        statement = self._scope.qualified(statement)
        if statement.kind == "DoStmt":
            yield from self._block(statement, path)
        elif statement.kind == "PrepareStmt" or _explains_by_running(statement):
            kind, tree = next(iter(statement.tree["query"].items()))
            yield from self._of(Statement(statement.sql, 0, kind, tree), path)
        else:
            yield from ((0, lost) for lost in self._direct(statement))
            yield from ((0, lost) for lost in self._called(statement, path))
        self._remember(statement, path)

    def _remember(self, statement: Statement, path: str) -> None:
        if statement.kind == "CreateFunctionStmt":
            name = strings(statement.tree["funcname"])[-1]
            self._functions.setdefault(name, []).append(_function(statement))
        self._scope.after(statement, path)

    # Statements

    def _direct(self, statement: Statement) -> Iterator[_Found]:
        judge = _JUDGES.get(statement.kind)
        if judge is not None:
            yield from judge(self, statement)
        if statement.kind in _RUNS_QUERIES:
            nodes = [(statement.kind, statement.tree), *walk(statement.tree)]
            for kind, node in nodes:
                if kind in _WRITES:
                    yield from _WRITES[kind](self, node)

    def _drop(self, statement: Statement) -> Iterator[_Found]:
        tree = statement.tree
        cascade = tree.get("behavior") == "DROP_CASCADE"
        kind = tree["removeType"].removeprefix("OBJECT_")
        origin = f"DROP {_SPELLED.get(kind, kind)}{' CASCADE' if cascade else ''}"
        for item in dropped(tree):
            if kind in ("TABLE", "FOREIGN_TABLE"):
                yield from self._drop_table(item.name, origin)
            elif kind in _DROPPED and not self._scope.is_new(item.kind, item.name):
                yield _Found(_DROPPED[kind], self._scope.before(item.name), origin)
            if cascade:
                yield from self._cascade(kind, item.name, origin)

    def _drop_table(self, name: str, origin: str) -> Iterator[_Found]:
        if not self._is_new_table(name):
            yield _Found(Kind.TABLES, self._scope.before(name), origin)
        for child in self._children(name):
            yield from self._drop_table(child, origin)

    def _children(self, name: str) -> list[str]:
        return [table.name for table in self._known() if name in table.parents]

    def _cascade(self, kind: str, name: str, origin: str) -> Iterator[_Found]:
        """What CASCADE drops besides: as far as the scripts tell, or perhaps."""
        if kind in ("TYPE", "DOMAIN", "EXTENSION", "SCHEMA"):
            wanted = _TYPES_OF.get(name, {name}) if kind == "EXTENSION" else {name}
            for table in self._known():
                for column in table.columns.values():
                    inside = kind == "SCHEMA" and column.type.name.startswith(f"{name}.")
                    if column.type.name in wanted or inside:
                        yield from self._drop_column(table.name, column.name, origin)
        if kind == "SCHEMA":
            for table in self._scope.tables_in(name):
                yield from self._drop_table(table.name, origin)
        elif kind == "EXTENSION" and name not in _TYPES_OF:
            yield _Found(Kind.COLUMNS, f"types of {name}", origin, Certainty.POSSIBLE)
        elif kind in ("FOREIGN_SERVER", "FDW", "ACCESS_METHOD"):
            yield _Found(Kind.TABLES, f"{name}'s tables", origin, Certainty.POSSIBLE)
        elif kind in _BELOW_COLUMNS:
            yield _Found(Kind.COLUMNS, f"what depends on {name}", origin, Certainty.POSSIBLE)

    def _drop_column(self, table: str, column: str, origin: str) -> Iterator[_Found]:
        if not self._is_new_column(table, column):
            yield _Found(Kind.COLUMNS, self._scope.column_before(table, column), origin)

    def _truncate(self, statement: Statement) -> Iterator[_Found]:
        tree = statement.tree
        named = [table_name(item["RangeVar"]) for item in tree["relations"]]
        cascade = tree.get("behavior") == "DROP_CASCADE"
        hit = list(named)
        for table in hit if cascade else ():
            hit += [
                other.name
                for other in self._known()
                if other.name not in hit and any(c.references == table for c in other.constraints)
            ]
        for table in hit:
            yield from self._rows(table, "TRUNCATE CASCADE" if cascade else "TRUNCATE")

    def _rows(self, table: str, origin: str, *, only: bool = False) -> Iterator[_Found]:
        for name in [table] if only else self._scope.written(table):
            if not self._is_new_table(name):
                yield _Found(Kind.ROWS, self._scope.before(name), origin)

    def _delete(self, node: Node) -> Iterator[_Found]:
        if not self._chooses_nothing_old(node):
            table, only = table_name(node["relation"]), not node["relation"].get("inh")
            yield from self._deleted(table, "DELETE", set(), only=only)

    def _chooses_nothing_old(self, node: Node) -> bool:
        """Whether UPDATE or DELETE touches no row, or only rows that the release inserted.

        It does if it names, by constants for a whole unique key, rows that were inserted so.
        """
        where = node.get("whereClause")
        table = table_name(node["relation"])
        known, rows = self._scope.tables.find(table), self._inserted.get(table, [])
        if where is None or _never_true(where) or known is None or not rows:
            return _never_true(where)
        wanted = _constants(where)
        for key in known.unique_keys():
            columns = [column for column in key if column in wanted]
            if len(columns) == len(key):
                own = {tuple(row.get(column) for column in columns) for row in rows}
                return set(itertools.product(*(wanted[column] for column in columns))) <= own
        return False

    def _deleted(
        self, table: str, origin: str, seen: set[str], *, only: bool = False
    ) -> Iterator[_Found]:
        """Rows of a table, and what foreign keys do to rows of others."""
        if table in seen:
            return
        seen.add(table)
        yield from self._rows(table, origin, only=only)
        for other in self._known():
            for key in other.constraints:
                if key.references != table:
                    continue
                if key.on_delete == "c":
                    yield from self._deleted(other.name, origin, seen)
                elif key.on_delete in ("n", "d"):
                    yield from self._overwritten(other.name, key.columns, origin)

    def _update(self, node: Node) -> Iterator[_Found]:
        if self._chooses_nothing_old(node):
            return
        empty = set(_null_columns(node.get("whereClause")))
        columns = [name for name in _assigned(node) if name not in empty]
        yield from self._overwritten(table_name(node["relation"]), columns, "UPDATE")

    def _overwritten(self, table: str, columns: Iterable[str], origin: str) -> Iterator[_Found]:
        for name in self._scope.written(table):
            for column in dict.fromkeys(columns):
                if not self._is_new_column(name, column):
                    yield _Found(Kind.VALUES, self._scope.column_before(name, column), origin)

    def _insert(self, node: Node) -> Iterator[_Found]:
        table = table_name(node["relation"])
        if table in self._own:
            yield _Found(Kind.PROTECTIONS, table, "INSERT")
        clause = node.get("onConflictClause", {})
        if not clause:
            self._inserted.setdefault(table, []).extend(self._constant_rows(table, node))
        if clause.get("action") == "ONCONFLICT_UPDATE" and not _never_true(
            clause.get("whereClause")
        ):
            yield from self._overwritten(table, _assigned(clause), "INSERT ON CONFLICT DO UPDATE")

    def _constant_rows(self, table: str, node: Node) -> Iterator[dict[str, str]]:
        known = self._scope.tables.find(table)
        named = [item["ResTarget"]["name"] for item in node.get("cols", ())]
        columns = named or (list(known.columns) if known else [])
        for item in node.get("selectStmt", {}).get("SelectStmt", {}).get("valuesLists", ()):
            cells = zip(columns, item["List"]["items"], strict=False)
            yield {column: text for column, cell in cells if (text := _constant(cell)) is not None}

    def _merge(self, node: Node) -> Iterator[_Found]:
        table = table_name(node["relation"])
        for item in node.get("mergeWhenClauses", ()):
            clause = item["MergeWhenClause"]
            if clause["commandType"] == "CMD_DELETE":
                yield from self._deleted(table, "MERGE", set())
            elif clause["commandType"] == "CMD_UPDATE":
                yield from self._overwritten(table, _assigned(clause), "MERGE")

    def _alter_table(self, statement: Statement) -> Iterator[_Found]:
        tree = statement.tree
        table = table_name(tree["relation"])
        if tree.get("objtype") == "OBJECT_TYPE":
            if not self._scope.is_new("OBJECT_TYPE", table):
                for command in commands(tree):
                    if command["subtype"] == "AT_DropColumn":
                        yield from self._drop_attribute(table, command["name"])
            return
        for command in commands(tree):
            if command["subtype"] == "AT_DropColumn":
                yield from self._drop_column(table, command["name"], "DROP COLUMN")
            elif command["subtype"] == "AT_AlterColumnType":
                yield from self._change_type(table, command)
            elif (origin := _UNPROTECTED.get(command["subtype"])) and not self._is_new_table(table):
                name = self._scope.before(table)
                part = f".{command['name']}" if command.get("name") else ""
                yield _Found(Kind.PROTECTIONS, name + part, origin)

    def _drop_attribute(self, type_: str, attribute: str) -> Iterator[_Found]:
        origin = "DROP ATTRIBUTE"
        yield _Found(Kind.VALUES, f"{type_}.{attribute}", origin)
        for table in self._known():
            columns = [name for name, column in table.columns.items() if column.type.name == type_]
            yield from self._overwritten(table.name, columns, origin)

    def _change_type(self, table: str, command: Node) -> Iterator[_Found]:
        known = self._scope.tables.find(table)
        column = known.column(command["name"]) if known else None
        keeps = keeps_values(column.type if column else None, definition(command)[1])
        if keeps or self._is_new_column(table, command["name"]):
            return
        certainty = Certainty.POSSIBLE if keeps is None else Certainty.CERTAIN
        name = self._scope.column_before(table, command["name"])
        yield _Found(Kind.VALUES, name, "ALTER COLUMN TYPE", certainty)

    def _grant(self, statement: Statement) -> Iterator[_Found]:
        tree = statement.tree.get("action") or statement.tree
        public = any(
            item["RoleSpec"]["roletype"] == "ROLESPEC_PUBLIC" for item in tree.get("grantees", ())
        )
        if not tree.get("is_grant") or not public:
            return
        if tree["targtype"] == "ACL_TARGET_DEFAULTS":
            yield _Found(Kind.PRIVILEGES, "what is made from now on", "GRANT TO PUBLIC")
        for item in tree.get("objects", ()):
            name = joined(object_parts(item))
            if tree["targtype"] == "ACL_TARGET_ALL_IN_SCHEMA":
                yield _Found(Kind.PRIVILEGES, f"everything in schema {name}", "GRANT TO PUBLIC")
            elif not self._scope.is_new(tree["objtype"], name):
                yield _Found(Kind.PRIVILEGES, self._scope.before(name), "GRANT TO PUBLIC")

    def _copy(self, statement: Statement) -> Iterator[_Found]:
        if statement.tree.get("is_program"):
            way = "FROM" if statement.tree.get("is_from") else "TO"
            yield _Found(Kind.PROTECTIONS, "the server itself", f"COPY {way} PROGRAM")

    def _sequence(self, statement: Statement) -> Iterator[_Found]:
        name = table_name(statement.tree["sequence"])
        restarts = any(
            item["DefElem"]["defname"] == "restart" for item in statement.tree.get("options", ())
        )
        if restarts and not self._scope.is_new("OBJECT_SEQUENCE", name):
            yield _Found(Kind.VALUES, name, "ALTER SEQUENCE RESTART")

    def _set(self, statement: Statement) -> Iterator[_Found]:
        tree = statement.tree.get("setstmt", statement.tree)
        if statement.kind == "AlterSystemStmt":
            yield _Found(Kind.PROTECTIONS, tree.get("name", "all settings"), "ALTER SYSTEM")
        elif tree.get("name") == "session_replication_role" and any(
            json_value(item) == "replica" for item in tree.get("args", ())
        ):
            origin = "SET session_replication_role"
            yield _Found(Kind.PROTECTIONS, "triggers and foreign keys", origin)

    def _owned(self, statement: Statement) -> Iterator[_Found]:
        for item in statement.tree["roles"]:
            owner = item["RoleSpec"].get("rolename", "the role")
            yield _Found(Kind.TABLES, f"all that {owner} owns", "DROP OWNED", Certainty.POSSIBLE)

    def _database(self, statement: Statement) -> Iterator[_Found]:
        yield _Found(Kind.TABLES, f"all of database {statement.tree['dbname']}", "DROP DATABASE")

    def _role(self, statement: Statement) -> Iterator[_Found]:
        for item in statement.tree["roles"]:
            name = item["RoleSpec"].get("rolename", "")
            if not self._scope.is_new("OBJECT_ROLE", name):
                yield _Found(Kind.PROTECTIONS, f"role {name}", "DROP ROLE")

    # What runs inside

    def _block(self, statement: Statement, path: str) -> Iterator[tuple[int, _Found]]:
        options = _options(statement.tree.get("args", ()))
        body = options.get("as", "")
        if options.get("language", "plpgsql") != "plpgsql":
            origin = f"a DO block in {options['language']}"
            yield 0, _Found(Kind.ROWS, UNKNOWN, origin, Certainty.POSSIBLE)
            return
        start = max(statement.sql.find(body), 0)
        for offset, lost in self._body(body, path):
            yield start + offset, lost.inside("a DO block")

    def _body(self, body: str, path: str) -> Iterator[tuple[int, _Found]]:
        """What a PL/pgSQL body destroys, each with its offset in the body."""
        for part in embedded(body):
            # What a branch makes is perhaps not made: nobody may count on it afterwards.
            judge = self.fork() if part.conditional else self
            for lost in judge._part(part, path):
                certainty = Certainty.POSSIBLE if part.conditional else lost.certainty
                yield part.offset, replace(lost, certainty=certainty)

    def _part(self, part: Embedded, path: str) -> Iterator[_Found]:
        if part.kind == "call":
            yield from self._call(part.text, path)
            return
        text = part.text
        if part.kind == "dynamic":
            literal = _literal(text)
            if literal is None:
                yield _Found(_kind_of(text), UNKNOWN, "EXECUTE", Certainty.POSSIBLE)
                return
            text = literal
        try:
            statements = split(text)
        except SqlSyntaxError:
            if _DESTRUCTIVE.search(" ".join(token.text for token in tokens(text))):
                origin = "SQL that cannot be read"
                yield _Found(_kind_of(text), UNKNOWN, origin, Certainty.POSSIBLE)
            return
        for statement in statements:
            yield from (lost for _, lost in self._of(statement, path))

    def _called(self, statement: Statement, path: str) -> Iterator[_Found]:
        """What the functions destroy that a statement calls."""
        if statement.kind not in _RUNS_QUERIES:
            return
        calls = [
            strings(node["funcname"])
            for kind, node in walk({statement.kind: statement.tree})
            if kind in ("FuncCall", "funccall")
        ]
        for parts in dict.fromkeys(map(tuple, calls)):
            yield from self._call(".".join(parts), path)

    def _call(self, name: str, path: str) -> Iterator[_Found]:
        schema, _, plain = name.replace('"', "").rpartition(".")
        known = self._functions.get(plain, [])
        where = f"{plain}()"
        if plain in self._calling:
            return
        if not known:
            if plain in _WRITING_FUNCTIONS and schema in ("", "pg_catalog"):
                yield replace(_WRITING_FUNCTIONS[plain], certainty=Certainty.POSSIBLE)
            elif schema not in ("", "pg_catalog") or not _is_harmless(plain):
                yield _Found(Kind.ROWS, UNKNOWN, f"a call of {where}", Certainty.POSSIBLE)
            return
        self._calling.append(plain)
        for function in known:
            for lost in self._function(function, path):
                yield lost.inside(where, Certainty.POSSIBLE)
        self._calling.pop()

    def _function(self, function: _Function, path: str) -> Iterator[_Found]:
        if function.language == "plpgsql":
            yield from (lost for _, lost in self._body(function.body, path))
        elif function.language == "sql":
            part = Embedded("sql", function.body, 0)
            yield from self._part(part, path)
            for statement in function.statements:
                yield from (lost for _, lost in self._of(statement, path))
        else:
            yield _Found(Kind.ROWS, UNKNOWN, function.language, Certainty.POSSIBLE)

    # Names

    def _known(self) -> list[Table]:
        return list(self._scope.tables.tables.values())

    def _is_new_table(self, name: str) -> bool:
        return name not in self._own and self._scope.is_new("OBJECT_TABLE", name)

    def _is_new_column(self, table: str, column: str) -> bool:
        return table not in self._own and self._scope.is_new_column(table, column)


def drops_with_rows(statement: Statement) -> list[tuple[Kind, str]]:
    """The tables, columns and schemas that this statement drops, whoever made them."""
    holding = (Kind.TABLES, Kind.COLUMNS, Kind.SCHEMAS)
    found = Judge()._direct(statement)
    return [(lost.kind, lost.object) for lost in found if lost.kind in holding]


def _loss(lost: _Found, script: Script, offset: int) -> Loss:
    line, _ = position(script.sql, offset)
    return Loss(lost.kind, lost.object, script.path, line, lost.certainty, lost.origin)


def _statements(script: Script) -> list[Statement] | None:
    try:
        return split(script.sql)
    except SqlSyntaxError:
        return None


def _explains_by_running(statement: Statement) -> bool:
    return statement.kind == "ExplainStmt" and any(
        item["DefElem"]["defname"] == "analyze" for item in statement.tree.get("options", ())
    )


def _function(statement: Statement) -> _Function:
    options = _options(statement.tree.get("options", ()))
    found = [
        Statement("", 0, kind, node)
        for kind, node in walk(statement.tree.get("sql_body", {}))
        if kind in _RUNS_QUERIES
    ]
    language = options.get("language", "sql")
    return _Function(language, options.get("as", ""), tuple(found))


def _options(items: Iterable[Node]) -> dict[str, str]:
    """The options of DO and CREATE FUNCTION that are texts: ``language`` and ``as``."""
    found = {}
    for item in items:
        element = item["DefElem"]
        arg = element.get("arg", {})
        texts = strings(arg["List"]["items"] if "List" in arg else [arg])
        if texts:
            found[element["defname"]] = texts[0]
    return found


def _assigned(node: Node) -> list[str]:
    """The columns that SET gives another value than their own."""
    found = []
    relation = node.get("relation", {})
    own = relation.get("alias", {}).get("aliasname") or relation.get("relname")
    for item in node.get("targetList", ()):
        target = item["ResTarget"]
        value = strings(target.get("val", {}).get("ColumnRef", {}).get("fields", ()))
        same = value in ([target["name"]], [own, target["name"]]) and own is not None
        if not same or "indirection" in target:
            found.append(target["name"])
    return found


def _null_columns(where: Node | None) -> Iterator[str]:
    """The columns of which a condition says that they are null in each row it chooses."""
    if where is None:
        return
    if conjunction := where.get("BoolExpr"):
        if conjunction["boolop"] == "AND_EXPR":
            for part in conjunction["args"]:
                yield from _null_columns(part)
    elif (test := where.get("NullTest")) and test["nulltesttype"] == "IS_NULL":
        yield from strings(test["arg"].get("ColumnRef", {}).get("fields", ()))[-1:]


def _constants(where: Node) -> dict[str, set[str]]:
    """The values that a condition allows, of the columns that it compares with constants."""
    found: dict[str, set[str]] = {}
    conjunction = where.get("BoolExpr", {})
    if conjunction.get("boolop") == "AND_EXPR":
        for part in conjunction["args"]:
            found = _constants(part) | found
        return found
    test = where.get("A_Expr", {})
    column = strings(test.get("lexpr", {}).get("ColumnRef", {}).get("fields", ()))[-1:]
    right = test.get("rexpr", {})
    match test.get("kind"):
        case "AEXPR_OP":
            values = [right]
        case "AEXPR_IN":
            values = right.get("List", {}).get("items", [])
        case "AEXPR_OP_ANY":
            values = right.get("A_ArrayExpr", {}).get("elements", [])
        case _:
            return {}
    texts = [_constant(value) for value in values]
    known = {text for text in texts if text is not None}
    if not column or strings(test["name"]) != ["="] or len(known) != len(set(texts)) or not known:
        return {}
    return {column[0]: known}


def _constant(node: Node) -> str | None:
    """A constant as text; None for NULL and for anything else."""
    value = node.get("A_Const", {})
    if "A_Const" not in node or value.get("isnull"):
        return None
    return json.dumps({key: item for key, item in value.items() if key != "location"})


def _never_true(where: Node | None) -> bool:
    """Whether a condition is the constant false."""
    constant = (where or {}).get("A_Const", {})
    return "boolval" in constant and not constant["boolval"].get("boolval")


def _literal(expression: str) -> str | None:
    """The text of an expression that is one string; None if it is anything else."""
    try:
        [statement] = split(f"SELECT {expression}")
        [target] = statement.tree["targetList"]
    except (SqlSyntaxError, ValueError, KeyError):
        return None
    value = target["ResTarget"]["val"].get("A_Const", {}).get("sval")
    return str(value.get("sval", "")) if value is not None else None


_DESTRUCTIVE = re.compile(
    r"\b(DROP|TRUNCATE|DELETE|UPDATE|MERGE|ALTER|GRANT|COPY|EXECUTE|INSERT)\b", re.IGNORECASE
)
_BY_WORD = (
    (re.compile(r"\bDROP\s+(FOREIGN\s+)?TABLE\b", re.IGNORECASE), Kind.TABLES),
    (re.compile(r"\bDROP\s+SCHEMA\b", re.IGNORECASE), Kind.SCHEMAS),
    (re.compile(r"\bDROP\s+(TYPE|DOMAIN)\b", re.IGNORECASE), Kind.TYPES),
    (re.compile(r"\bDROP\s+EXTENSION\b", re.IGNORECASE), Kind.EXTENSIONS),
    (re.compile(r"\bDROP\b", re.IGNORECASE), Kind.COLUMNS),
    (re.compile(r"\bUPDATE\b", re.IGNORECASE), Kind.VALUES),
)


def _kind_of(text: str) -> Kind:
    """What SQL that is put together at run time seems to be about."""
    return next((kind for pattern, kind in _BY_WORD if pattern.search(text)), Kind.ROWS)


@cache
def _harmless() -> frozenset[str]:
    text = Path(__file__).with_name("functions.txt").read_text(encoding="utf-8")
    return frozenset(text.split())


def _is_harmless(name: str) -> bool:
    """Whether a function writes no rows: one of PostgreSQL's own, or of a common extension."""
    return name in _harmless() or name in _EXTENSIONS or name.startswith(("st_", "uuid_generate_"))


# Functions of ltree, pgcrypto, pg_trgm, unaccent, hstore and vector.
_EXTENSIONS = {
    "cosine_distance",
    "crypt",
    "digest",
    "gen_random_bytes",
    "gen_salt",
    "hmac",
    "hstore",
    "ltree2text",
    "nlevel",
    "similarity",
    "subpath",
    "text2ltree",
    "unaccent",
}


_RUNS_QUERIES = {
    "CallStmt",
    "CopyStmt",
    "CreateTableAsStmt",
    "DeleteStmt",
    "InsertStmt",
    "MergeStmt",
    "SelectStmt",
    "UpdateStmt",
}
_WRITES: dict[str, Callable[[Judge, Node], Iterator[_Found]]] = {
    "DeleteStmt": Judge._delete,
    "InsertStmt": Judge._insert,
    "MergeStmt": Judge._merge,
    "UpdateStmt": Judge._update,
}
_JUDGES: dict[str, Callable[[Judge, Statement], Iterator[_Found]]] = {
    "AlterDefaultPrivilegesStmt": Judge._grant,
    "AlterSeqStmt": Judge._sequence,
    "AlterSystemStmt": Judge._set,
    "AlterTableStmt": Judge._alter_table,
    "CopyStmt": Judge._copy,
    "DropOwnedStmt": Judge._owned,
    "DropRoleStmt": Judge._role,
    "DropStmt": Judge._drop,
    "DropdbStmt": Judge._database,
    "GrantStmt": Judge._grant,
    "TruncateStmt": Judge._truncate,
    "VariableSetStmt": Judge._set,
}
_DROPPED = {
    "SCHEMA": Kind.SCHEMAS,
    "TYPE": Kind.TYPES,
    "DOMAIN": Kind.TYPES,
    "EXTENSION": Kind.EXTENSIONS,
    "SEQUENCE": Kind.VALUES,
    "POLICY": Kind.PROTECTIONS,
    "TRIGGER": Kind.PROTECTIONS,
    "RULE": Kind.PROTECTIONS,
    "EVENT_TRIGGER": Kind.PROTECTIONS,
}
_SPELLED = {
    "FOREIGN_TABLE": "FOREIGN TABLE",
    "EVENT_TRIGGER": "EVENT TRIGGER",
    "ACCESS_METHOD": "ACCESS METHOD",
    "FDW": "FOREIGN DATA WRAPPER",
    "FOREIGN_SERVER": "SERVER",
}
# With CASCADE these may take columns along: generated ones, or those of a type.
_BELOW_COLUMNS = {"FUNCTION", "ROUTINE", "COLLATION", "LANGUAGE", "OPERATOR", "CAST"}
# The types of extensions that real migrations create.
_TYPES_OF = {
    "citext": {"citext"},
    "hstore": {"hstore"},
    "ltree": {"ltree", "lquery", "ltxtquery"},
    "postgis": {"geometry", "geography", "box2d", "box3d"},
    "vector": {"vector", "halfvec", "sparsevec"},
    "cube": {"cube"},
    "seg": {"seg"},
    "isn": {"ean13", "isbn", "isbn13", "ismn", "ismn13", "issn", "issn13", "upc"},
    "intarray": set[str](),
    "pg_trgm": set[str](),
    "pgcrypto": set[str](),
    "uuid-ossp": set[str](),
    "btree_gin": set[str](),
    "btree_gist": set[str](),
    "unaccent": set[str](),
}
_UNPROTECTED = {
    "AT_SetUnLogged": "SET UNLOGGED",
    "AT_DisableRowSecurity": "DISABLE ROW LEVEL SECURITY",
    "AT_NoForceRowSecurity": "NO FORCE ROW LEVEL SECURITY",
    "AT_DisableTrig": "DISABLE TRIGGER",
    "AT_DisableTrigAll": "DISABLE TRIGGER ALL",
    "AT_DisableTrigUser": "DISABLE TRIGGER USER",
    "AT_EnableReplicaTrig": "ENABLE REPLICA TRIGGER",
    "AT_DisableRule": "DISABLE RULE",
}
# PostgreSQL's own functions that destroy something.
_WRITING_FUNCTIONS = {
    "setval": _Found(Kind.VALUES, "a sequence", "setval()"),
    "lo_unlink": _Found(Kind.ROWS, "large objects", "lo_unlink()"),
    "lo_put": _Found(Kind.VALUES, "large objects", "lo_put()"),
    "lowrite": _Found(Kind.VALUES, "large objects", "lowrite()"),
}
