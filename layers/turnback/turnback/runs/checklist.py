"""The checklist of a release: what was done before it, each answer with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from turnback.migrations.headers import read_fields
from turnback.migrations.model import Migration
from turnback.runs.record_types import UNREADABLE, RehearsalRecord
from turnback.runs.state import RunSnapshot
from turnback.wording import listed, unproven_extensions

Answer = Literal["yes", "no", "unknown"]
FIELDS = ("migration", "version", "date")
LISTED = 5
NOT_REHEARSED = "the release was not rehearsed"
NOT_ITS_RECORD = "the record of the rehearsal is not what the rehearsal wrote"


@dataclass(frozen=True, slots=True)
class Item:
    """One line: the question, the answer, and the evidence for it."""

    item: str
    answer: Answer
    evidence: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a release; None is what cannot be known here.

    Attributes:
        source: ``repository`` and ``commit`` of the artifact, as far as it says them.
        undocumented: files of the release whose header lacks a field.
        rehearsal: the rehearsal's result; empty where there was none.
        snapshot: the run's snapshot.
        alarms: how many subscribe to the alarms.
        audience: how many subscribe to the statuses.
    """

    source: Mapping[str, str]
    undocumented: Sequence[str] | None
    rehearsal: RehearsalRecord
    snapshot: RunSnapshot | None = None
    alarms: int | None = None
    audience: int | None = None


def checklist(known: Evidence) -> list[Item]:
    """The items, in the order of a release's life."""
    return [
        _reviewed(known),
        _tested(known.rehearsal),
        _proven(known.rehearsal),
        _saved(known.snapshot),
        _assessed(known.rehearsal),
        _watched(known.alarms),
        _documented(known.undocumented),
        _published(known.audience),
    ]


def undocumented(migrations: Sequence[Migration]) -> list[str]:
    """The forward files whose header lacks one of Migration, Version and Date."""
    return [
        migration.forward.path
        for migration in migrations
        if not set(FIELDS) <= read_fields(migration.forward.head, migration.forward.path).keys()
    ]


def in_short(items: Sequence[Mapping[str, str]]) -> str:
    """One line: how many are answered with yes, and which are not."""
    rest = [f"{item['item']}: {item['answer']}" for item in items if item["answer"] != "yes"]
    return "; ".join([f"{len(items) - len(rest)} of {len(items)} yes", *rest])


def _reviewed(known: Evidence) -> Item:
    commit = known.source.get("commit")
    if not commit:
        evidence = "release.json names no commit, and nobody approved the run in turnback"
        return Item("schema changes reviewed", "unknown", evidence)
    where = f" of {known.source['repository']}" if known.source.get("repository") else ""
    evidence = f"commit {str(commit)[:12]}{where}; the repository knows who reviewed it"
    return Item("schema changes reviewed", "unknown", evidence)


def _tested(rehearsal: RehearsalRecord) -> Item:
    rows = rehearsal.migrations
    if not rows:
        return Item("migration tested", "no", _why_not(rehearsal))
    failed = [row.version for row in rows if row.forward != "applied"]
    if failed:
        return Item("migration tested", "no", f"{_some(failed)} does not run on the shadow")
    return Item("migration tested", "yes", f"{len(rows)} applied on a shadow database")


def _proven(rehearsal: RehearsalRecord) -> Item:
    rows = rehearsal.migrations
    if not rows:
        return Item("rollback proven", "no", _why_not(rehearsal))
    one_way = [row.version for row in rows if row.rollback == "irreversible"]
    if rehearsal.status != "proven":
        wrong = [row.version for row in rows if row.rollback in ("differs", "failed")]
        missing = [row.version for row in rows if row.rollback == "missing"]
        reasons = [
            *([f"of {_some(wrong)} it does not restore"] if wrong else []),
            *([f"{_some(missing)} has none"] if missing else []),
        ]
        evidence = "; ".join(reasons) or "the rehearsal found a difference"
        return Item("rollback proven", "no", evidence)
    if one_way:
        return Item("rollback proven", "no", f"irreversible, as its header says: {_some(one_way)}")
    evidence = f"{len(rows)} applied, rolled back and applied again, and compared"
    evidence += unproven_extensions(rehearsal.stand_ins)
    return Item("rollback proven", "yes", evidence)


def _why_not(rehearsal: RehearsalRecord) -> str:
    return NOT_ITS_RECORD if rehearsal.status == UNREADABLE else NOT_REHEARSED


def _saved(snapshot: RunSnapshot | None) -> Item:
    if snapshot is None:
        return Item("backup taken", "unknown", "the run takes one before it changes anything")
    if snapshot.available:
        return Item("backup taken", "yes", f"{snapshot.kind} snapshot {snapshot.id}")
    return Item("backup taken", "no", "no snapshot was taken")


def _assessed(rehearsal: RehearsalRecord) -> Item:
    rows = rehearsal.migrations
    if not rows:
        return Item("performance impact assessed", "no", _why_not(rehearsal))
    statements = [statement for row in rows for statement in row.statements]
    locks = {lock.table or lock.relation for item in statements for lock in item.locks}
    rewrites = {table for item in statements for table in item.rewrites}
    scans = {table for item in statements for table in item.scans}
    effects = [
        f"{verb} {_some(sorted(tables))}"
        for verb, tables in (("locks", locks), ("rewrites", rewrites), ("reads all of", scans))
        if tables
    ]
    evidence = "; ".join(effects) or "locks, rewrites and scans no existing table"
    return Item("performance impact assessed", "yes", f"traced: {evidence}")


def _watched(alarms: int | None) -> Item:
    if alarms is None:
        return Item("alarms in place", "unknown", "the stack knows who subscribes to its alarms")
    if alarms == 0:
        return Item("alarms in place", "no", "nobody subscribes to the alarms: AlarmTopicArn")
    return Item("alarms in place", "yes", f"subscribers of the alarms: {alarms}")


def _documented(files: Sequence[str] | None) -> Item:
    name = "documentation header present"
    if files is None:
        return Item(name, "unknown", "the plan does not say")
    if files:
        return Item(name, "no", f"Migration, Version or Date is not in {_some(files)}")
    return Item(name, "yes", "each has Migration, Version and Date")


def _published(audience: int | None) -> Item:
    if audience is None:
        return Item("stakeholders told", "unknown", "the run publishes to the stack's topic")
    if audience == 0:
        return Item("stakeholders told", "no", "published, but nobody subscribes to the topic")
    return Item("stakeholders told", "yes", f"published to the topic's subscribers: {audience}")


def _some(names: Sequence[str]) -> str:
    return listed(names, LISTED)
