"""Taking back a migration that is half done, by a rollback script that runs one by one."""

from __future__ import annotations

from turnback.engine.look.half_done import HalfDone
from turnback.engine.look.history import Try
from turnback.engine.outside.alone import alone, run_alone, set_session
from turnback.engine.outside.healing import before, clean, clear
from turnback.engine.outside.partitions import finish
from turnback.engine.outside.undoing import Undoing
from turnback.engine.run.plan import Step
from turnback.engine.run.record import Recorder
from turnback.engine.run.transaction import OURSELVES
from turnback.engine.session.events import Listener
from turnback.engine.session.message import Connection, Quiet, ServerError, send
from turnback.migrations.checksums import digest
from turnback.sql.statements import Statement


def begin(
    connection: Connection,
    step: Step,
    half: HalfDone,
    listener: Listener,
    tries: dict[int, Try],
    done: int,
    watch: Quiet | None,
) -> Undoing:
    """The judgement about a half done migration's rollback, as far as an earlier try came."""
    undoing = Undoing(connection, step, half, listener)
    statements = step.runnable.statements or ()
    for number, statement in enumerate(statements[:done], 1):
        last = tries.get(number)
        if last and last.skipped:
            undoing.settled(statement, number, last.skipped, last.noted or "")
    if not done:
        undoing.refuse_beforehand()
        clear(connection, statements, half.noted, watch)
    return undoing


def undo(
    connection: Connection,
    undoing: Undoing,
    statement: Statement,
    number: int,
    recorder: Recorder,
    watch: Quiet | None,
) -> None:
    """Run a statement of a half done migration's rollback, or skip it.

    Raises:
        ServerError: it failed, and not because there was nothing to undo.
        RollbackFailed: it would harm rows.
    """
    step = undoing.step
    checksum = digest(statement.sql.encode())
    record = recorder.statement(step.migration, "down", number, checksum)
    stands_alone = alone(step, statement)
    recorded = False

    def carry(sql: str) -> None:
        nonlocal recorded
        # The parts of one statement have no record each: a part that is undone is skipped when
        # it is tried again.
        whole = sql == statement.sql
        if not stands_alone:
            send(connection, f"{sql}\n;{OURSELVES} {record}" if whole else sql, watch)
        else:
            trying = recorder.trying(step.migration, "down", number, checksum, noted)
            run_alone(connection, step, statement, trying, record, watch)
            set_session(connection, step, number)
        recorded = whole

    noted = before(connection, statement, watch) if stands_alone else None
    skipped_before = len(undoing.skipped)
    try:
        if not (stands_alone and finish(connection, statement, watch)):
            undoing.run(statement, number, carry)
    except ServerError:
        clean(connection, statement, noted, watch)
        raise
    for skipped in undoing.skipped[skipped_before:]:
        record = recorder.skipped(
            step.migration, number, checksum, skipped.sqlstate, skipped.reason
        )
    if not recorded:
        send(connection, f"{OURSELVES} {record}")
