"""The schema before a run, or between two migrations: kept, and compared after the rollback."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from turnback.errors import DatabaseRefused, VerificationFailed
from turnback.runs.records import Records
from turnback.runs.stated import Stated
from turnback.settings.ignore import NOTHING, Ignore
from turnback.wording import capped

if TYPE_CHECKING:
    from turnback.engine import Engine
    from turnback.migrations.model import Project
    from turnback.schema.difference import Difference
    from turnback.schema.model import Fingerprint

LISTED = 5
_NOTES = {
    "column_order": "the schema is as {}, but for the order of columns: {}",
    "names": "the schema is as {}, but for names: {}",
}
# A lock that excludes readers of a table excludes readers of its definition: lock_not_available.
_LOCKED = "55P03"
_TRIES = 5
_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class KeptSchema(Stated):
    """``runs/<run>/fingerprint.json``: the schema before the run.

    Attributes:
        taken_at: when it was read, ISO 8601.
        half_done: the versions that an earlier run had left half done.
        keeps: the tables that the rollback scripts of the run make and leave.
        ignored_schemas: patterns of schemas that are not compared.
        ignored_objects: patterns of objects that are not compared.
        format: of the fingerprint; see schema.model.
        objects: the fingerprint itself.
    """

    taken_at: str | None = None
    half_done: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    ignored_schemas: tuple[str, ...] = ()
    ignored_objects: tuple[str, ...] = ()
    format: int = 0
    objects: dict[str, Any] = field(default_factory=dict)


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


def keep(engine: Engine, records: Records, project: Project | None) -> None:
    """Keep the schema before the run's first change, and never later.

    An attempt that changed nothing is followed by others, and somebody else may be faster.

    Args:
        project: the release's migrations; None for a run downwards.

    Raises:
        DatabaseRefused: the schema cannot be read.
    """
    if engine.has_changed():
        return
    records.write_fingerprint(read_schema(engine, project))


def read_schema(engine: Engine, project: Project | None) -> str:
    """The schema as it is, as the JSON of a :class:`KeptSchema`.

    Args:
        project: the migrations; None where there are none to ask.

    Raises:
        DatabaseRefused: the schema cannot be read.
    """
    ignore = project.settings.ignore if project else NOTHING
    kept = {
        **json.loads(_read(engine, ignore, set()).to_json()),
        "ignored_schemas": ignore.schemas,
        "ignored_objects": ignore.objects,
        "taken_at": datetime.now(UTC).isoformat(),
        "half_done": [half.version for half in engine.half_done()],
        "keeps": [
            one.table
            for migration in (project.migrations if project else ())
            if migration.rollback
            for one in migration.rollback.directives.keeps
        ],
    }
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False)


def kept_schema(records: Records) -> KeptSchema | None:
    """The schema that was kept before the run's first change; None where none was."""
    body = records.fingerprint()
    return KeptSchema.from_state(json.loads(body)) if body else None


def compare_with(engine: Engine, records: Records) -> Compared:
    """Compare the schema with the one that was kept before the run.

    Raises:
        DatabaseRefused: the schema cannot be read.
    """
    found = kept_schema(records)
    if found is None:
        changed = "" if engine.has_changed() else ", and it has changed nothing"
        note = f"the run ended before it kept the schema's fingerprint{changed}"
        return Compared("unknown", (note,))
    return compare_with_kept(engine, found, "before the run")


def compare_with_kept(
    engine: Engine, found: KeptSchema, when: str, others: Sequence[str] = ()
) -> Compared:
    """Compare the schema with one that was kept.

    Args:
        found: the one that was kept.
        when: it was like that, after "as": ``before the run``.
        others: what differs by other changes than those that were rolled back.

    Raises:
        DatabaseRefused: the schema cannot be read.
    """
    from turnback.schema.compare import verdict
    from turnback.schema.platform import not_compared

    differences, left_out = differences_from(engine, found)
    kept = {f"table {name}" for name in found.keeps}
    remaining = [str(one) for one in differences if one.kind == "extra" and one.object in kept]
    foreign = [str(one) for one in differences if str(one) in others]
    differences = [one for one in differences if str(one) not in (*remaining, *foreign)]
    notes = tuple(f"as its rollback script says, {one}" for one in remaining)
    notes += tuple(f"differed before the rollback: {one}" for one in foreign[:LISTED])
    notes += tuple(not_compared(left_out, LISTED))
    word = verdict(differences)
    shown = [
        str(one) for one in differences if one.softness == ("hard" if word == "differs" else word)
    ]
    if word in _NOTES:
        return Compared(word, (_NOTES[word].format(when, "; ".join(shown[:LISTED])), *notes))
    if word == "exact":
        return Compared(word, notes)
    gone = sorted(set(found.half_done) - {half.version for half in engine.half_done()})
    if gone:
        # There is no fingerprint of the schema without what had been half done before.
        note = (
            f"{', '.join(gone)} was half done {when}, and was undone with it; what "
            f"differs from then: {'; '.join(shown[:LISTED])}"
        )
        return Compared("unknown", (note,))
    return Compared(word, notes, error=_differs(shown, when))


def differences_from(engine: Engine, found: KeptSchema) -> tuple[list[Difference], set[str]]:
    """What differs from a schema that was kept, and the names of what is not compared.

    Raises:
        DatabaseRefused: the schema cannot be read.
    """
    from turnback.schema.compare import compare
    from turnback.schema.model import Fingerprint
    from turnback.schema.reread import settle

    before = Fingerprint.from_json(json.dumps({"format": found.format, "objects": found.objects}))
    left_out = set[str]()
    now = _read(engine, Ignore((), found.ignored_schemas, found.ignored_objects), left_out)
    found_now = compare(before, now)
    return settle(engine.connection, found_now, before.objects, now.objects), left_out


def _read(engine: Engine, ignore: Ignore, left_out: set[str]) -> Fingerprint:
    from turnback.schema.read import fingerprint

    read = partial(
        fingerprint,
        engine.connection,
        history_schema=engine.history.schema,
        ignore=ignore if ignore.not_compared else NOTHING,
        left_out=left_out,
    )
    for _ in range(_TRIES):
        try:
            return read()
        except DatabaseRefused as error:
            if error.sqlstate != _LOCKED:
                raise
            time.sleep(_PAUSE_S)
    return read()


def _differs(differences: list[str], when: str) -> VerificationFailed:
    return VerificationFailed(
        f"everything was rolled back, and the schema is not as {when}:"
        + "".join(f"\n- {line}" for line in capped(differences, LISTED)),
        hint="correct by hand what differs, or restore the snapshot; if someone else changed it "
        "meanwhile, the rollback is not to blame",
    )
