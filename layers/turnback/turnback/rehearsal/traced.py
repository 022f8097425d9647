"""Applying one migration with a look after each statement."""

from __future__ import annotations

from turnback.engine.engine import Engine
from turnback.engine.run import transaction
from turnback.engine.run.failure import point
from turnback.engine.run.plan import Plan, Step
from turnback.engine.session.message import ServerError, rows, send
from turnback.errors import TurnbackError
from turnback.rehearsal.trace import StatementTrace, Tracer, outside


def apply_traced(engine: Engine, step: Step) -> tuple[list[StatementTrace], TurnbackError | None]:
    """Apply a migration on the shadow; what its statements did, and what failed, if it did.

    The same SQL in the same order with the same record as the engine sends in one message, only
    one message a statement. What cannot run in a transaction, or only the server can read, goes the
    engine's own way; for that the locks are those that the manual names.
    """
    runnable = step.runnable
    if runnable.one_by_one or runnable.statements is None:
        known = _tables(engine)
        report = engine.up(Plan("up", (step,)))
        return outside(runnable, known), report.error
    connection = engine.connection
    send(connection, f"BEGIN; {transaction.settings(step)}")
    tracer = Tracer(connection)
    traces: list[StatementTrace] = []
    for statement in runnable.statements:
        try:
            traces.append(tracer.run(runnable, statement))
        except ServerError as error:
            send(connection, "ROLLBACK")
            offset = statement.offset
            if error.position is not None and error.position <= len(statement.sql):
                offset += error.position - 1
            return traces, point(step, error, offset, statement)
    try:
        transaction.finish(connection, step, engine.recorder)
    except TurnbackError as error:
        return traces, error
    return traces, None


def _tables(engine: Engine) -> list[str]:
    query = "SELECT relname FROM pg_catalog.pg_class WHERE relkind IN ('r', 'm', 'p')"
    return [str(name) for (name,) in rows(send(engine.connection, query)[0])]
