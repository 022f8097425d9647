"""Columns, constraints and indexes out of the parser's nodes."""

from __future__ import annotations

from turnback.sql.statements import json_value
from turnback.sql.tables import Column, Constraint, Index, Table, Type
from turnback.sql.tree import (
    Node,
    column_refs,
    dotted,
    index_columns,
    inline_constraints,
    strings,
    table_name,
    walk,
)

_KINDS = {
    "CONSTR_CHECK": "check",
    "CONSTR_FOREIGN": "foreign",
    "CONSTR_PRIMARY": "primary",
    "CONSTR_UNIQUE": "unique",
    "CONSTR_EXCLUSION": "exclusion",
}
# What the grammar leaves as written, and what it is.
_SAME = {
    "serial": "int4",
    "serial4": "int4",
    "bigserial": "int8",
    "serial8": "int8",
    "smallserial": "int2",
    "serial2": "int2",
}
SERIALS = frozenset(_SAME)


def type_of(node: Node) -> Type:
    """A type as its name in the catalog: ``int4``, ``varchar``, ``numeric``."""
    numbers = []
    for item in node.get("typmods", ()):
        value = json_value(item)
        numbers.append(value if isinstance(value, int) else 0)
    return Type(dotted(node["names"]), tuple(numbers), bool(node.get("arrayBounds")))


def column_of(node: Node) -> Column:
    """A ColumnDef as a column."""
    # A partition, and a table of a type, can name a column without its type: it has that of the
    # other one.
    written = type_of(node["typeName"]) if "typeName" in node else Type("")
    real = Type(_SAME.get(written.name, written.name), written.numbers, written.array)
    not_null = written.name in SERIALS or any(
        inner["contype"] in ("CONSTR_NOTNULL", "CONSTR_PRIMARY", "CONSTR_IDENTITY")
        for inner in inline_constraints(node)
    )
    return Column(node["colname"], real, not_null)


def constraint_of(node: Node, table: Table, column: str | None = None) -> Constraint | None:
    """A Constraint node as a constraint with the name PostgreSQL gives it, or None.

    Args:
        column: the one it is written with, if any.
    """
    kind = _KINDS.get(node["contype"])
    if kind is None:
        return None
    using = next((i for i in table.indexes if i.name == node.get("indexname")), None)
    if using:
        columns = tuple(name for name in using.columns if name)
    elif kind == "check":
        columns = tuple(column_refs(node.get("raw_expr")))
    elif column:
        columns = (column,)
    else:
        columns = tuple(strings(node.get("fk_attrs" if kind == "foreign" else "keys", ())))
    name = node.get("conname") or node.get("indexname") or _named(kind, table.name, columns)
    target = table_name(node["pktable"]) if kind == "foreign" else ""
    validated = not node.get("skip_validation", False)
    on_delete = node.get("fk_del_action", "a")
    return Constraint(name, kind, columns, validated, filled(node), target, on_delete)


def filled(node: Node) -> tuple[str, ...]:
    """The columns that a CHECK proves to be not null: ``a IS NOT NULL AND b IS NOT NULL``."""
    return tuple(_filled(node.get("raw_expr", {})))


def _filled(expression: Node) -> list[str]:
    if test := expression.get("NullTest"):
        names = strings(test["arg"].get("ColumnRef", {}).get("fields", ()))
        return names[-1:] if test["nulltesttype"] == "IS_NOT_NULL" else []
    conjunction = expression.get("BoolExpr", {})
    if conjunction.get("boolop") == "AND_EXPR":
        return [name for part in conjunction["args"] for name in _filled(part)]
    return []


def index_of(tree: Node) -> Index:
    """An IndexStmt as an index with the name PostgreSQL gives it."""
    columns = tuple(index_columns(tree))
    mentions = column_refs([tree.get("indexParams", []), tree.get("whereClause", {})])
    return Index(
        index_name(tree),
        columns,
        bool(tree.get("unique")),
        "whereClause" in tree,
        tuple(mentions),
    )


def index_name(tree: Node) -> str:
    """The name of an IndexStmt's index: the one it gives, or the one PostgreSQL makes up."""
    if given := tree.get("idxname"):
        return str(given)
    table: str = tree["relation"]["relname"]
    parts = []
    for item in tree.get("indexParams", ()):
        element = item["IndexElem"]
        call = element.get("expr", {}).get("FuncCall")
        plain = strings(call["funcname"])[-1] if call else "expr"
        parts.append(element.get("name") or plain)
    return "_".join([table, *parts, "idx"])


def _named(kind: str, table: str, columns: tuple[str, ...]) -> str:
    plain = table.rpartition(".")[2]
    ends = {"foreign": "fkey", "unique": "key", "exclusion": "excl", "check": "check"}
    if kind == "primary":
        return f"{plain}_pkey"
    shown = columns if kind != "check" or len(columns) == 1 else ()
    return "_".join([plain, *shown, ends[kind]])


_UNBOUNDED = {
    ("varchar", "text"),
    ("text", "varchar"),
    ("cidr", "inet"),
    # Where the session's time zone is UTC, as it is on RDS unless someone sets another.
    ("timestamp", "timestamptz"),
    ("timestamptz", "timestamp"),
}
# The number is the most that fits, or the digits of a second; none is the highest.
_WIDER = {
    "varchar",
    "varbit",
    "timestamp",
    "timestamptz",
    "time",
    "timetz",
    "interval",
}


def rewrites(old: Type | None, column: Node) -> bool:
    """Whether the change rewrites the table, as far as the scripts tell; unknown means yes.

    Args:
        old: the type so far, if a script tells it.
        column: the parser's ColumnDef in ALTER COLUMN … TYPE.
    """
    new = type_of(column["typeName"])
    if not _only_casts(column.get("raw_default"), new):
        return True
    if old is None:
        return True
    if old == new:
        return False
    if old.array or new.array:
        return True
    if (old.name, new.name) in _UNBOUNDED:
        return bool(new.numbers)
    if old.name != new.name:
        return True
    if not new.numbers:
        return old.name not in _WIDER | {"numeric"}
    if not old.numbers:
        return True
    if old.name == "numeric":
        return not (_scale(old) == _scale(new) and new.numbers[0] >= old.numbers[0])
    return old.name not in _WIDER or new.numbers < old.numbers


def _scale(numeric: Type) -> int:
    return numeric.numbers[1] if len(numeric.numbers) > 1 else 0


def _only_casts(using: Node | None, new: Type) -> bool:
    """Whether there is no USING, or one that says no more than the new type: ``a::text``."""
    if using is None:
        return True
    cast = using.get("TypeCast")
    return bool(cast and "ColumnRef" in cast["arg"] and type_of(cast["typeName"]) == new)


# Of PostgreSQL's own functions, those that defaults are made of and that are not VOLATILE
# (pg_proc.provolatile). A function that is not named here may be.
_STEADY = """
abs age array_append array_fill array_remove array_to_string btrim ceil ceiling char_length chr
coalesce concat concat_ws current_database current_schema current_setting date_part date_trunc
daterange decode digest encode extract floor format greatest initcap int4range int8range
json_build_array json_build_object json_object jsonb_build_array jsonb_build_object
jsonb_object left length lower lpad ltrim make_date make_interval make_time make_timestamp
make_timestamptz md5 mod now nullif numrange overlay power repeat replace right round
row_to_json rpad rtrim sha256 split_part statement_timestamp string_to_array substr substring
timezone to_char to_date to_json to_jsonb to_number to_timestamp to_tsvector
transaction_timestamp trim trunc tsrange tstzrange upper
"""

# Some that are.
KNOWN = frozenset(
    {
        "clock_timestamp",
        "gen_random_bytes",
        "gen_random_uuid",
        "nextval",
        "random",
        "timeofday",
        "uuid_generate_v1",
        "uuid_generate_v4",
        "uuidv4",
        "uuidv7",
    }
)


def volatile(expression: Node) -> str:
    """The function that may give each row another value; empty without one."""
    for kind, node in walk({"expression": expression}):
        if kind == "FuncCall" and (called := dotted(node["funcname"])) not in _STEADY.split():
            return called
    return ""
