"""A session with one database, and what can be asked in it. It changes nothing."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from turnback.engine.look.half_done import HalfDone, find_half_done, of_run
from turnback.engine.look.history import Entry, History
from turnback.engine.look.invalid_index import find_invalid, index_of
from turnback.engine.look.status import MigrationStatus, statuses
from turnback.engine.run.plan import Plan, plan_up
from turnback.engine.run.plan_down import plan_down, plan_down_of
from turnback.engine.run.record import Recorder
from turnback.engine.run.report import Done
from turnback.engine.session import lock
from turnback.engine.session.connection import connect
from turnback.engine.session.events import Event, Listener, Options, RunContext, silent
from turnback.engine.session.message import asking
from turnback.errors import VerificationFailed
from turnback.migrations.model import Project
from turnback.sql.script import prepare


class Named(Protocol):
    """Something with a migration's version and name."""

    @property
    def version(self) -> str: ...

    @property
    def name(self) -> str: ...


class Session:
    """A session with one database, to ask what was done.

    It is opened at once and closed on leaving.

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

    def __enter__(self) -> Self:
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
        """What is applied after ``target``, newest first; what is half done before all others.

        Raises as plan.plan_down does.
        """
        entries = self.entries()
        # What the folder has need not come from the server.
        here = {m.number for m in project.migrations if m.rollback}
        gone = [entry for entry in entries if entry.number not in here]
        return plan_down(
            project,
            entries,
            self._stored(gone),
            target=target,
            half_done=self.half_done(entries),
        )

    @asking()
    def plan_down_run(self, run: str) -> Plan:
        """What that run applied, newest first, by the scripts stored in the database.

        What it left half done is taken back before all others. Raises as plan.plan_down_of does.
        """
        entries = self.entries()
        versions = self.history.applied_by(run) if entries else []
        half_done = of_run(self.half_done(entries), run)
        return plan_down_of(versions, entries, self._stored(entries), half_done)

    @asking()
    def half_done(self, entries: list[Entry] | None = None) -> list[HalfDone]:
        """What was begun outside a transaction and has not come to its end, newest first.

        Args:
            entries: the history's rows, where they are known.
        """
        if not self.history.exists():
            return []
        found = find_half_done(self.connection, self.history.schema)
        known = {entry.version: entry for entry in (entries if entries is not None else [])}
        # A log of an older turnback has not what is noted at the beginning.
        return [
            replace(half, name=known[half.version].name, checksum=known[half.version].checksum)
            if not half.checksum and half.version in known
            else half
            for half in found
        ]

    @asking()
    def has_worked(self) -> bool:
        """Whether the log has anything of this very run."""
        return self.history.exists() and self.history.mentions(self.recorder.run)

    @asking()
    def done_by_run(self, migrations: Iterable[Named], direction: str = "up") -> list[Done]:
        """Which of these migrations this very run has done, in calls before this one too.

        Nothing, once we have left: the session is closed then.
        """
        if self.connection.closed or not self.history.exists():
            return []
        times = self.history.done_by(self.recorder.run, direction)
        return [
            Done(migration.version, migration.name, times[migration.version])
            for migration in migrations
            if migration.version in times
        ]

    @asking()
    def last_release(self) -> str | None:
        """The release applied last, None if there was none."""
        return self.history.last_release() if self.history.exists() else None

    @asking()
    def released(self) -> dict[str, int]:
        """Each release in the log, with the highest number of a migration that it applied."""
        return self.history.released() if self.history.exists() else {}

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

    @asking()
    def verify_rolled_back(self, versions: Sequence[str]) -> None:
        """Check that none of these migrations is applied or half done any more.

        Raises:
            VerificationFailed: one is.
        """
        entries = self.entries()
        standing = {entry.version: "applied" for entry in entries if entry.applied}
        standing |= {half.version: "half done" for half in self.half_done(entries)}
        wrong = [f"{v} is still {standing[v]}" for v in versions if v in standing]
        if wrong:
            raise VerificationFailed(
                f"the database is not as planned: {', '.join(wrong)}",
                hint="turnback status shows what stands",
            )

    def _stored(self, entries: list[Entry]) -> dict[str, tuple[str, str]]:
        return self.history.stored_rollbacks([e.version for e in entries if e.applied])
