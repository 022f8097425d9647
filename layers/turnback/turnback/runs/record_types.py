"""What the records of a run in the bucket hold; read and written as the state of a run is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Self

from turnback.runs.state import ArtifactLocation, RestoreLoss, RunError
from turnback.runs.stated import Stated

# Of a rehearsal whose record cannot be read.
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class PlannedMigration(Stated):
    """One migration of the plan, and the script that is run for it.

    Attributes:
        backfill: whether it is applied at once, and its rows are changed in the background.
    """

    version: str
    name: str = ""
    file: str = ""
    checksum: str = ""
    in_transaction: bool = True
    half_done: bool = False
    backfill: bool = False


@dataclass(frozen=True, slots=True)
class AppliedRepeatable(Stated):
    """A repeatable as the target has it.

    Attributes:
        version: its path.
        checksum: of its text.
        sql: the text; empty where the artifact has the same.
    """

    version: str
    checksum: str
    sql: str = ""


@dataclass(frozen=True, slots=True)
class TargetSurroundings(Stated):
    """What the scripts of a release find on the target; see rehearsal.surroundings."""

    settings: dict[str, str] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    members: tuple[tuple[str, ...], ...] = ()
    extensions: dict[str, str] = field(default_factory=dict)
    history_schema: str = "public"
    schemas: str = ""
    unread: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    repeatables: tuple[AppliedRepeatable, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanRecord(Stated):
    """``runs/<run>/plan.json``: what the run may do. Empty where there is no plan yet.

    Attributes:
        version: of this record's form; 0 where there is no plan.
        run: the run's id.
        target: the database's name in turnback.
        release: the release number.
        source: ``repository`` and ``commit`` of the artifact, as far as it says them.
        artifact: where the artifact is, with its SHA-256.
        history: version and checksum of what was applied before the run, oldest first.
        previous_release: the release before the run, or None.
        approval_reasons: why people must approve.
        destroys: version → the data that it destroys, which no rollback script brings back.
        rollback_to: the release to go back to, of a run downwards.
        floor: the version to go back to, of a run downwards.
        undocumented: files whose header lacks a field.
        direction: ``up`` or ``down``.
        migrations: what the run may do, in this order.
        notes: what a person should know.
        number: which plan of the run it is: 1, and one more whenever others had changed the
            database before the run did.
        superseded_by: the newer release that has brought all of its migrations, or None.
        surroundings: what a rehearsal takes over from the target; None if it does not exist.
        history_schema: where turnback's own tables are.
    """

    version: int = 0
    run: str = ""
    target: str = ""
    release: str | None = None
    source: dict[str, Any] = field(default_factory=dict)
    artifact: ArtifactLocation | None = None
    history: tuple[tuple[str, ...], ...] = ()
    previous_release: str | None = None
    approval_reasons: tuple[str, ...] = ()
    destroys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rollback_to: str | None = None
    floor: str | None = None
    undocumented: tuple[str, ...] | None = None
    direction: str = "up"
    migrations: tuple[PlannedMigration, ...] = ()
    notes: tuple[str, ...] = ()
    number: int = 1
    superseded_by: str | None = None
    surroundings: TargetSurroundings | None = None
    history_schema: str = "public"

    @property
    def exists(self) -> bool:
        """Whether the run was planned."""
        return self.version > 0

    @property
    def down(self) -> bool:
        """Whether the run goes back to an older release."""
        return self.direction == "down"

    @property
    def versions(self) -> list[str]:
        """The versions of the migrations, in the plan's order."""
        return [migration.version for migration in self.migrations]

    @property
    def digest(self) -> str:
        """What people approve, as SHA-256 in hex: what the run does, and why they are asked.

        The artifact stands for the rollback scripts. What is applied already is not in it: people
        approve what is done, whatever was done before.
        """
        return _digest(
            {
                "direction": self.direction,
                "artifact": self.artifact.sha256 if self.artifact else None,
                "floor": self.floor,
                "migrations": [step.to_state() for step in self.migrations],
                "reasons": self.approval_reasons,
                "destroys": self.destroys,
            }
        )

    @property
    def basis(self) -> str:
        """What a rehearsal begins with and does, as SHA-256 in hex."""
        return _digest([self.digest, self.history])


@dataclass(frozen=True, slots=True)
class PlannedScript(Stated):
    """The text of a script of the plan, for the people who approve it.

    Attributes:
        file: its path in the artifact.
        checksum: SHA-256 of the file's bytes, hex.
        sql: the text; cut where the plan is very long.
    """

    file: str
    checksum: str
    sql: str = ""

    @property
    def genuine(self) -> bool:
        """Whether the text is the one of the checksum, with or without a byte order mark."""
        return self.checksum in (
            sha256(text.encode()).hexdigest() for text in (self.sql, f"\ufeff{self.sql}")
        )


@dataclass(frozen=True, slots=True)
class DoneMigration(Stated):
    """A migration that was applied or rolled back, and how long that took in milliseconds."""

    version: str
    name: str = ""
    execution_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RunReport(Stated):
    """``runs/<run>/report.json``: what was done so far. Empty before anything was.

    Attributes:
        version: of this record's form; 0 where there is no report.
        run: the run's id.
        applied: migrations that were applied, whatever was undone since.
        rolled_back: migrations that were rolled back, newest first.
        errors: what stopped the steps.
        verified: what the schema after the rollback is: see RunProgress; ``differs`` as well.
        notes: sentences that a person should read.
        loss: what the restore lost, as counted right before the swap.
        approvals: how each question to people ended.
        checklist: the checklist's answers.
        worked: whether a step reported migrations at all; a dry run has only its approvals here.
    """

    version: int = 0
    run: str = ""
    applied: tuple[DoneMigration, ...] = ()
    rolled_back: tuple[DoneMigration, ...] = ()
    errors: tuple[RunError, ...] = ()
    verified: str | None = None
    notes: tuple[str, ...] = ()
    loss: RestoreLoss | None = None
    approvals: tuple[dict[str, Any], ...] = ()
    checklist: tuple[dict[str, str], ...] = ()
    worked: bool = False

    @classmethod
    def from_state(cls, state: object) -> Self:
        """Read the report; see Stated."""
        report = cls.read(state, cls.__name__)
        return replace(report, worked=isinstance(state, Mapping) and "applied" in state)

    def left_out(self) -> set[str]:
        """What nobody has reported."""
        optional = ("verified", "loss", "approvals", "checklist")
        found = {"worked", *(name for name in optional if not getattr(self, name))}
        if not self.worked:
            found |= {"applied", "rolled_back", "errors", *(() if self.notes else ("notes",))}
        return found


@dataclass(frozen=True, slots=True)
class StepRecord(Stated):
    """``snapshot.json`` and ``restore.json``: when the first call of the step was, ISO 8601."""

    began: str | None = None


@dataclass(frozen=True, slots=True)
class CancelRecord(Stated):
    """``cancel.json``: who cancelled the run, when and why. Empty if nobody did."""

    by: str | None = None
    at: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class FinalRecord(Stated):
    """``final.json``: the final status, whole, and whether SNS has it. Empty before the end.

    Attributes:
        report: the status event.
        published: whether the status topic accepted it.
        version: of this record's form.
    """

    report: dict[str, Any] = field(default_factory=dict)
    published: bool = False
    version: int = 1


@dataclass(frozen=True, slots=True)
class LockedTable(Stated):
    """A relation that a statement locks, and the table that it is an index of."""

    relation: str
    table: str | None = None


@dataclass(frozen=True, slots=True)
class TracedStatement(Stated):
    """What a statement did on the shadow database: tables it locks, rewrites and reads whole."""

    locks: tuple[LockedTable, ...] = ()
    rewrites: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RehearsedMigration(Stated):
    """How a migration and its rollback did; the words are those of rehearsal.verdict."""

    version: str
    forward: str = ""
    rollback: str = ""
    statements: tuple[TracedStatement, ...] = ()


@dataclass(frozen=True, slots=True)
class RehearsalRecord(Stated):
    """``runs/<run>/rehearsal.json``, as far as it is read again. Empty if nothing was rehearsed.

    The record is written as of ``turnback rehearse --json``, with much more in it. Its status is
    ``unreadable`` where it is not what the rehearsal wrote.
    """

    status: str = ""
    migrations: tuple[RehearsedMigration, ...] = ()
    stand_ins: tuple[str, ...] = ()


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
