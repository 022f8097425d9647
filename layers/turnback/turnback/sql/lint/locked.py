"""The tables that a statement locks, those included that it does not name.

What it asks for by name is in ``sql.locks``. The rest follows from the tables that the scripts have
made: children, partitions, what foreign keys point at, what goes with CASCADE. The judge of it is
``pg_locks``, in tests/integration/test_lock_panel.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import reads_rows
from turnback.sql.locks import ACCESS_EXCLUSIVE, SHARE, SHARE_ROW, TableLock, locks_of
from turnback.sql.tables import Constraint, Schema, Table
from turnback.sql.tree import (
    Named,
    Node,
    commands,
    definition,
    dotted,
    joined,
    objects,
    table_name,
)

Locked = Iterator[tuple[str, int]]
_WITH_ROWS = ("OBJECT_TABLE", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE")
_TYPES = ("OBJECT_TYPE", "OBJECT_DOMAIN")


def locks(step: LintStep) -> dict[str, int]:
    """The strongest lock the statement takes on each table that was there before.

    A lock on an index counts as one on its table, whose readers and writers wait for it. Those of
    reading and of changing rows are left out: they keep no row but their own.
    """
    if "locks" not in step.known:
        strongest: dict[str, int] = {}
        requests = [_requests(one) for one in step.inside or (step,)]
        for table, level in chain.from_iterable(requests):
            if step.in_use(table):
                strongest[table] = max(level, strongest.get(table, 0))
        step.known["locks"] = strongest
    found: dict[str, int] = step.known["locks"]
    return found


def _requests(step: LintStep) -> Locked:
    schema, tree = step.schema, step.tree
    cascade = tree.get("behavior") == "DROP_CASCADE"
    named = [] if _finds_nothing(schema, step) else locks_of(step.statement)
    for lock in named:
        yield from _reached(schema, lock, cascade=cascade)
    match step.kind:
        case "AlterTableStmt" if tree.get("objtype") == "OBJECT_TYPE":
            yield from _of_type(schema, table_name(tree["relation"]))
        case "RenameStmt" if tree["renameType"] == "OBJECT_ATTRIBUTE":
            yield from _of_type(schema, table_name(tree["relation"]))
        case "AlterTableStmt":
            yield from _altered(schema, tree)
        case "AlterTableMoveAllStmt" if tree["objtype"] == "OBJECT_TABLE":
            yield from (
                (name, ACCESS_EXCLUSIVE) for name in schema.tables if _is_plain(schema, name)
            )
        case "CreateStmt" if "partbound" in tree:
            yield from _keys_of(schema, table_name(tree["inhRelations"][0]["RangeVar"]))
        case "DropStmt":
            yield from _dropped(schema, tree, cascade=cascade)
        case "TruncateStmt" if cascade:
            emptied = [name for lock in named for name in _with_heirs(schema, _name(lock))]
            for name in schema.truncated_with(emptied):
                yield from ((one, ACCESS_EXCLUSIVE) for one in _with_heirs(schema, name))
        case "AlterDomainStmt" if reads_rows(tree):
            domain = dotted(tree["typeName"])
            yield from ((table.name, SHARE) for table in schema.with_type(domain))


def _finds_nothing(schema: Schema, step: LintStep) -> bool:
    """Whether DROP … IF EXISTS is of a trigger, a rule or a policy that the table does not have."""
    tree = step.tree
    if step.kind != "DropStmt" or not tree.get("missing_ok"):
        return False
    for *owner, name in objects(tree):
        table = schema.find(joined(owner))
        if table is None or name in {**table.triggers, **table.policies}:
            return False
    return True


def _is_plain(schema: Schema, name: str) -> bool:
    """Whether this is a table with rows of its own, and neither a view nor a foreign table."""
    needs = schema.tables[name].needs
    foreign = any(named.kind == "OBJECT_FOREIGN_SERVER" for named in needs)
    return name not in schema.views and not foreign


def _name(lock: TableLock) -> str:
    return joined(list(lock.parts))


def _reached(schema: Schema, lock: TableLock, *, cascade: bool) -> Locked:
    """A lock by name, and those that come with it."""
    name = _name(lock)
    if lock.kind == "OBJECT_INDEX":
        if owner := schema.owner_of_index(name):
            dropped = lock.reach == "dropped"
            found = _with_partitions(schema, owner.name) if dropped else [owner.name]
            yield from ((table, lock.level) for table in found)
        return
    if lock.kind not in _WITH_ROWS:
        return
    table = schema.find(name)
    if name in schema.views and table is None:
        # LOCK TABLE locks what a view reads; no other statement does.
        if lock.reach == "children":
            yield from ((below, lock.level) for below, _ in schema.views[name].reads)
        return
    yield name, lock.level
    if table:
        yield from _beside(schema, table, lock, cascade=cascade)


def _beside(schema: Schema, table: Table, lock: TableLock, *, cascade: bool) -> Locked:
    name = table.name
    match lock.reach:
        case "children":
            yield from ((heir, lock.level) for heir in _with_heirs(schema, name))
        case "heirs":
            yield from ((heir, lock.level) for heir in schema.heirs.get(name, ()))
        case "partitions":
            yield from ((heir, lock.level) for heir in _with_partitions(schema, name))
        case "default":
            yield from _default(schema, name)
        case "indexes" if list(table.keys()):
            yield name, ACCESS_EXCLUSIVE
        case "dropped":
            yield from _gone(schema, table, cascade=cascade)


def _with_heirs(schema: Schema, name: str) -> list[str]:
    below = schema.heirs.get(name, ())
    return [name, *(found for child in below for found in _with_heirs(schema, child))]


def _default(schema: Schema, name: str) -> Locked:
    for child in schema.heirs.get(name, ()):
        if (table := schema.find(child)) and table.is_default:
            yield from ((one, ACCESS_EXCLUSIVE) for one in _with_heirs(schema, child))


def _gone(schema: Schema, table: Table, *, cascade: bool) -> Locked:
    """What is locked with a table that is dropped."""
    gone = _with_heirs(schema, table.name)
    yield from ((name, ACCESS_EXCLUSIVE) for name in gone)
    for parent in table.parents:
        known = schema.find(parent)
        if known and known.partitioned:
            yield parent, ACCESS_EXCLUSIVE
            yield from _default(schema, parent)
    for name in gone:
        yield from _targets(schema, _constraints(schema, name))
        if cascade:
            yield from _pointing(schema, name)
            yield from _materialized(schema, name)


def _constraints(schema: Schema, name: str) -> tuple[Constraint, ...]:
    table = schema.find(name)
    return table.constraints if table else ()


def _targets(
    schema: Schema, constraints: Iterable[Constraint], level: int = ACCESS_EXCLUSIVE
) -> Locked:
    """The tables that foreign keys point at: their triggers there are made, or go."""
    for item in constraints:
        if item.references:
            yield from ((name, level) for name in _with_partitions(schema, item.references))


def _with_partitions(schema: Schema, name: str) -> list[str]:
    table = schema.find(name)
    return _with_heirs(schema, name) if table and table.partitioned else [name]


def _pointing(schema: Schema, name: str, columns: frozenset[str] | None = None) -> Locked:
    """The tables with foreign keys that point at this one.

    Args:
        columns: only keys to one of these columns.
    """
    primary = next((c.columns for c in _constraints(schema, name) if c.kind == "primary"), ())
    for table in schema.tables.values():
        for item in table.constraints:
            used = set(item.target_columns or primary)
            if item.references == name and (columns is None or columns & used):
                yield from ((one, ACCESS_EXCLUSIVE) for one in _with_partitions(schema, table.name))


def _materialized(schema: Schema, name: str, column: str = "") -> Locked:
    """The materialized views that need a table or a column, themselves or through views."""
    for view in schema.readers(name, column):
        if schema.find(view.name):
            yield view.name, ACCESS_EXCLUSIVE
        yield from _materialized(schema, view.name)


def _keys_of(schema: Schema, parent: str) -> Locked:
    """What the foreign keys of a partitioned table point at: a partition gets or keeps them."""
    for name in (parent, *_parents(schema, parent)):
        yield from _targets(schema, _constraints(schema, name), SHARE_ROW)


def _parents(schema: Schema, name: str) -> list[str]:
    table = schema.find(name)
    above = table.parents if table else ()
    return [found for parent in above for found in (parent, *_parents(schema, parent))]


def _altered(schema: Schema, tree: Node) -> Locked:
    """What a change of a table locks besides it: what the constraints that change point at."""
    table = schema.find(table_name(tree["relation"]))
    if table is None:
        return
    for command in commands(tree):
        name, subtype = command.get("name", ""), command["subtype"]
        cascade = command.get("behavior") == "DROP_CASCADE"
        _, node = definition(command)
        match subtype:
            case "AT_AttachPartition" | "AT_DetachPartition":
                yield from _keys_of(schema, table.name)
            case "AT_DropColumn" | "AT_AlterColumnType":
                yield from _targets(schema, (c for c in table.constraints if name in c.columns))
                if cascade or subtype == "AT_AlterColumnType":
                    yield from _pointing(schema, table.name, frozenset({name}))
                if cascade:
                    yield from _materialized(schema, table.name, name)
            case "AT_DropConstraint":
                dropped = [item for item in table.constraints if item.name == name]
                yield from _targets(schema, dropped)
                for item in dropped if cascade else ():
                    yield from _pointing(schema, table.name, frozenset(item.columns))
            case "AT_AlterConstraint" if node.get("alterEnforceability"):
                changed = (c for c in table.constraints if c.name == node["conname"])
                level = SHARE_ROW if node.get("is_enforced") else ACCESS_EXCLUSIVE
                yield from _targets(schema, changed, level)


def _dropped(schema: Schema, tree: Node, *, cascade: bool) -> Locked:
    """The tables that go, or lose something, with what is no table."""
    if not cascade:
        return
    what = tree["removeType"]
    for parts in objects(tree):
        name = joined(parts)
        if what == "OBJECT_SCHEMA":
            for inside in schema.tables:
                if inside.startswith(f"{name}.") and (table := schema.find(inside)):
                    yield from _gone(schema, table, cascade=True)
        elif what == "OBJECT_VIEW":
            yield from _materialized(schema, name)
        elif what in _TYPES:
            yield from ((table.name, ACCESS_EXCLUSIVE) for table in schema.with_type(name))
            yield from _of_type(schema, name)
        else:
            yield from _needing(schema, Named(what, name))


def _needing(schema: Schema, named: Named) -> Locked:
    for table in schema.tables.values():
        if named in table.needs or any(named in called for called in table.called.values()):
            yield table.name, ACCESS_EXCLUSIVE


def _of_type(schema: Schema, name: str) -> Locked:
    return _needing(schema, Named("OBJECT_TYPE", name))
