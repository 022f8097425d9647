"""Columns, constraints and indexes out of the parser's nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from turnback.sql.statements import is_on, json_value
from turnback.sql.tables import (
    Column,
    Constraint,
    Domain,
    Function,
    Index,
    Reads,
    Schema,
    Table,
    Type,
    View,
)
from turnback.sql.tree import (
    Named,
    Node,
    column_refs,
    constants,
    dotted,
    index_columns,
    inline_constraints,
    strings,
    table_name,
    text_options,
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
_NOT_NULL = {"CONSTR_NOTNULL", "CONSTR_PRIMARY", "CONSTR_IDENTITY"}
_FILLED = {"CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED"}


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
    inner = {item["contype"]: item for item in inline_constraints(node)}
    not_null = written.name in SERIALS or bool(inner.keys() & _NOT_NULL)
    expressions = [item for item in inner.values() if "raw_expr" in item]
    return Column(
        node["colname"],
        real,
        not_null,
        filled=written.name in SERIALS
        or any(kind in _FILLED and not is_null(item) for kind, item in inner.items()),
        computed_from=tuple(column_refs(inner.get("CONSTR_GENERATED", {}).get("raw_expr"))),
        collation=dotted(node.get("collClause", {}).get("collname", ())),
        virtual=inner.get("CONSTR_GENERATED", {}).get("generated_kind") == "v",
        needs=calls(expressions) if expressions else frozenset(),
    )


def is_null(node: Node) -> bool:
    """Whether this is DEFAULT NULL, or the value NULL: the same as no default."""
    value = node.get("raw_expr", node)
    while "TypeCast" in value:
        value = value["TypeCast"]["arg"]
    return bool(value.get("A_Const", {}).get("isnull"))


def calls(node: object) -> frozenset[Named]:
    """The functions that an expression calls, the sequences it takes from, the types it names."""
    found = set()
    for kind, inner in walk({"node": node}):
        if kind == "FuncCall":
            found.add(Named("OBJECT_FUNCTION", called := dotted(inner["funcname"])))
            if called == "nextval":
                found |= {Named("OBJECT_SEQUENCE", _plain(text)) for text in constants(inner)}
        elif kind == "TypeCast":
            found.add(Named("OBJECT_TYPE", dotted(inner["typeName"]["names"])))
    return frozenset(found)


def _plain(text: str) -> str:
    return text.replace('"', "").removeprefix("public.")


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
    named = (*columns, *strings(node.get("including", ())))
    name = node.get("conname") or node.get("indexname") or _named(kind, table.name, named)
    target = table_name(node["pktable"]) if kind == "foreign" else ""
    validated = not node.get("skip_validation", False)
    on_delete = node.get("fk_del_action", "a")
    target_columns = tuple(strings(node.get("pk_attrs", ())))
    return Constraint(
        name,
        kind,
        columns,
        validated,
        filled(node),
        target,
        on_delete,
        target_columns,
        node if kind in ("check", "foreign") else None,
    )


def filled(node: Node) -> tuple[str, ...]:
    """The columns that a CHECK proves to be not null: ``a IS NOT NULL AND b IS NOT NULL``."""
    return tuple(_filled(node.get("raw_expr", {})))


def _filled(expression: Node) -> list[str]:
    if test := expression.get("NullTest"):
        names = strings(test["arg"].get("ColumnRef", {}).get("fields", ()))
        return names[-1:] if test["nulltesttype"] == "IS_NOT_NULL" else []
    parts = expression.get("BoolExpr", {})
    if parts.get("boolop") == "AND_EXPR":
        return [name for part in parts["args"] for name in _filled(part)]
    test = parts.get("args", [{}])[0].get("NullTest", {})
    if parts.get("boolop") == "NOT_EXPR" and test.get("nulltesttype") == "IS_NULL":
        return _filled({"NullTest": {**test, "nulltesttype": "IS_NOT_NULL"}})
    return []


def index_of(tree: Node) -> Index:
    """An IndexStmt as an index with the name PostgreSQL gives it."""
    columns = tuple(index_columns(tree))
    where = tree.get("whereClause", {})
    mentions = column_refs([tree.get("indexParams", []), where])
    tests = _filled(where)
    only = len(tests) == len([kind for kind, _ in walk(where) if kind in ("NullTest", "A_Expr")])
    return Index(
        index_name(tree),
        columns,
        bool(tree.get("unique")),
        "whereClause" in tree,
        tuple(mentions),
        frozenset(tests if only else ()),
        calls([tree.get("indexParams", []), where]),
    )


def index_name(tree: Node) -> str:
    """The name of an IndexStmt's index: the one it gives, or the one PostgreSQL makes up."""
    if given := tree.get("idxname"):
        return str(given)
    table: str = tree["relation"]["relname"]
    parts = []
    for item in [*tree.get("indexParams", ()), *tree.get("indexIncludingParams", ())]:
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


def function_of(tree: Node, before: Function | None) -> Function:
    """A CreateFunctionStmt as a function; one of the same name makes no volatile one steady."""
    options = {item["DefElem"]["defname"]: item["DefElem"] for item in tree.get("options", ())}
    texts = text_options(tree.get("options", ()))
    word = options.get("volatility", {}).get("arg", {"String": {"sval": "volatile"}})
    volatile = json_value(word) == "volatile"
    replaced = before is not None and before.volatile and not tree.get("replace")
    returns = dotted(tree.get("returnType", {}).get("names", ()))
    definer = is_on(options.get("security"))
    is_trigger = returns in ("trigger", "event_trigger")
    arguments = tuple(
        (node.get("name", ""), dotted(node["argType"]["names"]))
        for node in (item["FunctionParameter"] for item in tree.get("parameters", ()))
        if node.get("mode") not in ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE")
    )
    others = before is not None and (
        before.overloaded or [one for _, one in before.arguments] != [one for _, one in arguments]
    )
    return Function(
        dotted(tree["funcname"]),
        volatile or replaced,
        is_trigger,
        definer,
        arguments,
        returns,
        others,
        texts.get("as", "") if texts.get("language") in ("sql", "plpgsql") else "",
        sets_search_path(tree.get("options", ())),
    )


def sets_search_path(options: Iterable[Node]) -> bool:
    """Whether a function gets a search_path of its own, by CREATE or ALTER FUNCTION."""
    return any(
        item["DefElem"]["defname"] == "set"
        and item["DefElem"]["arg"].get("VariableSetStmt", {}).get("name") == "search_path"
        for item in options
    )


def domain_of(tree: Node) -> Domain:
    """A CreateDomainStmt as a domain."""
    inner = {
        item["Constraint"]["contype"]: item["Constraint"] for item in tree.get("constraints", ())
    }
    return Domain(
        dotted(tree["domainname"]),
        type_of(tree["typeName"]),
        "CONSTR_NOTNULL" in inner,
        tuple(
            item["Constraint"]["raw_expr"]
            for item in tree.get("constraints", ())
            if item["Constraint"]["contype"] == "CONSTR_CHECK"
        ),
        inner.get("CONSTR_DEFAULT", {}).get("raw_expr"),
    )


def view_of(name: str, tree: Node, schema: Schema) -> View:
    """A ViewStmt, or the statement that makes a materialized view, as a view."""
    query = tree["query"]
    words = {item["DefElem"]["defname"]: item["DefElem"] for item in tree.get("options", ())}
    columns = _columns_of(query.get("SelectStmt", {}), schema)
    given = strings(tree.get("aliases", ()))
    columns = (*given, *columns[len(given) :])
    reads = reads_of(query, schema, {})
    invoker = is_on(words.get("security_invoker"))
    return View(name, reads, invoker, columns, calls(query), tree if "view" in tree else None)


def reads_of(node: object, schema: Schema, own: dict[str, str]) -> Reads:
    """What a query or an expression reads.

    A column that is named without its table is one of every table read that has it, or may; ``*``
    is each column that there is now.

    Args:
        own: alias → the table that the expression belongs to.
    """
    tables = dict(own)
    for kind, inner in walk({"node": node}):
        if kind == "RangeVar" or (kind == "relation" and "relname" in inner):
            alias = inner.get("alias", {}).get("aliasname", inner["relname"])
            tables[alias] = table_name(inner)
    reads = {(table, "") for table in tables.values()}
    for kind, inner in walk({"node": node}):
        if kind != "ColumnRef":
            continue
        parts = strings(inner["fields"])
        whole = any("A_Star" in part for part in inner["fields"])
        column = "" if whole or not parts else parts[-1]
        qualifier = parts[-1 if whole else -2] if len(parts) > (0 if whole else 1) else ""
        for alias, table in tables.items():
            if qualifier in ("", alias):
                have = _known_columns(schema, table) or (column,)
                reads |= {(table, c) for c in have if whole or c == column}
    return frozenset(reads)


def _known_columns(schema: Schema, name: str) -> tuple[str, ...]:
    if view := schema.views.get(name):
        return view.columns
    table = schema.find(name)
    return tuple(table.columns) if table else ()


def _columns_of(select: Node, schema: Schema) -> tuple[str, ...]:
    """The names of a query's columns, as PostgreSQL gives them; empty where one is unknown."""
    while "larg" in select:
        select = select["larg"]
    found: list[str] = []
    for item in select.get("targetList", ()):
        target = item["ResTarget"]
        value = target.get("val", {})
        fields = value.get("ColumnRef", {}).get("fields", ())
        if "name" in target:
            found.append(target["name"])
        elif any("A_Star" in part for part in fields):
            sources = select.get("fromClause", ())
            if len(fields) > 1 or len(sources) != 1 or "RangeVar" not in sources[0]:
                return ()
            inner = _known_columns(schema, table_name(sources[0]["RangeVar"]))
            if not inner:
                return ()
            found += inner
        else:
            found.append(_shown(value))
    return tuple(found) if "" not in found else ()


def _shown(value: Node) -> str:
    """The name of a column that gets none (FigureColname); empty where it is not plain."""
    while "TypeCast" in value:
        value = value["TypeCast"]["arg"]
    names = strings(value.get("ColumnRef", {}).get("fields", ()))
    return (names or strings(value.get("FuncCall", {}).get("funcname", ())) or [""])[-1]


# A cast that changes no byte (pg_cast: binary coercible), so the table stays as it is.
_UNBOUNDED = {
    ("bit", "varbit"),
    ("cidr", "inet"),
    ("citext", "text"),
    ("citext", "varchar"),
    ("int4", "oid"),
    ("oid", "int4"),
    ("oid", "regclass"),
    ("oid", "regproc"),
    ("oid", "regtype"),
    ("regclass", "oid"),
    ("regproc", "oid"),
    ("regtype", "oid"),
    ("text", "citext"),
    ("text", "varchar"),
    ("varchar", "citext"),
    ("varchar", "text"),
    ("xml", "text"),
    ("xml", "varchar"),
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


def rewrites(old: Type | None, column: Node, name: str, domains: Mapping[str, Domain]) -> bool:
    """Whether the change rewrites the table, as far as the scripts tell; unknown means yes.

    Args:
        old: the type so far, if a script tells it.
        column: the parser's ColumnDef in ALTER COLUMN … TYPE.
        name: the column's name.
        domains: by name. One without constraints is as good as the type that it is of.
    """
    new = type_of(column["typeName"])
    if not _only_casts(column.get("raw_default"), new, name):
        return True
    while old and old.name in domains and old != new and not old.array:
        old = domains[old.name].type
    while new.name in domains and old != new and not new.array:
        domain = domains[new.name]
        if domain.checked or domain.not_null:
            return True
        new = domain.type
    return _changes_bytes(old, new)


def _changes_bytes(old: Type | None, new: Type) -> bool:
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


def _only_casts(using: Node | None, new: Type, column: str) -> bool:
    """Whether there is no USING, or one that says no more: ``a``, or ``a::text``."""
    cast = (using or {}).get("TypeCast")
    value = cast["arg"] if cast else using
    if value is None:
        return True
    same = strings(value.get("ColumnRef", {}).get("fields", ()))[-1:] == [column]
    return same and (cast is None or type_of(cast["typeName"]) == new)
