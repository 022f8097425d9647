"""One message to the server and everything it answers.

psycopg's cursors show the results of a message only when all of it worked. Which statement
failed is known from the results that arrived before the error, so this reads them itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import generators
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from turnback.errors import DatabaseUnreachable

Connection = psycopg.Connection[tuple[object, ...]]
_COPY = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)
_LOST = ("57P01", "57P02", "57P03", "08")


@dataclass(slots=True, eq=False)
class ServerError(Exception):
    """The server refused a statement of a message.

    Attributes:
        index: how many statements of the message were done before it.
        position: where in the message, in characters from 1; None where the server does not say.
    """

    index: int
    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None
    context: str | None = None
    position: int | None = None

    def __str__(self) -> str:
        return self.message


def send(connection: Connection, text: str) -> list[PGresult]:
    """Send a text as one simple query message, and return the results of its statements.

    Raises:
        ServerError: a statement failed; without a BEGIN in the text nothing of it was kept.
        DatabaseUnreachable: the connection broke; whether the text was carried out is known to
            the server only.
    """
    pgconn = connection.pgconn
    try:
        pgconn.send_query(text.encode("utf-8"))
        results: list[PGresult] = connection.wait(generators.execute(pgconn))
    except psycopg.OperationalError as exc:
        raise lost(exc) from exc
    for index, result in enumerate(results):
        if result.status in _COPY:
            connection.close()
            raise ServerError(index, "0A000", "COPY from or to the client is not supported")
        if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.NONFATAL_ERROR):
            raise _error(index, result)
    return results


def lost(exc: Exception) -> DatabaseUnreachable:
    """The error for a connection that broke in the middle."""
    return DatabaseUnreachable(
        f"the connection to the database was lost: {str(exc).strip()}",
        hint="run it again: the next run goes on from what the database says",
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


def _error(index: int, result: PGresult) -> ServerError | DatabaseUnreachable:
    def field(name: DiagnosticField) -> str | None:
        data = result.error_field(name)
        return data.decode("utf-8", "replace") if data is not None else None

    sqlstate = field(DiagnosticField.SQLSTATE) or ""
    message = field(DiagnosticField.MESSAGE_PRIMARY) or result.get_error_message().strip()
    if sqlstate.startswith(_LOST) or not sqlstate:
        return lost(Exception(message))
    position = field(DiagnosticField.STATEMENT_POSITION)
    return ServerError(
        index=index,
        sqlstate=sqlstate,
        message=message,
        detail=field(DiagnosticField.MESSAGE_DETAIL),
        hint=field(DiagnosticField.MESSAGE_HINT),
        context=field(DiagnosticField.CONTEXT),
        position=int(position) if position else None,
    )


def from_psycopg(exc: psycopg.Error) -> ServerError | DatabaseUnreachable:
    """The same error, where psycopg raised it."""
    diag = exc.diag
    if exc.sqlstate is None or exc.sqlstate.startswith(_LOST):
        return lost(exc)
    position = diag.statement_position
    return ServerError(
        index=0,
        sqlstate=exc.sqlstate,
        message=diag.message_primary or str(exc),
        detail=diag.message_detail,
        hint=diag.message_hint,
        context=diag.context,
        position=int(position) if position else None,
    )
