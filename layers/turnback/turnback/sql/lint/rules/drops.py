"""What is dropped or emptied while the application runs (TB401, TB110)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from turnback.sql.definitions import function_of, view_of
from turnback.sql.destroys import Loss
from turnback.sql.lint.model import Finding, Severity
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import dotted_name
from turnback.sql.tables import Table
from turnback.sql.tree import (
    Named,
    Node,
    commands,
    definition,
    dropped,
    made,
    table_name,
)

# (table, column) → what a script did with it; the column is empty for the table itself.
Uses = Mapping[tuple[str, str], str]


def uses(found: Sequence[LintStep]) -> dict[tuple[str, str], str]:
    """What a script makes or writes: the tables and columns that it counts on."""
    used: dict[tuple[str, str], str] = {}
    for step in found:
        for table, column, verb in _uses(step):
            used.setdefault((table, column), verb)
    return used


def _uses(step: LintStep) -> Iterator[tuple[str, str, str]]:
    tree = step.tree
    match step.kind:
        case "CreateStmt":
            table = table_name(tree["relation"])
            yield table, "", "made"
            for element in tree.get("tableElts", ()):
                if column := element.get("ColumnDef"):
                    yield table, column["colname"], "made"
        case "AlterTableStmt":
            table = table_name(tree["relation"])
            for command in commands(tree):
                kind, node = definition(command)
                if command["subtype"] == "AT_AddColumn" and kind == "ColumnDef":
                    yield table, node["colname"], "made"
        case "InsertStmt":
            table = table_name(tree["relation"])
            yield table, "", "wrote"
            for item in tree.get("cols", ()):
                yield table, item["ResTarget"]["name"], "wrote"
        case "UpdateStmt":
            table = table_name(tree["relation"])
            yield table, "", "wrote"
            for item in tree.get("targetList", ()):
                if "name" in item.get("ResTarget", {}):
                    yield table, item["ResTarget"]["name"], "wrote"


def drop_rules(
    found: Sequence[LintStep], losses: Sequence[Loss], before: Sequence[tuple[str, Uses]]
) -> Iterator[Finding]:
    """TB401 and TB110, over a forward script.

    Args:
        losses: what the judge of loss says of it.
        before: the scripts of the same release, oldest first: path, and what each used.
    """
    remade = {item for step in found for item in made(step.statement)}
    said: set[tuple[int, str]] = set()
    for step in found:
        for item in _dropped(step):
            if item in remade and item.kind not in _HOLDING:
                yield from _made_otherwise(step, item, found)
                continue
            said.add((step.statement.offset, item.name))
            yield _drop_finding(step, item, before, remade)
        yield from _truncated(step)
        yield from _emptied(step)
    for loss in losses:
        at = next((s for s in found if _lines(s)[0] <= loss.line <= _lines(s)[1]), None)
        if at is None or not loss.origin.startswith("DROP") or not loss.is_data:
            continue
        known = {name for offset, name in said if offset == at.statement.offset}
        if loss.object in known or loss.object.rpartition(".")[0] in known:
            continue
        yield at.finding(
            "TB401",
            f"{loss.words} is lost ({loss.origin}).",
            why=_DROPPED_WHY,
            severity=Severity.WARNING,
        )


_DROPPED_WHY = (
    "The application that runs while this release is applied may count on it, until the last of "
    "its processes is replaced. And what is in it is gone: a rollback script makes it again, empty."
)
# What holds rows or values: made again it is empty.
_HOLDING = {"OBJECT_TABLE", "OBJECT_FOREIGN_TABLE", "OBJECT_COLUMN", "OBJECT_SCHEMA"}
# What queries of the application may name, and its word.
_NAMED = {
    "OBJECT_TABLE": "table",
    "OBJECT_FOREIGN_TABLE": "foreign table",
    "OBJECT_COLUMN": "column",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_VIEW": "view",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "domain",
    "OBJECT_FUNCTION": "function",
    "OBJECT_PROCEDURE": "procedure",
    "OBJECT_ROUTINE": "routine",
    "OBJECT_AGGREGATE": "aggregate",
    "OBJECT_TABCONSTRAINT": "constraint",
    "OBJECT_INDEX": "index",
    "OBJECT_EXTENSION": "extension",
    "OBJECT_DATABASE": "database",
}


def _dropped(step: LintStep) -> Iterator[Named]:
    """What this statement drops of what was there before and the application may name."""
    tree = step.tree
    match step.kind:
        case "DropStmt":
            for item in dropped(tree):
                if item.kind in _NAMED and _is_missed(step, item):
                    yield item
        case "AlterTableStmt" if tree.get("objtype", "OBJECT_TABLE") != "OBJECT_TYPE":
            yield from _parts_dropped(step, table_name(tree["relation"]))
        case "AlterTableStmt":
            type_ = table_name(tree["relation"])
            for command in commands(tree) if step.is_old("OBJECT_TYPE", type_) else ():
                if command["subtype"] == "AT_DropColumn":
                    yield Named("OBJECT_COLUMN", f"{type_}.{command['name']}")
        case "DropdbStmt":
            yield Named("OBJECT_DATABASE", tree["dbname"])


def _parts_dropped(step: LintStep, table: str) -> Iterator[Named]:
    known = step.table(table)
    for command in commands(step.tree) if step.in_use(table) else ():
        name = f"{table}.{command.get('name', '')}"
        if command["subtype"] == "AT_DropColumn":
            if step.column_in_use(table, command["name"]) and not _is_skipped(known, command):
                yield Named("OBJECT_COLUMN", name)
        elif command["subtype"] == "AT_DropConstraint" and any(
            item.name == command["name"] and item.kind in ("primary", "unique")
            for item in (known.constraints if known else ())
        ):
            yield Named("OBJECT_TABCONSTRAINT", name)


def _is_skipped(table: Table | None, command: Node) -> bool:
    """Whether IF EXISTS finds no such column."""
    if table is None or not table.columns or table.parents:
        return False
    return bool(command.get("missing_ok")) and command["name"] not in table.columns


def _is_missed(step: LintStep, item: Named) -> bool:
    match item.kind:
        case "OBJECT_TABLE" | "OBJECT_FOREIGN_TABLE" | "OBJECT_MATVIEW":
            return step.in_use(item.name)
        case "OBJECT_INDEX":
            # ON CONFLICT needs a unique one; no query names another.
            table = step.schema.owner_of_index(item.name)
            plain = item.name.rpartition(".")[2]
            return bool(
                table
                and step.in_use(table.name)
                and any(i.unique and i.name == plain for i in table.indexes)
            )
        case "OBJECT_FUNCTION" | "OBJECT_ROUTINE":
            known = step.schema.functions.get(item.name)
            return step.is_old(item.kind, item.name) and not (known and known.is_trigger)
        case "OBJECT_SCHEMA" if step.tree.get("behavior") != "DROP_CASCADE":
            # PostgreSQL drops no more than an empty one.
            return False
    return step.is_old(item.kind, item.name)


def _drop_finding(
    step: LintStep, item: Named, before: Sequence[tuple[str, Uses]], remade: set[Named]
) -> Finding:
    is_column = item.kind == "OBJECT_COLUMN"
    table, column = item.name.rpartition(".")[::2] if is_column else (item.name, "")
    used = next(
        ((path, uses[table, column]) for path, uses in reversed(before) if (table, column) in uses),
        None,
    )
    word = _NAMED[item.kind]
    if used:
        said, severity = f"{item.name} is dropped, and {used[0]} still {used[1]} it.", None
    elif item in remade:
        said, severity = f"The {word} {item.name} is dropped and made again: it is empty.", None
    else:
        holds = {"OBJECT_TABLE": ", with its rows", "OBJECT_COLUMN": ", with its values"}
        said = f"The {word} {item.name} is dropped{holds.get(item.kind, '')}."
        severity = Severity.WARNING
    why = _DROPPED_WHY if item.kind in _HOLDING else _BREAKS_WHY[item.kind in _KEYS]
    safer = f"{LATER}{step.statement.sql};" if item not in remade else ""
    return step.finding("TB401", said, why=why, safer=safer, severity=severity)


LATER = (
    "-- this release: nothing uses it any more; deploy the application first\n"
    "-- a later release, with the reason:\n"
    "-- turnback: waive TB401 because no application uses it any more\n"
)
_KEYS = {"OBJECT_TABCONSTRAINT", "OBJECT_INDEX"}
_BREAKS_WHY = {
    False: "Every statement of the running application that names it fails, from the commit until "
    "the last of its processes is replaced.",
    True: "INSERT … ON CONFLICT of the running application that counts on it fails (SQLSTATE "
    "42P10), and rows that are there twice keep it from being made again.",
}


def _made_otherwise(step: LintStep, item: Named, found: Sequence[LintStep]) -> Iterator[Finding]:
    """A view that is dropped and made again without a column, or with them in another order."""
    if item.kind == "OBJECT_FUNCTION":
        yield from _function_made_otherwise(step, item, found)
    old = step.schema.views.get(item.name)
    new = next(
        (
            view_of(item.name, other.tree, other.schema)
            for other in found
            if item in made(other.statement) and "query" in other.tree
        ),
        None,
    )
    if old is None or new is None or not (old.columns and new.columns):
        return
    kept = [column for column in new.columns if column in old.columns]
    if lost := [column for column in old.columns if column not in kept]:
        said = f"without {', '.join(lost)}"
    elif kept != list(old.columns):
        said = "with its columns in another order"
    else:
        return
    yield step.finding(
        "TB401",
        f"The view {item.name} is made again {said}.",
        why=_BREAKS_WHY[False]
        if lost
        else "SELECT * of the running application gets its values "
        "in another order, from the commit until the last of its processes is replaced.",
        safer=f"-- this release: new columns of {dotted_name(item.name)} at its end, and none less",
        severity=Severity.WARNING,
    )


def _function_made_otherwise(
    step: LintStep, item: Named, found: Sequence[LintStep]
) -> Iterator[Finding]:
    known = step.schema.functions.get(item.name)
    if known is None or known.overloaded:
        return
    wanted = [kind for _, kind in known.arguments]
    made_anew = [
        function_of(other.tree, None)
        for other in found
        if other.kind == "CreateFunctionStmt" and item in made(other.statement)
    ]
    if not any([kind for _, kind in one.arguments] == wanted for one in made_anew):
        yield step.finding(
            "TB401",
            f"The function {item.name} is made again with other arguments.",
            why=_BREAKS_WHY[False],
            safer="-- this release: the new function beside the old one\n"
            "-- a later release: DROP FUNCTION of the old one",
            severity=Severity.WARNING,
        )


def _lines(step: LintStep) -> tuple[int, int]:
    script = step.context.script
    return script.position(step.statement.offset)[0], script.position(step.statement.end)[0]


def _truncated(step: LintStep) -> Iterator[Finding]:
    if step.kind != "TruncateStmt":
        return
    named = [table_name(item["RangeVar"]) for item in step.tree["relations"]]
    if not any(map(step.in_use, named)):
        return
    cascade = step.tree.get("behavior") == "DROP_CASCADE"
    hit = step.schema.truncated_with(named) if cascade else named
    others = [table for table in hit if table not in named]
    more = f": {', '.join(others)}, as far as the scripts tell" if others else ""
    yield step.finding(
        "TB110",
        f"TRUNCATE of {', '.join(named)}{' with CASCADE' if cascade else ''}.",
        why=(
            f"It empties every table whose foreign keys lead here as well{more}; one that is "
            "added later is emptied too. "
            if cascade
            else ""
        )
        + "Readers and writers of all of them wait until the commit, and no rollback script "
        "brings the rows back.",
        safer="-- turnback: waive TB110 because the rows of all of them are meant to go\n"
        f"TRUNCATE {', '.join(map(dotted_name, hit))};",
        severity=None if cascade else Severity.WARNING,
    )


def _emptied(step: LintStep) -> Iterator[Finding]:
    if step.kind != "RefreshMatViewStmt" or not step.tree.get("skipData"):
        return
    view = table_name(step.tree["relation"])
    if step.in_use(view):
        yield step.finding(
            "TB401",
            f"REFRESH … WITH NO DATA empties the materialized view {view}.",
            why="Every query of it fails (SQLSTATE 55000) until the next REFRESH.",
            safer=f"REFRESH MATERIALIZED VIEW CONCURRENTLY {dotted_name(view)};",
        )
