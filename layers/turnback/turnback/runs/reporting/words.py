"""A report in words: its title, the outcome in one sentence, what was lost, what to do next.

Everything follows from fields of the report, never from the text of another message.
"""

from __future__ import annotations

from turnback.runs.reporting.report import Report, ReportApproval
from turnback.runs.state import RestoreLoss, RunError, RunRehearsal
from turnback.runs.status import Status
from turnback.wording import clock, counted, duration, listed, sentence, unproven_extensions

_LISTED = 5
_SCHEMA = {
    "exact": "the schema is as before",
    "column_order": "the schema is as before, except for the order of columns",
    "names": "the schema is as before, except for names",
}


def title(report: Report) -> str:
    """Target, release and status, in one line."""
    words = report.status.words
    if report.asking and report.asking.gate == "restore":
        words = "failed: its restore waits for approval"
    if report.status is Status.SUCCEEDED and report.dry_run:
        words = "would be applied (dry run)"
    back = "back to " if report.down else ""
    return f"{report.target}: {back}{report.release or 'unknown release'} {words}"


def reminder(report: Report) -> str:
    """``Reminder: `` before a question that is asked again; else nothing."""
    return "Reminder: " if report.asking and report.asking.reminders else ""


def is_worth_a_message(report: Report) -> bool:
    """Whether to send it where no message can be changed: the start, questions, the end."""
    others = (Status.STARTED, Status.AWAITING_APPROVAL, Status.BACKFILLED, Status.BACKFILL_FAILED)
    return report.status.final or report.status in others


def outcome(report: Report) -> str:
    """What the run is at or how it ended, in one sentence without its full stop."""
    release = f"release {report.release or 'of unknown number'}"
    what = f"the rollback to {release}" if report.down else release
    return f"{what} on {report.target} {_outcome(report)}"


def summary(report: Report) -> str:
    """The outcome, and what a restore loses or has lost: the whole report in one sentence."""
    text = outcome(report)
    if report.status is Status.RESTORED:
        kept = report.restore.kept if report.restore else None
        old = f"; the old database is kept as {kept}" if kept else ""
        return f"{text}, without {loss_in_words(report.restore_loss)}{old}"
    if report.asking and report.asking.gate == "restore":
        return f"{text}; it would lose {loss_in_words(report.restore_loss)}"
    return text


def _outcome(report: Report) -> str:
    words, doing = report.status.words, "roll back" if report.down else "apply"
    count = counted(report.migration_count, "migration")
    match report.status:
        case Status.STARTED:
            return f"{words}: {count} to {doing}"
        case Status.REHEARSED:
            return f"{words}: {proof(report.rehearsal)}"
        case Status.AWAITING_APPROVAL:
            restore = (report.asking or ReportApproval()).gate == "restore"
            return "failed; its restore waits for approval" if restore else words
        case Status.SNAPSHOT_TAKEN:
            return f"{words}: {'rolling back' if report.down else 'applying'} {count}"
        case Status.APPLYING | Status.BACKFILLING | Status.BACKFILLED | Status.BACKFILL_FAILED:
            return f"{words}: {report.progress}" if report.progress else words
        case Status.SUCCEEDED:
            return _success(report, count)
        case Status.WAITING | Status.SUPERSEDED | Status.REFUSED:
            return _unchanged(report)
        case Status.ROLLED_BACK:
            return f"{words}: {rolled_back(report)}"
        case Status.RESTORED:
            return f"failed, and the database was restored {as_of(report)}"
        case Status.NEEDS_A_PERSON:
            return f"{_left_as_it_is(report)}: a person is needed"


def _unchanged(report: Report) -> str:
    words = report.status.words
    if report.status is Status.WAITING:
        return report.waits_for or words
    if report.status is Status.SUPERSEDED:
        by = report.superseded_by or "a newer release"
        return f"{words} by {by}, which has brought all of its migrations: nothing was changed"
    return f"{words}: nothing was changed"


def _success(report: Report, count: str) -> str:
    done = "rolled back" if report.down else "applied"
    if not report.migration_count:
        every = "no migration is applied after it" if report.down else "every migration is applied"
        return f"succeeded: nothing to do, {every}"
    if report.dry_run:
        proven = f"; rehearsed: {proof(report.rehearsal)}" if report.rehearsal else ""
        return f"would succeed (dry run): {count} to be {done}, nothing was changed{proven}"
    others = report.migration_count - report.done_count
    rest = f", and {others:,} more by others meanwhile" if others else ""
    if going_on := listed(report.backfilling, _LISTED):
        rest += f"; the backfill of {going_on} continues in the background"
    return f"succeeded: {counted(report.done_count, 'migration')} {done}{rest}"


def rolled_back(report: Report) -> str:
    """What a rollback gave back: the schema as compared, and whether data is gone.

    A rollback script makes a column again, but not the values it had, and rows are not compared.
    """
    schema = _SCHEMA.get(report.verified or "", "what it had done was undone")
    if report.destroyed:
        snapshot = f" (the snapshot {report.snapshot.id} has it)" if report.snapshot else ""
        return f"{schema}, but data is lost: {listed(report.destroyed, _LISTED, '; ')}{snapshot}"
    if not report.rolled_back:
        return "the database is as before" if report.verified == "exact" else schema
    total = counted(report.migration_count, "migration")
    undone = "" if report.down else f", {len(report.rolled_back)} of {total} undone"
    return f"{schema}, and no data was destroyed{undone}"


def as_of(report: Report) -> str:
    """What a restore brought back: ``as of`` a time, or ``from its snapshot``."""
    time = report.restore.restored_to if report.restore else None
    return f"as of {clock(time)}" if time else "from its snapshot"


def lost(report: Report) -> str:
    """What a restore loses or has lost, as a sentence; empty where nothing is known of it."""
    loss = report.restore_loss
    if loss is None:
        return ""
    tables = [
        f"{table.name} (+{table.inserted:,} ~{table.updated:,} -{table.deleted:,})"
        for table in loss.tables
    ]
    return sentence(loss_in_words(loss)) + (f" {', '.join(tables)}." if tables else "")


def loss_in_words(loss: RestoreLoss | None) -> str:
    """What a restore loses, as the object of a sentence."""
    if loss is None or not loss.since:
        return "everything written since the snapshot; how much is not known"
    ago = "" if loss.seconds is None else f" ({duration(loss.seconds)})"
    what = f"what was written since {clock(loss.since)}{ago}"
    rows = _rows(loss)
    if not loss.counted:
        what += "; how much is not known"
    elif loss.reset:
        what += (
            f": at least {rows or 'no'} rows; the server's counters were reset since, so how much "
            "more is not known"
        )
    elif rows:
        what += f": {'' if loss.approximate is False else 'about '}{rows} rows"
    else:
        what += ": no row, as far as the server counted"
    return f"{what}; and what other runs did: {'; '.join(loss.others)}" if loss.others else what


def _rows(loss: RestoreLoss) -> str:
    numbers = {"inserted": loss.inserted, "updated": loss.updated, "deleted": loss.deleted}
    return ", ".join(f"{number:,} {word}" for word, number in numbers.items() if number)


def proof(rehearsal: RunRehearsal | None) -> str:
    """What the rehearsal has shown of the rollbacks."""
    if rehearsal is None or not rehearsal.proven:
        return "not every rollback is proven"
    one_way = rehearsal.irreversible_count
    proven = "every rollback is proven" + (f", {one_way} irreversible by intent" if one_way else "")
    return proven + unproven_extensions(rehearsal.stand_ins)


def place(error: RunError) -> str:
    """``file:line:column`` as far as an error knows it, or an empty string."""
    parts = (error.file, error.line, error.column)
    return ":".join(str(part) for part in parts if part is not None) if error.file else ""


def next_step(report: Report) -> str:
    """What a person should do now, in a few sentences."""
    stopped = report.application
    started = stopped is None or stopped.started
    by_hand = "" if started else " The application is still stopped: start it by hand."
    return _next_step(report) + (by_hand if report.status.final else "")


def _next_step(report: Report) -> str:
    failed = (report.error.file if report.error else None) or "what failed"
    match report.status:
        case Status.AWAITING_APPROVAL:
            return _answer(report, report.asking or ReportApproval())
        case Status.NEEDS_A_PERSON:
            return _by_hand(report)
        case Status.RESTORED:
            return f"Correct {failed} and release again.{_kept(report)}"
        case Status.REFUSED if report.error and report.error.hint:
            return sentence(report.error.hint)
        case Status.ROLLED_BACK if report.destroyed:
            source = f" from the snapshot {report.snapshot.id}" if report.snapshot else ""
            return f"Bring back what was lost{source}. Correct {failed} and release again."
        case Status.REFUSED | Status.ROLLED_BACK:
            return f"Correct {failed} and release again; nothing has to be cleaned up."
        case Status.BACKFILL_FAILED | Status.BACKFILLING | Status.BACKFILLED:
            return _of_backfill(report)
        case Status.SUCCEEDED if report.dry_run:
            return "Release again without the dry run to apply it."
        case Status.SUCCEEDED | Status.SUPERSEDED:
            return _of_backfill(report) if report.backfilling else "Nothing is left to do."
    return f"Nothing now. `turnback watch {report.run}` shows it live."


def _of_backfill(report: Report) -> str:
    match report.status:
        case Status.BACKFILLED:
            return "Nothing is left to do. What waited for the backfill can be released."
        case Status.BACKFILL_FAILED:
            hint = report.error.hint if report.error else None
            return sentence(hint or "It is tried again. `turnback backfill status` shows more")
    return "Nothing now. `turnback backfill status` shows how far the backfill is."


def _answer(report: Report, asked: ReportApproval) -> str:
    needed = asked.persons_needed or 1
    people = "1 approver" if needed == 1 else f"{needed} approvers"
    command = asked.command or f"turnback approve {report.run}"
    until = f" until {clock(asked.expires_at)}" if asked.expires_at else ""
    so_far = f" So far: {', '.join(asked.approved_by)}." if asked.approved_by else ""
    shown = "" if asked.gate == "restore" else f" `{command} --show` shows its SQL."
    return (
        f"Approve or deny{until}: `{command}`. It needs {people}, other than whoever started the "
        f"run.{so_far}{shown}"
    )


def _kept(report: Report) -> str:
    kept = report.restore.kept if report.restore else None
    if not kept:
        return ""
    # A database that a dump replaced accepts no connection, so that nothing is written to it.
    closed = report.snapshot is not None and report.snapshot.kind == "dump"
    opened = f" (ALTER DATABASE {kept} ALLOW_CONNECTIONS true)" if closed else ""
    return (
        f" The database as it failed is kept as {kept}: take from it what was written after the "
        f"snapshot{opened}, then drop it."
    )


def _left_as_it_is(report: Report) -> str:
    if not _is_unverified(report):
        return "failed and could not be rolled back"
    return f"was {'rolled back' if report.down else 'applied'}, and could not be verified"


def _is_unverified(report: Report) -> bool:
    """Whether the run ended in Verify, because AWS or the database did not answer: no rollback."""
    errors = ("AwsError", "DatabaseUnreachable", "DatabaseNotReady")
    silent = report.error is not None and report.error.type in errors
    return silent and report.rollback_error is None and report.restore_error is None


def _by_hand(report: Report) -> str:
    if _is_unverified(report):
        return (
            "Nothing was rolled back. `turnback status` and `turnback health` show whether all is "
            "applied; release again to have it verified."
        )
    back = (
        f" The snapshot {report.snapshot.id} is from before the run: restore it with "
        "`turnback restore`."
        if report.snapshot
        else ""
    )
    return (
        "Look at the database with `turnback status`, correct it, and record that with "
        f"`turnback repair`.{back}"
    )
