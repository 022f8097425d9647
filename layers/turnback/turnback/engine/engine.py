"""The engine: one database, one run.

What only a run needs is imported by the run: `turnback status` is typed all day long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg.pq.abc import PGresult

from turnback.engine.inspect import Session
from turnback.engine.look.history import Entry
from turnback.engine.run.plan import Plan, Step
from turnback.engine.run.report import Done, Report, Running
from turnback.engine.session import lock
from turnback.engine.session.connection import refuse_pooler
from turnback.engine.session.events import Cancelled, Going, never
from turnback.engine.session.message import asking, rows, send
from turnback.engine.session.watch import index_progress
from turnback.errors import ChecksumMismatch, RunnerBusy, TurnbackError
from turnback.migrations.model import Project

if TYPE_CHECKING:
    from turnback.engine.look.health import Health


class Engine(Session):
    """A session with one database, to ask what was done and to do what is left.

    It opens the session at once and closes it on leaving; a lock it holds ends with it.

    Raises:
        DatabaseUnreachable: no answer.
        DatabaseRefused: an answer, and it is no.
        ConfigurationError: the address cannot be read.
    """

    def up(
        self,
        plan: Plan,
        *,
        keep_going: Going = lambda: True,
        cancelled: Cancelled = never,
        before: Callable[[], None] | None = None,
        done_before: int = 0,
    ) -> Report:
        """Apply the plan's migrations, oldest first, until one fails.

        Args:
            plan: from ``plan_up``.
            keep_going: asked before each message; when it says no, what is left is reported.
            cancelled: asked before each message; a reason ends the run there, as RunCancelled.
                A statement that is under way is never left for it.
            before: called with the lock held, before the first change of this call.
            done_before: how many migrations the run has done in calls before this one.

        Returns:
            What was done; with the error that stopped it, which is not raised.
        """
        return self._run(plan, keep_going, cancelled, before, done_before)

    def down(
        self,
        plan: Plan,
        *,
        keep_going: Going = lambda: True,
        cancelled: Cancelled = never,
        before: Callable[[], None] | None = None,
        done_before: int = 0,
    ) -> Report:
        """Run the plan's rollback scripts, newest first, until one fails; as ``up``."""
        return self._run(plan, keep_going, cancelled, before, done_before)

    def preview(self, step: Step) -> list[str]:
        """The exact messages that would carry this step. Writes nothing."""
        from turnback.engine.outside import run
        from turnback.engine.run import transaction

        if step.runnable.one_by_one:
            return run.preview(step, self.recorder)
        return [transaction.preview(step, self.recorder)]

    @asking()
    def health(self) -> Health:
        """How the database does. Writes nothing."""
        from turnback.engine.look.health import examine

        return examine(self.connection, self.history, self.half_done())

    @asking()
    def repair(self, project: Project, version: str, change: str, reason: str) -> str:
        """Set the history of one migration right; raises as repair.repair does."""
        from turnback.engine.run.repair import repair

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

    def _run(
        self,
        plan: Plan,
        keep_going: Going,
        cancelled: Cancelled,
        before: Callable[[], None] | None,
        done_before: int,
    ) -> Report:
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
                if steps and before:
                    before()
                runner = Runner(
                    self.connection,
                    self.history,
                    self.recorder,
                    self._options,
                    self._listener,
                    monitor=self._monitor,
                    detached={str(version): int(n or 0) for version, n in rows(left_running)},
                    done_before=done_before,
                )
                for step, took in runner.run(steps, keep_going, cancelled):
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
        half_done = {}
        if any(step.half for step in plan.steps):
            half_done = {half.number: half for half in self.half_done(rows_now)}
        left = []
        for step in plan.steps:
            if step.half:
                half = half_done.get(step.migration.number)
                if half:
                    left.append(replace(step, half=replace(half, work=half.work or step.half.work)))
                continue
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
