"""What a run knows about itself: the state of the state machine.

What its records in the bucket hold is in record_types.

JSON is read here and written here, and is typed everywhere else. The JSON keys are a contract with
statemachine/release.asl.json and with the records of earlier runs, so they never change. Where an
attribute has a better name than its key, the key is given beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self

from turnback.errors import VerificationFailed
from turnback.runs.stated import Stated, key, unreadable

# Step Functions carries 256 KiB of state, SNS as much of a message.
TEXT_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class ArtifactLocation(Stated):
    """Exactly one version of one object.

    Attributes:
        bucket: the bucket.
        key: the object's key.
        version_id: its version; None in a bucket without versions.
        sha256: of its bytes, in hex, where that is known beforehand.
        size: in bytes, where that is known beforehand.
    """

    bucket: str
    key: str
    version_id: str | None = None
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class RunTurn(Stated):
    """Whether it is a run's turn.

    Attributes:
        mine: whether it is.
        waits_for: what it waits for, as the end of a sentence; empty if it does not wait.
        look_seconds: after so many seconds it looks by itself.
    """

    mine: bool
    waits_for: str = ""
    look_seconds: int = 60


@dataclass(frozen=True, slots=True)
class RunPlan(Stated):
    """What Validate found; the plan itself is in the bucket (PlanRecord).

    Attributes:
        release: the release number.
        sha256: of the artifact, hex; None for a run that has none.
        plan_key: where the plan is.
        migration_count: how many migrations the plan has.
        decision: ``go``, ``nothing_to_do``, ``superseded`` or ``dry_run``.
        direction: ``up``, or ``down`` for a run that goes back to an older release.
        rehearse: whether the release must be rehearsed.
        approvals_needed: how many people must approve.
        restore_policy: what follows a failed rollback: ``never``, ``approval`` or ``automatic``.
        stop_application: whether the application is stopped around a rollback.
        digest: of what people approve, see PlanRecord.
        basis: of that and of what is applied already, which is what a rehearsal begins with.
    """

    release: str = ""
    sha256: str | None = None
    plan_key: str = ""
    migration_count: int = field(default=0, metadata=key("migrations"))
    decision: str = "go"
    direction: str = "up"
    rehearse: bool = False
    approvals_needed: int = field(default=0, metadata=key("approvals"))
    restore_policy: str = field(default="never", metadata=key("restore"))
    stop_application: bool = False
    digest: str = ""
    basis: str = ""

    @property
    def down(self) -> bool:
        """Whether the run goes back to an older release."""
        return self.direction == "down"


@dataclass(frozen=True, slots=True)
class RunRehearsal(Stated):
    """What the rehearsal found, in short.

    Attributes:
        status: ``proven``, or ``unproven`` where the policy allows that.
        migration_count: how many migrations were rehearsed.
        irreversible_count: how many of them are irreversible, as their headers say.
        stand_ins: the extensions that the shadow has a stand-in for.
        key: where the whole result is.
        sha256: of the object with that key; empty in runs of earlier versions of turnback.
        basis: what was rehearsed, see RunPlan.
        state: the name and the SHA-256 of the state that was stored of the shadow server, or a
            word where none was; see stored_states.
    """

    status: str = ""
    migration_count: int = field(default=0, metadata=key("migrations"))
    irreversible_count: int = field(default=0, metadata=key("irreversible"))
    stand_ins: tuple[str, ...] = ()
    key: str = ""
    sha256: str = ""
    basis: str = ""
    state: str = ""

    @property
    def proven(self) -> bool:
        """Whether every rollback is proven."""
        return self.status == "proven"

    def left_out(self) -> set[str]:
        """What a status event does not say."""
        return {name for name in ("basis", "stand_ins", "state") if not getattr(self, name)}


@dataclass(frozen=True, slots=True)
class RunApproval(Stated):
    """The answer to a question: who approved (``by``), and of which ``gate``."""

    decision: str = ""
    gate: str = ""
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetentionReport(Stated):
    """What became of old snapshots.

    Attributes:
        removed: those that were removed.
        error: what kept more from being removed, or None.
        without_stack: those that do not name the stack that took them, which nobody removes.
    """

    removed: tuple[str, ...] = ()
    error: str | None = None
    without_stack: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunSnapshot(Stated):
    """The run's snapshot.

    Attributes:
        kind: ``rds``, ``aurora``, ``dump`` or ``none``.
        id: its identifier; None where none was taken.
        state: ``creating``, ``available`` or ``not_taken``.
        taken_at: when it was begun, ISO 8601.
        encrypted: whether it is encrypted; None where that is unknown.
        wait_seconds: until it is worth asking again.
        retention: what became of the old ones, once it is available.
    """

    kind: str = "none"
    id: str | None = None
    state: str = "not_taken"
    taken_at: str | None = None
    encrypted: bool | None = None
    wait_seconds: int = 0
    retention: RetentionReport | None = None

    @property
    def available(self) -> bool:
        """Whether the database can be restored from it."""
        return self.state == "available"


@dataclass(frozen=True, slots=True)
class RunProgress(Stated):
    """How far Apply or RollBack is; one call does as much as its time allows.

    Attributes:
        done: whether nothing is left.
        applied: how many migrations this call applied.
        rolled_back: how many this call rolled back.
        remaining: how many are left.
        backfills: how many backfills of the run continue in the background.
        running: the migration that is running in the server without us, as a sentence; or None.
        wait_seconds: until the next call.
        verified: what the schema is after a rollback, compared with the one before the run:
            ``exact``, ``column_order``, ``names``, or ``unknown`` where nothing was kept to
            compare with; None before the rollback is done.
    """

    done: bool = False
    applied: int = 0
    rolled_back: int = 0
    remaining: int = 0
    backfills: int = 0
    running: str | None = None
    wait_seconds: int = 0
    verified: str | None = None


@dataclass(frozen=True, slots=True)
class RunBackfill(Stated):
    """What one call made of the background backfills of a run.

    Attributes:
        version: the migration it worked on; empty where none is left.
        status: what to announce, a word of ``Status``; empty for nothing.
        percent: how much of it is done.
        text: the same, with rows and time, or why it waits.
        next: ``go_on`` with another call, or ``end``.
        calls: how many calls this execution has made.
        burst_balance: it waits while a balance of I/O credits is lower, percent.
        cpu_credits: the same, of CPU credits.
        error: what stopped it, or None.
    """

    version: str = ""
    status: str = ""
    percent: int = 0
    text: str = ""
    next: str = "end"
    calls: int = 0
    burst_balance: int = 0
    cpu_credits: int = 0
    error: RunError | None = None


@dataclass(frozen=True, slots=True)
class RunBalances(Stated):
    """What the instance of RDS has left of its credits, before a call goes on with a backfill.

    Attributes:
        low: what is too low, in half a sentence; empty where nothing is.
        looks: at how many looks in a row something was.
    """

    low: str = ""
    looks: int = 0


@dataclass(frozen=True, slots=True)
class TableLoss(Stated):
    """Rows written to one table since the snapshot."""

    name: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class RestoreLoss(Stated):
    """What a restore loses.

    Attributes:
        since: when the snapshot was begun, ISO 8601; None where that is unknown.
        seconds: how long ago that was.
        inserted: rows inserted since, in all tables; None where nothing was counted. So are
            ``updated`` and ``deleted``.
        approximate: True where rows were counted: the server never counts exactly.
        reset: whether the server's counters were reset since.
        tables: the tables with most of the rows.
        others: what other runs did since, which a restore undoes as well.
    """

    since: str | None = None
    seconds: int | None = None
    inserted: int | None = None
    updated: int | None = None
    deleted: int | None = None
    approximate: bool | None = None
    reset: bool | None = None
    tables: tuple[TableLoss, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def counted(self) -> bool:
        """Whether rows were counted at all."""
        return self.inserted is not None

    @property
    def known(self) -> bool:
        """Whether rows were counted, by a server that has not reset its counters since."""
        return self.counted and not self.reset

    def left_out(self) -> set[str]:
        """What was not counted, and ``others`` where there are none."""
        counts = ("inserted", "updated", "deleted", "approximate", "reset")
        unknown = {name for name in counts if getattr(self, name) is None}
        unknown |= set() if self.counted else {"tables"}
        return unknown | (set() if self.others else {"others"})


@dataclass(frozen=True, slots=True)
class RunAssessment(Stated):
    """What to do after a rollback that did not bring the database back.

    Attributes:
        decision: ``as_before``: the database is as before the run; ``restore``; ``ask`` a person
            whether to restore; ``no``: it cannot be restored.
        reason: one sentence.
        loss: what a restore would lose; None where nothing is known of it.
    """

    decision: str
    reason: str
    loss: RestoreLoss | None = None


@dataclass(frozen=True, slots=True)
class RunVerification(Stated):
    """How many migrations Verify found as planned (``verified``)."""

    verified: int = 0


@dataclass(frozen=True, slots=True)
class RunApplication(Stated):
    """The application as it was before anything was stopped.

    Attributes:
        enabled: whether there is anything to stop.
        stopped: what each part was, in the words of recovery.application.
    """

    enabled: bool = False
    stopped: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ApplicationProgress(Stated):
    """How far stopping or starting the application is; ``waiting_for`` names the parts left."""

    done: bool = False
    waiting_for: tuple[str, ...] = ()
    wait_seconds: int = 0


@dataclass(frozen=True, slots=True)
class RunRestore(Stated):
    """How far the restore is.

    Attributes:
        state: ``restoring``, ``checking``, ``swapping`` or ``restored``.
        detail: the same in words.
        kept: where the old database is kept, or None.
        restored_to: the time that the data is as of, ISO 8601, or None.
        wait_seconds: until it is worth asking again.
    """

    state: str
    detail: str = ""
    kept: str | None = None
    restored_to: str | None = None
    wait_seconds: int = 0


@dataclass(frozen=True, slots=True)
class RunError(Stated):
    """What stopped a step: one of our errors, or what AWS calls it. See TurnbackError."""

    type: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    sqlstate: str | None = None
    hint: str | None = None
    version: str | None = None

    @classmethod
    def from_caught(cls, caught: object) -> Self | None:
        """The error that a Catch put into the state, unwrapped; None without one.

        A function that raises one of our errors reports it as JSON, with file and line. Anything
        else (a timeout, a bug) is known by its name and whatever text there is.
        """
        if not isinstance(caught, Mapping) or not caught:
            return None
        found = {"type": str(caught.get("Error") or "Unknown"), "message": ""}
        cause = caught.get("Cause") or ""
        wrapped = _parsed(cause)
        for name, theirs in (("message", "errorMessage"), ("type", "errorType")):
            if theirs in wrapped:
                found[name] = wrapped[theirs]
        # Lambda wraps the text of an error; what ends a waiting task gives it as it is.
        inner = _parsed(found["message"] or cause)
        found |= inner if "message" in inner else {}
        found["message"] = found["message"] or str(cause) or found["type"]
        return cls.from_state(found)

    @classmethod
    def read(cls, value: object, where: str) -> Self:
        """Read what a Catch, a step or a record left. A field of another type is left out."""
        found = value if isinstance(value, Mapping) else {}
        if "Error" in found or "Cause" in found:
            return cls.from_caught(found) or cls("Unknown", where)
        given = {
            one.name: _fitting(found[one.name], one)
            for one in fields(cls)
            if found.get(one.name) is not None
        }
        return cls(**{"type": "Unknown", "message": "", **given})


@dataclass(frozen=True, slots=True)
class RunState(Stated):
    """The state of the state machine: the order, and what the steps so far left in it.

    ``run``, ``target``, ``trigger``, ``dry_run`` and ``artifact`` are as the execution was started,
    unchecked; Order checks them. An artifact that no order can have is None.
    """

    run: str = ""
    target: str = ""
    trigger: str = "manual"
    dry_run: bool = False
    artifact: ArtifactLocation | None = None
    turn: RunTurn | None = None
    plan: RunPlan | None = None
    rehearsal: RunRehearsal | None = None
    approval: RunApproval | None = None
    snapshot: RunSnapshot | None = None
    apply: RunProgress | None = None
    verify: RunVerification | None = None
    application: RunApplication | None = None
    stopping: ApplicationProgress | None = None
    starting: ApplicationProgress | None = None
    backfill: RunBackfill | None = None
    balances: RunBalances | None = None
    backfill_error: RunError | None = None
    roll_back: RunProgress | None = None
    assessment: RunAssessment | None = None
    restore_approval: RunApproval | None = None
    restore: RunRestore | None = None
    outcome: str | None = None
    error: RunError | None = None
    rollback_error: RunError | None = None
    restore_error: RunError | None = None
    application_error: RunError | None = None

    @classmethod
    def from_state(cls, state: object) -> Self:
        """Read the state. Unlike anything else in it, the order may be of any type.

        Raises:
            VerificationFailed: a step's part of it is not what that step leaves.
        """
        if not isinstance(state, Mapping):
            raise unreadable(cls.__name__, "an object")
        defaults = {"run": "", "target": "", "trigger": "manual"}
        given = {name: str(state.get(name) or default) for name, default in defaults.items()}
        dry_run = state.get("dry_run") is True
        try:
            artifact = ArtifactLocation.from_state(state.get("artifact")).to_state()
        except VerificationFailed:
            artifact = None
        checked = {**given, "dry_run": dry_run, "artifact": artifact}
        return cls.read({**state, **checked}, cls.__name__)

    @property
    def down(self) -> bool:
        """Whether the run goes back to an older release."""
        return self.plan is not None and self.plan.down


def _parsed(text: object) -> dict[str, Any]:
    try:
        found = json.loads(str(text))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _fitting(value: Any, one: Field[Any]) -> Any:
    if "int" in str(one.type):
        return value if type(value) is int else None
    return str(value)[:TEXT_LENGTH]
