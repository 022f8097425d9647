"""What a statement makes of the schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from turnback.sql.definitions import (
    column_of,
    constraint_of,
    domain_of,
    function_of,
    index_of,
    type_of,
    view_of,
)
from turnback.sql.statements import Statement, json_value
from turnback.sql.tables import Column, Constraint, Schema, Table
from turnback.sql.tree import (
    Named,
    Node,
    column_refs,
    commands,
    definition,
    dotted,
    inline_constraints,
    joined,
    made,
    objects,
    strings,
    table_name,
)


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
            return _alter(schema, tree)
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
    view = view_of(name, tree["query"], tree.get("options", []), schema)
    return replace(schema, views={**schema.views, name: view})


def _materialized(schema: Schema, tree: Node) -> Schema:
    if tree.get("objtype") != "OBJECT_MATVIEW":
        return schema
    name = table_name(tree["into"]["rel"])
    return replace(schema, views={**schema.views, name: view_of(name, tree["query"], [], schema)})


def _function(schema: Schema, tree: Node) -> Schema:
    name = dotted(tree["funcname"])
    function = function_of(tree, schema.functions.get(name))
    return replace(schema, functions={**schema.functions, name: function})


def _function_altered(schema: Schema, tree: Node) -> Schema:
    name = dotted(tree["func"]["objname"])
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
            domain = replace(domain, checked=True)
    return replace(schema, domains={**schema.domains, domain.name: domain})


def _policy(schema: Schema, tree: Node) -> Schema:
    table = schema.find(table_name(tree["table"]))
    if table is None:
        return schema
    names = tuple(column_refs([tree.get("qual"), tree.get("with_check")]))
    policies = {**table.policies, tree["policy_name"]: names}
    return schema.with_table(replace(table, policies=policies))


def _trigger(schema: Schema, tree: Node) -> Schema:
    """The schema with a trigger, or a rule, at its table."""
    table = schema.find(table_name(tree["relation"]))
    if table is None:
        return schema
    texts = [tree.get(field) for field in ("whenClause", "whereClause", "actions")]
    names = (*column_refs(texts), *strings(tree.get("columns", ())))
    name = tree.get("trigname") or tree["rulename"]
    called = {Named("OBJECT_FUNCTION", dotted(tree["funcname"]))} if "funcname" in tree else set()
    return schema.with_table(
        replace(
            table, triggers={**table.triggers, name: names}, needs=table.needs | frozenset(called)
        )
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
    for element in elements:
        if column := element.get("ColumnDef"):
            table = _with_column(table, column)
    for element in elements:
        if "Constraint" in element and (found := constraint_of(element["Constraint"], table)):
            table = table.with_constraint(found)
    return schema.with_table(table)


def _made(schema: Schema, relation: Node, if_not_exists: bool, born: str) -> Schema:
    name = table_name(relation)
    if if_not_exists and schema.find(name):
        return schema
    return schema.with_table(Table(name, born))


def _with_column(table: Table, node: Node) -> Table:
    table = table.with_column(column_of(node))
    for inner in inline_constraints(node):
        if found := constraint_of(inner, table, node["colname"]):
            # A new column is empty, so its constraints need no second look.
            table = table.with_constraint(found)
    return table


def _alter(schema: Schema, tree: Node) -> Schema:
    table = schema.find(table_name(tree["relation"]))
    if table is None:
        return schema
    for command in commands(tree):
        table = _altered(table, command)
    schema = schema.with_table(table)
    for command in commands(tree):
        schema = _related(schema, table.name, command)
    return schema


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


def _altered(table: Table, command: Node) -> Table:
    kind, node = definition(command)
    name = command.get("name", "")
    column = table.column(name)
    match command["subtype"]:
        case "AT_AddColumn" if kind == "ColumnDef":
            known = command.get("missing_ok") and table.column(node["colname"])
            return table if known else _with_column(table, node)
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
            return replace(column, filled="def" in command)
        case "AT_AddIdentity":
            return replace(column, filled=True)
        case "AT_DropExpression":
            return replace(column, filled=False, computed_from=())
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
    for parts in objects(tree):
        name = joined(parts)
        kind = tree["removeType"]
        if kind in ("OBJECT_VIEW", "OBJECT_MATVIEW"):
            views = {key: view for key, view in schema.views.items() if key != name}
            schema = replace(schema, views=views)
        if kind in ("OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"):
            schema = _detached(schema, kind, parts)
        elif kind == "OBJECT_FUNCTION":
            functions = {key: item for key, item in schema.functions.items() if key != name}
            schema = replace(schema, functions=functions)
        elif kind in ("OBJECT_DOMAIN", "OBJECT_TYPE"):
            domains = {key: domain for key, domain in schema.domains.items() if key != name}
            schema = replace(schema, domains=domains)
        elif kind in ("OBJECT_TABLE", "OBJECT_MATVIEW"):
            schema = schema.without(name)
        elif kind == "OBJECT_SCHEMA":
            for inside in [key for key in schema.tables if key.startswith(f"{name}.")]:
                schema = schema.without(inside)
        elif kind == "OBJECT_INDEX" and (table := schema.owner_of_index(name)):
            kept = tuple(index for index in table.indexes if index.name != parts[-1])
            schema = schema.with_table(replace(table, indexes=kept))
    return schema


def _detached(schema: Schema, kind: str, parts: list[str]) -> Schema:
    table = schema.find(joined(parts[:-1]))
    if table is None:
        return schema
    if kind == "OBJECT_POLICY":
        left = {key: names for key, names in table.policies.items() if key != parts[-1]}
        return schema.with_table(replace(table, policies=left))
    left = {key: names for key, names in table.triggers.items() if key != parts[-1]}
    return schema.with_table(replace(table, triggers=left))


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
    if kind == "OBJECT_TABLE":
        return moved(schema, name, table_name({**tree["relation"], "relname": new}))
    if table is None:
        return schema
    old = tree.get("subname", "")
    if kind == "OBJECT_TABCONSTRAINT":
        constraints = tuple(replace(c, name=new) if c.name == old else c for c in table.constraints)
        return schema.with_table(replace(table, constraints=constraints))
    return (
        schema.with_table(_renamed_column(table, old, new)) if kind == "OBJECT_COLUMN" else schema
    )


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
    """The schema with a table under another name."""
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
