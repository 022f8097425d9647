"""What a rename makes of the schema."""

from __future__ import annotations

from dataclasses import replace

from turnback.sql.lint.nodes import Node, table_name
from turnback.sql.lint.schema import Schema, Table


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
    for other in list(schema.tables.values()):
        if any(item.references == old for item in other.constraints):
            pointed = tuple(
                replace(item, references=new) if item.references == old else item
                for item in other.constraints
            )
            schema = schema.with_table(replace(other, constraints=pointed))
    return schema
