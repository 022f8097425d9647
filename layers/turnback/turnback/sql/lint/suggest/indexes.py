"""Indexes, built while everybody works."""

from __future__ import annotations

from collections.abc import Sequence

from turnback.sql.definitions import index_name
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import (
    ORDER,
    File,
    dotted_name,
    files,
    free_name,
    written,
)
from turnback.sql.tables import Table
from turnback.sql.tree import (
    Node,
    table_name,
)


def index(step: LintStep) -> str:
    """CREATE INDEX CONCURRENTLY; of a partitioned table on its parent, and on each partition."""
    called = step.tree.get("idxname") or free_name(step, index_name(step.tree))
    tree = {**step.tree, "idxname": called}
    tree.pop("if_not_exists", None)
    return _built(step, tree)


def index_of_columns(step: LintStep, table: Table, columns: Sequence[str]) -> str:
    """An index of a table on some columns, for a foreign key."""
    called = free_name(step, table.name.rpartition(".")[2], *columns, "idx")
    params = [{"IndexElem": {"name": column, **ORDER}} for column in columns]
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
    others = [
        item for item in step.tree.get("params", ()) if item["DefElem"]["defname"] != "concurrently"
    ]
    tree = {**step.tree, "params": [*others, option]}
    return files([written("ReindexStmt", tree)])
