"""Columns: filled, of another type, under another name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from turnback.sql.definitions import SERIALS, column_of
from turnback.sql.deparse import expression
from turnback.sql.dependents import words
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.suggest.constraints import KEYS, filled, unique_files
from turnback.sql.lint.suggest.rows import filling
from turnback.sql.lint.work import SlowWork
from turnback.sql.lint.writing import (
    File,
    add_column,
    alter,
    dotted_name,
    files,
    free_name,
    name,
    not_valid,
    reference,
    type_sql,
    validate,
    written,
)
from turnback.sql.statements import split
from turnback.sql.tables import Table, Type
from turnback.sql.tree import (
    Named,
    Node,
    column_parts,
    commands,
    definition,
    dotted,
    inline_constraints,
    rewritten,
    table_name,
)

# A value for rows of an application that does not know the column.
_EMPTY = {
    "text": "''",
    "varchar": "''",
    "bpchar": "''",
    "citext": "''",
    "int2": "0",
    "int4": "0",
    "int8": "0",
    "numeric": "0",
    "float4": "0",
    "float8": "0",
    "bool": "false",
    "jsonb": "'{}'",
    "json": "'{}'",
    "date": "CURRENT_DATE",
    "timestamp": "CURRENT_TIMESTAMP",
    "timestamptz": "CURRENT_TIMESTAMP",
    "interval": "'0'",
    "bytea": "''",
}


def required(step: LintStep, node: Node) -> str:
    """A new NOT NULL column with a constant default, which touches no row; or one that is null."""
    column = column_of(node)
    known = step.schema.domains.get(column.type.name)
    type_ = known.type if known else column.type
    value = "'{}'" if type_.array else _EMPTY.get(type_.name)
    if value is None:
        text = add_column(step, node, "CONSTR_NOTNULL")
        return f"-- without NOT NULL, until the application fills it\n{text}"
    if known and known.not_null:
        # A column of a domain that judges its values is written row by row.
        [plain] = split(f"ALTER TABLE t ADD COLUMN c {type_sql(type_)}")
        _, base = definition(commands(plain.tree)[0])
        node = {**node, "typeName": base["typeName"]}
    shown = add_column(step, node).removesuffix(";")
    return f"{shown} DEFAULT {value}; -- or another value that is right for the old rows"


def changed_type(step: LintStep, item: SlowWork, *, checks_only: bool) -> str:
    """Another type: beside the old column, or by a check that is made anew."""
    assert item.node
    table = step.table(item.table)
    if checks_only and table:
        return files(*_checks_anew(step, item, table))
    node = item.node
    plain = item.table.rpartition(".")[2]
    other = free_name(step, item.column, "new")
    using = node.get("raw_default")
    added = {"colname": other, "typeName": node["typeName"], "is_local": True}
    added |= {"collClause": node["collClause"]} if node.get("collClause") else {}
    value = expression(using) if using else f"{name(item.column)}::{_type_text(node)}"
    first = [
        alter(step, {"subtype": "AT_AddColumn", "def": {"ColumnDef": added}}),
        *_in_step(step, plain, other, _of_new_row(using, item.column, node)),
    ]
    known = table.column(item.column) if table else None
    not_null = filled(step, other) if known and known.not_null else []
    last = [
        "-- a later release, when the application uses the new one",
        f"-- turnback: waive TB401 because no application uses {item.column} any more",
        *_no_longer_in_step(step, plain, other),
        alter(step, {"subtype": "AT_DropColumn", "name": item.column}),
    ]
    there = f"({value})" if using else name(item.column)
    todo = f"{name(other)} IS NULL AND {there} IS NOT NULL"
    return files(first, filling(step, name(other), value, todo), *not_null, last)


def of_base_type(step: LintStep, item: SlowWork) -> str:
    """A column of the type that a domain is of, with the domain's checks as the table's own."""
    assert item.node
    domain = step.schema.domains.get(dotted(item.node["typeName"]["names"]))
    tests = list[Node]()
    while domain:
        tests += [dict(test) for test in domain.checks]
        base, default = domain.type, domain.default
        if default or domain.not_null:
            return ""
        domain = step.schema.domains.get(base.name)
    if not tests:
        return ""
    [plain] = split(f"ALTER TABLE t ADD COLUMN c {type_sql(base)}")
    _, column = definition(commands(plain.tree)[0])
    first, last = [add_column(step, {**item.node, "typeName": column["typeName"]})], list[str]()
    for number, test in enumerate(tests):
        own = free_name(step, item.table.rpartition(".")[2], item.column, "check", *_number(number))
        node = {"contype": "CONSTR_CHECK", "raw_expr": _of_value(test, item.column)}
        first.append(not_valid(step, {**node, "is_enforced": True}, own))
        last.append(validate(step, own))
    return files(first, last)


def _number(number: int) -> list[str]:
    return [str(number + 1)] if number else []


def _of_value(node: Node, column: str) -> Node:
    """The test of a domain, with a column in place of its value."""
    found: Node = rewritten(
        node, lambda one: reference(column) if column_parts(one) == ["value"] else one
    )
    return found


def without_views(step: LintStep, users: Sequence[Named]) -> str:
    """The statement between DROP VIEW and CREATE VIEW; in words where it is no plain view."""
    views = [step.schema.views.get(user.name) for user in users if user.kind == "OBJECT_VIEW"]
    trees = [view.tree for view in views if view and not step.schema.readers(view.name)]
    if len(trees) < len(users) or None in trees:
        listed = ", ".join(map(words, users))
        return f"-- in one file: drop {listed}, change the type, and make it again"
    return "\n".join(
        [
            *(f"DROP VIEW {dotted_name(user.name)};" for user in users),
            f"{step.statement.sql};",
            *(written("ViewStmt", {**dict(tree), "replace": False}) for tree in trees if tree),
        ]
    )


def _type_text(node: Node) -> str:
    cast = {"TypeCast": {"arg": {"A_Const": {"isnull": True}}, "typeName": node["typeName"]}}
    return expression(cast).removeprefix("NULL::")


def _of_new_row(using: Node | None, column: str, node: Node) -> str:
    value = using or {
        "TypeCast": {
            "arg": reference(column),
            "typeName": node["typeName"],
        }
    }
    return expression(qualified(value, "new"))


def qualified(node: object, table: str) -> Node:
    """The expression with each plain column as one of a table."""

    def change(one: Node) -> Node:
        fields = one.get("ColumnRef", {}).get("fields", ())
        if len(fields) != 1:
            return one
        return {"ColumnRef": {"fields": [{"String": {"sval": table}}, *fields]}}

    changed: Node = rewritten(node, change)
    return changed


def _in_step(step: LintStep, plain: str, column: str, value: str) -> list[str]:
    """A trigger that writes the column whenever a row is written."""
    called = name(free_name(step, plain, column, "sync"))
    table = dotted_name(table_name(step.tree["relation"]))
    return [
        f"CREATE FUNCTION {called}() RETURNS trigger LANGUAGE plpgsql AS $$",
        "BEGIN",
        f"    NEW.{name(column)} := {value};",
        "    RETURN NEW;",
        "END",
        "$$;",
        f"CREATE TRIGGER {called} BEFORE INSERT OR UPDATE ON {table}",
        f"    FOR EACH ROW EXECUTE FUNCTION {called}();",
    ]


def _no_longer_in_step(step: LintStep, plain: str, column: str) -> list[str]:
    called = name(free_name(step, plain, column, "sync"))
    table = dotted_name(table_name(step.tree["relation"]))
    return [f"DROP TRIGGER {called} ON {table};", f"DROP FUNCTION {called}();"]


def renamed_column(step: LintStep, old: str, new: str, type_: Type | None) -> str:
    """The new column beside the old one, until no application uses the old one."""
    plain = table_name(step.tree["relation"]).rpartition(".")[2]
    table = dotted_name(table_name(step.tree["relation"]))
    shown = type_sql(type_) if type_ else "text"
    first = [
        f"ALTER TABLE {table} ADD COLUMN {name(new)} {shown};",
        *_in_step(step, plain, new, f"NEW.{name(old)}"),
    ]
    last = [
        "-- a later release, when the application uses the new one",
        f"-- turnback: waive TB401 because no application uses {old} any more",
        *_no_longer_in_step(step, plain, new),
        f"ALTER TABLE {table} DROP COLUMN {name(old)};",
    ]
    todo = f"{name(new)} IS NULL AND {name(old)} IS NOT NULL"
    return files(first, filling(step, name(new), name(old), todo), last)


def _checks_anew(step: LintStep, item: SlowWork, table: Table) -> list[File]:
    """Drop the checks on the column, change the type, add them NOT VALID, and validate them."""
    checks = [
        other
        for other in table.constraints
        if other.kind == "check" and other.validated and item.column in other.columns and other.node
    ]
    if not checks or not item.node:
        return []
    commands = [{"subtype": "AT_DropConstraint", "name": other.name} for other in checks]
    change = {"subtype": "AT_AlterColumnType", "name": item.column, "def": {"ColumnDef": item.node}}
    added = [
        {
            "subtype": "AT_AddConstraint",
            "def": {"Constraint": {**dict(other.node or {}), "conname": other.name, **_NOT_VALID}},
        }
        for other in checks
    ]
    return [
        [alter(step, *commands, change, *added)],
        [validate(step, other.name) for other in checks],
    ]


_NOT_VALID = {"skip_validation": True, "initially_valid": False}


def volatile_default(step: LintStep, item: SlowWork) -> str:
    """The column without its value, the value for new rows, and the old rows in batches."""
    assert item.node
    node = item.node
    inner = {constraint["contype"]: constraint for constraint in inline_constraints(node)}
    column, serial = name(item.column), dotted(node["typeName"]["names"])
    table, plain = dotted_name(item.table), item.table.rpartition(".")[2]
    wide = {"bigserial": "int8", "serial8": "int8", "smallserial": "int2", "serial2": "int2"}
    drop = ("CONSTR_DEFAULT", "CONSTR_NOTNULL", "CONSTR_IDENTITY", "CONSTR_GENERATED", *KEYS)
    not_null = filled(step, item.column) if column_of(node).not_null else []
    if "CONSTR_IDENTITY" in inner or serial in SERIALS:
        real = wide.get(serial, "int4" if serial in SERIALS else serial)
        schema = [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": real}}]
        typed = {**node, "typeName": {**node["typeName"], "names": schema}}
        own = name(free_name(step, plain, item.column, "seq"))
        first = [
            add_column(step, typed, *drop),
            f"CREATE SEQUENCE {own} OWNED BY {table}.{column};",
            f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT nextval('{own}');",
        ]
        value = f"nextval('{own}')"
    elif "CONSTR_GENERATED" in inner:
        made = inner["CONSTR_GENERATED"]["raw_expr"]
        first = [
            add_column(step, node, *drop),
            *_in_step(step, plain, item.column, expression(qualified(made, "new"))),
        ]
        value = expression(made)
    else:
        value = expression(inner["CONSTR_DEFAULT"]["raw_expr"])
        first = [
            add_column(step, node, *drop),
            f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {value};",
        ]
    keys = [
        unique_files(replace(step, schema=step.schema.with_table(made)), item.column, key)
        for key in inner.values()
        if key["contype"] in ("CONSTR_PRIMARY", "CONSTR_UNIQUE")
        and (made := _with_plain_column(step, item))
    ]
    filled_in = filling(step, column, value, f"{column} IS NULL")
    return files(first, filled_in, *not_null, *(file for key in keys for file in key))


def _with_plain_column(step: LintStep, item: SlowWork) -> Table:
    """The table as the first files leave it: the column is there, and is filled."""
    assert item.node
    table = step.table(item.table) or Table(item.table, "")
    return table.with_column(replace(column_of(item.node), not_null=True))
