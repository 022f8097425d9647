"""What reads or writes every row: the part of a statement whose time grows with its table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from turnback.sql.definitions import (
    SERIALS,
    constraint_of,
    index_name,
    rewrites,
    type_of,
)
from turnback.sql.lint.batch import by_index, is_batch, is_small_source, says_as_much
from turnback.sql.lint.step import LintStep
from turnback.sql.tables import Constraint, Table
from turnback.sql.tree import (
    Node,
    commands,
    definition,
    dotted,
    inline_constraints,
    relations,
    strings,
    table_name,
    walk,
)
from turnback.sql.volatility import volatile_call


@dataclass(frozen=True, slots=True)
class SlowWork:
    """One piece of it.

    Attributes:
        kind: ``index``, ``not_null``, ``foreign``, ``check``, ``unique``, ``validate``, ``type``,
            ``default``, ``rewrite``, ``partition``, ``domain``, ``rows`` (that are changed),
            ``copy``, ``read``, ``refresh``.
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


def slow_work(step: LintStep, filled: Collection[str] = ()) -> list[SlowWork]:
    """What the statement does to every row of tables that were there before.

    Args:
        filled: tables that were not, and have rows by now.
    """
    directives = step.context.script.directives
    if directives.backfill or directives.swap:
        # It is run over one range of keys at a time, or on a copy that has no rows yet.
        return []
    # Several rules ask.
    if "slow" not in step.known:
        step.known["slow"] = list(_all(step))
    every: list[SlowWork] = step.known["slow"]
    return [item for item in every if step.in_use(item.table) or item.table in filled]


def filled_by(step: LintStep) -> str:
    """The new table that the statement copies rows into; empty without one."""
    tree = step.tree
    if not any(item.kind in ("copy", "rows") for item in slow_work(step)):
        return ""
    into = tree.get("into") or tree.get("intoClause") or {"rel": tree.get("relation")}
    table = table_name(into["rel"]) if into["rel"] else ""
    return "" if step.in_use(table) else table


def _all(step: LintStep) -> Iterator[SlowWork]:
    tree = step.tree
    match step.kind:
        case "IndexStmt":
            table = table_name(tree["relation"])
            if not _is_there_or_empty(step, table):
                yield SlowWork("index", table, f"builds an index on {table}", node=tree)
        case "AlterTableStmt" if tree.get("objtype") == "OBJECT_INDEX":
            yield from _index_moved(step)
        case "AlterTableStmt" if tree.get("objtype", "OBJECT_TABLE") in _TABLES:
            yield from _altered(step)
        case "AlterDomainStmt" if reads_rows(tree):
            yield from _of_domain(step)
        case "CreateStmt" if "partbound" in tree:
            parent = table_name(tree["inhRelations"][0]["RangeVar"])
            yield from _for_bounds(step, parent, tree["partbound"])
        case "RefreshMatViewStmt":
            table = table_name(tree["relation"])
            if not tree.get("skipData"):
                yield SlowWork("refresh", table, f"recomputes {table}")
        case _:
            yield from _changes(step)


def _changes(step: LintStep) -> Iterator[SlowWork]:
    """What reads or writes the rows of tables that stay as they are."""
    match step.kind:
        case "AlterTableMoveAllStmt":
            every = f"all that is in the tablespace {step.tree['orig_tablespacename']}"
            yield SlowWork("rewrite", every, f"copies {every}")
        case "DoStmt":
            yield from _in_block(step)
        case "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" | "CreateTableAsStmt":
            yield from _rows(step)
        case "SelectStmt":
            yield from _rows(step)
            if "intoClause" not in step.tree:
                yield from _reads(step)
            yield from _called(step)
        case "CallStmt":
            yield from _called(step)


def _of_domain(step: LintStep) -> Iterator[SlowWork]:
    domain = dotted(step.tree["typeName"])
    for table in step.schema.with_type(domain):
        does = f"reads every row of {table.name} for the domain {domain}"
        yield SlowWork("domain", table.name, does)


_TABLES = ("OBJECT_TABLE", "OBJECT_MATVIEW")


def _index_moved(step: LintStep) -> Iterator[SlowWork]:
    """An index that goes to another tablespace is copied under its lock; its parts are not."""
    index = table_name(step.tree["relation"])
    owner = step.schema.owner_of_index(index)
    moves = any(command["subtype"] == "AT_SetTableSpace" for command in commands(step.tree))
    if moves and not (owner and owner.partitioned):
        yield SlowWork("rewrite", owner.name if owner else index, f"copies the index {index}")


def reads_rows(tree: Node) -> bool:
    """Whether a change of a domain reads the rows of the columns that are of it."""
    added = tree.get("def", {}).get("Constraint", {})
    return tree["subtype"] in ("O", "V") or (
        tree["subtype"] == "C" and not added.get("skip_validation")
    )


def _for_bounds(step: LintStep, parent: str, bound: Node, child: str = "") -> Iterator[SlowWork]:
    """What is read for a new partition's bounds: its own rows, and those of the default one."""
    table = step.table(parent)
    others = [known for heir in step.schema.heirs.get(parent, ()) if (known := step.table(heir))]
    proven = child and _proven(step, table, child, bound)
    if child and (others or not bound.get("is_default")) and not proven:
        does = f"reads every row of {child} for the bounds of the partition"
        yield SlowWork("partition", child, does, bound.get("location"), bound)
    for known in others:
        if known.is_default and not _proven(step, table, known.name):
            does = f"reads every row of {known.name} for those of the new partition"
            yield SlowWork("partition", known.name, does, bound.get("location"), bound)


def _proven(step: LintStep, parent: Table | None, child: str, bound: Node | None = None) -> bool:
    """Whether a validated CHECK on the columns of the key says as much as the bounds.

    Args:
        bound: the bounds; None for the default partition's, which are taken for proven.
    """
    known, key = step.table(child), parent.partition_key if parent else ()
    if known is None:
        return False
    checks = [
        item
        for item in known.constraints
        if item.kind == "check" and item.validated and set(key) <= set(item.columns)
    ]
    if bound is None:
        return bool(checks)
    filled = all(column and known.never_null(column) for column in key)
    return filled and any(_implies(item.node, bound) for item in checks)


def _implies(check: Mapping[str, object] | None, bound: Node) -> bool:
    """Whether a CHECK may say as much as the bounds."""
    test = dict(check or {}).get("raw_expr")
    return test is None or says_as_much(test, bound)


def _rows(step: LintStep) -> Iterator[SlowWork]:
    """What the statement, and those in its WITH, change or copy."""
    if step.block and step.block.commits:
        return
    for kind, node in [(step.kind, step.tree), *walk(step.tree)]:
        if kind in ("UpdateStmt", "DeleteStmt"):
            table = table_name(node["relation"])
            if not is_batch(node, _rows_of(step, table), step.block):
                verb = "updates" if kind == "UpdateStmt" else "deletes"
                yield SlowWork("rows", table, f"{verb} rows of {table}")
        elif kind == "MergeStmt":
            table = table_name(node["relation"])
            if not is_small_source(node):
                yield SlowWork("rows", table, f"merges into {table}")
    if step.tree.get("into", {}).get("skipData"):
        return
    query = step.tree.get("selectStmt") or step.tree.get("query")
    into = step.tree if step.kind == "SelectStmt" and "intoClause" in step.tree else None
    source = query.get("SelectStmt", {}) if query else into
    for node in _branches(source or {}):
        for table in relations(node.get("fromClause", []))[:1]:
            bounded = is_batch(node, step.table(table), step.block)
            bounded = bounded or "limitCount" in (source or {})
            updates = step.tree.get("onConflictClause", {}).get("action") == "ONCONFLICT_UPDATE"
            if step.in_use(table) and not bounded:
                target = table_name(step.tree["relation"]) if updates else ""
                written = f", and updates those of {target}" if updates else ""
                kind = "rows" if updates else "copy"
                yield SlowWork(kind, table, f"copies the rows of {table}{written}")


def _rows_of(step: LintStep, name: str) -> Table | None:
    """The table in which a change of a table or of a view with one table ends up."""
    view = step.schema.views.get(name)
    tables = {table for table, _ in view.reads} if view else {name}
    return step.table(tables.pop()) if len(tables) == 1 else None


def _branches(select: Node) -> Iterator[Node]:
    """The parts of a UNION, or the query itself."""
    if select.get("op", "SETOP_NONE") == "SETOP_NONE":
        yield select
        return
    for side in ("larg", "rarg"):
        yield from _branches(select.get(side, {}))


def _in_block(step: LintStep) -> Iterator[SlowWork]:
    """What the statements of a DO block do; of those that change rows, what no batch bounds."""
    for inner in step.inside:
        yield from _all(inner)


def _called(step: LintStep) -> Iterator[SlowWork]:
    """What the functions do to rows that the statement calls, as far as the scripts tell."""
    for kind, node in walk(step.tree):
        if kind in ("FuncCall", "funccall"):
            known = step.schema.functions.get(dotted(node["funcname"]))
            for inner in step.in_body(known.body) if known and not step.block else ():
                yield from _changes(inner)


def _reads(step: LintStep) -> Iterator[SlowWork]:
    """What a query reads whole, of the tables that the scripts know."""
    exists = {
        id(node["subselect"]["SelectStmt"])
        for kind, node in walk(step.tree)
        if kind == "SubLink" and node["subLinkType"] == "EXISTS_SUBLINK"
    }
    for kind, node in [(step.kind, step.tree), *walk(step.tree)]:
        if kind != "SelectStmt" or "limitCount" in node:
            continue
        any_row = id(node) in exists and "whereClause" not in node
        for name in relations(node.get("fromClause", []))[:1]:
            table = step.table(name)
            bounded = is_batch(node, table, step.block) or by_index(node, table)
            if table and not (any_row or bounded):
                yield SlowWork("read", name, f"reads the rows of {name}")


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
    every = commands(step.tree)
    gone = {command["name"] for command in every if command["subtype"] == "AT_DropConstraint"}
    if gone:
        kept = tuple(item for item in table.constraints if item.name not in gone)
        table = replace(table, constraints=kept)
    validated = {
        command["name"] for command in every if command["subtype"] == "AT_ValidateConstraint"
    }
    added = {definition(command)[1].get("conname") for command in every}
    # A check that an earlier subcommand of the same statement validates is of no help: PostgreSQL
    # reads the rows after all of them.
    for command in every:
        kind, node = definition(command)
        match command["subtype"]:
            case "AT_SetNotNull" if not table.never_null(command["name"]):
                column = command["name"]
                does = f"reads every row of {name} for NULL in {column}"
                yield SlowWork("not_null", name, does, column=column)
            case "AT_ValidateConstraint" if command["name"] not in added:
                does = f"reads every row of {name} for the constraint {command['name']}"
                yield SlowWork("validate", name, does)
            case "AT_AddConstraint" if kind == "Constraint":
                yield from _constraint(table, node, validated)
            case "AT_AlterConstraint" if node.get("alterEnforceability"):
                yield from _enforced(table, node)
            case "AT_AttachPartition":
                yield from _for_bounds(step, name, node["bound"], table_name(node["name"]))
            case "AT_AddColumn" if kind == "ColumnDef":
                yield from _column(step, table, node)
            case "AT_AlterColumnType" if kind == "ColumnDef":
                yield from _retyped(step, table, command["name"], node)
            case subtype if _rewrites(table, subtype, command.get("name", "")):
                yield SlowWork("rewrite", name, f"rewrites {name}")


def _retyped(step: LintStep, table: Table, column: str, node: Node) -> Iterator[SlowWork]:
    at, known, new = node.get("location"), table.column(column), type_of(node["typeName"])
    collation = dotted(node.get("collClause", {}).get("collname", ()))
    if rewrites(known.type if known else None, node, column, step.schema.domains):
        yield SlowWork("type", table.name, f"rewrites {table.name}", at, node, column)
    elif known and table.depends_on(column, known.type, new, collation):
        does = f"reads every row of {table.name} for the checks and indexes on {column}"
        yield SlowWork("type", table.name, does, at, node, column)


def _rewrites(table: Table, subtype: str, name: str) -> bool:
    """Whether this subcommand writes the table anew, as far as the scripts tell."""
    match subtype:
        case "AT_SetExpression":
            column = table.column(name)
            return not (column and column.virtual)
        case "AT_SetLogged":
            return table.unlogged or not table.born
        case "AT_SetUnLogged":
            return not table.unlogged
        case "AT_SetTableSpace" | "AT_SetAccessMethod":
            # PostgreSQL's own access method is the one that a table has unless it says another.
            same = subtype == "AT_SetAccessMethod" and name in ("", "heap")
            return not table.partitioned and not same
    return False


def _enforced(table: Table, node: Node) -> Iterator[SlowWork]:
    for item in table.constraints:
        if item.name == node["conname"] and item.references and node.get("is_enforced"):
            does = f"looks up every row of {table.name} in {item.references}"
            yield SlowWork("foreign", table.name, does, constraint=item)


def _constraint(table: Table, node: Node, validated: Collection[str]) -> Iterator[SlowWork]:
    """What a new constraint reads.

    Args:
        validated: those that the same statement validates.
    """
    at, name = node.get("location"), table.name
    if node.get("indexname"):
        found = constraint_of(node, table)
        for column in found.columns if found and found.kind == "primary" else ():
            if not table.never_null(column):
                does = f"reads every row of {name} for NULL in {column}"
                yield SlowWork("not_null", name, does, at, column=column, constraint=found)
        return
    if node.get("skip_validation") and node.get("conname") not in validated:
        return
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
        does = f"reads every row of {name} for a check"
        yield SlowWork("check", name, does, at, node, constraint=found)
    else:
        yield SlowWork("unique", name, f"builds an index on {name}", at, node, constraint=found)


def _column(step: LintStep, table: Table, node: Node) -> Iterator[SlowWork]:
    """A new column without a default is empty: a foreign key on it reads nothing, a check does."""
    inner = {item["contype"]: item for item in inline_constraints(node)}
    column, at = node["colname"], node.get("location")
    kind = inner.get("CONSTR_GENERATED", {}).get("generated_kind")
    computed = volatile_call(inner.get("CONSTR_DEFAULT", {}).get("raw_expr"), step.schema)
    serial = type_of(node["typeName"]).name in SERIALS
    domain = judged_domain(step, node)
    if kind == "s" or serial or computed or domain or "CONSTR_IDENTITY" in inner:
        yield SlowWork("default", table.name, f"rewrites {table.name}", at, node, column)
    elif kind == "v" and "CONSTR_NOTNULL" in inner:
        does = f"computes {column} of every row of {table.name}"
        yield SlowWork("not_null", table.name, does, at, node, column)
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


def judged_domain(step: LintStep, column: Node) -> str:
    """The domain of a new column whose default is volatile, or whose constraints see each value.

    Empty without one. Without a value, NOT NULL fails at once, which reads nothing.
    """
    given = {item["contype"]: item.get("raw_expr") for item in inline_constraints(column)}
    written = type_of(column["typeName"])
    domain, default = step.schema.domains.get(written.name), given.get("CONSTR_DEFAULT")
    while domain and not written.array:
        default = default or domain.default
        required = domain.not_null and default is not None
        if domain.checked or required or volatile_call(domain.default, step.schema):
            return written.name
        domain = step.schema.domains.get(domain.type.name)
    return ""
