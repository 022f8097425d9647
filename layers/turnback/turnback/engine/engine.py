"""The engine: one session with a database, to ask what was done and to do what is left.

What only a run needs is imported by the run: `turnback status` has to start quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, Self

from turnback.engine.look.half_done import HalfDone, find_half_done, of_run
from turnback.engine.look.history import Entry, History, StoredScript
from turnback.engine.look.indexes import has_invalid_index, invalid_index_of
from turnback.engine.look.repeatables import read as read_repeatables
from turnback.engine.look.status import (
    MigrationStatus,
    RepeatableStatus,
    repeatable_statuses,
    statuses,
)
from turnback.engine.run.plan import (
    Plan,
    Step,
    plan_down,
    plan_down_stored,
    plan_up,
    refuse_template,
)
from turnback.engine.run.report import Done, Report
from turnback.engine.run.session import Session, Target
from turnback.engine.session.events import Listener, Options, RunContext, RunControl, silent
from turnback.engine.session.message import Connection, send
from turnback.engine.session.query import CATALOG_ONLY, own_statements
from turnback.engine.session.read_only import Replica, refuse_read_only, replica
from turnback.errors import TurnbackError, UnknownVersion, VerificationFailed
from turnback.migrations.model import Migration, Project
from turnback.migrations.versions import key
from turnback.settings.pace import Pace
from turnback.sql.script import prepare

if TYPE_CHECKING:
    from turnback.engine.backfill.background import Outcome
    from turnback.engine.backfill.records import BackfillStatus, Range
    from turnback.engine.look.health import Health


class MigrationName(Protocol):
    """Something with a migration's version and name."""

    @property
    def version(self) -> str: ...

    @property
    def name(self) -> str: ...


class Engine:
    """One session with a database, to ask what was done and to do what is left.

    It is opened at once and closed on leaving; a lock it holds ends with it.

    Args:
        target: the connection string, or what gives it for each session anew.
        context: who runs.
        history_schema: the schema of the history's tables.
        options: timeouts and modes.
        listener: hears what happens.

    Raises:
        DatabaseUnreachable: no answer.
        DatabaseRefused: the server refused the connection.
        ConfigurationError: the address cannot be read.
    """

    def __init__(
        self,
        target: Target,
        *,
        context: RunContext,
        history_schema: str = "public",
        options: Options | None = None,
        listener: Listener = silent,
    ) -> None:
        self.session = Session.open(target, context, history_schema, options or Options(), listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session, and with it the lock."""
        self.connection.close()

    @property
    def connection(self) -> Connection:
        """The session with the server."""
        return self.session.connection

    @property
    def history(self) -> History:
        """What the database has recorded."""
        return self.session.history

    def refuse_read_only(self) -> None:
        """Refuse a server that accepts no writes, such as a standby, and close the connection.

        Raises:
            DatabaseNotReady, DatabaseRefused: as ``read_only.refuse_read_only``.
        """
        try:
            refuse_read_only(self.connection)
        except TurnbackError:
            self.close()
            raise

    def replica(self) -> Replica | None:
        """How far behind its primary this standby is; None for a server that is not one."""
        return replica(self.connection)

    @own_statements()
    def entries(self) -> list[Entry]:
        """The history's rows; empty where there is no history. Writes nothing."""
        return self.history.read() or []

    @own_statements()
    def repeatable_entries(self) -> list[Entry]:
        """The history's rows about repeatables; empty where there is no history. Writes nothing."""
        return read_repeatables(self.history)

    def status(self, project: Project) -> list[MigrationStatus]:
        """The status of each migration. Writes nothing."""
        found = statuses(project, self.entries())
        pending = {version: str(one) for version, one in self.pending_backfills().items()}
        return [replace(one, backfill=pending.get(one.version)) for one in found]

    @own_statements()
    def repeatables(self, project: Project) -> list[RepeatableStatus]:
        """The status of each repeatable, and of those whose file is gone. Writes nothing."""
        return repeatable_statuses(project, self.repeatable_entries())

    def plan_up(
        self,
        project: Project,
        *,
        target: str | None = None,
        out_of_order: bool = False,
        rollback_required: bool = True,
    ) -> Plan:
        """The pending migrations, and the repeatables that changed, checked. Writes nothing.

        Repeatables are of the schema that all migrations make, and wait while one of these does.
        Raises as plan.plan_up and repeatables.plan_up do.
        """
        entries = self.entries()
        plan = plan_up(
            project,
            entries,
            target=target,
            out_of_order=out_of_order,
            rollback_required=rollback_required,
            history_schema=self.history.schema,
        )
        from turnback.engine.run.pending_backfills import refuse_before_backfills

        pending = self.pending_backfills()
        later = self.session.options.backfills_later
        refuse_before_backfills(project, plan.steps, pending, later=later)
        notes = (f"the backfill of {version} goes on: {one}" for version, one in pending.items())
        plan = replace(plan, notes=(*plan.notes, *notes))
        planned = {step.version for step in plan.steps}
        found = statuses(project, entries)
        if not project.repeatables or any(
            item.pending and item.version not in planned for item in found
        ):
            return plan
        from turnback.engine.run import repeatables

        return repeatables.added_to(plan, project, self.history)

    @own_statements()
    def plan_down(
        self, project: Project, *, target: str, edited: bool = False, row: int | None = None
    ) -> Plan:
        """What is applied after ``target``, newest first; what is half done before all others.

        With ``edited``, files may have been edited since they were applied. ``row`` is that of
        the log after which repeatables go back; without it, they go back with the migrations.
        Raises as plan.plan_down does.
        """
        entries = self.entries()
        self.history.require_trust()
        # Scripts that are in the folder need not be read from the server.
        here = {m.key for m in project.migrations if m.rollback}
        stored = self._stored([entry for entry in entries if entry.key not in here])
        half_done = self.half_done(entries)
        plan = plan_down(
            project, entries, stored, target=target, half_done=half_done, edited=edited
        )
        return self._with_repeatables(plan, row=row)

    @own_statements()
    def plan_down_run(self, run: str, project: Callable[[], Project] | None = None) -> Plan:
        """What that run applied, newest first; what it left half done comes before all others.

        Args:
            run: the run's id.
            project: returns the run's migrations, whose scripts are used; called only if there
                is something to roll back. Without it, the scripts stored in the database are used.

        Raises as plan.plan_down_stored does.
        """
        entries = self.entries()
        versions = self.history.applied_by(run) if entries else []
        applied = [entry for entry in entries if entry.version in versions]
        half_done = of_run(self.half_done(entries), run)
        repeatables = self.repeatable_entries()
        files = project() if project and (applied or half_done or repeatables) else None
        plan = plan_down_stored(applied, self._stored(applied), half_done, files)
        return self._with_repeatables(plan, run, files)

    @own_statements()
    def half_done(self, entries: list[Entry] | None = None) -> list[HalfDone]:
        """What was begun outside a transaction and has not finished, what began last first.

        Args:
            entries: the history's rows, where they are known.
        """
        if not self.history.exists():
            return []
        return find_half_done(self.connection, self.history.schema, entries or ())

    @own_statements()
    def has_changed(self) -> bool:
        """Whether this very run may have changed anything: what failed in a transaction has not."""
        return self.history.exists() and self.history.changed_by(self.session.recorder.run)

    @own_statements()
    def done_by_run(self, migrations: Iterable[MigrationName], direction: str = "up") -> list[Done]:
        """Which of these migrations this very run has done, in earlier calls too.

        Empty after the client has left a statement to the server: the session is closed then.
        """
        if self.connection.closed or not self.history.exists():
            return []
        times = self.history.done_by(self.session.recorder.run, direction)
        return [
            Done(migration.version, migration.name, times[migration.version])
            for migration in migrations
            if migration.version in times
        ]

    @own_statements()
    def last_release(self) -> str | None:
        """The release applied last, or None."""
        return self.history.last_release() if self.history.exists() else None

    @own_statements()
    def release_rows(self) -> dict[str, int]:
        """Each release in the log, with the last row of it in which the release applied something.

        Of one that has only repeatables as well.
        """
        return self.history.release_rows() if self.history.exists() else {}

    @own_statements()
    def releases(self) -> dict[str, str]:
        """Each release in the log, with the last version that it applied, in their order."""
        return self.history.releases() if self.history.exists() else {}

    @own_statements()
    def health(self, remains: Callable[[Connection], list[str]] | None = None) -> Health:
        """The health of the database. Writes nothing.

        Args:
            remains: finds what restores have left on the server, which counts as a problem.
        """
        from turnback.engine.look.health import examine

        return examine(
            self.connection, self.history, self.half_done, self.pending_backfills, remains
        )

    @own_statements()
    def verify(self, project: Project, versions: Sequence[str]) -> None:
        """Check that these migrations are applied as their files are, and left nothing invalid.

        Raises:
            VerificationFailed: what differs.
        """
        known = (*self.status(project), *self.repeatables(project))
        found = {item.version: item.status for item in known}
        wrong = [f"{v} is {found.get(v, 'unknown')}" for v in versions if found.get(v) != "applied"]
        # Mostly there is none, and then no file has to be read.
        for version in versions if has_invalid_index(self.connection) else ():
            migration = project.find(version)
            for statement in (prepare(migration.forward).statements or ()) if migration else ():
                invalid = invalid_index_of(self.connection, statement)
                wrong += [f"index {name} is invalid" for name in invalid]
        _require_planned(wrong, "turnback health shows more")

    @own_statements()
    def verify_rolled_back(self, versions: Sequence[str]) -> None:
        """Check that none of these migrations is applied or half done any more.

        Raises:
            VerificationFailed: one is.
        """
        entries = self.entries()
        left = {entry.version: "applied" for entry in entries if entry.applied}
        left |= {half.version: "half done" for half in self.half_done(entries)}
        wrong = [f"{v} is still {left[v]}" for v in versions if v in left]
        _require_planned(wrong, "turnback status shows every migration")

    def run(self, plan: Plan | Callable[[], Plan], control: RunControl | None = None) -> Report:
        """Do the plan's steps in order, until one fails.

        Args:
            plan: from ``plan_up``, ``plan_down`` or ``plan_down_run``; or what makes it, which is
                called once nobody else can change the database. Its error is in the report.
            control: what steers the run; without it, it runs to its end.

        Returns:
            What was done; with the error that stopped it, which is not raised.
        """
        if isinstance(plan, Plan) and plan.empty:
            # The runner is imported by a run that has work: `turnback up` is typed all day long.
            return Report()
        from turnback.engine.run.runner import run_plan

        return run_plan(self.session, plan, control or RunControl())

    def preview(self, step: Step) -> list[str]:
        """The exact messages that would run this step. Writes nothing."""
        from turnback.engine.run.runner import preview

        return preview(self.session, step)

    @own_statements()
    def script(self, plan: Plan) -> Iterator[str]:
        """The parts of a script for psql that does what a run would do. Writes nothing.

        Raises as ``psql.script`` does.
        """
        from turnback.engine.run.psql import script

        return iter(list(script(self.session, plan)))

    @own_statements()
    def repair(self, project: Project, version: str, change: str, reason: str) -> str:
        """Correct the history of one migration; returns a sentence about it.

        Args:
            project: the files.
            version: the migration.
            change: ``accept-checksum``, ``applied`` or ``rolled-back``.
            reason: why, for the log.

        Raises:
            UnknownVersion: neither the files nor the history know the version.
            ConfigurationError: there is nothing to repair in this way.
            InvalidMigration: what would be recorded as applied is an empty file.
        """
        entries = self.session.lock().entries
        migration = project.find(version)
        entry = next((e for e in entries if e.key == key(version)), None)
        if migration is None and entry is None:
            raise UnknownVersion(
                f"neither files nor history know {version}", hint="turnback status shows every one"
            )
        if migration and change == "applied":
            refuse_template(migration.forward, version)
        sql, summary = self.session.recorder.repair(migration, entry, change, reason)
        send(self.connection, f"{CATALOG_ONLY} {sql}")
        self.session.release_lock()
        return summary

    @own_statements()
    def backfills(self) -> list[Range]:
        """The ranges of every backfill that is under way, or is done and still counts.

        A rollback script that is no backfill does not know their records. Writes nothing.
        """
        from turnback.engine.backfill.records import Records
        from turnback.engine.backfill.run import is_background

        if not self.history.exists():
            return []
        applied = {entry.version for entry in self.entries() if entry.applied}

        def counts(one: Range) -> bool:
            if one.state == "done":
                return (one.version in applied) == (one.direction == "up")
            attempts = self.history.attempts(one.version)[one.direction]
            return bool(attempts) or is_background(self.history, one)

        return [one for one in Records(self.history.schema).read(self.connection) if counts(one)]

    @own_statements()
    def pending_backfills(self, run: str | None = None) -> dict[str, BackfillStatus]:
        """The migrations that are applied and whose backfills are not done. Writes nothing.

        Args:
            run: only those that this run has applied; None for all.
        """
        from turnback.engine.backfill.records import BackfillStatus, Progress, Records, state_of
        from turnback.engine.backfill.run import is_background

        # Whoever may only look at the history need not be able to read this table.
        if not self.history.exists() or not Records(self.history.schema).readable(self.connection):
            return {}
        found: dict[str, list[Range]] = {}
        for one in Records(self.history.schema).read(self.connection):
            if one.run == (run or one.run) and is_background(self.history, one):
                found.setdefault(one.version, []).append(one)
        return {
            version: BackfillStatus(state_of(ranges), Progress.of(ranges).percent)
            for version, ranges in found.items()
        }

    @own_statements()
    def go_on(
        self, migration: Migration, run: str, pace: Pace, keep_going: Callable[[], bool]
    ) -> Outcome:
        """Do more of a background backfill; as ``background.go_on``."""
        from turnback.engine.backfill.background import go_on
        from turnback.engine.run.plan import step_up

        return go_on(self.session, step_up(migration), run, pace, keep_going)

    def announced(self, version: str, percent: int) -> None:
        """Record that it was announced how much of a backfill is done."""
        from turnback.engine.backfill.records import Records

        self.steer(Records(self.history.schema, version).announced(percent))

    @own_statements()
    def steer(self, change: str) -> None:
        """Change the records of a backfill, as ``Records`` says; what runs sees it soon.

        Raises:
            HistoryConflict: others than its owner can change the history.
        """
        self.history.require_trust()
        send(self.connection, f"{CATALOG_ONLY} {change}")

    def _with_repeatables(
        self,
        plan: Plan,
        run: str | None = None,
        files: Project | None = None,
        row: int | None = None,
    ) -> Plan:
        """A plan downwards with the repeatables that go back with it; of one run, with its own."""
        entries = self.repeatable_entries()
        if not entries:
            return plan
        from turnback.engine.run import repeatables

        return repeatables.undone_with(plan, self.history, entries, run, files, row)

    def _stored(self, entries: list[Entry]) -> dict[str, StoredScript]:
        return self.history.stored_rollbacks([e.version for e in entries if e.applied])


def _require_planned(wrong: list[str], hint: str) -> None:
    if wrong:
        raise VerificationFailed(f"the database is not as planned: {', '.join(wrong)}", hint=hint)
