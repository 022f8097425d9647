"""Taking over the history of another tool, in one transaction; nothing of the migrations is run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from turnback.engine.look.half_done import find_half_done
from turnback.engine.look.history import Entry
from turnback.engine.run.record import ANEW
from turnback.engine.run.session import Session
from turnback.engine.session.message import send
from turnback.engine.session.query import CATALOG_ONLY, OURSELVES, own_statements
from turnback.errors import HistoryConflict, InvalidMigration
from turnback.migrations.versions import LONGEST
from turnback.sql.quoting import literal

# The columns of the history.
_LONGEST = {"version": LONGEST, "name": 255, "checksum": 64}
_REPAIR = "turnback status shows what it has"


@dataclass(frozen=True, slots=True)
class Adopted:
    """A migration that another tool has applied, and that becomes part of the baseline.

    Attributes:
        version: as the project has it; at most 1,000 characters.
        name: as the project has it; at most 255 characters.
        checksum: SHA-256 of our forward script's bytes, hex, as of ``Script.checksum``.
        applied_at: when; None where the tool did not keep it. One without a time zone is in UTC.
        execution_ms: how long it took, milliseconds; 0 where the tool did not keep it.
    """

    version: str
    name: str
    checksum: str
    applied_at: datetime | None = None
    execution_ms: int = 0


@dataclass(frozen=True, slots=True)
class Adoption:
    """What taking over a history has done.

    Attributes:
        versions: what is in the history now, in its order.
        again: whether it was there already, so that nothing was written.
    """

    versions: tuple[str, ...]
    again: bool = False


@own_statements()
def adopt(session: Session, entries: Sequence[Adopted], source: str) -> Adoption:
    """Record migrations that another tool has applied, all or none.

    A history that has the same already is left as it is. The actor and the run of the records are
    those of the session's RunContext.

    Args:
        session: with the database, as ``Engine.session``.
        entries: in the order in which they were applied.
        source: where they were recorded, for the log, such as ``dbmate: public.schema_migrations``.

    Raises:
        InvalidMigration: a version, a name or a checksum that the history cannot keep.
        HistoryConflict: the history of turnback has applied migrations, or half done ones, that are
            not these.
        RunnerBusy, DatabaseNotReady, DatabaseRefused: as ``Session.lock``.
    """
    _refuse_unusable(entries)
    found = session.lock().entries
    try:
        if same := _is_same(entries, found):
            return Adoption(tuple(entry.version for entry in entries), again=same)
        _refuse_in_use(session, found)
        send(session.connection, _message(session, entries, source))
    finally:
        if session.usable:
            session.release_lock()
    return Adoption(tuple(entry.version for entry in entries))


def _refuse_unusable(entries: Sequence[Adopted]) -> None:
    seen = set()
    for entry in entries:
        for field, longest in _LONGEST.items():
            if not 0 < len(getattr(entry, field)) <= longest:
                raise InvalidMigration(
                    f"the {field} of {entry.version[:60]!r} is empty, or longer than the history "
                    f"keeps: {longest} characters",
                    version=entry.version,
                )
        if entry.version in seen:
            raise InvalidMigration(f"{entry.version} is there twice", version=entry.version)
        seen.add(entry.version)


def _is_same(entries: Sequence[Adopted], found: Sequence[Entry]) -> bool:
    adopted = [entry for entry in found if entry.kind == "adopted" and entry.applied]
    return bool(adopted) and [(e.version, e.name, e.checksum) for e in adopted] == [
        (e.version, e.name, e.checksum) for e in entries
    ]


def _refuse_in_use(session: Session, found: Sequence[Entry]) -> None:
    history = session.history
    half_done = find_half_done(session.connection, history.schema, found)
    for version in [entry.version for entry in found if entry.applied] or [
        half.version for half in half_done
    ]:
        raise HistoryConflict(
            f"the history in {history.schema} is in use: {version} is in it, and is not of what "
            "would be adopted",
            version=version,
            hint=f"nothing was changed; {_REPAIR}",
        )


def _in_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _message(session: Session, entries: Sequence[Adopted], source: str) -> str:
    recorder = session.recorder
    rows = [
        {**asdict(entry), "applied_at": entry.applied_at and _in_utc(entry.applied_at).isoformat()}
        for entry in entries
    ]
    # A server of another encoding takes characters, and no escapes for them.
    given = literal(json.dumps(rows, ensure_ascii=False))
    return (
        f"{OURSELVES} {CATALOG_ONLY} {recorder.lock_assertion}\n"
        "WITH given AS (SELECT * FROM ROWS FROM (json_to_recordset("
        f"{given}) AS (version text, name text, checksum text, applied_at timestamptz, "
        "execution_ms integer)) WITH ORDINALITY AS g (version, name, checksum, applied_at, "
        "execution_ms, place)),\n"
        f"logged AS (INSERT INTO {recorder.log} (run_id, version, direction, outcome, error, "
        f"execution_ms, actor) SELECT {literal(recorder.run)}, version, 'adopt', 'done', "
        f"{literal(source)}, execution_ms, {literal(recorder.actor)} FROM given ORDER BY place)\n"
        f"INSERT INTO {recorder.migrations} AS m (version, name, checksum, applied_at, "
        "execution_time, success, position, kind) SELECT version, name, checksum, "
        "coalesce(applied_at, clock_timestamp()), execution_ms, true, "
        f"{recorder.next_place} - 1 + place, 'adopted' FROM given "
        f"ON CONFLICT (version) DO UPDATE SET {ANEW}, execution_time = excluded.execution_time, "
        "success = true, error = NULL, rolled_back_at = NULL"
    )
