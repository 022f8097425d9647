"""What a statement makes of the schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from turnback.sql.definitions import (
    calls,
    column_of,
    constraint_of,
    domain_of,
    function_of,
    index_of,
    is_null,
    reads_of,
    sets_search_path,
    type_of,
    view_of,
)
from turnback.sql.dependents import dependents
from turnback.sql.statements import Statement, json_value
from turnback.sql.tables import Column, Constraint, Reads, Schema, Table
from turnback.sql.tree import (
    Named,
    Node,
    commands,
    definition,
    dotted,
    dropped,
    inline_constraints,
    made,
    strings,
    table_name,
)

_T = TypeVar("_T")


def replay(schema: Schema, statement: Statement, born: str) -> Schema:
    """The schema after the statement.

    Args:
        born: path of the script it stands in.
    """
    other = _OTHERS.get(statement.kind)
    after = _tables(schema, statement, born)
    after = other(after, statement.tree) if other else after
    others = {item: born for item in made(statement) if item.kind not in _IN_TABLES}
    if not others.keys() - schema.born.keys():
        return after
    # What was there before is not made by CREATE OR REPLACE.
    return replace(after, born={**others, **schema.born})


# These the tables know themselves.
_IN_TABLES = {"OBJECT_TABLE", "OBJECT_INDEX", "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT"}


def _tables(schema: Schema, statement: Statement, born: str) -> Schema:
    tree = statement.tree
    match statement.kind:
        case "CreateStmt":
            return _create(schema, tree, born)
        case "CreateForeignTableStmt":
            server = Named("OBJECT_FOREIGN_SERVER", tree["servername"])
            return _create(schema, tree["base"], born, frozenset({server}))
        case "CreateTableAsStmt":
            return _made(schema, tree["into"]["rel"], bool(tree.get("if_not_exists")), born)
        case "SelectStmt" if "intoClause" in tree:
            return _made(schema, tree["intoClause"]["rel"], False, born)
        case "AlterTableStmt":
            return _alter(schema, tree, born)
        case "IndexStmt":
            table = schema.find(table_name(tree["relation"]))
            if table is None:
                return schema
            return schema.with_table(replace(table, indexes=(*table.indexes, index_of(tree))))
        case "DropStmt":
            return _drop(schema, tree)
        case "RenameStmt":
            return renamed(schema, tree)
        case "AlterObjectSchemaStmt" if tree.get("objectType") == "OBJECT_TABLE":
            old = table_name(tree["relation"])
            new = table_name({**tree["relation"], "schemaname": tree["newschema"]})
            return moved(schema, old, new)
    return schema


# What is no table.


def _view(schema: Schema, tree: Node) -> Schema:
    name = table_name(tree["view"])
    return replace(schema, views={**schema.views, name: view_of(name, tree, schema)})


def _materialized(schema: Schema, tree: Node) -> Schema:
    if tree.get("objtype") != "OBJECT_MATVIEW":
        return schema
    name = table_name(tree["into"]["rel"])
    return replace(schema, views={**schema.views, name: view_of(name, tree, schema)})


def _function(schema: Schema, tree: Node) -> Schema:
    name = dotted(tree["funcname"])
    function = function_of(tree, schema.functions.get(name))
    return replace(schema, functions={**schema.functions, name: function})


def _function_altered(schema: Schema, tree: Node) -> Schema:
    name = dotted(tree["func"]["objname"])
    if name in schema.functions and sets_search_path(tree.get("actions", ())):
        pinned = replace(schema.functions[name], pinned=True)
        return replace(schema, functions={**schema.functions, name: pinned})
    for item in tree.get("actions", ()):
        if item["DefElem"]["defname"] == "volatility" and name in schema.functions:
            volatile = json_value(item["DefElem"]["arg"]) == "volatile"
            function = replace(schema.functions[name], volatile=volatile)
            return replace(schema, functions={**schema.functions, name: function})
    return schema


def _domain(schema: Schema, tree: Node) -> Schema:
    domain = domain_of(tree)
    return replace(schema, domains={**schema.domains, domain.name: domain})


def _domain_altered(schema: Schema, tree: Node) -> Schema:
    domain = schema.domains.get(dotted(tree["typeName"]))
    if domain is None:
        return schema
    match tree["subtype"]:
        case "O":
            domain = replace(domain, not_null=True)
        case "N":
            domain = replace(domain, not_null=False)
        case "T":
            domain = replace(domain, default=tree.get("def"))
        case "C":
            test = tree["def"]["Constraint"].get("raw_expr")
            domain = replace(domain, checks=(*domain.checks, *([test] if test else ())))
    return replace(schema, domains={**schema.domains, domain.name: domain})


def _policy(schema: Schema, tree: Node) -> Schema:
    table = schema.find(table_name(tree["table"]))
    if table is None:
        return schema
    name, both = tree["policy_name"], [tree.get("qual"), tree.get("with_check")]
    own = {table.name.rpartition(".")[2]: table.name}
    policies = {**table.policies, name: reads_of(both, schema, own)}
    called = {**table.called, name: calls(both)}
    return schema.with_table(replace(table, policies=policies, called=called))


def _trigger(schema: Schema, tree: Node) -> Schema:
    """The schema with a trigger, or a rule, at its table."""
    table = schema.find(table_name(tree["relation"]))
    if table is None:
        return schema
    texts = [tree.get(field) for field in ("whenClause", "whereClause", "actions")]
    reads = reads_of(texts, schema, {"new": table.name, "old": table.name})
    reads |= {(table.name, column) for column in strings(tree.get("columns", ()))}
    name = tree.get("trigname") or tree["rulename"]
    called = calls(texts)
    if "funcname" in tree:
        called |= {Named("OBJECT_FUNCTION", dotted(tree["funcname"]))}
    triggers = {**table.triggers, name: reads}
    return schema.with_table(
        replace(table, triggers=triggers, called={**table.called, name: called})
    )


_OTHERS: dict[str, Callable[[Schema, Node], Schema]] = {
    "AlterDomainStmt": _domain_altered,
    "AlterFunctionStmt": _function_altered,
    "CreateDomainStmt": _domain,
    "CreateFunctionStmt": _function,
    "CreatePolicyStmt": _policy,
    "CreateTableAsStmt": _materialized,
    "CreateTrigStmt": _trigger,
    "RuleStmt": _trigger,
    "ViewStmt": _view,
}


def _create(schema: Schema, tree: Node, born: str, needs: frozenset[Named] = frozenset()) -> Schema:
    name = table_name(tree["relation"])
    if tree.get("if_not_exists") and schema.find(name):
        return schema
    parents = tuple(table_name(item["RangeVar"]) for item in tree.get("inhRelations", ()))
    if of := tree.get("ofTypename"):
        needs |= {Named("OBJECT_TYPE", dotted(of["names"]))}
    table = Table(
        name,
        born,
        "partspec" in tree,
        parents=parents,
        needs=needs,
        partition_key=tuple(
            item["PartitionElem"].get("name")
            for item in tree.get("partspec", {}).get("partParams", ())
        ),
        is_default=bool(tree.get("partbound", {}).get("is_default")),
        unlogged=tree["relation"].get("relpersistence") == "u",
    )
    elements = tree.get("tableElts", ())
    nodes = [element["ColumnDef"] for element in elements if "ColumnDef" in element]
    table = replace(table, columns={node["colname"]: column_of(node) for node in nodes})
    for node in nodes:
        table = _with_constraints(table, node)
    for element in elements:
        if "Constraint" in element and (found := constraint_of(element["Constraint"], table)):
            table = table.with_constraint(found)
    return schema.with_table(table)


def _made(schema: Schema, relation: Node, if_not_exists: bool, born: str) -> Schema:
    name = table_name(relation)
    if if_not_exists and schema.find(name):
        return schema
    return schema.with_table(Table(name, born))


def _with_constraints(table: Table, node: Node) -> Table:
    """With the constraints that are written with a column."""
    for inner in inline_constraints(node):
        if found := constraint_of(inner, table, node["colname"]):
            # A new column is empty, so its constraints need no second look.
            table = table.with_constraint(found)
    return table


def _alter(schema: Schema, tree: Node, born: str) -> Schema:
    table = schema.find(table_name(tree["relation"]))
    if table is None:
        return schema
    for command in commands(tree):
        if command.get("behavior") == "DROP_CASCADE":
            for user in list(dependents(schema, dropped_part(table.name, command))):
                schema = _gone(schema, user, cascade=True)
    table = schema.tables[table.name]
    for command in commands(tree):
        table = _altered(table, command, born)
    schema = schema.with_table(table)
    for command in commands(tree):
        schema = _related(schema, table.name, command)
    return schema


def dropped_part(table: str, command: Node) -> Named:
    """The column or the constraint that DROP COLUMN or DROP CONSTRAINT drops."""
    is_column = command["subtype"] == "AT_DropColumn"
    kind = "OBJECT_COLUMN" if is_column else "OBJECT_TABCONSTRAINT"
    return Named(kind, f"{table}.{command.get('name', '')}")


def _related(schema: Schema, name: str, command: Node) -> Schema:
    """The schema after a subcommand that makes a table a child of another one, or no more."""
    _, node = definition(command)
    subtype = command["subtype"]
    if subtype in ("AT_AttachPartition", "AT_DetachPartition"):
        child, parent = schema.find(table_name(node["name"])), name
    elif subtype in ("AT_AddInherit", "AT_DropInherit"):
        child, parent = schema.find(name), table_name(node)
    else:
        return schema
    if child is None:
        return schema
    parents = tuple(known for known in child.parents if known != parent)
    if subtype in ("AT_AttachPartition", "AT_AddInherit"):
        parents = (*parents, parent)
    default = bool(node.get("bound", {}).get("is_default"))
    return schema.with_table(replace(child, parents=parents, is_default=default))


def _altered(table: Table, command: Node, born: str) -> Table:
    kind, node = definition(command)
    name = command.get("name", "")
    column = table.column(name)
    match command["subtype"]:
        case "AT_AddColumn" if kind == "ColumnDef":
            known = command.get("missing_ok") and table.column(node["colname"])
            if known:
                return table
            added = table.with_column(replace(column_of(node), born=born))
            return _with_constraints(added, node)
        case "AT_DropColumn":
            return _without_column(table, name)
        case "AT_SetLogged" | "AT_SetUnLogged":
            return replace(table, unlogged=command["subtype"] == "AT_SetUnLogged")
        case "AT_EnableRowSecurity" | "AT_DisableRowSecurity":
            return replace(table, row_security=command["subtype"] == "AT_EnableRowSecurity")
        case "AT_AddConstraint" if kind == "Constraint":
            if node["contype"] == "CONSTR_NOTNULL":
                return _never_null(table, node)
            found = constraint_of(node, table)
            if found and (using := node.get("indexname")):
                # The index has the constraint's name from now on, and goes with it.
                left = tuple(index for index in table.indexes if index.name != using)
                table = replace(table, indexes=left)
            return table.with_constraint(found) if found else table
        case "AT_ValidateConstraint":
            return replace(
                table,
                constraints=tuple(
                    replace(item, validated=True) if item.name == name else item
                    for item in table.constraints
                ),
            )
        case "AT_DropConstraint":
            kept = tuple(item for item in table.constraints if item.name != name)
            return replace(table, constraints=kept)
    return table.with_column(_column_altered(column, command)) if column else table


def _column_altered(column: Column, command: Node) -> Column:
    _, node = definition(command)
    match command["subtype"]:
        case "AT_ColumnDefault":
            value = command.get("def", {})
            return replace(column, filled=bool(value) and not is_null(value), needs=calls(value))
        case "AT_AddIdentity":
            return replace(column, filled=True)
        case "AT_DropExpression":
            return replace(column, filled=False, computed_from=(), needs=frozenset())
        case "AT_DropIdentity":
            return replace(column, filled=False)
        case "AT_SetNotNull":
            return replace(column, not_null=True)
        case "AT_DropNotNull":
            return replace(column, not_null=False)
        case "AT_AlterColumnType":
            collation = dotted(node.get("collClause", {}).get("collname", ()))
            return replace(column, type=type_of(node["typeName"]), collation=collation)
    return column


def _never_null(table: Table, node: Node) -> Table:
    for item in node.get("keys", ()):
        name = item["String"]["sval"]
        column = table.column(name)
        if node.get("skip_validation"):
            called = node.get("conname") or f"{table.name.rpartition('.')[2]}_{name}_not_null"
            proof = Constraint(called, "check", (name,), validated=False, filled=(name,))
            table = table.with_constraint(proof)
        elif column:
            table = table.with_column(replace(column, not_null=True))
    return table


def _without_column(table: Table, name: str) -> Table:
    """PostgreSQL drops a column's constraints and indexes with it."""
    return replace(
        table,
        columns={key: column for key, column in table.columns.items() if key != name},
        constraints=tuple(item for item in table.constraints if name not in item.columns),
        indexes=tuple(index for index in table.indexes if name not in index.columns),
    )


def _drop(schema: Schema, tree: Node) -> Schema:
    cascade = tree.get("behavior") == "DROP_CASCADE"
    for item in dropped(tree):
        schema = _gone(schema, item, cascade=cascade)
    return schema


def _gone(schema: Schema, item: Named, *, cascade: bool) -> Schema:
    """The schema without an object, and with CASCADE without what is made of it."""
    kind, name = item.kind, item.name
    users = list(dependents(schema, item)) if cascade else []
    owner, _, plain = name.rpartition(".")
    match kind:
        case "OBJECT_VIEW" | "OBJECT_MATVIEW":
            schema = replace(schema, views=_without(schema.views, name)).without(name)
        case "OBJECT_TRIGGER" | "OBJECT_RULE" | "OBJECT_POLICY":
            schema = _detached(schema, kind, owner, plain)
        case "OBJECT_FUNCTION" | "OBJECT_PROCEDURE" | "OBJECT_ROUTINE":
            known = schema.functions.get(name)
            if not (known and known.overloaded):
                schema = replace(schema, functions=_without(schema.functions, name))
        case "OBJECT_DOMAIN" | "OBJECT_TYPE" if name in schema.domains:
            schema = replace(schema, domains=_without(schema.domains, name))
        case "OBJECT_TABLE" | "OBJECT_FOREIGN_TABLE":
            schema = schema.without(name)
        case "OBJECT_SCHEMA":
            for inside in [key for key in schema.tables if key.startswith(f"{name}.")]:
                schema = schema.without(inside)
        case "OBJECT_INDEX" if table := schema.owner_of_index(name):
            kept = tuple(index for index in table.indexes if index.name != plain)
            schema = schema.with_table(replace(table, indexes=kept))
        case _ if table := schema.find(owner):
            schema = schema.with_table(_without_part(table, kind, plain))
    for user in users:
        schema = _gone(schema, user, cascade=True)
    return schema


def _without_part(table: Table, kind: str, name: str) -> Table:
    match kind:
        case "OBJECT_COLUMN" | "OBJECT_TYPE":
            return _without_column(table, name)
        case "OBJECT_TABCONSTRAINT":
            kept = tuple(item for item in table.constraints if item.name != name)
            return replace(table, constraints=kept)
        case "OBJECT_DEFAULT" if column := table.column(name):
            return table.with_column(replace(column, filled=False, needs=frozenset()))
    return table


def _without(items: Mapping[str, _T], name: str) -> dict[str, _T]:
    return {key: item for key, item in items.items() if key != name}


def _detached(schema: Schema, kind: str, owner: str, name: str) -> Schema:
    table = schema.find(owner)
    if table is None:
        return schema
    table = replace(table, called=_without(table.called, name))
    if kind == "OBJECT_POLICY":
        return schema.with_table(replace(table, policies=_without(table.policies, name)))
    return schema.with_table(replace(table, triggers=_without(table.triggers, name)))


def renamed(schema: Schema, tree: Node) -> Schema:
    """The schema after a RenameStmt."""
    kind, new = tree["renameType"], tree["newname"]
    if kind == "OBJECT_INDEX":
        old = tree["relation"]["relname"]
        table = schema.owner_of_index(old)
        if table is None:
            return schema
        indexes = tuple(replace(i, name=new) if i.name == old else i for i in table.indexes)
        return schema.with_table(replace(table, indexes=indexes))
    if "relation" not in tree:
        return schema
    name = table_name(tree["relation"])
    table = schema.find(name)
    if kind in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"):
        return moved(schema, name, table_name({**tree["relation"], "relname": new}))
    if table is None:
        return schema
    old = tree.get("subname", "")
    if kind == "OBJECT_TABCONSTRAINT":
        constraints = tuple(replace(c, name=new) if c.name == old else c for c in table.constraints)
        return schema.with_table(replace(table, constraints=constraints))
    if kind != "OBJECT_COLUMN":
        return schema
    pairs = {(name, old): (name, new)}
    schema = _reread(schema, lambda pair: pairs.get(pair, pair))
    return schema.with_table(_renamed_column(schema.tables[name], old, new))


def _reread(schema: Schema, change: Callable[[tuple[str, str]], tuple[str, str]]) -> Schema:
    """The schema with other names for what views, triggers and policies read: these follow."""

    def changed(items: Mapping[str, Reads]) -> dict[str, Reads]:
        return {key: frozenset(map(change, reads)) for key, reads in items.items()}

    views = {
        key: replace(view, reads=frozenset(map(change, view.reads)))
        for key, view in schema.views.items()
    }
    for table in schema.tables.values():
        if table.triggers or table.policies:
            triggers, policies = changed(table.triggers), changed(table.policies)
            if (triggers, policies) != (table.triggers, table.policies):
                schema = schema.with_table(replace(table, triggers=triggers, policies=policies))
    return replace(schema, views=views)


def _renamed_column(table: Table, old: str, new: str) -> Table:
    def named(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if name == old else name for name in names)

    return replace(
        table,
        columns={
            (new if key == old else key): replace(column, name=new) if key == old else column
            for key, column in table.columns.items()
        },
        constraints=tuple(
            replace(item, columns=named(item.columns), filled=named(item.filled))
            for item in table.constraints
        ),
        indexes=tuple(
            replace(index, columns=tuple(new if c == old else c for c in index.columns))
            for index in table.indexes
        ),
    )


def moved(schema: Schema, old: str, new: str) -> Schema:
    """The schema with a table, or a view, under another name."""
    schema = _reread(schema, lambda pair: (new, pair[1]) if pair[0] == old else pair)
    if view := schema.views.get(old):
        views = {**_without(schema.views, old), new: replace(view, name=new)}
        schema = replace(schema, views=views)
    table = schema.find(old)
    if table is None:
        return schema
    schema = schema.without(old).with_table(replace(table, name=new))
    for child in schema.heirs.get(old, ()):
        if heir := schema.find(child):
            parents = tuple(new if name == old else name for name in heir.parents)
            schema = schema.with_table(replace(heir, parents=parents))
    for other in list(schema.tables.values()):
        if any(item.references == old for item in other.constraints):
            pointed = tuple(
                replace(item, references=new) if item.references == old else item
                for item in other.constraints
            )
            schema = schema.with_table(replace(other, constraints=pointed))
    return schema
