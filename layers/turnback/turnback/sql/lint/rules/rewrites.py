"""Statements that rewrite a table or an index under their lock."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from turnback.sql.definitions import SERIALS, type_of
from turnback.sql.dependents import readers, words
from turnback.sql.lint import suggest
from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import SlowWork, judged_domain, slow_work
from turnback.sql.lint.writing import all_wait, dotted_name, type_sql
from turnback.sql.tree import commands, definition, inline_constraints, table_name, walk
from turnback.sql.volatility import is_known, volatile_call


def rewrite_rules(step: LintStep) -> Iterator[Finding]:
    """TB106 to TB109."""
    if step.kind in ("VacuumStmt", "ClusterStmt"):
        yield from _rewritten(step)
    for item in slow_work(step):
        if item.kind == "rewrite":
            yield _anew(step, item)
        elif item.kind == "refresh" and not step.tree.get("concurrent"):
            yield _refreshed(step, item)
    if step.kind != "AlterTableStmt":
        return
    if not step.context.script.directives.swap:
        # On the copy of a swap there is no view or policy yet.
        yield from _refused(step)
    every = slow_work(step)
    # The rewrite builds the index of such a column as well.
    rewritten = {item.column for item in every if item.kind == "default"}
    for item in every:
        match item.kind:
            case "type":
                yield _type(step, item)
            case "unique" if not (item.column and item.column in rewritten):
                yield _unique(step, item)
            case "default":
                yield _default(step, item)


def _refused(step: LintStep) -> Iterator[Finding]:
    """A change of type that PostgreSQL refuses, since something else is made of the column."""
    name_ = table_name(step.tree["relation"])
    table = step.table(name_)
    for command in commands(step.tree):
        if command["subtype"] != "AT_AlterColumnType" or table is None:
            continue
        column = command["name"]
        if users := list(readers(step.schema, name_, column)):
            user = words(users[0])
            yield step.finding(
                "TB106",
                f"The type of {name_}.{column} cannot change: {user} is made of it.",
                why="PostgreSQL refuses to change the type of a column that a view, a rule, a "
                "trigger's WHEN or OF, a policy or a generated column names (SQLSTATE 0A000).",
                safer=partial(suggest.without_views, step, users),
                at=definition(command)[1].get("location"),
            )


def _type(step: LintStep, item: SlowWork) -> Finding:
    assert item.node
    known = step.table(item.table)
    old = known.column(item.column) if known else None
    new = type_of(item.node["typeName"])
    was = f"from {type_sql(old.type)} " if old else ""
    rewritten = item.does.startswith("rewrites")
    how_long = "minutes for a few gigabytes, with twice the disk"
    return step.finding(
        "TB106",
        f"{item.table}.{item.column} changes {was}to {type_sql(new)}, which {item.does}.",
        why=f"PostgreSQL {'rewrites every row and the indexes' if rewritten else item.does}, under "
        f"an AccessExclusiveLock. {all_wait(item.table)}: "
        f"{how_long if rewritten else 'seconds for each gigabyte'}.",
        safer=partial(suggest.changed_type, step, item, checks_only=not rewritten),
        at=item.at,
    )


def _unique(step: LintStep, item: SlowWork) -> Finding:
    assert item.constraint and item.node
    key = item.constraint
    words = {"primary": "PRIMARY KEY", "unique": "UNIQUE"}.get(key.kind, "")
    return step.finding(
        "TB107",
        f"The {words or 'exclusion'} constraint {key.name} of {item.table} builds its index "
        "at once.",
        why=f"The index is built under an AccessExclusiveLock. {all_wait(item.table)}: "
        "minutes on a table of many gigabytes."
        + (
            ""
            if words
            else " PostgreSQL has no way to build the index of an exclusion constraint "
            "beforehand: choose a quiet hour, and waive the rule with that reason."
        ),
        safer=partial(suggest.unique, step, item),
        at=item.at,
    )


def _default(step: LintStep, item: SlowWork) -> Finding:
    assert item.node
    inner = {constraint["contype"]: constraint for constraint in inline_constraints(item.node)}
    written = type_of(item.node["typeName"]).name
    default = inner.get("CONSTR_DEFAULT", {})
    called = volatile_call(default.get("raw_expr"), step.schema)
    if "CONSTR_IDENTITY" in inner:
        what = "an identity column"
    elif written in SERIALS:
        what = f"a {written} column"
    elif called:
        what = f"filled by {called}()"
    elif judged_domain(step, item.node):
        what = f"of the domain {written}, which has constraints or a volatile default"
    else:
        what = "a stored generated column"
    of_domain = bool(judged_domain(step, item.node)) and not called
    sure = not called or is_known(called) or called in step.schema.functions
    unless = "" if sure else f" (unless {called}() is STABLE or IMMUTABLE)"
    return step.finding(
        "TB108",
        f"{item.table}.{item.column} is {what}: its values rewrite the table{unless}.",
        why=f"PostgreSQL rewrites every row of {item.table} under an AccessExclusiveLock. "
        f"{all_wait(item.table)}: minutes for a few gigabytes. A constant default, or "
        "none, touches no row."
        + (
            " A column of the domain's own type does not either, with the CHECK as a NOT VALID "
            "constraint of the table."
            if of_domain
            else ""
        ),
        safer=partial(suggest.of_base_type if of_domain else suggest.volatile_default, step, item),
        at=item.at,
    )


def _anew(step: LintStep, item: SlowWork) -> Finding:
    words = "ALTER INDEX" if step.tree.get("objtype") == "OBJECT_INDEX" else "ALTER TABLE"
    return step.finding(
        "TB109",
        f"This {words} {item.does}.",
        why=f"It is written anew under an AccessExclusiveLock. {all_wait(item.table)}: minutes for "
        "a few gigabytes. There is no way to do it beside those who use it: choose a quiet hour, "
        "and waive the rule with that reason. For another tablespace pg_repack locks only for an "
        "instant, and a new index can be built there with CREATE INDEX CONCURRENTLY.",
        safer=f"-- turnback: waive TB109 because it runs at a quiet hour\n{step.statement.sql};",
    )


def _refreshed(step: LintStep, item: SlowWork) -> Finding:
    view, known = dotted_name(item.table), step.table(item.table)
    unique = known is not None and any(
        index.unique and not index.is_special for index in known.indexes
    )
    return step.finding(
        "TB109",
        f"REFRESH MATERIALIZED VIEW of {item.table} without CONCURRENTLY.",
        why=f"Its query runs under an AccessExclusiveLock. Whoever reads {item.table} waits until "
        "it is done. With CONCURRENTLY nobody waits who reads; the view needs a UNIQUE index on "
        "plain columns for it, and rows from an earlier REFRESH.",
        safer=f"REFRESH MATERIALIZED VIEW CONCURRENTLY {view};" if unique else "",
    )


def _rewritten(step: LintStep) -> Iterator[Finding]:
    if step.kind == "VacuumStmt" and not step.statement.strong_outside:
        return
    named = [table_name(node) for _, node in walk(step.tree) if "relname" in node]
    if named and not any(map(step.in_use, named)):
        return
    words = "CLUSTER" if step.kind == "ClusterStmt" else "VACUUM FULL"
    shown = ", ".join(named) or "every table"
    yield step.finding(
        "TB109",
        f"{words} of {shown}.",
        why=f"{shown.capitalize() if not named else shown} is rewritten under an "
        "AccessExclusiveLock. Whoever reads or writes it waits meanwhile: minutes for a few "
        "gigabytes, with twice the disk. pg_repack does the same and locks only for an instant "
        "(RDS has the extension).",
        safer=" ".join(["VACUUM (ANALYZE)", ", ".join(map(dotted_name, named))]).strip() + ";",
    )
