"""What one statement destroys by itself, with the names as they are where it runs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from turnback.sql.scope import Scope
from turnback.sql.statements import Statement, json_value
from turnback.sql.tables import Table
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


@dataclass(frozen=True, slots=True)
class Found:
    """A loss without its place: see ``Loss``."""

    kind: Kind
    object: str
    origin: str
    certainty: Certainty = Certainty.CERTAIN

    def inside(self, where: str, certainty: Certainty | None = None) -> Found:
        return replace(
            self, origin=f"{self.origin} in {where}", certainty=certainty or self.certainty
        )


_TRIGGERS = "triggers and foreign keys"


class StatementLosses:
    """What statements destroy by themselves; what they call or run inside is the judge's."""

    def __init__(self, scope: Scope, own: frozenset[str]) -> None:
        """Judge by what is known of the database.

        Args:
            scope: what names mean.
            own: turnback's own tables.
        """
        self._scope = scope
        self._own = own
        # Table → the rows that the release inserted, each with the columns that are constants.
        self._inserted: dict[str, list[dict[str, str]]] = {}

    def fork(self, scope: Scope) -> StatementLosses:
        """One that knows the same, in a scope of its own."""
        other = StatementLosses(scope, self._own)
        other._inserted = {name: list(rows) for name, rows in self._inserted.items()}
        return other

    def forget_what_is_new(self) -> None:
        """From here on, all rows were there before."""
        self._inserted.clear()

    def of(self, statement: Statement) -> Iterator[Found]:
        """What the statement destroys; its names are qualified."""
        judge = _JUDGES.get(statement.kind)
        if judge is not None:
            yield from judge(self, statement)
        if statement.kind in RUNS_QUERIES:
            nodes = [(statement.kind, statement.tree), *walk(statement.tree)]
            for kind, node in nodes:
                if kind in _WRITES:
                    yield from _WRITES[kind](self, node)
                elif kind == "FuncCall" and _switches_triggers_off(node):
                    yield Found(Kind.PROTECTIONS, _TRIGGERS, "set_config()")

    def _drop(self, statement: Statement) -> Iterator[Found]:
        tree = statement.tree
        cascade = tree.get("behavior") == "DROP_CASCADE"
        kind = tree["removeType"].removeprefix("OBJECT_")
        origin = f"DROP {_SPELLED.get(kind, kind)}{' CASCADE' if cascade else ''}"
        for item in dropped(tree):
            if kind in ("TABLE", "FOREIGN_TABLE"):
                yield from self._drop_table(item.name, origin)
            elif kind in _DROPPED and not self._scope.is_new(item.kind, item.name):
                yield Found(_DROPPED[kind], self._scope.before(item.name), origin)
            if cascade:
                yield from self._cascade(kind, item.name, origin)

    def _drop_table(self, name: str, origin: str) -> Iterator[Found]:
        for table in self._scope.with_heirs(name):
            if not self._is_new_table(table):
                yield Found(Kind.TABLES, self._scope.before(table), origin)

    def _cascade(self, kind: str, name: str, origin: str) -> Iterator[Found]:
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
            yield Found(Kind.COLUMNS, f"what depends on {name}", origin, Certainty.POSSIBLE)
        elif kind in ("FOREIGN_SERVER", "FDW", "ACCESS_METHOD"):
            yield Found(Kind.TABLES, f"all tables of {name}", origin, Certainty.POSSIBLE)
        elif kind in _BELOW_COLUMNS:
            yield Found(Kind.COLUMNS, f"what depends on {name}", origin, Certainty.POSSIBLE)

    def _drop_column(self, table: str, column: str, origin: str) -> Iterator[Found]:
        if not self._is_new_column(table, column):
            yield Found(Kind.COLUMNS, self._scope.column_before(table, column), origin)

    def _truncate(self, statement: Statement) -> Iterator[Found]:
        tree = statement.tree
        named = [table_name(item["RangeVar"]) for item in tree["relations"]]
        cascade = tree.get("behavior") == "DROP_CASCADE"
        for table in self._scope.tables.truncated_with(named) if cascade else named:
            yield from self._rows(table, "TRUNCATE CASCADE" if cascade else "TRUNCATE")

    def _rows(self, table: str, origin: str, *, only: bool = False) -> Iterator[Found]:
        for name in [table] if only else self._scope.written(table):
            if not self._is_new_table(name):
                yield Found(Kind.ROWS, self._scope.before(name), origin)

    def _delete(self, node: Node) -> Iterator[Found]:
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
    ) -> Iterator[Found]:
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

    def _update(self, node: Node) -> Iterator[Found]:
        if self._chooses_nothing_old(node):
            return
        empty = set(_null_columns(node.get("whereClause")))
        columns = [name for name in _assigned(node, node["relation"]) if name not in empty]
        yield from self._overwritten(table_name(node["relation"]), columns, "UPDATE")

    def _overwritten(self, table: str, columns: Iterable[str], origin: str) -> Iterator[Found]:
        for name in self._scope.written(table):
            for column in dict.fromkeys(columns):
                if not self._is_new_column(name, column):
                    yield Found(Kind.VALUES, self._scope.column_before(name, column), origin)

    def _insert(self, node: Node) -> Iterator[Found]:
        table = table_name(node["relation"])
        if table in self._own:
            yield Found(Kind.PROTECTIONS, table, "INSERT")
        clause = node.get("onConflictClause", {})
        if not clause:
            self._inserted.setdefault(table, []).extend(self._constant_rows(table, node))
        if clause.get("action") == "ONCONFLICT_UPDATE" and not _never_true(
            clause.get("whereClause")
        ):
            yield from self._overwritten(
                table, _assigned(clause, node["relation"]), "INSERT ON CONFLICT DO UPDATE"
            )

    def _constant_rows(self, table: str, node: Node) -> Iterator[dict[str, str]]:
        known = self._scope.tables.find(table)
        named = [item["ResTarget"]["name"] for item in node.get("cols", ())]
        columns = named or (list(known.columns) if known else [])
        for item in node.get("selectStmt", {}).get("SelectStmt", {}).get("valuesLists", ()):
            cells = zip(columns, item["List"]["items"], strict=False)
            yield {column: text for column, cell in cells if (text := _constant(cell)) is not None}

    def _merge(self, node: Node) -> Iterator[Found]:
        table = table_name(node["relation"])
        for item in node.get("mergeWhenClauses", ()):
            clause = item["MergeWhenClause"]
            if clause["commandType"] == "CMD_DELETE":
                yield from self._deleted(table, "MERGE", set())
            elif clause["commandType"] == "CMD_UPDATE":
                yield from self._overwritten(table, _assigned(clause, node["relation"]), "MERGE")

    def _alter_table(self, statement: Statement) -> Iterator[Found]:
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
                yield Found(Kind.PROTECTIONS, name + part, origin)

    def _drop_attribute(self, type_: str, attribute: str) -> Iterator[Found]:
        origin = "DROP ATTRIBUTE"
        yield Found(Kind.VALUES, f"{type_}.{attribute}", origin)
        for table in self._known():
            columns = [name for name, column in table.columns.items() if column.type.name == type_]
            yield from self._overwritten(table.name, columns, origin)

    def _change_type(self, table: str, command: Node) -> Iterator[Found]:
        known = self._scope.tables.find(table)
        column = known.column(command["name"]) if known else None
        keeps = keeps_values(column.type if column else None, definition(command)[1])
        if keeps or self._is_new_column(table, command["name"]):
            return
        certainty = Certainty.POSSIBLE if keeps is None else Certainty.CERTAIN
        name = self._scope.column_before(table, command["name"])
        yield Found(Kind.VALUES, name, "ALTER COLUMN TYPE", certainty)

    def _grant(self, statement: Statement) -> Iterator[Found]:
        tree = statement.tree.get("action") or statement.tree
        public = any(
            item["RoleSpec"]["roletype"] == "ROLESPEC_PUBLIC" for item in tree.get("grantees", ())
        )
        if not tree.get("is_grant") or not public:
            return
        if tree["targtype"] == "ACL_TARGET_DEFAULTS":
            yield Found(Kind.PRIVILEGES, "what is made from now on", "GRANT TO PUBLIC")
        for item in tree.get("objects", ()):
            name = joined(object_parts(item))
            if tree["targtype"] == "ACL_TARGET_ALL_IN_SCHEMA":
                yield Found(Kind.PRIVILEGES, f"everything in schema {name}", "GRANT TO PUBLIC")
            elif not self._scope.is_new(tree["objtype"], name):
                yield Found(Kind.PRIVILEGES, self._scope.before(name), "GRANT TO PUBLIC")

    def _copy(self, statement: Statement) -> Iterator[Found]:
        if statement.tree.get("is_program"):
            way = "FROM" if statement.tree.get("is_from") else "TO"
            yield Found(Kind.PROTECTIONS, "the server itself", f"COPY {way} PROGRAM")

    def _sequence(self, statement: Statement) -> Iterator[Found]:
        name = table_name(statement.tree["sequence"])
        restarts = any(
            item["DefElem"]["defname"] == "restart" for item in statement.tree.get("options", ())
        )
        if restarts and not self._scope.is_new("OBJECT_SEQUENCE", name):
            yield Found(Kind.VALUES, name, "ALTER SEQUENCE RESTART")

    def _set(self, statement: Statement) -> Iterator[Found]:
        tree = statement.tree.get("setstmt", statement.tree)
        if statement.kind == "AlterSystemStmt":
            yield Found(Kind.PROTECTIONS, tree.get("name", "all settings"), "ALTER SYSTEM")
        elif tree.get("name") == "session_replication_role" and any(
            json_value(item) == "replica" for item in tree.get("args", ())
        ):
            yield Found(Kind.PROTECTIONS, _TRIGGERS, "SET session_replication_role")

    def _owned(self, statement: Statement) -> Iterator[Found]:
        for item in statement.tree["roles"]:
            owner = item["RoleSpec"].get("rolename", "the role")
            yield Found(Kind.TABLES, f"all that {owner} owns", "DROP OWNED", Certainty.POSSIBLE)

    def _database(self, statement: Statement) -> Iterator[Found]:
        yield Found(Kind.TABLES, f"all of database {statement.tree['dbname']}", "DROP DATABASE")

    def _role(self, statement: Statement) -> Iterator[Found]:
        for item in statement.tree["roles"]:
            name = item["RoleSpec"].get("rolename", "of the session")
            if not self._scope.is_new("OBJECT_ROLE", name):
                yield Found(Kind.PROTECTIONS, f"role {name}", "DROP ROLE")

    def _known(self) -> list[Table]:
        return list(self._scope.tables.tables.values())

    def _is_new_table(self, name: str) -> bool:
        return name not in self._own and self._scope.is_new("OBJECT_TABLE", name)

    def _is_new_column(self, table: str, column: str) -> bool:
        return table not in self._own and self._scope.is_new_column(table, column)


def _assigned(node: Node, relation: Node) -> list[str]:
    """The columns that SET gives another value than their own."""
    found = []
    own = relation.get("alias", {}).get("aliasname") or relation.get("relname")
    for item in node.get("targetList", ()):
        target = item["ResTarget"]
        value = strings(target.get("val", {}).get("ColumnRef", {}).get("fields", ()))
        same = value in ([target["name"]], [own, target["name"]]) and own is not None
        if not same or "indirection" in target:
            found.append(target["name"])
    return found


def _switches_triggers_off(call: Node) -> bool:
    texts = [item.get("A_Const", {}).get("sval", {}).get("sval") for item in call.get("args", ())]
    wanted = ["session_replication_role", "replica"]
    return strings(call["funcname"])[-1] == "set_config" and texts[:2] == wanted


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


RUNS_QUERIES = {
    "CallStmt",
    "CopyStmt",
    "CreateTableAsStmt",
    "DeleteStmt",
    "InsertStmt",
    "MergeStmt",
    "SelectStmt",
    "UpdateStmt",
}
_WRITES: dict[str, Callable[[StatementLosses, Node], Iterator[Found]]] = {
    "DeleteStmt": StatementLosses._delete,
    "InsertStmt": StatementLosses._insert,
    "MergeStmt": StatementLosses._merge,
    "UpdateStmt": StatementLosses._update,
}
_JUDGES: dict[str, Callable[[StatementLosses, Statement], Iterator[Found]]] = {
    "AlterDefaultPrivilegesStmt": StatementLosses._grant,
    "AlterSeqStmt": StatementLosses._sequence,
    "AlterSystemStmt": StatementLosses._set,
    "AlterTableStmt": StatementLosses._alter_table,
    "CopyStmt": StatementLosses._copy,
    "DropOwnedStmt": StatementLosses._owned,
    "DropRoleStmt": StatementLosses._role,
    "DropStmt": StatementLosses._drop,
    "DropdbStmt": StatementLosses._database,
    "GrantStmt": StatementLosses._grant,
    "TruncateStmt": StatementLosses._truncate,
    "VariableSetStmt": StatementLosses._set,
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
    "postgis": {"geometry", "geography"},
    "vector": {"vector", "halfvec", "sparsevec"},
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
