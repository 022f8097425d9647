"""What reads or writes every row: the part of a statement whose time grows with its table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from turnback.sql.blocks import embedded
from turnback.sql.definitions import (
    SERIALS,
    constraint_of,
    filled,
    index_name,
    rewrites,
    type_of,
)
from turnback.sql.lint.step import LintStep
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import split
from turnback.sql.tables import Constraint, Table
from turnback.sql.tokens import tokens
from turnback.sql.tree import (
    Node,
    commands,
    definition,
    dotted,
    inline_constraints,
    relations,
    strings,
    table_name,
    text_options,
    walk,
)
from turnback.sql.volatility import volatile_call


@dataclass(frozen=True, slots=True)
class SlowWork:
    """One piece of it.

    Attributes:
        kind: ``index``, ``not_null``, ``foreign``, ``check``, ``unique``, ``validate``, ``type``,
            ``default``, ``rows`` (that are changed), ``copy``,
            ``refresh``.
        table: whose rows.
        does: in words, as "builds an index on users".
        at: where, in the parser's bytes; None for the statement's beginning.
        node: what the parser says of it.
        column: the one concerned.
        constraint: the one that is added.
    """

    kind: str
    table: str
    does: str
    at: int | None = None
    node: Node | None = None
    column: str = ""
    constraint: Constraint | None = None


def slow_work(step: LintStep) -> Iterator[SlowWork]:
    """What the statement does to every row of tables that were there before."""
    # Several rules ask.
    if "slow" not in step.known:
        step.known["slow"] = [item for item in _all(step) if step.in_use(item.table)]
    found: list[SlowWork] = step.known["slow"]
    yield from found


def _all(step: LintStep) -> Iterator[SlowWork]:
    tree = step.tree
    match step.kind:
        case "IndexStmt":
            table = table_name(tree["relation"])
            if not _is_there_or_empty(step, table):
                yield SlowWork("index", table, f"builds an index on {table}", node=tree)
        case "AlterTableStmt" if tree.get("objtype", "OBJECT_TABLE") == "OBJECT_TABLE":
            yield from _altered(step)
        case "DoStmt":
            yield from _in_block(step)
        case "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" | "CreateTableAsStmt":
            yield from _rows(step)
        case "SelectStmt" if "withClause" in tree or "intoClause" in tree:
            yield from _rows(step)
        case "RefreshMatViewStmt":
            table = table_name(tree["relation"])
            if not tree.get("skipData"):
                yield SlowWork("refresh", table, f"recomputes {table}")


def _rows(step: LintStep) -> Iterator[SlowWork]:
    """What the statement, and those in its WITH, change or copy."""
    for kind, node in [(step.kind, step.tree), *walk(step.tree)]:
        if kind in ("UpdateStmt", "DeleteStmt"):
            table = table_name(node["relation"])
            if not is_batch(node, step.table(table)):
                verb = "updates" if kind == "UpdateStmt" else "deletes"
                yield SlowWork("rows", table, f"{verb} rows of {table}")
        elif kind == "MergeStmt":
            table = table_name(node["relation"])
            yield SlowWork("rows", table, f"merges into {table}")
    query = step.tree.get("selectStmt") or step.tree.get("query")
    into = step.tree if step.kind == "SelectStmt" and "intoClause" in step.tree else None
    source = query.get("SelectStmt", {}) if query else into
    for node in _branches(source or {}):
        for table in relations(node.get("fromClause", []))[:1]:
            bounded = is_batch(node, step.table(table)) or "limitCount" in (source or {})
            updates = step.tree.get("onConflictClause", {}).get("action") == "ONCONFLICT_UPDATE"
            if step.in_use(table) and not bounded:
                target = table_name(step.tree["relation"]) if updates else ""
                written = f", and updates those of {target}" if updates else ""
                kind = "rows" if updates else "copy"
                yield SlowWork(kind, table, f"copies the rows of {table}{written}")


def _branches(select: Node) -> Iterator[Node]:
    """The parts of a UNION, or the query itself."""
    if select.get("op", "SETOP_NONE") == "SETOP_NONE":
        yield select
        return
    for side in ("larg", "rarg"):
        yield from _branches(select.get(side, {}))


def _in_block(step: LintStep) -> Iterator[SlowWork]:
    """What the statements of a DO block do; those that no batch bounds."""
    options = text_options(step.tree.get("args", ()))
    for part in embedded(options.get("as", "")):
        if part.kind != "sql" or _commits(options.get("as", "")):
            continue
        try:
            statements = split(part.text)
        except SqlSyntaxError:
            continue
        for statement in statements:
            inner = replace(step, statement=statement, known={})
            if inner.kind in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
                yield from _rows(inner)


def _commits(body: str) -> bool:
    """Whether a block commits as it goes: each part is a transaction of its own."""
    return any(token.is_word("COMMIT") for token in tokens(body))


def _is_there_or_empty(step: LintStep, table: str) -> bool:
    """Whether IF NOT EXISTS finds the index, or ON ONLY leaves the partitions out."""
    tree, known = step.tree, step.table(table)
    if known and known.partitioned and not tree["relation"].get("inh"):
        return True
    return bool(tree.get("if_not_exists") and step.schema.owner_of_index(index_name(tree)))


def _altered(step: LintStep) -> Iterator[SlowWork]:
    name = table_name(step.tree["relation"])
    table = step.table(name) or Table(name, "")
    # What a statement drops, it drops first, wherever it says so (manual, ALTER TABLE, Notes).
    gone = {c["name"] for c in commands(step.tree) if c["subtype"] == "AT_DropConstraint"}
    kept = tuple(item for item in table.constraints if item.name not in gone)
    table = replace(table, constraints=kept)
    # A check that an earlier subcommand of the same statement validates is of no help: PostgreSQL
    # reads the rows after all of them.
    for command in commands(step.tree):
        kind, node = definition(command)
        at = node.get("location")
        match command["subtype"]:
            case "AT_SetNotNull" if not table.never_null(command["name"]):
                column = command["name"]
                does = f"reads every row of {name} for NULL in {column}"
                yield SlowWork("not_null", name, does, column=column)
            case "AT_ValidateConstraint":
                does = f"reads every row of {name} for the constraint {command['name']}"
                yield SlowWork("validate", name, does)
            case "AT_AddConstraint" if kind == "Constraint":
                yield from _constraint(table, node)
            case "AT_AddColumn" if kind == "ColumnDef":
                yield from _column(step, table, node)
            case "AT_AlterColumnType" if kind == "ColumnDef":
                column = command["name"]
                known = table.column(column)
                new, collation = (
                    type_of(node["typeName"]),
                    dotted(node.get("collClause", {}).get("collname", ())),
                )
                if rewrites(known.type if known else None, node, column):
                    yield SlowWork("type", name, f"rewrites {name}", at, node, column)
                elif known and table.depends_on(column, known.type, new, collation):
                    does = f"reads every row of {name} for the checks and indexes on {column}"
                    yield SlowWork("type", name, does, at, node, column)
            case "AT_SetUnLogged" | "AT_SetLogged" | "AT_SetTableSpace" | "AT_SetAccessMethod":
                yield SlowWork("rewrite", name, f"rewrites {name}")


def _constraint(table: Table, node: Node) -> Iterator[SlowWork]:
    if node.get("skip_validation") or node.get("indexname"):
        return
    at, name = node.get("location"), table.name
    if node["contype"] == "CONSTR_NOTNULL":
        for column in strings(node.get("keys", ())):
            if not table.never_null(column):
                does = f"reads every row of {name} for NULL in {column}"
                yield SlowWork("not_null", name, does, at, column=column)
        return
    found = constraint_of(node, table)
    if found is None:
        return
    if found.kind == "foreign":
        does = f"looks up every row of {name} in {found.references}"
        yield SlowWork("foreign", name, does, at, node, constraint=found)
    elif found.kind == "check":
        proven = bool(filled(node)) and all(map(table.never_null, found.columns))
        if not proven:
            does = f"reads every row of {name} for a check"
            yield SlowWork("check", name, does, at, node, constraint=found)
    else:
        yield SlowWork("unique", name, f"builds an index on {name}", at, node, constraint=found)


def _column(step: LintStep, table: Table, node: Node) -> Iterator[SlowWork]:
    """A new column without a default is empty: a foreign key on it reads nothing, a check does."""
    inner = {item["contype"]: item for item in inline_constraints(node)}
    column, at = node["colname"], node.get("location")
    stored = inner.get("CONSTR_GENERATED", {}).get("generated_kind") == "s"
    computed = volatile_call(inner.get("CONSTR_DEFAULT", {}).get("raw_expr"), step.schema)
    serial = type_of(node["typeName"]).name in SERIALS
    if stored or serial or computed or "CONSTR_IDENTITY" in inner:
        yield SlowWork("default", table.name, f"rewrites {table.name}", at, node, column)
    for kind, constraint in inner.items():
        found = constraint_of(constraint, table, column)
        if found is None or (kind == "CONSTR_FOREIGN" and "CONSTR_DEFAULT" not in inner):
            continue
        work_kind = "unique" if found.kind == "primary" else found.kind
        does = {
            "foreign": f"looks up every row of {table.name} in {found.references}",
            "check": f"reads every row of {table.name} for a check",
        }.get(found.kind, f"builds an index on {table.name}")
        yield SlowWork(
            work_kind, table.name, does, constraint.get("location"), constraint, column, found
        )


# So many rows between two constants are no batch.
_BATCH = 100_000


def is_batch(tree: Node, table: Table | None) -> bool:
    """Whether an UPDATE, a DELETE or a query is bounded, or finds no row.

    By a LIMIT in a subquery that it chooses its rows from, by a range with both ends, by constants
    for a whole unique key, by a small list of them, or by NULL in a column that has none.

    Args:
        table: the one whose rows it chooses, if a script made it.
    """
    if _has_limit([tree.get(field) for field in ("fromClause", "usingClause", "withClause")]):
        return True
    where = tree.get("whereClause")
    if where is None:
        return False
    equal, lower, upper = set[str](), set[str](), set[str]()
    for part in _parts(where):
        if "CurrentOfExpr" in part or _limited(part) or _finds_nothing(part, table):
            return True
        _note(part.get("A_Expr", {}), equal, lower, upper)
    if lower & upper:
        return True
    keys = table.unique_keys() if table else ()
    return any(set(key) <= equal for key in keys)


def _limited(part: Node) -> bool:
    """``x IN (SELECT … LIMIT n)``, ``x = ANY (ARRAY(SELECT … LIMIT n))``: never NOT IN."""
    if "SubLink" in part:
        return part["SubLink"]["subLinkType"] == "ANY_SUBLINK" and _has_limit(part)
    expression = part.get("A_Expr", {})
    return strings(expression.get("name", ()))[-1:] == ["="] and _has_limit(expression["rexpr"])


def _has_limit(node: object) -> bool:
    return any("limitCount" in inner for _, inner in walk({"node": node}))


def _finds_nothing(part: Node, table: Table | None) -> bool:
    test = part.get("NullTest", {})
    column = strings(test.get("arg", {}).get("ColumnRef", {}).get("fields", ()))[-1:]
    known = table.column(column[0]) if table and column else None
    return bool(known and known.not_null and test.get("nulltesttype") == "IS_NULL")


def _parts(where: Node) -> list[Node]:
    """The conditions that AND joins."""
    inner = where.get("BoolExpr", {})
    if inner.get("boolop") == "AND_EXPR":
        return [part for item in inner["args"] for part in _parts(item)]
    return [where]


def _note(expression: Node, equal: set[str], lower: set[str], upper: set[str]) -> None:
    fields = expression.get("lexpr", {}).get("ColumnRef", {}).get("fields", ())
    column = (strings(fields) or [""])[-1]
    if not column or "ColumnRef" in expression.get("rexpr", {}):
        return
    operator = (strings(expression.get("name", ())) or [""])[-1]
    match expression.get("kind"), operator:
        case "AEXPR_BETWEEN" | "AEXPR_BETWEEN_SYM", _:
            ends = [_integer(item) for item in expression["rexpr"]["List"]["items"]]
            if None in ends or (ends[1] or 0) - (ends[0] or 0) <= _BATCH:
                lower.add(column)
                upper.add(column)
        case "AEXPR_IN" | "AEXPR_OP" | "AEXPR_OP_ANY", "=":
            if not any(kind == "SelectStmt" for kind, _ in walk(expression.get("rexpr"))):
                equal.add(column)
        case "AEXPR_OP", "<" | "<=":
            upper.add(column)
        case "AEXPR_OP", ">" | ">=":
            lower.add(column)


def _integer(node: Node) -> int | None:
    """A constant number; None for anything else."""
    constant = node.get("A_Const", {})
    if "ival" in constant:
        return int(constant["ival"].get("ival", 0))
    value = constant.get("fval", {}).get("fval", "")
    return int(value) if value.isdigit() else None
