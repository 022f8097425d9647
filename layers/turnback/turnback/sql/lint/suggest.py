"""What to write instead, as files: built from the author's tree, never from its text.

Each is a test: it runs on a server with rows, keeps what the author meant, and lints clean
(tests/integration/test_lint_suggestions.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from turnback.sql.definitions import SERIALS, column_of, index_name
from turnback.sql.deparse import deparse, expression
from turnback.sql.dependents import words
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import SlowWork
from turnback.sql.lint.writing import NEXT, dotted_name, name, type_sql
from turnback.sql.statements import split
from turnback.sql.tables import Table, Type
from turnback.sql.tree import (
    Named,
    Node,
    commands,
    definition,
    dotted,
    inline_constraints,
    strings,
    table_name,
)

File = Sequence[str]

_OUTSIDE = "-- turnback: no-transaction"
_BATCH = 5000
# The longest name in bytes (manual, 4.1.1).
_LONGEST_BYTES = 63


def files(*texts: File) -> str:
    """Migrations as one text, each after a mark of its own."""
    return f"\n{NEXT}\n".join("\n".join(file) for file in texts if file)


def written(kind: str, tree: Node) -> str:
    """A statement, with its semicolon."""
    return deparse(kind, tree) + ";"


def free_name(step: LintStep, *parts: str) -> str:
    """A name of these parts that PostgreSQL does not cut off and no relation of the table has."""
    table = step.table(table_name(step.tree["relation"])) if "relation" in step.tree else None
    taken = _taken(table)
    number = 0
    while True:
        end = "_".join(["", *parts[1:], *([str(number)] if number else [])])
        room = _LONGEST_BYTES - len(end.encode("utf-8"))
        whole = parts[0].encode("utf-8")[: max(room, 8)].decode("utf-8", errors="ignore") + end
        kept = whole.encode("utf-8")[:_LONGEST_BYTES].decode("utf-8", errors="ignore")
        if kept not in taken:
            return kept
        number += 1


def _taken(table: Table | None) -> set[str]:
    if table is None:
        return set()
    return {item.name for item in table.constraints} | {item.name for item in table.indexes}


def alter(step: LintStep, *commands: Node) -> str:
    """ALTER TABLE of the statement's table, with these subcommands."""
    items = [{"AlterTableCmd": {"behavior": "DROP_RESTRICT", **command}} for command in commands]
    tree = {"relation": step.tree["relation"], "cmds": items, "objtype": "OBJECT_TABLE"}
    return written("AlterTableStmt", tree)


def validate(step: LintStep, constraint: str) -> str:
    return alter(step, {"subtype": "AT_ValidateConstraint", "name": constraint})


def not_valid(step: LintStep, node: Node, called: str) -> str:
    """ADD CONSTRAINT … NOT VALID."""
    added = {**node, "conname": called, "skip_validation": True}
    added.pop("initially_valid", None)
    return alter(step, {"subtype": "AT_AddConstraint", "def": {"Constraint": added}})


def add_column(step: LintStep, node: Node, *without: str) -> str:
    """ADD COLUMN, without some of its constraints.

    Args:
        without: the parser's words for them, such as ``CONSTR_CHECK``.
    """
    kept = [
        item for item in node.get("constraints", ()) if item["Constraint"]["contype"] not in without
    ]
    column = {**node, "constraints": kept}
    return alter(step, {"subtype": "AT_AddColumn", "def": {"ColumnDef": column}})


# Indexes


def index(step: LintStep) -> str:
    """CREATE INDEX CONCURRENTLY; of a partitioned table on its parent, and on each partition."""
    called = step.tree.get("idxname") or free_name(step, index_name(step.tree))
    tree = {**step.tree, "idxname": called}
    tree.pop("if_not_exists", None)
    return _built(step, tree)


def index_of_columns(step: LintStep, table: Table, columns: Sequence[str]) -> str:
    """An index of a table on some columns, for a foreign key."""
    called = free_name(step, table.name.rpartition(".")[2], *columns, "idx")
    params = [{"IndexElem": {"name": column, **_ORDER}} for column in columns]
    tree = {
        "idxname": called,
        "relation": {**step.tree["relation"], "inh": True},
        "indexParams": params,
    }
    return _built(step, tree)


def _built(step: LintStep, tree: Node) -> str:
    known = step.table(table_name(tree["relation"]))
    if tree.get("accessMethod") == "btree":
        # The parser's default; the deparser would say it.
        tree = {key: value for key, value in tree.items() if key != "accessMethod"}
    if known and known.partitioned:
        return _by_partition(step, {**tree, "concurrent": False})
    return files([written("IndexStmt", {**tree, "concurrent": True})])


def _by_partition(step: LintStep, tree: Node) -> str:
    """CONCURRENTLY is not for partitioned tables (manual, CREATE INDEX)."""
    table, called = table_name(tree["relation"]), tree["idxname"]
    only = {**tree, "relation": {**tree["relation"], "inh": False}}
    texts: list[File] = [[written("IndexStmt", only)]]
    attach = []
    for partition in step.schema.heirs.get(table, ()) or ("PARTITION",):
        schema, _, plain = partition.rpartition(".")
        relation = {"relname": plain, "inh": True, "relpersistence": "p"}
        relation |= {"schemaname": schema} if schema else {}
        own = f"{plain}_{called}"
        texts.append(
            [
                written(
                    "IndexStmt", {**tree, "idxname": own, "concurrent": True, "relation": relation}
                )
            ]
        )
        indexes = f"{schema}.{called}" if schema else called
        attached = f"{schema}.{own}" if schema else own
        attach.append(
            f"ALTER INDEX {dotted_name(indexes)} ATTACH PARTITION {dotted_name(attached)};"
        )
    return files(*texts, attach)


def reindex(step: LintStep) -> str:
    option = {"DefElem": {"defname": "concurrently", "defaction": "DEFELEM_UNSPEC"}}
    tree = {**step.tree, "params": [*step.tree.get("params", ()), option]}
    return files([written("ReindexStmt", tree)])


# Constraints


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
            "arg": _reference(column),
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


def on(step: LintStep, table: str) -> LintStep:
    """The statement, with another table as its own."""
    schema, _, plain = table.rpartition(".")
    relation = {"relname": plain, "inh": True, "relpersistence": "p"}
    relation |= {"schemaname": schema} if schema else {}
    tree = {**step.tree, "relation": relation}
    return replace(step, statement=replace(step.statement, tree=tree), known={})


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
        first = [add_column(step, _column(step, item.column), "CONSTR_FOREIGN", *_ATTRIBUTES)]
    table = step.table(item.table)
    called = item.constraint.name
    if table and table.partitioned:
        return files(first, *_foreign_by_partition(step, node, called))
    return files([*first, not_valid(step, node, called)], [validate(step, called)])


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
        first = [add_column(step, _column(step, item.column), "CONSTR_CHECK")]
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
        first = [[add_column(step, _column(step, item.column), *_KEYS)]]
    table = step.table(item.table)
    plain = item.table.rpartition(".")[2]
    columns = [item.column] if item.column else list(key.columns)
    nullable = [c for c in columns if key.kind == "primary" and not (table and table.never_null(c))]
    proofs = [file for column in nullable for file in filled(step, column)]
    called = node.get("conname") or key.name
    if called in _taken(table):
        called = free_name(step, plain, *columns, "key")
    params = [{"IndexElem": {"name": c, **_ORDER}} for c in columns]
    made = {
        "idxname": called,
        "relation": step.tree["relation"],
        "indexParams": params,
        "unique": True,
        "concurrent": True,
    }
    if node.get("including"):
        made["indexIncludingParams"] = [
            {"IndexElem": {"name": c, **_ORDER}} for c in strings(node["including"])
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
    return files(*first, *proofs, [written("IndexStmt", made)], [*marks, last])


_KEYS = ("CONSTR_UNIQUE", "CONSTR_PRIMARY", *_ATTRIBUTES)
_ORDER = {"ordering": "SORTBY_DEFAULT", "nulls_ordering": "SORTBY_NULLS_DEFAULT"}


def domain(step: LintStep, called: str, node: Node | None) -> str:
    """A constraint of a domain, NOT VALID first."""
    value = _reference("value")
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
    return files([written("AlterDomainStmt", add)], [written("AlterDomainStmt", check_)])


# Columns


def _column(step: LintStep, column: str) -> Node:
    for command in step.tree["cmds"]:
        node = command["AlterTableCmd"].get("def", {}).get("ColumnDef")
        if node and node.get("colname") == column:
            found: Node = node
            return found
    raise LookupError(column)


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
    todo = f"{name(other)} IS NULL AND {name(item.column)} IS NOT NULL"
    return files(first, filling(step, name(other), value, todo), *not_null, last)


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
            "arg": _reference(column),
            "typeName": node["typeName"],
        }
    }
    return expression(_qualified(value, "new"))


def _qualified(node: object, table: str) -> Node:
    """The expression with each plain column as one of a table."""
    changed: Node = _replaced(node, table)  # type: ignore[assignment]
    return changed


def _replaced(node: object, table: str) -> object:
    if isinstance(node, list):
        return [_replaced(item, table) for item in node]
    if not isinstance(node, dict):
        return node
    if "ColumnRef" in node and len(node["ColumnRef"].get("fields", ())) == 1:
        fields = [{"String": {"sval": table}}, *node["ColumnRef"]["fields"]]
        return {"ColumnRef": {"fields": fields}}
    return {key: _replaced(value, table) for key, value in node.items()}


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
    drop = ("CONSTR_DEFAULT", "CONSTR_NOTNULL", "CONSTR_IDENTITY", "CONSTR_GENERATED", *_KEYS)
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
            *_in_step(step, plain, item.column, expression(_qualified(made, "new"))),
        ]
        value = expression(made)
    else:
        value = expression(inner["CONSTR_DEFAULT"]["raw_expr"])
        first = [
            add_column(step, node, *drop),
            f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {value};",
        ]
    return files(first, filling(step, column, value, f"{column} IS NULL"), *not_null)


# Many rows


def filling(step: LintStep, column: str, value: str, todo: str) -> File:
    """A block that gives all rows that are still to do a value, and commits as it goes.

    Args:
        column, value, todo: the column, the expression and the condition, as SQL.
    """
    table = dotted_name(table_name(step.tree["relation"]))
    text = f"UPDATE {table} SET {column} = {value} WHERE {todo}"
    [update] = split(text)
    if key := _key(step):
        return _by_key(table, key, update.kind, update.tree)
    # A row whose value is NULL would be to do for ever.
    return [
        _OUTSIDE,
        "DO $$",
        "BEGIN",
        "    LOOP",
        f"        UPDATE {table} SET {column} = {value}",
        "        WHERE ctid = ANY (ARRAY(",
        f"            SELECT ctid FROM {table}",
        f"            WHERE {todo} AND ({value}) IS NOT NULL LIMIT {_BATCH}));",
        "        EXIT WHEN NOT FOUND;",
        "        COMMIT;",
        "    END LOOP;",
        "END $$;",
    ]


def batches(step: LintStep, table: str) -> str:
    """An UPDATE or a DELETE by ranges of the key, each a transaction of its own.

    Where no key is known, what tells the rows that are still to do is the author's to say.
    """
    if step.kind in ("UpdateStmt", "DeleteStmt") and (key := _key(step)):
        return files(_by_key(dotted_name(table), key, step.kind, step.tree))
    shown = dotted_name(table)
    return files([_OUTSIDE, f"-- by ranges of the key of {shown}, each a transaction of its own"])


def _key(step: LintStep) -> str:
    """The column of a key of the table that is never NULL; empty if no script makes one."""
    table = step.table(table_name(step.tree["relation"]))
    for key in table.unique_keys() if table and "withClause" not in step.tree else ():
        if len(key) == 1 and key[0] and table and table.never_null(key[0]):
            return key[0]
    return ""


def _reference(*names: str) -> Node:
    """A column, as the parser has it."""
    return {"ColumnRef": {"fields": [{"String": {"sval": item}} for item in names]}}


def _by_key(table: str, key: str, kind: str, tree: Node) -> File:
    relation = tree["relation"]
    alias = relation.get("alias", {}).get("aliasname") or relation["relname"]
    ends = [_reference(end) for end in ("first_key", "last_key")]
    within = {
        "A_Expr": {
            "kind": "AEXPR_BETWEEN",
            "name": [{"String": {"sval": "BETWEEN"}}],
            "lexpr": {
                "ColumnRef": {"fields": [{"String": {"sval": alias}}, {"String": {"sval": key}}]}
            },
            "rexpr": {"List": {"items": ends}},
        }
    }
    given = tree.get("whereClause")
    both = given.get("BoolExpr", {}) if given else {}
    args = both["args"] if both.get("boolop") == "AND_EXPR" else [given]
    where = {"BoolExpr": {"boolop": "AND_EXPR", "args": [*args, within]}} if given else within
    bounded = {**tree, "whereClause": where}
    bounded.pop("returningList", None)
    bounded.pop("returningClause", None)
    column = name(key)
    return [
        _OUTSIDE,
        "DO $$",
        "DECLARE",
        f"    first_key {table}.{column}%TYPE;",
        f"    last_key {table}.{column}%TYPE;",
        "BEGIN",
        f"    SELECT {column} INTO first_key FROM {table} ORDER BY {column} LIMIT 1;",
        "    WHILE first_key IS NOT NULL LOOP",
        f"        SELECT batch.{column} INTO last_key FROM (",
        f"            SELECT {column} FROM {table} WHERE {column} >= first_key",
        f"            ORDER BY {column} LIMIT {_BATCH}) AS batch",
        f"        ORDER BY batch.{column} DESC LIMIT 1;",
        "        last_key := coalesce(last_key, first_key);",
        f"        {deparse(kind, bounded)};",
        "        COMMIT;",
        f"        SELECT {column} INTO first_key FROM {table} WHERE {column} > last_key",
        f"        ORDER BY {column} LIMIT 1;",
        "    END LOOP;",
        "END $$;",
    ]


# Several statements


def apart(groups: Iterable[Sequence[LintStep]]) -> str:
    """Statements as they are, in files of their own."""
    return files(*[[f"{step.statement.sql};" for step in group] for group in groups])
