"""The proof of a rollback: up, down and up again on a shadow database, and the schema compared."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from turnback.engine.engine import Engine
from turnback.engine.run import transaction
from turnback.engine.run.failure import needed_of_server
from turnback.engine.run.plan import Plan, Step, step_down, step_up
from turnback.engine.session import events
from turnback.engine.session.connection import connect
from turnback.engine.session.events import Event, EventKind, Options, RunContext
from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.errors import MigrationFailed, TurnbackError
from turnback.migrations.checksums import scripts_of
from turnback.migrations.model import Migration, Project
from turnback.rehearsal.extensions import stand_ins
from turnback.rehearsal.rights import APPLICATION, LIMITS, Superuser, is_repeated
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.shadow_sql import run_shadow_sql
from turnback.rehearsal.trace import apply_traced, by_statement, run
from turnback.rehearsal.trial import State, Trials, hard_ones
from turnback.rehearsal.verdict import Rehearsed, Verdict
from turnback.schema.compare import compare, verdict
from turnback.schema.follow import FollowedSchema
from turnback.schema.model import Fingerprint
from turnback.schema.reread import settle
from turnback.sql.destroys import Judge, Kind
from turnback.sql.own_tables import OWN_TABLES, conflicts
from turnback.sql.quoting import identifier, literal
from turnback.sql.types import holds_as_much

Listener = Callable[[Verdict], None]
# A type or a trigger that the migration made itself goes with it, and holds no data.
_DATA = (Kind.TABLES, Kind.COLUMNS, Kind.ROWS, Kind.VALUES)
# A type, a function.
_NOT_FOUND = ("42704", "42883")
_NO_TARGET = "name the target (--database-url): the shadow database then has its roles"
_NO_TARGET_EXTENSION = (
    "if the target has it of an extension that no migration creates, name it (--database-url)"
)
_NOT_HERE = (
    "the server of the shadow database does not have it: rehearse on one that does (--shadow-url)"
)
_NO_PRIVILEGE = (
    "the user of --shadow-url may not: name one with the privileges that migrations have on the "
    "target, and rather no superuser"
)
_NO_ROLE = "neither the target nor a migration has made this role: create it there first"
_OPTIONS = Options(lock_retry_s=0, runner_wait_s=5)


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
        project: all migrations, from the first; those before the first chosen one are replayed.
        chosen: the migrations to prove, oldest first.
        shadow: makes the shadow database.
        history_schema: where turnback's own tables are, on the target as here.
        listener: called with each verdict.
        progress: hears what begins, and how far a large file is.

    Raises:
        HistoryConflict: one to prove has a table of the name of one of turnback's own.
        MigrationFailed: a migration before the chosen ones does not run on an empty database.
        ConfigurationError, InvalidMigration: the project's shadow.sql does not run.
        DatabaseUnreachable, DatabaseRefused: the shadow cannot be used.
    """
    for conflict in conflicts(chosen, history_schema):
        raise conflict
    result = Rehearsed(shadow_sql=project.shadow.checksum if project.shadow else None)
    database = _ShadowDatabase(project, shadow, history_schema, progress)
    judge = Judge()
    with database:
        database.replay([m for m in project.migrations if chosen and m.number < chosen[0].number])
        start = database.state() if chosen else None
        before = start
        wanted = {migration.number for migration in chosen}
        for migration in project.migrations:
            judge.learn(migration.forward)
            if before is None or not chosen[0].number <= migration.number <= chosen[-1].number:
                continue
            if migration.number not in wanted:
                # Not chosen, but between chosen ones: applied, and not judged.
                database.replay([migration])
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


def _prove(database: _ShadowDatabase, migration: Migration, before: State, found: Verdict) -> State:
    """Fill in the verdict; returns the state that the next one begins with.

    That is what the forward scripts alone give, without those that do not run.
    """
    try:
        step = step_up(migration)
        found.statements, found.error = apply_traced(database.engine, step, database.superuser)
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
    database: _ShadowDatabase, migration: Migration, before: State, applied: State, found: Verdict
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
    found.rows = changed_rows(before.rows, now.rows)
    found.loses_data += _narrowed(applied.schema.objects, now.schema.objects)
    found.suggestions = database.trials.suggestions(found.differences, before, now)
    return True


def _apply_again(
    database: _ShadowDatabase, migration: Migration, applied: State, found: Verdict
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
    database: _ShadowDatabase, migration: Migration, before: State, applied: State, found: Verdict
) -> State | None:
    """Correct by the suggestions what the rollback left, so that the shadow need not be made anew.

    Returns:
        The state with the migration applied; None unless it is the first one in every respect.
    """
    if found.reapply != "failed" or not found.suggestions:
        return None
    try:
        for sql in found.suggestions:
            send(database.connection, sql)
    except ServerError:
        return None
    now = database.state()
    if compare(before.schema, now.schema) or before.rows != now.rows or database.up(migration):
        return None
    now = database.state()
    return None if compare(applied.schema, now.schema) else now


def _prove_release(
    database: _ShadowDatabase, chosen: Sequence[Migration], start: State, result: Rehearsed
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
    now = database.state()
    differences = compare(start.schema, now.schema, since=database.began)
    result.release_differences = settle(
        database.connection, differences, start.schema.objects, now.schema.objects
    )
    result.release = verdict(result.release_differences)


class _ShadowDatabase:
    """The shadow database of one rehearsal, with an engine; recreated after a failed rollback."""

    def __init__(
        self, project: Project, shadow: Shadow, history_schema: str, listener: events.Listener
    ) -> None:
        self._project = project
        self._shadow = shadow
        self._history_schema = history_schema
        self._listener = listener
        self.began = datetime.now(UTC)
        self._left_out: set[str] = set()
        self.not_compared: set[str] = set()
        self._scripts = [script.code_head for script in scripts_of(project)]
        self._stack = contextlib.ExitStack()
        self.engine: Engine = None  # type: ignore[assignment]
        # Looks in a session of its own: the engine makes its session forget what is prepared there,
        # and planning takes longer than looking.
        self.connection: Connection = None  # type: ignore[assignment]
        self.trials: Trials = None  # type: ignore[assignment]

    def __enter__(self) -> _ShadowDatabase:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self._stack.close()
        url = self._stack.enter_context(self._shadow.database(self._scripts))
        if script := self._project.shadow:
            with connect(url, application_name=APPLICATION, options=_OPTIONS) as session:
                run_shadow_sql(session, script, self.superuser)
        engine = Engine(
            url,
            context=RunContext(run="rehearsal", actor="turnback"),
            history_schema=self._history_schema,
            options=_OPTIONS,
            listener=self._listener,
        )
        self.engine = self._stack.enter_context(engine)
        if not self.engine.history.exists():
            self.engine.history.create()
        self.connection = self._stack.enter_context(
            connect(url, application_name=APPLICATION, options=_OPTIONS)
        )
        self._schema = FollowedSchema(
            self.connection,
            history_schema=self._history_schema,
            ignore=self._project.settings.ignore,
            left_out=self.not_compared,
        )
        self.trials = Trials(self.connection, self._schema)

    @property
    def superuser(self) -> Superuser | None:
        """Who repeats what the role of the migrations may not run; None where nobody does."""
        return self._shadow.superuser

    def _by_statement(self, step: Step) -> bool:
        """Whether a statement of it may have to be repeated as superuser."""
        runnable = step.runnable
        return (
            bool(self.superuser)
            and not runnable.one_by_one
            and any(map(is_repeated, runnable.statements or ()))
        )

    def stand_ins(self) -> list[str]:
        """The extensions that were used and are stand-ins."""
        return stand_ins(self.connection, self._scripts)

    def state(self) -> State:
        """The shadow database as it is now."""
        return State(self.schema(), self.rows())

    def rows(self) -> dict[str, str]:
        """The rows as they are now."""
        return row_state(self.connection, self._history_schema)

    def schema(self) -> Fingerprint:
        """The schema as it is now."""
        return self._schema.read()

    def between(self, first: Migration, last: Migration) -> list[Migration]:
        """The migrations from one to another, both included."""
        return [m for m in self._project.migrations if first.number <= m.number <= last.number]

    def replay(self, migrations: Sequence[Migration]) -> None:
        """Apply migrations that are not judged.

        Raises:
            MigrationFailed: one does not run.
        """
        steps = [step_up(migration) for migration in migrations]
        for alone, group in itertools.groupby(steps, self._by_statement):
            if error := (self._run_alone if alone else self._run_all)(group):
                self.advise(error)
                error.message = f"the shadow cannot be built: {error.message}"
                raise error

    def _run_all(self, steps: Iterable[Step]) -> TurnbackError | None:
        return self.engine.run(Plan("up", tuple(steps))).error

    def _run_alone(self, steps: Iterable[Step]) -> TurnbackError | None:
        return next(filter(None, map(self._run, steps)), None)

    def recreate_at(self, migration: Migration) -> State:
        """Make a new shadow database at this version, and read its state.

        What runs no longer, because of what a script has left outside of the database, is left out.
        """
        while True:
            self._open()
            try:
                self.replay(
                    [
                        m
                        for m in self._project.migrations
                        if m.number <= migration.number and m.version not in self._left_out
                    ]
                )
            except MigrationFailed as error:
                if error.version is None or error.version in self._left_out:
                    raise
                self._left_out.add(error.version)
            else:
                return self.state()

    def without(self, migration: Migration, before: State) -> State:
        """The state after a forward script that failed: what its transaction has left."""
        self._left_out.add(migration.version)
        try:
            outside = step_up(migration).runnable.one_by_one
        except TurnbackError:
            # It was not even sent.
            return before
        if outside or self.state() != before:
            return self.recreate_at(migration)
        return before

    def up(self, migration: Migration) -> TurnbackError | None:
        """Apply it as the engine does; the error if it fails."""
        return self._run(step_up(migration))

    def down(self, migration: Migration) -> TurnbackError | None:
        """Roll it back as the engine does; the error if it fails."""
        try:
            step = step_down(migration)
        except TurnbackError as error:
            return error
        if step is None:
            return MigrationFailed(f"{migration.version} has no rollback script")
        failed = self._run(step)
        if failed:
            self.advise(failed)
        return failed

    def drop_kept(self, migration: Migration, before: State) -> list[str]:
        """Drop the tables that the rollback script says it keeps; their names, and the reasons.

        The rest is compared as if there were none, and the next rollback can make them again.
        """
        kept = []
        for keep in migration.rollback.directives.keeps if migration.rollback else ():
            if f"table {keep.table}" in before.schema.objects:
                continue
            # Where something depends on it, it is reported as left over.
            with contextlib.suppress(ServerError):
                send(self.connection, f"DROP TABLE {keep.table}")
                kept.append(f"{keep.table}: {keep.reason}")
        return kept

    def undone(self, migration: Migration) -> bool:
        """Whether a rollback script that failed has left nothing behind."""
        try:
            step = step_down(migration)
        except TurnbackError:
            # It was not even sent.
            return True
        return step is not None and transaction.fits_batch(step) and not self._by_statement(step)

    def advise(self, error: TurnbackError) -> None:
        """Say what helps where the shadow lacks something that the target may have."""
        known = self._shadow.surroundings is not None
        match needed_of_server(error):
            case "role":
                error.hint = _NO_ROLE if known else _NO_TARGET
            case "extension" | "library":
                error.hint = _NOT_HERE
            case "privilege" if not self.superuser:
                error.hint = _NO_PRIVILEGE
            case None if error.sqlstate in _NOT_FOUND and not known:
                error.hint = f"{_NO_TARGET_EXTENSION}; {error.hint}"
        if self.superuser and error.sqlstate in LIMITS:
            error.hint = LIMITS[error.sqlstate]

    def _run(self, step: Step) -> TurnbackError | None:
        """Send the engine's message, without its checks: nobody else uses this database."""
        if step.runnable.one_by_one:
            return self.engine.run(Plan(step.direction, (step,))).error
        if self._by_statement(step):
            connection = self.engine.connection
            return by_statement(self.engine, step, lambda one: run(connection, one, self.superuser))
        try:
            transaction.run(self.engine.session, step)
        except TurnbackError as error:
            return error
        return None


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


def row_state(connection: Connection, history_schema: str = "public") -> dict[str, str]:
    """Table → number and checksum of its rows, for the tables that are not empty."""
    ours = ", ".join(literal(name) for name in OWN_TABLES)
    query = (
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' "
        "AND n.nspname <> 'information_schema' AND pg_catalog.pg_relation_size(c.oid) > 0 "
        f"AND NOT (n.nspname = {literal(history_schema)} AND c.relname IN ({ours})) ORDER BY 1, 2"
    )
    tables = [(str(schema), str(name)) for schema, name in rows(send(connection, query)[0])]
    if not tables:
        return {}
    parts = [
        f"SELECT {literal(f'{schema}.{name}')}, pg_catalog.count(*) || ' ' || pg_catalog.md5("
        "coalesce(pg_catalog.string_agg(t::text, E'\\n' ORDER BY t::text), '')) "
        f"FROM {identifier(schema)}.{identifier(name)} t"
        for schema, name in tables
    ]
    found = rows(send(connection, " UNION ALL ".join(parts))[0])
    return {str(table): str(state) for table, state in found if not str(state).startswith("0 ")}


def changed_rows(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What differs between two states, as text; a table that is not listed is empty."""
    differences = []
    for table in sorted(before.keys() | after.keys()):
        old, new = before.get(table, "0"), after.get(table, "0")
        if old == new:
            continue
        counts = old.split()[0], new.split()[0]
        how = (
            f"{counts[0]} → {counts[1]}"
            if counts[0] != counts[1]
            else "the same number, other rows"
        )
        differences.append(f"rows of {table}: {how}")
    return differences
