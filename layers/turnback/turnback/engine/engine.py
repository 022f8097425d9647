"""The engine: one database, one run.

What only a run needs is imported by the run: `turnback status` is typed all day long.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from psycopg.pq.abc import PGresult

from turnback.engine import lock
from turnback.engine.connection import connect, refuse_pooler
from turnback.engine.events import Event, Listener, Options, RunContext, silent
from turnback.engine.history import Entry, History
from turnback.engine.invalid_index import find_invalid, index_of
from turnback.engine.message import asking, rows, send
from turnback.engine.plan import Plan, Step, plan_down, plan_down_of, plan_up
from turnback.engine.record import Recorder
from turnback.engine.report import Done, Report, Running
from turnback.engine.status import MigrationStatus, statuses
from turnback.engine.watch import index_progress
from turnback.errors import ChecksumMismatch, RunnerBusy, TurnbackError, VerificationFailed
from turnback.migrations.model import Project
from turnback.sql.script import prepare

if TYPE_CHECKING:
    from turnback.engine.health import Health


class Engine:
    """A session with one database, to ask what was done and to do what is left.

    It opens the session at once and closes it on leaving; a lock it holds ends with it.

    Raises:
        DatabaseUnreachable: no answer.
        DatabaseRefused: an answer, and it is no.
        ConfigurationError: the address cannot be read.
    """

    def __init__(
        self,
        target: str,
        *,
        context: RunContext,
        history_schema: str = "public",
        options: Options | None = None,
        listener: Listener = silent,
    ) -> None:
        self._options = options or Options()
        self._listener = listener
        self._application = lock.application_of(context.run)
        self.connection = connect(target, application_name=self._application, options=self._options)
        self._monitor = functools.partial(
            connect, target, application_name="turnback-monitor", options=self._options
        )
        self.connection.add_notice_handler(
            lambda notice: listener(Event("notice", text=notice.message_primary or ""))
        )
        self.history = History(self.connection, history_schema)
        self.recorder = Recorder(history_schema, context)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session, and with it the lock."""
        self.connection.close()

    @asking()
    def entries(self) -> list[Entry]:
        """The history's rows; none where it was never begun. Writes nothing."""
        return self.history.read() or []

    def status(self, project: Project) -> list[MigrationStatus]:
        """Where each migration stands. Writes nothing."""
        return statuses(project, self.entries())

    def plan_up(
        self,
        project: Project,
        *,
        target: str | None = None,
        out_of_order: bool = False,
        rollback_required: bool = True,
    ) -> Plan:
        """The pending migrations, checked. Writes nothing; raises as plan.plan_up does."""
        return plan_up(
            project,
            self.entries(),
            target=target,
            out_of_order=out_of_order,
            rollback_required=rollback_required,
        )

    @asking()
    def plan_down(self, project: Project, *, target: str) -> Plan:
        """What is applied after ``target``, newest first. Raises as plan.plan_down does."""
        entries = self.entries()
        # What the folder has need not come from the server.
        here = {m.number for m in project.migrations if m.rollback}
        gone = [entry for entry in entries if entry.number not in here]
        return plan_down(project, entries, self._stored(gone), target=target)

    @asking()
    def plan_down_run(self, run: str) -> Plan:
        """What that run applied, newest first, by the scripts stored in the database."""
        entries = self.entries()
        versions = self.history.applied_by(run) if entries else []
        return plan_down_of(versions, entries, self._stored(entries))

    @asking()
    def done_by_run(self, project: Project) -> list[Done]:
        """What this very run has applied so far, in calls before this one too.

        Nothing, once we have left: the session is closed then.
        """
        if self.connection.closed or not self.history.exists():
            return []
        times = self.history.done_by(self.recorder.run, "up")
        return [
            Done(migration.version, migration.name, times[migration.version])
            for migration in project.migrations
            if migration.version in times
        ]

    @asking()
    def last_release(self) -> str | None:
        """The release applied last, None if there was none."""
        return self.history.last_release() if self.history.exists() else None

    def up(self, plan: Plan, *, keep_going: Callable[[], bool] = lambda: True) -> Report:
        """Apply the plan's migrations, oldest first, until one fails.

        Args:
            plan: from ``plan_up``.
            keep_going: asked before each message; when it says no, what is left is reported.

        Returns:
            What was done; with the error that stopped it, which is not raised.
        """
        return self._run(plan, keep_going)

    def down(self, plan: Plan, *, keep_going: Callable[[], bool] = lambda: True) -> Report:
        """Run the plan's rollback scripts, newest first, until one fails; as ``up``."""
        return self._run(plan, keep_going)

    @asking()
    def verify(self, project: Project, versions: Sequence[str]) -> None:
        """Check that these migrations are applied as their files are, and left nothing invalid.

        Raises:
            VerificationFailed: what differs.
        """
        found = {item.version: item.status for item in self.status(project)}
        wrong = [f"{v} is {found.get(v, 'unknown')}" for v in versions if found.get(v) != "applied"]
        for version in versions:
            migration = project.find(version)
            statements = prepare(migration.forward).statements if migration else None
            for index in filter(None, map(index_of, statements or ())):
                wrong += [
                    f"index {name} is invalid" for name in find_invalid(self.connection, index)
                ]
        if wrong:
            raise VerificationFailed(
                f"the database is not as planned: {', '.join(wrong)}",
                hint="turnback health shows more",
            )

    def preview(self, step: Step) -> list[str]:
        """The exact messages that would carry this step. Writes nothing."""
        from turnback.engine import outside, transaction

        if step.runnable.one_by_one:
            return outside.preview(step, self.recorder)
        return [transaction.preview(step, self.recorder)]

    @asking()
    def health(self) -> Health:
        """How the database does. Writes nothing."""
        from turnback.engine.health import examine

        return examine(self.connection, self.history)

    @asking()
    def repair(self, project: Project, version: str, change: str, reason: str) -> str:
        """Set the history of one migration right; raises as repair.repair does."""
        from turnback.engine.repair import repair

        self._begin()
        text = repair(
            self.connection, self.history, self.recorder, project, version, change, reason
        )
        lock.release(self.connection, self.history.schema)
        return text

    def _begin(self) -> list[PGresult]:
        """Take the lock; the results of the history's state, read in the same message."""
        state = self.history.state_query() if self.history.exists() else ""
        refuse_pooler(self.connection, self.history.backend_pid)
        results = lock.acquire(
            self.connection,
            self.history.schema,
            wait_s=self._options.runner_wait_s,
            listener=self._listener,
            then=state,
        )
        if state:
            return results
        if not self.history.exists():
            self.history.create()
        return send(self.connection, self.history.state_query())

    def _run(self, plan: Plan, keep_going: Callable[[], bool]) -> Report:
        from turnback.engine.runner import Runner, StillRunning

        report = Report(remaining=[step.version for step in plan.steps])
        if plan.empty:
            return report
        began = time.monotonic()
        try:
            with asking():
                found, left_running = self._begin()
                steps = self._left(plan, self.history.parse_entries(found))
                report.remaining = [step.version for step in steps]
                runner = Runner(
                    self.connection,
                    self.history,
                    self.recorder,
                    self._options,
                    self._listener,
                    monitor=self._monitor,
                    detached={str(version): int(n or 0) for version, n in rows(left_running)},
                )
                for step, took in runner.run(steps, keep_going):
                    done = Done(step.version, step.name, took)
                    (report.applied if plan.direction == "up" else report.rolled_back).append(done)
                    report.remaining.remove(step.version)
                lock.release(self.connection, self.history.schema)
        except StillRunning as left:
            report.running = Running(left.step.version, int(time.monotonic() - began))
        except RunnerBusy as error:
            report.running = self._own_work()
            report.error = None if report.running else error
        except TurnbackError as error:
            report.error = error
        return report

    @asking()
    def _own_work(self) -> Running | None:
        """What an earlier session of this very run still does in the server, if it does."""
        found = lock.holder(self.connection, lock.lock_key(self.history.schema))
        if found is None or found.application != self._application or not found.working:
            return None
        progress = index_progress(self.connection, found.pid)
        return Running(None, found.in_state_s, str(progress) if progress else None)

    def _left(self, plan: Plan, rows_now: list[Entry]) -> list[Step]:
        """The plan's steps without those that another run did since it was made."""
        entries = {entry.number: entry for entry in rows_now}
        left = []
        for step in plan.steps:
            entry = entries.get(step.migration.number)
            applied = entry is not None and entry.applied
            if entry and applied and plan.direction == "up":
                if entry.checksum != step.migration.forward.checksum:
                    raise ChecksumMismatch(
                        f"{step.version} was applied by another run, from another file",
                        file=step.migration.forward.path,
                        version=step.version,
                        hint="turnback status shows what stands",
                    )
                continue
            if plan.direction == "up" or applied:
                left.append(step)
        return left

    def _stored(self, entries: list[Entry]) -> dict[str, tuple[str, str]]:
        return self.history.stored_rollbacks([e.version for e in entries if e.applied])
