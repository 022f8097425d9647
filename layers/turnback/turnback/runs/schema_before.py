"""The schema before a run: kept before its first change, and compared after its rollback."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from turnback.errors import DatabaseRefused, VerificationFailed
from turnback.runs.records import Records

if TYPE_CHECKING:
    from turnback.engine import Engine
    from turnback.schema.model import Fingerprint

LISTED = 5
_NOTES = {
    "column_order": "the schema is as before the run, but for the order of columns: {}",
    "names": "the schema is as before the run, but for names: {}",
}
# Whoever shuts readers out of a table shuts out the reading of its definition: lock_not_available.
_LOCKED = "55P03"
_TRIES = 5
_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Compared:
    """What the schema is, compared with the one before the run.

    Attributes:
        word: ``exact``, ``column_order``, ``names``, ``differs``; ``unknown`` where there is
            nothing to compare with.
        notes: what a person should know.
        error: of ``differs``, what differs.
    """

    word: str
    notes: tuple[str, ...] = ()
    error: VerificationFailed | None = None


def keep(engine: Engine, records: Records) -> None:
    """Keep the schema before the run's first change; never later, and never twice.

    Raises:
        DatabaseRefused: the schema cannot be read.
    """
    if records.fingerprint() or engine.has_worked():
        return
    half_done = [half.version for half in engine.half_done()]
    kept = {"taken_at": datetime.now(UTC).isoformat(), "half_done": half_done}
    records.write_fingerprint({**json.loads(_read(engine).to_json()), **kept})


def compare_with(engine: Engine, records: Records) -> Compared:
    """Compare the schema with the one that was kept.

    Raises:
        DatabaseRefused: the schema cannot be read.
    """
    from turnback.schema.compare import compare, verdict
    from turnback.schema.model import Fingerprint

    kept = records.fingerprint()
    if not kept:
        changed = "" if engine.has_worked() else ", and it has changed nothing"
        note = f"the run ended before it kept the schema's fingerprint{changed}"
        return Compared("unknown", (note,))
    half_done = kept.pop("half_done", [])
    differences = compare(Fingerprint.from_json(json.dumps(kept)), _read(engine))
    word = verdict(differences)
    told = [
        str(one) for one in differences if one.softness == ("hard" if word == "differs" else word)
    ]
    if word in _NOTES:
        return Compared(word, (_NOTES[word].format("; ".join(told[:LISTED])),))
    if word == "exact":
        return Compared(word)
    gone = sorted(set(half_done) - {half.version for half in engine.half_done()})
    if gone:
        # Of the schema without what had been half done before, nobody has taken a fingerprint.
        note = (
            f"{', '.join(gone)} was half done before this run, and was taken back with it; what "
            f"differs from before the run: {'; '.join(told[:LISTED])}"
        )
        return Compared("unknown", (note,))
    return Compared(word, error=_differs(told))


def _read(engine: Engine) -> Fingerprint:
    from turnback.schema.read import fingerprint

    for _ in range(_TRIES):
        try:
            return fingerprint(engine.connection, history_schema=engine.history.schema)
        except DatabaseRefused as error:
            if error.sqlstate != _LOCKED:
                raise
            time.sleep(_PAUSE_S)
    return fingerprint(engine.connection, history_schema=engine.history.schema)


def _differs(told: list[str]) -> VerificationFailed:
    more = len(told) - LISTED
    return VerificationFailed(
        "everything was rolled back, and the schema is not as before the run:"
        + "".join(f"\n- {line}" for line in told[:LISTED])
        + (f"\n- and {more} more" if more > 0 else ""),
        hint="set right by hand what differs, or restore the snapshot; what someone else changed "
        "meanwhile is no fault of the rollback",
    )
