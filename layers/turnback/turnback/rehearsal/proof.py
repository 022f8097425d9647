"""The proof of a rollback: up, down and up again on a shadow database, and the schema compared."""

from __future__ import annotations

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
from turnback.sql.types import holds_as_much

Listener = Callable[[Verdict], None]
# A type or a trigger that the migration made itself goes with it, and holds no data.
_DATA = (Kind.TABLES, Kind.COLUMNS, Kind.ROWS, Kind.VALUES)


def rehearse(
    project: Project,
    chosen: Sequence[Migration],
    shadow: Shadow,
    *,
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
        history_schema: where turnback's own tables are, on the target as here.
        listener: called with each verdict.
        progress: hears what begins, and how far a large file is.

    Raises:
        HistoryConflict: one to prove has a table of the name of one of turnback's own.
        ConfigurationError, InvalidMigration: the project's shadow.sql does not run.
        DatabaseUnreachable, DatabaseRefused: the shadow cannot be used.
    """
    for conflict in conflicts(chosen, history_schema):
        raise conflict
    shadow_sql = project.shadow.checksum if project.shadow and not shadow.is_copy else None
    result = Rehearsed(shadow_sql=shadow_sql, stored_state=shadow.stored)
    database = ShadowDatabase(project, shadow, history_schema, progress)
    judge = Judge()
    with database:
        if chosen:
            result.not_applied += database.build(database.before(chosen[0]))
        start = database.state() if chosen else None
        before = start
        wanted = {migration.key for migration in chosen}
        applied = {one.key for one in database.between(chosen[0], chosen[-1])} if chosen else set()
        for migration in project.migrations:
            judge.learn(migration.forward)
            if before is None or migration.key not in applied:
                continue
            if migration.key not in wanted:
                # Not chosen, but between chosen ones: applied, and not judged.
                result.not_applied += database.build([migration])
                before = database.state()
                continue
            found = Verdict(
                migration.version,
                migration.name,
                migration.forward.path,
                migration.rollback.path if migration.rollback else None,
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
                    total=len(chosen),
                )
            )
            after = _prove(database, migration, before, found)
            result.migrations.append(found)
            if listener:
                listener(found)
            before = after
        if start is not None and all(one.forward == "applied" for one in result.migrations):
            _prove_release(database, chosen, start, result)
        result.stand_ins = database.stand_ins()
    result.not_compared = sorted(database.not_compared)
    return result


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
    database: ShadowDatabase, chosen: Sequence[Migration], start: State, result: Rehearsed
) -> None:
    """Roll all of them back, newest first, as the staged rollback does, and compare the schema.

    What lies between them is rolled back with them.
    """
    release = database.between(chosen[0], chosen[-1])
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
