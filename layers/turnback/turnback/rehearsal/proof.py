"""The proof of a rollback: up, down and up again on a shadow database, and the schema compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from turnback.engine.session import events
from turnback.engine.session.events import Event, EventKind
from turnback.errors import TurnbackError
from turnback.migrations.model import Migration, Project
from turnback.rehearsal.database import ShadowDatabase
from turnback.rehearsal.rows import changed_rows
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.trial import State, hard_ones
from turnback.rehearsal.verdict import Rehearsed, Verdict
from turnback.schema.compare import compare, verdict
from turnback.schema.model import Fingerprint
from turnback.schema.reread import settle
from turnback.sql.destroys import Judge, Kind
from turnback.sql.own_tables import conflicts
from turnback.sql.repeatable.content import read
from turnback.sql.script import prepare
from turnback.sql.tree import takes_away
from turnback.sql.types import holds_as_much

Listener = Callable[[Verdict], None]
# A column, a table, a function that is not there (manual, appendix A).
_MISSING = ("42703", "42P01", "42883")
# Something depends on what would be dropped; on the column whose type would change.
_IN_USE = ("2BP01", "0A000")
# A type or a trigger that the migration made itself goes with it, and holds no data.
_DATA = (Kind.TABLES, Kind.COLUMNS, Kind.ROWS, Kind.VALUES)


def rehearse(
    project: Project,
    chosen: Sequence[Migration],
    shadow: Shadow,
    *,
    repeatables: Sequence[Migration] = (),
    history_schema: str = "public",
    listener: Listener | None = None,
    progress: events.Listener = events.silent,
) -> Rehearsed:
    """Prove the rollbacks of these migrations, each on its own and all of them as a release.

    Args:
        project: all migrations, from the first; those before the first chosen one are applied,
            and left out where they do not run.
        chosen: the migrations to prove, oldest first.
        shadow: makes the shadow database.
        repeatables: those to prove after the migrations, with what undoes them, in their order.
        history_schema: where turnback's own tables are, on the target as here.
        listener: called with each verdict.
        progress: hears what begins, and how far a large file is.

    Raises:
        HistoryConflict: one to prove has a table of the name of one of turnback's own.
        ConfigurationError, InvalidMigration: the project's shadow.sql does not run.
        DatabaseUnreachable, DatabaseRefused: the shadow cannot be used.
    """
    for conflict in conflicts([*chosen, *repeatables], history_schema):
        raise conflict
    shadow_sql = project.shadow.checksum if project.shadow and not shadow.is_copy else None
    result = Rehearsed(shadow_sql=shadow_sql, stored_state=shadow.stored)
    database = ShadowDatabase(project, shadow, history_schema, progress)
    total = len(chosen) + len(repeatables)
    judge = Judge()

    def prove(migration: Migration, before: State) -> State:
        found = Verdict(
            migration.version,
            migration.name,
            migration.forward.path,
            # What undoes a repeatable is in no file.
            migration.rollback.path
            if migration.rollback and migration.kind == "migration"
            else None,
        )
        if migration.rollback:
            lost = judge.fork().losses(migration.rollback)
            found.loses_data = [loss.words for loss in lost if loss.kind in _DATA]
        progress(
            Event(
                EventKind.STARTED,
                migration.version,
                migration.name,
                text="rehearsing",
                position=len(result.migrations) + 1,
                total=total,
            )
        )
        after = _prove(database, migration, before, found)
        if found.error:
            explain(found.error, migration, chosen, [*shadow.repeatables, *repeatables])
        result.migrations.append(found)
        if listener:
            listener(found)
        return after

    with database:
        base = database.before(chosen[0] if chosen else None)
        if total:
            result.not_applied += database.build([*base, *shadow.repeatables])
        release = database.between(chosen[0], chosen[-1]) if chosen else []
        database.order = [*base, *shadow.repeatables, *release, *repeatables]
        start = database.state() if total else None
        before = start
        wanted = {migration.key for migration in (*chosen, *repeatables)}
        applied = {migration.key for migration in (*release, *repeatables)}
        for migration in (*project.migrations, *repeatables):
            if migration.kind == "migration":
                judge.learn(migration.forward)
            if before is None or migration.key not in applied:
                continue
            if migration.key in wanted:
                before = prove(migration, before)
            else:
                # Not chosen, but between chosen ones: applied, and not judged.
                result.not_applied += database.build([migration])
                before = database.state()
        if start is not None and all(one.forward == "applied" for one in result.migrations):
            release = database.between(chosen[0], chosen[-1]) if chosen else []
            _prove_release(database, [*release, *repeatables], start, result)
        result.stand_ins = database.stand_ins()
    result.not_compared = sorted(database.not_compared)
    return result


def explain(
    error: TurnbackError,
    failed: Migration,
    chosen: Sequence[Migration],
    repeatables: Sequence[Migration],
) -> None:
    """Say in an error's hint which file of the same release the failed one does not fit.

    Args:
        failed: a migration, which changes what a repeatable uses; or a repeatable, which uses what
            a migration drops.
        chosen: the migrations of the release.
        repeatables: what is applied of them, and the release's.
    """
    if failed.kind == "repeatable":
        for migration in chosen if error.sqlstate in _MISSING else ():
            for name in _taken_away(migration):
                if _is_named(name, error.message):
                    error.hint = (
                        f"{migration.forward.path} drops {name}, and {failed.version} still uses "
                        f"it: change both in this release; {error.hint}"
                    )
                    return
        return
    for repeatable in repeatables if error.sqlstate in _IN_USE else ():
        for name in sorted(read(repeatable.forward).names):
            if _is_named(name, error.message):
                error.hint = (
                    f"{repeatable.version} makes {name}: release its new text before this "
                    f"migration, or drop it in {failed.forward.path}, and the same run makes it "
                    f"again from its file; {error.hint}"
                )
                return


def _taken_away(migration: Migration) -> list[str]:
    statements = prepare(migration.forward).statements or ()
    return [name for statement in statements for name in takes_away(statement) if name]


def _is_named(name: str, message: str) -> bool:
    """Whether an error is about this object: its name, without a schema, is a word of it."""
    return re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", message) is not None


def _prove(database: ShadowDatabase, migration: Migration, before: State, found: Verdict) -> State:
    """Fill in the verdict; returns the state that the next one begins with.

    That is what the forward scripts alone give, without those that do not run.
    """
    try:
        found.statements, found.error = database.up_traced(migration)
    except TurnbackError as error:
        found.error = error
    if found.error:
        database.advise(found.error)
        found.forward = "failed"
        return database.without(migration, before)
    applied = database.state()
    if migration.rollback is None:
        reason = migration.forward.directives.irreversible
        found.rollback = "irreversible" if reason else "missing"
        return applied
    if not _roll_back(database, migration, before, applied, found):
        return applied if database.undone(migration) else database.recreate_at(migration)
    again = _apply_again(database, migration, applied, found)
    if again is None:
        return _mended(database, migration, before, applied, found) or database.recreate_at(
            migration
        )
    # The second time made other rows (defaults are a new time or number) and other catalog entries.
    return State(again, database.rows())


def _roll_back(
    database: ShadowDatabase, migration: Migration, before: State, applied: State, found: Verdict
) -> bool:
    """Whether the rollback script ran."""
    error = database.down(migration)
    if error:
        found.rollback, found.error = "failed", error
        return False
    found.kept = database.drop_kept(migration, before)
    now = database.state()
    differences = compare(before.schema, now.schema, since=database.began)
    found.differences = settle(
        database.connection, differences, before.schema.objects, now.schema.objects
    )
    found.rollback = verdict(found.differences)
    if keep_rows := migration.rollback and migration.rollback.directives.keep_rows:
        found.kept.append(f"the rows: {keep_rows}")
    else:
        found.rows = changed_rows(before.rows, now.rows)
    found.loses_data += _narrowed(applied.schema.objects, now.schema.objects)
    found.suggestions = database.trials.suggestions(found.differences, before, now)
    return True


def _apply_again(
    database: ShadowDatabase, migration: Migration, applied: State, found: Verdict
) -> Fingerprint | None:
    """The schema after a second time, if it is that of the first time in every respect."""
    error = database.up(migration)
    if error:
        found.reapply = "failed"
        found.error = found.error or error
        return None
    now = database.schema()
    differences = compare(applied.schema, now, since=database.began)
    # What the rollback left in another order or under another name is so the second time as well.
    found.reapply_differences = hard_ones(differences)
    found.reapply = "differs" if found.reapply_differences else "exact"
    return None if differences else now


def _mended(
    database: ShadowDatabase, migration: Migration, before: State, applied: State, found: Verdict
) -> State | None:
    """Correct by the suggestions what the rollback left, so that the shadow need not be made anew.

    Returns:
        The state with the migration applied; None unless it is the first one in every respect.
    """
    if found.reapply != "failed" or not found.suggestions:
        return None
    if not database.change(found.suggestions):
        return None
    now = database.state()
    if compare(before.schema, now.schema) or before.rows != now.rows or database.up(migration):
        return None
    now = database.state()
    return None if compare(applied.schema, now.schema) else now


def _prove_release(
    database: ShadowDatabase, release: Sequence[Migration], start: State, result: Rehearsed
) -> None:
    """Roll all of them back, newest first, as the staged rollback does, and compare the schema.

    What lies between them is rolled back with them.
    """
    if any(migration.rollback is None for migration in release):
        return
    for migration in reversed(release):
        error = database.down(migration)
        if error:
            result.release, result.release_error = "failed", error
            return
        database.drop_kept(migration, start)
    now = database.last_schema()
    differences = compare(start.schema, now, since=database.began)
    result.release_differences = settle(
        database.connection, differences, start.schema.objects, now.objects
    )
    result.release = verdict(result.release_differences)


def _narrowed(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """The columns whose type holds less than it did; from the objects of two fingerprints."""
    found = []
    changed = (name for name, old in before.items() if after.get(name, old) is not old)
    for name in sorted(changed):
        old, new = before[name].get("type"), after[name].get("type")
        if name.startswith("column ") and old and new and not holds_as_much(old, new):
            found.append(f"values of {name} that fit {old} and not {new}")
    return found
