"""One session with a database, and what a run in it needs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from psycopg.errors import Diagnostic

from turnback.engine.look.history import FORMAT, History, HistoryState
from turnback.engine.run.record import Recorder
from turnback.engine.session import lock
from turnback.engine.session.connection import connect, describe_session
from turnback.engine.session.events import Event, EventKind, Listener, Options, RunContext
from turnback.engine.session.message import Connection, ServerError
from turnback.engine.session.pooler import refuse_pooler, reset_of
from turnback.engine.session.query import execute
from turnback.engine.session.read_only import refuse_read_only

# A connection string, or what gives it with the login of now: one expires, or is rotated.
Target = str | Callable[[], str]
# What the second session asks takes milliseconds, unless it has to wait for a lock.
_LONGEST_LOOK_MS = 5000


def _event_of(notice: Diagnostic) -> Event:
    said = ServerError(
        0,
        notice.sqlstate or "00000",
        notice.message_primary or "",
        context=notice.context,
    )
    return Event(EventKind.NOTICE, text=str(said), whole=said.message)


@dataclass(frozen=True, slots=True)
class Session:
    """A connection, the history behind it, and the listener of what happens in it.

    Attributes:
        connection: the session with the server; a lock it holds ends with it.
        history: reads what is recorded.
        recorder: writes the records of this run.
        options: timeouts and modes.
        listener: hears the events.
        open_monitor: opens a second session, to watch the first.
        open_worker: opens a session that works for the first one.
    """

    connection: Connection
    history: History
    recorder: Recorder
    options: Options
    listener: Listener
    open_monitor: Callable[[], Connection]
    open_worker: Callable[[], Connection]

    @classmethod
    def open(
        cls,
        target: Target,
        context: RunContext,
        history_schema: str,
        options: Options,
        listener: Listener,
    ) -> Session:
        """Connect. Raises as ``connect`` does."""
        name = lock.application_of(context.run)
        # It looks while the run works, and must not keep the client from it.
        looks = replace(options, statement_timeout_ms=_LONGEST_LOOK_MS)

        def open_session(name: str, options: Options = options) -> Connection:
            address = target if isinstance(target, str) else target()
            return connect(address, application_name=name, options=options)

        connection = open_session(name)
        connection.add_notice_handler(lambda notice: listener(_event_of(notice)))
        return cls(
            connection,
            History(connection, history_schema),
            Recorder(history_schema, context, reset_of(connection)),
            options,
            listener,
            functools.partial(open_session, lock.application_of(context.run, lock.MONITOR), looks),
            functools.partial(open_session, name),
        )

    @property
    def usable(self) -> bool:
        """Whether statements can still be sent."""
        return not (self.connection.closed or self.connection.broken)

    def lock(self) -> HistoryState:
        """Lock; create the history if it does not exist, or bring it to the
        format of this turnback; return its state, in the same message.

        Raises:
            RunnerBusy: another run held the lock all the time.
            DatabaseNotReady: the server accepts no writes.
            DatabaseRefused: a pooler is between, or the history cannot be created.
            HistoryConflict: as ``History.exists`` does; or others than its owner can change it.
            LockTimeout: a history of an older turnback is in use, and was not upgraded.
        """
        state = self.history.state_query() if self.history.exists() else ""
        self._require_usable()
        cursor = lock.acquire(
            self.connection,
            self.history.schema,
            wait_s=self.options.runner_wait_s,
            listener=self.listener,
            then=state,
        )
        if not state or self.history.format < FORMAT:
            self._make_history()
            cursor = execute(self.connection, self.history.state_query())
        found = self.history.read_state(cursor)
        self.recorder.begin(sum(entry.applied for entry in found.entries), found.logged)
        return found

    def lock_only(self, name: str) -> None:
        """Take a lock of this name, and not that of the migrations. Raises as ``lock`` does."""
        self.history.exists()
        self._require_usable()
        lock.acquire(
            self.connection, name, wait_s=self.options.runner_wait_s, listener=self.listener
        )

    def _require_usable(self) -> None:
        self.history.require_trust()
        refuse_read_only(self.connection)
        refuse_pooler(self.connection, self.history.backend_pid, describe_session(self.connection))

    def _make_history(self) -> None:
        # Another run may have made it, or upgraded it, before this one had the lock.
        self.history.forget()
        if not self.history.exists():
            self.history.create()
        elif self.history.format < FORMAT:
            self.history.require_trust()
            self.history.upgrade()

    def release_lock(self) -> None:
        """Release the lock."""
        lock.release(self.connection)
