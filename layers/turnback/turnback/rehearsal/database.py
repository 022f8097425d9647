"""The shadow database of one rehearsal: what runs there, and its state."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from turnback.engine.engine import Engine
from turnback.engine.look import repeatables
from turnback.engine.run import recreate, transaction
from turnback.engine.run.failure import needed_of_server
from turnback.engine.run.plan import Plan, Repeat, Step, step_down, step_up
from turnback.engine.run.repeatables import first_time
from turnback.engine.session import events
from turnback.engine.session.connection import connect
from turnback.engine.session.events import Options, RunContext
from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.errors import MigrationFailed, TurnbackError
from turnback.migrations.checksums import scripts_of
from turnback.migrations.model import Migration, Project
from turnback.rehearsal.extensions import stand_ins
from turnback.rehearsal.platform import scripts_before
from turnback.rehearsal.rights import APPLICATION, LIMITS, Superuser, is_repeated
from turnback.rehearsal.rows import NOTE_WRITTEN, FollowedRows, written
from turnback.rehearsal.script import run_script
from turnback.rehearsal.shadow import Parked, Shadow
from turnback.rehearsal.trace import StatementTrace, apply_traced, by_statement, run
from turnback.rehearsal.trial import State, Trials
from turnback.schema.changed import report
from turnback.schema.follow import FollowedSchema
from turnback.schema.model import Fingerprint

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
# What they run may write in sessions of its own.
_OTHER_SESSIONS = (
    *("extension dblink", "extension postgres_fdw", "extension pg_background"),
    *("extension pg_cron", "extension pg_net"),
    *("extension plperlu", "extension plpython3u", "extension pltclu"),
)
_OPTIONS = Options(lock_retry_s=0, runner_wait_s=5)


class ShadowDatabase:
    """The shadow database of one rehearsal; made anew after a rollback that left something."""

    def __init__(
        self, project: Project, shadow: Shadow, history_schema: str, listener: events.Listener
    ) -> None:
        self._project = project
        self._shadow = shadow
        self._history_schema = history_schema
        self._listener = listener
        # The versions that the shadow database was parked with.
        self._parked: tuple[str, ...] = ()
        self.began = datetime.now(UTC)
        self._left_out: set[str] = set()
        self.not_compared: set[str] = set()
        self._scripts = [
            *(script.code_head for script in scripts_of(project)),
            *(script.sql for script in scripts_before(project, shadow.surroundings)),
        ]
        # Whether the server counts what is written, and reports it when it is asked to.
        self._counts = False
        self._other_sessions = False
        # All that is applied in it when all is proven, in order.
        self.order: Sequence[Migration] = ()
        # The checksums of the texts of each repeatable, the one that is applied last.
        self._texts: dict[str, list[str]] = {}
        self._stack = contextlib.ExitStack()
        self.engine: Engine = None  # type: ignore[assignment]
        # What may have changed since the rows were read: the tables that were written, and those
        # defined otherwise; None if that is every table.
        self._written: set[str] | None = None
        self._changed: set[str] | None = None
        # Looks in a session of its own: the engine makes its session forget what is prepared there,
        # and planning takes longer than looking.
        self.connection: Connection = None  # type: ignore[assignment]
        self.trials: Trials = None  # type: ignore[assignment]

    def __enter__(self) -> ShadowDatabase:
        try:
            self._open()
        except BaseException:
            # Nobody else drops the database, which may be a copy with the rows of the target.
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self._stack.close()
        parked = self._shadow.parked
        url = self._stack.enter_context(self._shadow.database(self._scripts))
        if parked:
            self._parked, self.began = parked.versions, parked.began
        elif not self._shadow.is_copy:
            for script in scripts_before(self._project, self._shadow.surroundings):
                with connect(url, application_name=APPLICATION, options=_OPTIONS) as session:
                    run_script(session, script, self.superuser)
        engine = Engine(
            url,
            context=RunContext(run="rehearsal", actor="turnback"),
            history_schema=self._history_schema,
            options=replace(_OPTIONS, code=self._shadow.code),
            listener=self._listener,
        )
        self.engine = self._stack.enter_context(engine)
        if not self.engine.history.exists():
            self.engine.history.create()
        self._texts = {e.version: [e.checksum] for e in repeatables.read(self.engine.history)}
        self.connection = self._stack.enter_context(
            connect(url, application_name=APPLICATION, options=_OPTIONS)
        )
        self._schema = FollowedSchema(
            self.connection,
            history_schema=self._history_schema,
            ignore=self._project.settings.ignore,
            left_out=self.not_compared,
        )
        self._rows = FollowedRows(self.connection, history_schema=self._history_schema)
        self._written = self._changed = None
        self._counts = self._is_counted()
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
            and runnable.in_one_transaction
            and any(map(is_repeated, runnable.statements or ()))
        )

    def _is_counted(self) -> bool:
        if not report(self.engine.connection):
            return False
        [[setting]] = rows(send(self.engine.connection, "SHOW track_counts")[0])
        return setting == "on" and not any("track_counts" in text for text in self._scripts)

    def stand_ins(self) -> list[str]:
        """The extensions that were used and are stand-ins."""
        return stand_ins(self.connection, self._scripts)

    def state(self) -> State:
        """The shadow database as it is now."""
        return State(self.schema(), self.rows())

    def rows(self) -> dict[str, str]:
        """The rows as they are now, after the schema was read."""
        found = self._rows.read(self._written, self._changed)
        self._written, self._changed = set(), set()
        return found

    def schema(self) -> Fingerprint:
        """The schema as it is now."""
        noted = self._written is not None and not self._other_sessions
        found = self._schema.read(reported=self._counts and noted)
        changed = self._schema.changed
        self._changed = (
            None if self._changed is None or changed is None else self._changed | changed
        )
        self._other_sessions = any(extension in found.objects for extension in _OTHER_SESSIONS)
        if self._other_sessions:
            self._written = None
        return found

    def last_schema(self) -> Fingerprint:
        """The schema as it is now, from all that has changed in this database."""
        return self._schema.read_since_first()

    def _note_written(self) -> None:
        """Note what the transaction that has just been committed may have written."""
        if self._written is not None:
            self._written |= written(self.engine.connection)

    def between(self, first: Migration, last: Migration) -> list[Migration]:
        """The migrations from one to another, both included, without those that it began with.

        Nor those that do not run.
        """
        before = len(self._project.before(first.version))
        found = self._without_known([*self._project.before(last.version)[before:], last])
        return [one for one in found if one.version not in self._left_out]

    def before(self, migration: Migration | None) -> list[Migration]:
        """Those before this one that it does not have from the beginning; without one, all."""
        if migration is None:
            return self._without_known(self._project.migrations)
        return self._without_known(self._project.before(migration.version))

    def _until(self, last: Migration) -> Sequence[Migration]:
        """All that is applied up to this one."""
        place = next(place for place, one in enumerate(self.order) if one is last)
        return self.order[: place + 1]

    def _without_known(self, migrations: Iterable[Migration]) -> list[Migration]:
        return [one for one in migrations if one.version not in self._shadow.applied]

    def build(self, migrations: Iterable[Migration]) -> list[TurnbackError]:
        """Apply migrations that are not judged, but those that the database was parked with.

        Returns:
            The errors of those that do not run; what follows runs without them.
        """
        errors: list[TurnbackError] = []
        steps: list[Step] = []
        for migration in migrations:
            if migration.version not in self._parked:
                try:
                    steps.append(self._step_up(migration))
                except TurnbackError as error:
                    error.version = migration.version
                    self._left_out.add(migration.version)
                    errors.append(error)
        built = list(steps)
        while failed := self._apply(steps):
            versions = [step.version for step in steps]
            if failed.version not in versions:
                raise failed
            self._left_out.add(failed.version)
            errors.append(failed)
            steps = steps[versions.index(failed.version) + 1 :]
        for step in built:
            if step.version not in self._left_out:
                self._note_text(step)
        return errors

    def replay(self, migrations: Sequence[Migration]) -> None:
        """Apply migrations that are not judged.

        Raises:
            MigrationFailed: one does not run.
        """
        steps = []
        for migration in migrations:
            steps.append(self._step_up(migration))
            self._note_text(steps[-1])
        if error := self._apply(steps):
            error.message = f"the shadow cannot be built: {error.message}"
            raise error

    def _apply(self, steps: Sequence[Step]) -> TurnbackError | None:
        """The error of the first one that does not run; those after it are not applied."""
        for alone, group in itertools.groupby(steps, self._by_statement):
            if error := (self._run_alone if alone else self._run_all)(group):
                self.advise(error)
                return error
        return None

    def _run_all(self, steps: Iterable[Step]) -> TurnbackError | None:
        self._written = None
        planned = tuple(steps)
        return self.engine.run(Plan(planned[0].direction, planned)).error

    def _run_alone(self, steps: Iterable[Step]) -> TurnbackError | None:
        return next(filter(None, map(self._run, steps)), None)

    def park(self, applied: Iterable[Migration]) -> Parked:
        """Keep the shadow database, with these migrations, for the next who opens one."""
        return self._shadow.park((migration.version for migration in applied), self.began)

    def recreate_at(self, migration: Migration) -> State:
        """Make a new shadow database at this version, and read its state.

        What runs no longer, because of what a script has left outside of the database, is left out.
        """
        while True:
            self._open()
            try:
                self.replay([m for m in self._until(migration) if m.version not in self._left_out])
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
            outside = not step_up(migration).runnable.in_one_transaction
        except TurnbackError:
            # It was not even sent.
            return before
        if outside or self.state() != before:
            return self.recreate_at(migration)
        return before

    def up_traced(self, migration: Migration) -> tuple[list[StatementTrace], TurnbackError | None]:
        """Apply it statement by statement; what each did, and the error if it failed.

        Raises:
            TurnbackError: it was not even sent.
        """
        step = self._step_up(migration)
        traces, error = apply_traced(self.engine, step, self.superuser, self.connection)
        if error and recreate.helps(step, error):
            error = self._run_as_message(step)
        if not step.runnable.in_one_transaction or step.runnable.statements is None:
            self._written = None
        elif not error:
            self._note_written()
        if not error:
            self._note_text(step)
        return traces, error

    def change(self, statements: Iterable[str]) -> bool:
        """Run SQL of our own; whether all of it ran."""
        self._written = None
        try:
            for sql in statements:
                send(self.connection, sql)
        except ServerError:
            return False
        return True

    def up(self, migration: Migration) -> TurnbackError | None:
        """Apply it as the engine does; the error if it fails."""
        step = self._step_up(migration)
        error = self._run(step)
        if not error:
            self._note_text(step)
        return error

    def down(self, migration: Migration) -> TurnbackError | None:
        """Roll it back as the engine does; the error if it fails."""
        if migration.kind == "repeatable":
            migration = self._with_found(migration)
        try:
            step = step_down(migration)
        except TurnbackError as error:
            return error
        if step is None:
            return MigrationFailed(f"{migration.version} has no rollback script")
        if migration.kind == "repeatable":
            *before, now = self._texts[migration.version]
            step = replace(step, repeat=Repeat(now, before[-1] if before else None))
        failed = self._run(step)
        if failed:
            self.advise(failed)
        else:
            self._note_text(step)
        return failed

    def drop_kept(self, migration: Migration, before: State) -> list[str]:
        """Drop the tables that the rollback script says it keeps; their names, and the reasons.

        The rest is compared as if there were none, and the next rollback can make them again.
        """
        kept = []
        if migration.rollback and migration.rollback.directives.keeps:
            self._written = None
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

    def _step_up(self, migration: Migration) -> Step:
        step = step_up(migration)
        if migration.kind != "repeatable":
            return step
        before = self._texts.get(migration.version)
        repeat = Repeat(before[-1] if before else None, migration.forward.checksum)
        first = () if before or migration.rollback is None else first_time(migration)
        return replace(step, repeat=repeat, first=first)

    def _with_found(self, repeatable: Migration) -> Migration:
        """The repeatable with what its record says that undoes it."""
        found = self.engine.history.stored_rollbacks([repeatable.version])
        if repeatable.rollback is None or not found:
            return repeatable
        undo = replace(repeatable.rollback, sql=found[repeatable.version].sql)
        return replace(repeatable, rollback=undo)

    def _note_text(self, step: Step) -> None:
        """Note which text of a repeatable is applied now."""
        if step.repeat and step.direction == "up":
            self._texts.setdefault(step.version, []).append(step.migration.forward.checksum)
        elif step.repeat:
            self._texts[step.version].pop()

    def _run(self, step: Step) -> TurnbackError | None:
        """Send the engine's message, without its checks: nobody else uses this database."""
        if not step.runnable.in_one_transaction:
            return self._run_all([step])
        if self._by_statement(step):
            connection = self.engine.connection
            error = by_statement(
                self.engine, step, lambda one: run(connection, one, self.superuser)
            )
        else:
            error = self._run_as_message(step)
        if not error:
            self._note_written()
        return error

    def _run_as_message(self, step: Step) -> TurnbackError | None:
        send_it = recreate.run if step.repeat else transaction.run
        try:
            send_it(self.engine.session, step, last=NOTE_WRITTEN)
        except TurnbackError as error:
            return error
        return None
