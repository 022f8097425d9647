"""A migration in a transaction: one message with its SQL, its record and the commit.

Nothing can come between the change and its record, because the server gets both at once
(docs/decisions/0001). Several migrations can share a message, each in a transaction of its own
(docs/decisions/0005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult

from turnback.engine.run.failure import (
    explain,
    history_removed,
    point,
    refused_by_us,
    require_plain_reading,
    written_source,
)
from turnback.engine.run.ladder import Attempt, Ladder
from turnback.engine.run.plan import Step
from turnback.engine.run.record import (
    NOTE_BEGINNING,
    NOTE_TRANSACTION,
    SAME_TRANSACTION,
    TIME_COLUMN,
    Recorder,
)
from turnback.engine.run.session import Session
from turnback.engine.session.disclosure import public
from turnback.engine.session.events import Event, EventKind
from turnback.engine.session.message import (
    Connection,
    ServerError,
    Watcher,
    interrupt,
    send,
    server_trouble,
    value,
)
from turnback.engine.session.query import OURSELVES, TRANSACTION_ENDED
from turnback.engine.session.watch import Detached
from turnback.errors import DatabaseRefused, MigrationIncomplete, TurnbackError
from turnback.migrations.model import Script
from turnback.sql.bulk import BulkStatements, Message

# What the script deferred fails here, where it is known to be the script's and not the record's.
DEFERRED = "SET CONSTRAINTS ALL IMMEDIATE;"
# Those three; one that looks for the history, the record, another look, and SET LOCAL
# transaction_read_only.
_RECORD = 4
_SUFFIX_STATEMENTS = 7
# A table of the history is there, and is not turnback's any more: other columns, no unique version.
_OTHER_TABLE = ("42P01", "42703", "42P10", "42804")
BATCH_STEPS = 100
BATCH_CHARACTERS = 256 * 1024


def run(
    session: Session,
    step: Step,
    watch: Watcher | None = None,
    ladder: Ladder | None = None,
    *,
    last: str = "",
    part: Part | None = None,
) -> int:
    """Run one migration, and return the milliseconds it took in the server.

    Args:
        session: the session.
        step: the migration.
        watch: called while the server works.
        ladder: how long this attempt may wait for its first lock; None: as the session says.
        last: a statement that runs before the commit, and cannot fail.
        part: where the step is one of several transactions of a migration.

    Raises:
        TurnbackError: it failed and nothing was kept; the class says how.
        DatabaseUnreachable: the connection broke; only the history knows whether it was done.
    """
    if isinstance(step.runnable.statements, BulkStatements):
        return _run_bulk(session, step, step.runnable.statements, watch, last)
    prefix, count = _prefix(step, session.recorder)
    attempt = Attempt(step, ladder)
    rows = [*step.runnable.rows, *(step.verify.rows if step.verify else ())]
    try:
        text = _message(step, session.recorder, attempt.text, last, part)
        times = _times(send(session.connection, text, watch, rows))
    except Detached:
        if session.connection.info.transaction_status == TransactionStatus.ACTIVE:
            raise
        # It left while it sent rows, and the server has given the message up.
        end_transaction(session.connection)
        raise Unsent from None
    except ServerError as error:
        end_transaction(session.connection)
        attempt.locate(error, len(prefix), count)
        text = _message(step, session.recorder, step.runnable.text, part=part)
        kept = part.kept if part else None
        raise _failure(step, error, len(prefix), count, text, kept) from error
    if part and part.records:
        return 0
    session.recorder.count(step)
    return times[0]


@dataclass(frozen=True, slots=True)
class Part:
    """One of the transactions of a migration that needs several.

    Attributes:
        records: of its statements, where another part follows; the last one has the record of the
            migration.
        kept: what the parts before it have done, for the error if it fails; None before the first.
    """

    records: Sequence[str] = ()
    kept: str | None = None


class Unsent(Exception):
    """It was time to leave before all of a large script was sent: it was rolled back."""


def _run_bulk(
    session: Session, step: Step, statements: BulkStatements, watch: Watcher | None, last: str
) -> int:
    """Run a large script in one transaction, in several messages.

    As one message it would take its own length in the client twice, and ten times that in the
    server, which parses all of a message before it runs any of it. The last message has the
    record and the commit: before it, nothing can be left to the server; after it, everything is.
    """
    connection, suffix = session.connection, f"{_suffix(step, session.recorder)}; {last}; COMMIT"
    send(connection, f"BEGIN; {settings(step, session.recorder)}")
    try:
        results = list[PGresult]()
        for message in statements.messages():
            require_plain_reading(connection, step, statements[message.first])
            session.listener(file_progress(step, message.offset))
            results = _send_part(connection, step, message, suffix, watch)
        session.recorder.count(step)
        return _times(results)[0]
    except Detached:
        status = connection.info.transaction_status
        if message.last and status == TransactionStatus.ACTIVE:
            raise
        if status == TransactionStatus.ACTIVE:
            interrupt(connection)
        end_transaction(connection)
        raise Unsent from None
    except TurnbackError:
        if not connection.broken:
            end_transaction(connection)
        raise


def file_progress(step: Step, offset: int) -> Event:
    """How much of a large script has run, when its statement at this offset comes."""
    percent = 100 * offset // max(step.runnable.script.size, 1)
    text = f"running the file: {percent} %"
    return Event(EventKind.PROGRESS, step.version, step.name, text=text, percent=percent)


def _send_part(
    connection: Connection, step: Step, message: Message, suffix: str, watch: Watcher | None
) -> list[PGresult]:
    end = suffix if message.last else ""
    try:
        return send(connection, message.take(end), watch, message.rows)
    except ServerError as error:
        end_transaction(connection)
        error.index += message.first
        if error.position is not None:
            inside = error.position <= message.length
            error.position += message.offset if inside else -message.length
        raise _failure(step, error, 0, 0, end) from error


def preview(step: Step, recorder: Recorder, part: Part | None = None) -> str:
    """The message that runs this migration, with the rows of COPY where its file has them."""
    written = step.runnable.written
    return _message(step, recorder, written.strip(" ") if part else written, part=part)


def _message(
    step: Step, recorder: Recorder, text: str, last: str = "", part: Part | None = None
) -> str:
    prefix, _ = _prefix(step, recorder)
    end = f"; {last}" if last else ""
    end += "; COMMIT" if _begins(step) else ""
    if part and part.records:
        # As in _suffix.
        records = recorder.kept(*part.records)
        return f"{prefix}{text}\n;{DEFERRED} {OURSELVES} {records}{end}"
    return f"{prefix}{text}{_suffix(step, recorder)}{end}"


def run_batch(
    session: Session,
    steps: Sequence[Step],
    ladders: Sequence[Ladder],
    watch: Watcher | None = None,
) -> list[int]:
    """Run migrations in one message, each in its transaction; the milliseconds of each.

    All but the last commit without waiting for the disk; the last one waits, and as the log is
    written in order, it waits for all of them. Once the run is cancelled (``lock.stop``), none
    begins any more.

    Raises:
        ServerError: one failed; those before it are committed, and the history knows which.
        DatabaseUnreachable: the connection broke.
    """
    parts = []
    for number, (step, ladder) in enumerate(zip(steps, ladders, strict=True), 1):
        prefix = settings(step, session.recorder)
        relaxed = "SET LOCAL synchronous_commit = off; " if number < len(steps) else ""
        go_on = f"{session.recorder.go_on} " if number > 1 else ""
        parts.append(
            f"BEGIN; {go_on}{prefix}{NOTE_BEGINNING} {relaxed}\n{Attempt(step, ladder).text}"
            f"{_suffix(step, session.recorder, before=number - 1)}; COMMIT;"
        )
    try:
        times = _times(send(session.connection, "\n".join(parts), watch))
    except ServerError:
        end_transaction(session.connection)
        raise
    session.recorder.count(*steps)
    return times


def settings(step: Step, recorder: Recorder) -> str:
    """The SQL before a script: the lock, a clean session, the timeouts of the script's header."""
    return _prefix(step, recorder)[0].removeprefix("BEGIN; ")


def finish(session: Session, step: Step, also: Sequence[str] = (), *, last: str = "") -> int:
    """Record, verify and commit a migration whose statements were sent one by one after a BEGIN.

    Args:
        session: the session.
        step: what was run in it.
        also: further records, written before that of the migration.
        last: a statement that runs before the commit, and cannot fail.

    Returns:
        The milliseconds it took, since its beginning was noted.

    Raises:
        TurnbackError: the record or the verify script failed; all is rolled back.
    """
    suffix = _suffix(step, session.recorder, also)
    try:
        took = _times(send(session.connection, f"{suffix}; {last}; COMMIT"))[0]
    except ServerError as error:
        send(session.connection, "ROLLBACK")
        # As if the statements had been in the same message.
        error.index += len(step.runnable.statements or ())
        raise _failure(step, error, 0, 0, suffix) from error
    session.recorder.count(step)
    return took


def fits_batch(step: Step) -> bool:
    """Whether this migration may share a message: it is one, in a transaction, and can be parsed.

    Text that cannot be parsed may leave a comment open that the next one closes.
    """
    runnable = step.runnable
    if step.repeat and step.direction == "down":
        # One plan can go back through several texts of a file.
        return False
    alone = runnable.isolation or runnable.rows or step.half
    return runnable.in_one_transaction and not (alone or _unread(step) or _is_bulk(step))


def header_settings(script: Script) -> list[str]:
    """The settings, as ``name = value``, for the timeouts of the script's header."""
    directives = script.directives
    settings = {
        "lock_timeout": directives.lock_timeout_ms,
        "statement_timeout": directives.statement_timeout_ms,
    }
    return [f"{name} = {ms}" for name, ms in settings.items() if ms is not None]


def _prefix(step: Step, recorder: Recorder) -> tuple[str, int]:
    settings = [f"SET LOCAL {setting};" for setting in header_settings(step.runnable.script)]
    if step.repeat and step.direction == "down":
        # A function of the text before may name what only the migrations bring back that are
        # rolled back next; nothing calls it before. pg_dump does the same.
        settings.append("SET LOCAL check_function_bodies = off;")
    settings += step.first
    # An implicit transaction is faster, but has no savepoints (manual, 54.2.2.1).
    begin = ["BEGIN;"] if _begins(step) else []
    if level := step.runnable.isolation:
        # Before any query: the script's own SET TRANSACTION then only says it again.
        begin.append(f"SET TRANSACTION ISOLATION LEVEL {level};")
    note = [NOTE_TRANSACTION] if _unread(step) else []
    before = [*begin, recorder.reset, recorder.lock_assertion, *note, *settings]
    return " ".join(before) + "\n", recorder.reset.count(";") + len(before) - 1


def _unread(step: Step) -> bool:
    """Whether our parser cannot read a script of it: only the server knows its statements."""
    return any(one is not None and one.statements is None for one in (step.runnable, step.verify))


def _begins(step: Step) -> bool:
    return step.runnable.needs_begin or _unread(step) or _is_bulk(step)


def _is_bulk(step: Step) -> bool:
    return isinstance(step.runnable.statements, BulkStatements)


def end_transaction(connection: Connection) -> None:
    """Roll back, if a transaction is open; a message with a syntax error has not begun one."""
    if connection.info.transaction_status != TransactionStatus.IDLE:
        send(connection, "ROLLBACK")


def _failure(
    step: Step,
    error: ServerError,
    sent_before: int,
    statements_before: int,
    text: str,
    kept: str | None = None,
) -> TurnbackError:
    if refused := refused_by_us(step, error, kept):
        return refused
    if _unread(step) and error.ended:
        return _maybe_committed(step, error)
    statements = step.runnable.statements
    own = None if statements is None else error.index - statements_before - len(statements)
    if own is None or own < 0:
        return explain(
            step, error, sent_before=sent_before, statements_before=statements_before, kept=kept
        )
    if own == 0:
        return point(step, error, None, None, incomplete=kept)
    if own == _RECORD and error.sqlstate in _OTHER_TABLE:
        return history_removed(step)
    if step.verify and own >= _SUFFIX_STATEMENTS:
        verification = Step(step.migration, step.direction, step.verify)
        return explain(
            verification,
            error,
            sent_before=text.rindex(step.verify.text),
            statements_before=error.index - own + _SUFFIX_STATEMENTS,
            kept=kept,
        )
    return DatabaseRefused(
        f"the record of {step.version} cannot be written: {error}",
        sqlstate=error.sqlstate,
        version=step.version,
        hint=f"{kept or 'nothing was kept'}; "
        + (server_trouble(error.sqlstate) or "check this user's rights on the history tables"),
    )


def _maybe_committed(step: Step, error: ServerError) -> MigrationIncomplete:
    ended = public(error, written_source(step))
    if TRANSACTION_ENDED in error.message:
        ended = "it ended the transaction that it ran in"
    return MigrationIncomplete(
        f"part of {step.version} may have been committed: {ended}",
        file=step.runnable.script.path,
        sqlstate=error.sqlstate,
        version=step.version,
        hint="turnback cannot read this file and left it to the server; look at what is there, "
        "remove COMMIT and ROLLBACK from the file, and run it again or record what is true "
        f"(turnback repair {step.version})",
    )


def _suffix(step: Step, recorder: Recorder, also: Sequence[str] = (), *, before: int = 0) -> str:
    # The newline ends a comment in the script's last line, the semicolon its last statement.
    records = "; ".join([*also, recorder.done(step)])
    same = f"{SAME_TRANSACTION} " if _unread(step) else ""
    # A repeatable makes the applied migrations neither more nor fewer.
    kept = recorder.history_kept(None if step.repeat else step.direction, before)
    text = f"\n;{same}{DEFERRED} {OURSELVES} {recorder.history_there} {records}; {kept}"
    if step.verify:
        # Read-only from here on, so that a verify script can fail its migration and change
        # nothing (docs/decisions/0004).
        text += f"; SET LOCAL transaction_read_only = on;\n{step.verify.text}\n"
    return text


def _times(results: Sequence[PGresult]) -> list[int]:
    name = TIME_COLUMN.encode()
    return [
        int(value(result) or 0)
        for result in results
        if result.nfields == 1 and result.ntuples == 1 and result.fname(0) == name
    ]
