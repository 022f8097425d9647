"""What squawk found, told as a rule of ours: what it means with our engine, and what to write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from turnback.sql.lint.definitions import SERIALS, column_of, type_of
from turnback.sql.lint.model import Finding
from turnback.sql.lint.nodes import (
    Node,
    commands,
    definition,
    dotted,
    table_name,
)
from turnback.sql.lint.renames import renamed
from turnback.sql.lint.step import Step
from turnback.sql.lint.writing import (
    NEXT,
    concurrently,
    condition,
    dotted_name,
    name,
    type_sql,
)


def taken(rule: str, offset: int, found: Sequence[Step]) -> Iterator[Finding]:
    """The findings that one hit of squawk stands for: one, or none where we know better.

    Args:
        rule: our rule's id.
        offset: where, in bytes.
        found: the statements of the script.
    """
    if not found:
        return
    scene = found[0].scene
    place = scene.offset(offset)
    step = next((step for step in found if step.statement.end > place), None)
    if step is not None and place >= step.statement.offset:
        yield from _TELL[rule](step, offset)


def _reindex(step: Step, offset: int) -> Iterator[Finding]:  # noqa: ARG001
    if step.kind != "ReindexStmt":
        return
    yield step.finding(
        "TB102",
        "REINDEX without CONCURRENTLY.",
        why="Whoever writes to the table waits until its index is built anew, and so does every "
        "query that would use the index: minutes on a table of many gigabytes.",
        safer="-- in a file of its own\n"
        + concurrently(step.statement.sql, _REINDEXED[step.tree["kind"]]),
    )


def _required(step: Step, offset: int) -> Iterator[Finding]:
    if step.kind != "AlterTableStmt":
        return
    table, node = table_name(step.tree["relation"]), _column_after(step, offset)
    if node is None or not step.in_use(table):
        return
    column = column_of(node)
    if type_of(node["typeName"]).name in SERIALS:
        return
    shown = f"ALTER TABLE {dotted_name(table)} ADD COLUMN {name(column.name)}"
    check = name(f"{table.rpartition('.')[2]}_{column.name}_filled")
    yield step.finding(
        "TB112",
        f"{table}.{column.name} is new and NOT NULL, and has no default.",
        why=f"It fails as soon as {table} has one row (SQLSTATE 23502). And where it does not "
        f"fail, the application that is running cannot insert into {table} until it is replaced.",
        safer=f"{shown} {type_sql(column.type)};\n"
        f"ALTER TABLE {dotted_name(table)} ADD CONSTRAINT {check} "
        f"CHECK ({name(column.name)} IS NOT NULL) NOT VALID; -- once the application fills it\n"
        f"{NEXT}: fill the old rows in batches, then\n"
        f"ALTER TABLE {dotted_name(table)} VALIDATE CONSTRAINT {check};",
        at=node["location"],
    )


def _truncate(step: Step, offset: int) -> Iterator[Finding]:  # noqa: ARG001
    named = [table_name(item["RangeVar"]) for item in step.tree["relations"]]
    if not any(map(step.in_use, named)):
        return
    hit = list(named)
    for table in hit:
        hit += [
            other.name
            for other in step.schema.tables.values()
            if other.name not in hit and any(c.references == table for c in other.constraints)
        ]
    others = [table for table in hit if table not in named]
    more = f": {', '.join(others)}, as far as the scripts tell" if others else ""
    yield step.finding(
        "TB110",
        f"TRUNCATE of {', '.join(named)} with CASCADE.",
        why=f"It empties every table whose foreign keys lead here as well{more}; one that is "
        "added later is emptied too. Readers and writers of all of them wait until the commit, "
        "and no rollback script brings the rows back.",
        safer=f"TRUNCATE {', '.join(map(dotted_name, hit))};",
    )


def _domain(step: Step, offset: int) -> Iterator[Finding]:  # noqa: ARG001
    constraint = step.tree.get("def", {}).get("Constraint", {})
    if step.kind != "AlterDomainStmt" or constraint.get("skip_validation"):
        return
    domain = dotted_name(dotted(step.tree["typeName"]))
    called = name(constraint.get("conname", f"{domain.rpartition('.')[2]}_check"))
    start = step.scene.offset(constraint.get("location", 0))
    test = condition(step.scene.script.sql[: step.statement.end], start)
    yield step.finding(
        "TB111",
        f"The constraint {called} of the domain {domain} validates at once.",
        why="Every row of every table with a column of this domain is read, and whoever writes to "
        "one of them waits meanwhile: seconds for each gigabyte, of all of them together.",
        safer=f"ALTER DOMAIN {domain} ADD CONSTRAINT {called} CHECK ({test}) NOT VALID;\n"
        f"{NEXT}\n"
        f"ALTER DOMAIN {domain} VALIDATE CONSTRAINT {called};",
    )


def _too_long(step: Step, offset: int) -> Iterator[Finding]:
    sql = step.scene.script.sql
    place = step.scene.offset(offset)
    match = re.match(r'"((?:[^"]|"")*)"|[^\s(),;.]+', sql[place:])
    if match is None:
        return
    written = match[1].replace('""', '"') if match[1] is not None else match[0]
    kept = written.encode("utf-8")[:63].decode("utf-8", errors="ignore")
    yield step.finding(
        "TB304",
        f"{written} has {len(written.encode('utf-8'))} bytes; PostgreSQL keeps 63.",
        why="The name is cut off with no more than a notice. A second one that begins alike "
        "collides with it, and what reads the catalog looks for a name that is not there.",
        safer=f"-- the name it gets\n-- {name(kept)}",
        at=offset,
    )


def _column_after(step: Step, offset: int) -> Node | None:
    """The column that ALTER TABLE adds by the subcommand at this place."""
    for kind, node in map(definition, commands(step.tree)):
        if kind == "ColumnDef" and "colname" in node and node["location"] >= offset:
            return node
    return None


_REINDEXED = {
    "REINDEX_OBJECT_INDEX": "INDEX",
    "REINDEX_OBJECT_TABLE": "TABLE",
    "REINDEX_OBJECT_SCHEMA": "SCHEMA",
    "REINDEX_OBJECT_SYSTEM": "SYSTEM",
    "REINDEX_OBJECT_DATABASE": "DATABASE",
}
_TELL: dict[str, Callable[[Step, int], Iterator[Finding]]] = {
    "TB102": _reindex,
    "TB110": _truncate,
    "TB111": _domain,
    "TB112": _required,
    "TB304": _too_long,
    "TB402": renamed,
}
