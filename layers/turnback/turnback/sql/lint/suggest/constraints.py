"""Constraints that do not read the rows under a strong lock."""

from __future__ import annotations

from turnback.sql.definitions import constraint_of
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import SlowWork
from turnback.sql.lint.writing import (
    ORDER,
    File,
    add_column,
    alter,
    column_def,
    files,
    free_name,
    not_valid,
    on,
    reference,
    taken,
    validate,
    written,
)
from turnback.sql.tables import Constraint, Table
from turnback.sql.tree import (
    Node,
    strings,
    table_name,
)


def filled(step: LintStep, column: str) -> list[File]:
    """The files that make a column NOT NULL without reading its rows under a strong lock."""
    table = step.table(table_name(step.tree["relation"]))
    set_not_null = alter(step, {"subtype": "AT_SetNotNull", "name": column})
    for item in table.constraints if table else ():
        if column in item.filled and not item.validated:
            return [[validate(step, item.name)], [set_not_null]]
    plain = table_name(step.tree["relation"]).rpartition(".")[2]
    called = free_name(step, plain, column, "filled")
    test = {
        "NullTest": {
            "arg": reference(column),
            "nulltesttype": "IS_NOT_NULL",
        }
    }
    node = {"contype": "CONSTR_CHECK", "raw_expr": test, "is_enforced": True}
    drop = alter(step, {"subtype": "AT_DropConstraint", "name": called})
    return [[not_valid(step, node, called)], [validate(step, called)], [set_not_null, drop]]


def not_null(step: LintStep, item: SlowWork) -> str:
    """Of a column that is there, a new virtual one, or one of a primary key on an index."""
    *before, last = filled(step, item.column)
    if item.constraint:
        last = [*last, f"{step.statement.sql};"]
    elif item.node and "colname" in item.node:
        before = [[add_column(step, item.node, "CONSTR_NOTNULL")], *before]
    return files(*before, last)


def partition(step: LintStep, item: SlowWork, test: Node) -> str:
    """A CHECK that proves the bounds of a partition, before the statement that needs it."""
    inner = on(step, item.table)
    called = free_name(inner, item.table.rpartition(".")[2], "bounds")
    node = {"contype": "CONSTR_CHECK", "raw_expr": test, "is_enforced": True}
    drop = alter(inner, {"subtype": "AT_DropConstraint", "name": called})
    add, proof = not_valid(inner, node, called), validate(inner, called)
    return files([add], [proof], [f"{step.statement.sql};", drop])


def foreign(step: LintStep, item: SlowWork) -> str:
    assert item.constraint and item.node
    node, first = item.node, []
    if item.column:
        node = {**node, "fk_attrs": [{"String": {"sval": item.column}}]}
        first = [add_column(step, column_def(step, item.column), "CONSTR_FOREIGN", *_ATTRIBUTES)]
    table = step.table(item.table)
    called = item.constraint.name
    if table and table.partitioned:
        return files(first, *_foreign_by_partition(step, node, called))
    return files([*first, not_valid(step, node, called)], [validate(step, called)])


def enforced(step: LintStep, key: Constraint) -> str:
    """A foreign key that is not enforced, made anew as one that is, and validated afterwards."""
    if key.node is None:
        return ""
    node = {name: value for name, value in key.node.items() if name != "is_enforced"}
    added = {**node, "conname": key.name, "skip_validation": True, "is_enforced": True}
    added["fk_attrs"] = [{"String": {"sval": column}} for column in key.columns]
    return files(
        [
            alter(
                step,
                {"subtype": "AT_DropConstraint", "name": key.name},
                {"subtype": "AT_AddConstraint", "def": {"Constraint": added}},
            )
        ],
        [validate(step, key.name)],
    )


# Written after a constraint, they are constraints of their own to the parser.
_ATTRIBUTES = (
    "CONSTR_ATTR_DEFERRABLE",
    "CONSTR_ATTR_NOT_DEFERRABLE",
    "CONSTR_ATTR_DEFERRED",
    "CONSTR_ATTR_IMMEDIATE",
)


def _foreign_by_partition(step: LintStep, node: Node, called: str) -> list[File]:
    """NOT VALID is for each partition (up to PostgreSQL 17); the parent finds them validated."""
    parent = table_name(step.tree["relation"])
    added: list[str] = []
    checked: list[str] = []
    for heir in step.schema.heirs.get(parent, ()) or ("PARTITION",):
        inner = on(step, heir)
        added.append(not_valid(inner, node, called))
        checked.append(validate(inner, called))
    whole = {**node, "conname": called}
    add = alter(step, {"subtype": "AT_AddConstraint", "def": {"Constraint": whole}})
    waiver = "-- turnback: waive TB104 because each partition has it validated"
    return [added, checked, [waiver, add]]


def check(step: LintStep, item: SlowWork) -> str:
    assert item.constraint and item.node
    first = []
    if item.column:
        first = [add_column(step, column_def(step, item.column), "CONSTR_CHECK")]
    called = item.constraint.name
    return files([*first, not_valid(step, item.node, called)], [validate(step, called)])


def unique(step: LintStep, item: SlowWork) -> str:
    """A unique index beforehand, and the constraint that takes it over."""
    assert item.constraint and item.node
    key, node = item.constraint, item.node
    if key.kind not in ("primary", "unique"):
        return ""
    first: list[File] = []
    if item.column:
        first = [[add_column(step, column_def(step, item.column), *KEYS)]]
    columns = [item.column] if item.column else list(key.columns)
    return files(*first, *_index_then_key(step, columns, key, node))


def unique_files(step: LintStep, column: str, node: Node) -> list[File]:
    """The files that make a column that is there UNIQUE or the PRIMARY KEY."""
    table = step.table(table_name(step.tree["relation"])) or Table("", "")
    key = constraint_of(node, table, column)
    return _index_then_key(step, [column], key, node) if key else []


def _index_then_key(step: LintStep, columns: list[str], key: Constraint, node: Node) -> list[File]:
    table = step.table(table_name(step.tree["relation"]))
    plain = table_name(step.tree["relation"]).rpartition(".")[2]
    nullable = [c for c in columns if key.kind == "primary" and not (table and table.never_null(c))]
    proofs = [file for column in nullable for file in filled(step, column)]
    called = node.get("conname") or key.name
    if called in taken(table):
        called = free_name(step, plain, *columns, "key")
    params = [{"IndexElem": {"name": c, **ORDER}} for c in columns]
    made = {
        "idxname": called,
        "relation": step.tree["relation"],
        "indexParams": params,
        "unique": True,
        "concurrent": True,
    }
    if node.get("including"):
        made["indexIncludingParams"] = [
            {"IndexElem": {"name": c, **ORDER}} for c in strings(node["including"])
        ]
    for given, field in (
        ("nulls_not_distinct", "nulls_not_distinct"),
        ("options", "options"),
        ("indexspace", "tableSpace"),
    ):
        if node.get(given):
            made[field] = node[given]
    using = {
        "contype": node["contype"],
        "conname": called,
        "indexname": called,
        **{word: node[word] for word in ("deferrable", "initdeferred") if node.get(word)},
    }
    # A key that this one replaces goes in the same statement.
    commands = [command["AlterTableCmd"] for command in step.tree["cmds"]]
    dropped = [command for command in commands if command["subtype"] == "AT_DropConstraint"]
    last = alter(step, *dropped, {"subtype": "AT_AddConstraint", "def": {"Constraint": using}})
    waiver = "-- turnback: waive TB401 because the new key takes its place"
    marks = [waiver] if dropped else []
    return [*proofs, [written("IndexStmt", made)], [*marks, last]]


KEYS = ("CONSTR_UNIQUE", "CONSTR_PRIMARY", *_ATTRIBUTES)


def domain(step: LintStep, called: str, node: Node | None) -> str:
    """A constraint of a domain, NOT VALID first; VALIDATE at an hour that the author chooses."""
    waiver = "-- turnback: waive TB111 because it runs when nobody waits for long"
    if step.tree["subtype"] == "V":
        return files([waiver, f"{step.statement.sql};"])
    value = reference("value")
    test = {"NullTest": {"arg": value, "nulltesttype": "IS_NOT_NULL"}}
    given = node if node and node["contype"] == "CONSTR_CHECK" else {"raw_expr": test}
    constraint = {
        **given,
        "contype": "CONSTR_CHECK",
        "conname": called,
        "skip_validation": True,
        "is_enforced": True,
    }
    constraint.pop("initially_valid", None)
    base = {"typeName": step.tree["typeName"], "behavior": "DROP_RESTRICT"}
    add = {**base, "subtype": "C", "def": {"Constraint": constraint}}
    check_ = {**base, "subtype": "V", "name": called}
    return files([written("AlterDomainStmt", add)], [waiver, written("AlterDomainStmt", check_)])
