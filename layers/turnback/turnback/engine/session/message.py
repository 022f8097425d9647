"""One message to the server, and all its results.

psycopg's cursors show the results of a message only when all of it worked. Which statement failed
is known from the results that arrived before the error, so they are read here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import psycopg
from psycopg import generators, waiting
from psycopg.abc import PQGen
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from turnback.engine.session.disclosure import public
from turnback.errors import DatabaseUnreachable

Connection = psycopg.Connection[tuple[object, ...]]
T = TypeVar("T")
# How often the watcher of a message without an answer is called, seconds.
_INTERVAL_S = 0.05
_AT_LEAST_EVERY_S = 0.5
_COPY = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)
_ENDS = (b"COMMIT", b"ROLLBACK", b"PREPARE TRANSACTION")
# With these the server ends the session, whatever the SQLSTATE; a script can raise any SQLSTATE.
_FATAL = ("FATAL", "PANIC")
# What is wrong with the server, whatever it was sent (PostgreSQL manual, appendix A).
_OF_THE_SERVER = {
    "25006": "this server is read-only: name the endpoint of the writer",
    "53100": "the server's disk is full: give it more room (on RDS: more allocated storage), or "
    "drop what nobody needs",
    "53200": "the server is out of memory, or of room for locks: give it more memory, or raise "
    "max_locks_per_transaction",
    "53400": "a limit in the server's settings is reached, such as temp_file_limit: raise it",
    "58030": "the server cannot read or write one of its files: look at its log",
}


@dataclass(slots=True, eq=False)
class ServerError(Exception):
    """The server refused a statement of a message.

    Attributes:
        index: how many statements of the message were done before it.
        position: where in the message, in characters from 1; None where the server does not say.
        ended: whether a statement before it has ended a transaction, and may have committed.
        parsed: whether the server names a place in a text, of the message or of a function.

    Its text is what may be published; ``message`` is as the server says it.
    """

    index: int
    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None
    context: str | None = None
    position: int | None = None
    ended: bool = False
    parsed: bool = False

    def __str__(self) -> str:
        return public(self)


def server_trouble(sqlstate: str | None) -> str | None:
    """What to do about an error that is the server's own, such as a full disk; None for others."""
    return _OF_THE_SERVER.get(sqlstate or "")


class Watcher(Protocol):
    """Called while the server has not answered a message yet."""

    def begin(self) -> None:
        """A message is on its way."""

    def no_answer(self) -> None:
        """Nothing came for a moment; may raise to stop waiting."""


def send(
    connection: Connection,
    text: str | bytes,
    watch: Watcher | None = None,
    rows: Sequence[Iterable[bytes]] = (),
) -> list[PGresult]:
    """Send a text as one simple query message, and return the results of its statements.

    Args:
        connection: the session.
        text: any number of statements; bytes are UTF-8.
        watch: called while there is no answer.
        rows: of each COPY … FROM stdin in the text, in order, in blocks. Once the server has the
            rows of one it continues with the statements behind it, in the same message.

    Raises:
        ServerError: a statement failed; without a BEGIN in the text nothing was kept.
        DatabaseUnreachable: the connection broke; only the server knows whether the
            text ran.

    Where the watch, or the reading of the rows, raises an error before all rows were sent, their
    COPY fails: nothing of the text goes on in the server.
    """
    pgconn = connection.pgconn
    exchange = _Exchange(pgconn, iter(rows))
    try:
        pgconn.send_query(text.encode("utf-8") if isinstance(text, str) else text)
        # libpq has a copy, and a text can be long.
        del text
        results: list[PGresult] = _await(connection, exchange.run(), watch)
    except psycopg.OperationalError as exc:
        raise lost(exc) from exc
    except BaseException:
        if exchange.copying:
            # Where it is lost, the server gives the message up as well.
            with contextlib.suppress(psycopg.OperationalError):
                # It may be at work on the rows it has, and reads on only when that ends.
                connection.cancel_safe()
                connection.wait(exchange.fail())
        raise
    for index, result in enumerate(results):
        if result.status in _COPY:
            connection.close()
            raise ServerError(index, "0A000", "COPY from or to the client is not supported")
        if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.NONFATAL_ERROR):
            error = server_error(index, result)
            if isinstance(error, ServerError):
                error.ended = any(done.command_status in _ENDS for done in results[:index])
            raise error
    return results


@dataclass(slots=True)
class _Exchange:
    """A message and its answer, with the rows that the server asks for in between.

    Attributes:
        copying: whether the server waits for rows, or for their end.
    """

    pgconn: PGconn
    rows: Iterator[Iterable[bytes]]
    copying: bool = False

    def run(self) -> PQGen[list[PGresult]]:
        results: list[PGresult] = yield from generators.execute(self.pgconn)
        while results and results[-1].status == ExecStatus.COPY_IN:
            copied = next(self.rows, None)
            if copied is None:
                break
            # It is no result of a statement: that one follows when the rows are there.
            results.pop()
            self.copying = True
            for block in copied:
                while self.pgconn.put_copy_data(block) == 0:
                    yield waiting.WAIT_W
                yield from self._flush()
            yield from self._end(None)
            results += yield from generators.fetch_many(self.pgconn)
        return results

    def fail(self) -> PQGen[None]:
        """End the COPY with an error, and wait until the server has given up the message."""
        yield from self._end(b"not all rows were sent")
        yield from generators.fetch_many(self.pgconn)

    def _end(self, error: bytes | None) -> PQGen[None]:
        while self.pgconn.put_copy_end(error) == 0:
            yield waiting.WAIT_W
        self.copying = False
        yield from self._flush()

    def _flush(self) -> PQGen[None]:
        # It reads, too: a server that cannot send its notices does not read on. psycopg's own
        # generator fails when it is resumed with nothing, as after Ctrl-C.
        while self.pgconn.flush():
            ready = yield waiting.WAIT_RW
            if ready and ready & waiting.READY_R:
                self.pgconn.consume_input()


def interrupt(connection: Connection) -> None:
    """Cancel the message that is under way, and roll back the transaction it is in."""
    connection.cancel_safe()
    connection.wait(generators.execute(connection.pgconn))
    send(connection, "ROLLBACK")


def send_under_one_sync(
    connection: Connection, statements: Sequence[str], watch: Watcher | None = None
) -> None:
    """Send statements as a pipeline with one Sync at its end.

    The server runs all of them without waiting for the client, and skips those behind one that
    fails. The first may be one that is refused in a transaction block.

    Raises:
        ServerError: the first one that failed.
        DatabaseUnreachable: the connection broke.
    """
    pgconn = connection.pgconn
    try:
        pgconn.enter_pipeline_mode()
        for statement in statements:
            pgconn.send_query_params(statement.encode("utf-8"), None)
        pgconn.pipeline_sync()
        failure = _await(connection, _pipeline_results(pgconn), watch)
        pgconn.exit_pipeline_mode()
    except psycopg.OperationalError as exc:
        raise lost(exc) from exc
    if failure is not None:
        raise failure


def _pipeline_results(
    pgconn: PGconn,
) -> PQGen[ServerError | DatabaseUnreachable | None]:
    failure = None
    yield from generators.send(pgconn)
    index = 0
    while True:
        for result in (yield from generators.fetch_many(pgconn)):
            if result.status == ExecStatus.PIPELINE_SYNC:
                return failure
            if result.status == ExecStatus.FATAL_ERROR and failure is None:
                failure = server_error(index, result)
        index += 1


def _await(connection: Connection, generator: PQGen[T], watch: Watcher | None) -> T:
    if watch is None:
        return connection.wait(generator)
    watch.begin()
    return connection.wait(_watched(generator, watch), interval=_INTERVAL_S)


def _watched(generator: PQGen[T], watch: Watcher) -> PQGen[T]:
    """The same generator; psycopg resumes it with nothing when nothing came for an interval.

    A message on its way through a slow network is resumed whenever a part of it was sent.
    """
    wanted = next(generator)
    called = time.monotonic()
    while True:
        ready = yield wanted
        if not ready or time.monotonic() > called + _AT_LEAST_EVERY_S:
            called = time.monotonic()
            watch.no_answer()
        try:
            wanted = generator.send(ready)
        except StopIteration as stop:
            result: T = stop.value
            return result


def lost(exc: Exception) -> DatabaseUnreachable:
    """The error for a connection that broke in the middle."""
    return DatabaseUnreachable(
        f"the connection to the database was lost: {str(exc).strip()}",
        hint="run it again: the next run continues from what the database has recorded",
    )


def ended_by_server(message: str, sqlstate: str) -> DatabaseUnreachable:
    """The error for a session that the server has ended, with what it says."""
    return DatabaseUnreachable(
        f"the server ended the connection: {message}",
        sqlstate=sqlstate,
        hint="run it again: the next run continues from what the database has recorded; "
        "the server's log says more",
    )


def value(result: PGresult, row: int = 0, column: int = 0) -> str | None:
    """A field of a result as text."""
    data = result.get_value(row, column)
    return None if data is None else data.decode("utf-8")


def rows(result: PGresult) -> list[tuple[str | None, ...]]:
    """All rows of a result, as text."""
    return [
        tuple(value(result, row, column) for column in range(result.nfields))
        for row in range(result.ntuples)
    ]


def said_by(error: psycopg.Error) -> ServerError | DatabaseUnreachable:
    """What the server says in an error of psycopg; a connection that is lost says nothing."""
    return server_error(0, error.pgresult) if error.pgresult else lost(error)


def server_error(index: int, result: PGresult) -> ServerError | DatabaseUnreachable:
    """The error in a result, which belongs to statement ``index`` of a message."""

    def field(name: DiagnosticField) -> str | None:
        data = result.error_field(name)
        return data.decode("utf-8", "replace") if data is not None else None

    sqlstate = field(DiagnosticField.SQLSTATE) or ""
    message = field(DiagnosticField.MESSAGE_PRIMARY) or result.get_error_message().strip()
    if field(DiagnosticField.SEVERITY_NONLOCALIZED) in _FATAL:
        return ended_by_server(message, sqlstate)
    if not sqlstate:
        return lost(Exception(message))
    position = field(DiagnosticField.STATEMENT_POSITION)
    internal = field(DiagnosticField.INTERNAL_POSITION)
    return ServerError(
        index=index,
        sqlstate=sqlstate,
        message=message,
        detail=field(DiagnosticField.MESSAGE_DETAIL),
        hint=field(DiagnosticField.MESSAGE_HINT),
        context=field(DiagnosticField.CONTEXT),
        position=int(position) if position else None,
        parsed=bool(position or internal),
    )
