"""What became of a run that Ctrl-C or SIGTERM ended, read from the history afterwards."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import psycopg
from psycopg.pq import TransactionStatus

from turnback.engine.look.half_done import find_half_done
from turnback.engine.look.history import History
from turnback.engine.run.plan import Step
from turnback.engine.run.report import Done, Interruption, Report
from turnback.engine.run.session import Session
from turnback.engine.session.message import Connection, ServerError
from turnback.engine.session.query import scalar
from turnback.errors import TurnbackError

# How long a statement may take to notice that it was cancelled.
_PATIENCE_S = 10.0
_PAUSE_S = 0.05
_ALIVE = "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE pid = %(pid)s"


def settle(
    session: Session, steps: Sequence[Step], under_way: Sequence[Step], report: Report
) -> Interruption:
    """Cancel what runs, wait for its end, and add to the report what the history has recorded.

    Whether a COMMIT that was under way came before the cancellation, only the server knows, and
    only once the session has ended.

    Args:
        session: the run's session, which is closed.
        steps: all of the run, in order.
        under_way: those that were sent last.
        report: of the run, which is completed.

    Returns:
        What became of the first step that was sent and is not done.
    """
    pid = session.history.backend_pid
    connection = session.connection
    with contextlib.suppress(psycopg.Error):
        if connection.info.transaction_status != TransactionStatus.IDLE:
            connection.cancel_safe(timeout=_PATIENCE_S)
    connection.close()
    first = under_way[0].version if under_way else None
    if first is None:
        return Interruption(None, "nothing_kept")
    try:
        with session.open_monitor() as monitor:
            ended = _wait_for_end(monitor, pid)
            history = History(monitor, session.history.schema)
            times = history.done_by(session.recorder.run, steps[0].direction)
            half = {one.version for one in find_half_done(monitor, history.schema)}
    except (ServerError, TurnbackError, psycopg.Error):
        return Interruption(first, "unknown")
    for step in steps:
        if step.version in times and step.version in report.remaining:
            report.add(step.direction, Done(step.version, step.name, times[step.version]))
    version = next((step.version for step in under_way if step.version not in times), None)
    if version is None or ended:
        return Interruption(version, "half_done" if version in half else "nothing_kept")
    return Interruption(version, "running")


def _wait_for_end(monitor: Connection, pid: int) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while scalar(monitor, _ALIVE, {"pid": pid}):
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_S)
    return True
