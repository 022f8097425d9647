"""Dropping and making anew the views that CREATE OR REPLACE cannot change.

PostgreSQL replaces a view only by one with the same columns, or more of them (manual, CREATE
VIEW). So the text before, with fewer columns, never replaces the text after.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from psycopg.rows import class_row

from turnback.engine.run import transaction
from turnback.engine.run.ladder import Ladder
from turnback.engine.run.plan import Step
from turnback.engine.run.session import Session
from turnback.engine.session.events import Event, EventKind
from turnback.engine.session.message import Connection, Watcher, rows, send
from turnback.engine.session.query import load, query
from turnback.errors import TurnbackError
from turnback.sql.quoting import joined, literal
from turnback.sql.tree import object_parts
from turnback.wording import listed

# Other columns than before (CREATE OR REPLACE VIEW); something depends on it (DROP VIEW).
_STATES = ("42P16", "2BP01")
_SHOWN = 5
# The file itself may have made a trigger or a comment, and left out a column.
_UNLESS_MADE = (
    "DO $turnback$ BEGIN EXECUTE {sql}; "
    "EXCEPTION WHEN undefined_column OR duplicate_object THEN NULL; END $turnback$"
)
_UNLESS_COMMENTED = (
    "DO $turnback$ BEGIN IF pg_catalog.obj_description({name}::pg_catalog.regclass, 'pg_class') "
    "IS NULL THEN EXECUTE {sql}; END IF; END $turnback$"
)
# Default privileges may grant others something on a new view.
_NO_GRANTS = (
    "DO $turnback$ DECLARE command text; BEGIN FOR command IN SELECT DISTINCT "
    "pg_catalog.format('REVOKE ALL ON %s FROM %s', c.oid::pg_catalog.regclass, "
    "coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC')) FROM pg_catalog.pg_class c, "
    "pg_catalog.aclexplode(c.relacl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee "
    "WHERE c.oid = {name}::pg_catalog.regclass AND a.grantee <> c.relowner LOOP EXECUTE command; "
    "END LOOP; END $turnback$"
)


@dataclass(frozen=True, slots=True)
class View:
    """A view that is dropped and made again.

    Attributes:
        given: whether it is one of those that were asked for, and not one that reads them.
        definition: SQL that makes it.
        state: SQL that gives it its privileges, comments, triggers and owner.
        obstacles: what else depends on it, in words.
    """

    name: str
    given: bool
    definition: str
    state: list[str]
    obstacles: list[str]


def run(
    session: Session,
    step: Step,
    watch: Watcher | None = None,
    ladder: Ladder | None = None,
    *,
    last: str = "",
) -> int:
    """Run a repeatable as ``transaction.run`` does; once more, where it cannot replace a view.

    The views that it makes, and those that read them, are dropped before its text. The latter are
    made again behind it, and all of them get back the privileges, comments, triggers and owners
    that they had, in the same transaction.
    """
    try:
        return transaction.run(session, step, watch, ladder, last=last)
    except TurnbackError as error:
        views = _to_recreate(session.connection, step, error)
        if not views:
            raise
    others = [view.name for view in views if not view.given]
    if others:
        text = f"dropped and made again, for what they read: {', '.join(others)}"
        session.listener(Event(EventKind.PROGRESS, step.version, step.name, text=text))
    again, behind = _around(step, views)
    text = "; ".join(filter(None, (behind, last)))
    return transaction.run(session, again, watch, ladder, last=text)


def prepared(connection: Connection, step: Step) -> tuple[Step, str]:
    """A repeatable for a script that is not tried twice, and what runs behind its record.

    The views that are there now are dropped before it, if nothing but views depends on them.
    """
    views = _views(connection, step)
    if not views or any(view.obstacles for view in views):
        return step, ""
    return _around(step, views)


def _around(step: Step, views: list[View]) -> tuple[Step, str]:
    """The step that drops the views first, and the SQL that makes them again behind it."""
    first = tuple(f"DROP VIEW {view.name};" for view in reversed(views))
    behind = "; ".join(itertools.chain(*map(_restored, views)))
    return replace(step, first=(*step.first, *first)), behind


def helps(step: Step, error: TurnbackError) -> bool:
    """Whether a step may run once its views are dropped before it."""
    return step.repeat is not None and error.sqlstate in _STATES


def _restored(view: View) -> list[str]:
    """What makes a view as it was; of one that the script makes, what it had besides."""
    if view.given:
        return [_unless_there(view.name, sql) for sql in view.state]
    return made_again(view)


def made_again(view: View) -> list[str]:
    """SQL that makes a view as it was."""
    return [view.definition, _NO_GRANTS.format(name=literal(view.name)), *view.state]


def _to_recreate(connection: Connection, step: Step, error: TurnbackError) -> list[View]:
    """The views that are dropped and made again, those that are read first.

    Empty where the error has another reason, or where something that is no view is in the way:
    then the error's hint names it.
    """
    if not helps(step, error):
        return []
    found = _views(connection, step)
    obstacles = sorted({one for view in found for one in view.obstacles})
    if obstacles:
        error.hint = (
            f"the view must be dropped for that, and what depends on it is no view: "
            f"{listed(obstacles, _SHOWN)}; drop that in a migration of this release, and make it "
            "again in a repeatable"
        )
        return []
    return found


def _views(connection: Connection, step: Step) -> list[View]:
    """The views that a script makes and that are there, and those that read them."""
    oids = _views_of(connection, step)
    return views_above(connection, oids) if oids else []


def views_above(connection: Connection, oids: list[int]) -> list[View]:
    """These views, and those that read them; those that are read come first."""
    return query(connection, load("views_above"), class_row(View), {"views": oids})


def _unless_there(name: str, sql: str) -> str:
    if sql.startswith("COMMENT ON VIEW"):
        return _UNLESS_COMMENTED.format(name=literal(name), sql=literal(sql))
    return _UNLESS_MADE.format(sql=literal(sql))


def _views_of(connection: Connection, step: Step) -> list[int]:
    """The oids of the views that a script makes and that are there, found by its own settings."""
    settings, names = list[str](), list[str]()
    for statement in step.runnable.statements or ():
        if statement.kind == "VariableSetStmt":
            settings.append(f"{statement.sql};")
        elif statement.kind == "ViewStmt":
            names.append(joined(object_parts({"RangeVar": statement.tree["view"]})))
    if not names:
        return []
    given = ", ".join(f"(pg_catalog.to_regclass({literal(name)}))" for name in names)
    found = f"SELECT oid::pg_catalog.oid FROM (VALUES {given}) AS v (oid) WHERE oid IS NOT NULL"
    # The settings of the file end with the transaction.
    results = send(connection, f"BEGIN; {' '.join(settings)} {found}; ROLLBACK")
    return [int(row[0] or 0) for row in rows(results[-2])]
