"""The records of a run in the bucket: what is too large for the state machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from turnback.errors import TurnbackError, VerificationFailed
from turnback.migrations.checksums import digest
from turnback.runs.record_types import (
    UNREADABLE,
    CancelRecord,
    DoneMigration,
    FinalRecord,
    PlannedScript,
    PlanRecord,
    RehearsalRecord,
    RunReport,
    StepRecord,
)
from turnback.runs.state import RestoreLoss, RunError, RunRehearsal
from turnback.store import Store


class Finished(Protocol):
    """A migration that was applied, or rolled back."""

    @property
    def version(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def execution_ms(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one run."""

    store: Store
    run: str

    @property
    def plan_key(self) -> str:
        """The key of the plan."""
        return self._key("plan")

    @property
    def report_key(self) -> str:
        """The key of the report."""
        return self._key("report")

    @property
    def rehearsal_key(self) -> str:
        """The key of the rehearsal's result."""
        return self._key("rehearsal")

    def write_plan(self, plan: PlanRecord) -> None:
        """Keep the plan."""
        self._write("plan", plan.to_state())

    def plan(self) -> PlanRecord:
        """The plan; empty before there is one."""
        return PlanRecord.from_state(self._read("plan"))

    def write_scripts(self, scripts: Iterable[PlannedScript]) -> None:
        """Keep the text of the plan's scripts, for the people who approve it."""
        kept = [script.to_state() for script in scripts]
        self._write("scripts", {"version": 1, "scripts": kept})

    def scripts(self) -> list[PlannedScript]:
        """The text of the plan's scripts; empty for a plan of an earlier version of turnback."""
        return [PlannedScript.from_state(row) for row in self._read("scripts").get("scripts", ())]

    def planned(self) -> list[str]:
        """The versions that this run may apply, oldest first.

        Raises:
            VerificationFailed: the plan is gone.
        """
        plan = self.plan()
        if not plan.exists:
            raise VerificationFailed(
                f"the plan of this run is not at {self.plan_key}", hint="release again"
            )
        return plan.versions

    def write_rehearsal(self, rehearsal: Mapping[str, Any]) -> str:
        """Keep the rehearsal's result, as of turnback rehearse --json; returns its SHA-256."""
        return digest(self._write("rehearsal", rehearsal))

    def rehearsal(self, known: RunRehearsal | None) -> RehearsalRecord:
        """The rehearsal's result; empty where there was none.

        Args:
            known: what the rehearsal returned to the state machine, which it alone can say. What
                lies in the bucket may be of a migration that was rehearsed: it counts only if it
                is the same. None if the rehearsal refused the release.
        """
        body = self.store.read(self.rehearsal_key)
        if known and known.sha256 and digest(body or b"") != known.sha256:
            return RehearsalRecord(status=UNREADABLE)
        try:
            found = RehearsalRecord.from_state(json.loads(body or b"{}"))
        except (ValueError, RecursionError, VerificationFailed):
            return RehearsalRecord(status=UNREADABLE)
        proven = known is not None and known.proven
        return found if proven or not found.status else replace(found, status="unproven")

    def write_counters(self, counters: Mapping[str, Any]) -> None:
        """Keep the counters of written rows, as of the snapshot; see recovery.counters."""
        self._write("counters", counters)

    def counters(self) -> dict[str, Any]:
        """The counters of written rows, as of the snapshot; empty where there are none."""
        return dict(self._read("counters"))

    def has_begun(self, step: str) -> bool:
        """Whether this step of the run was called before."""
        return StepRecord.from_state(self._read(step)).began is not None

    def began(self, step: str, now: datetime) -> datetime:
        """When this step of the run began; ``now`` if this is its first call.

        Args:
            step: ``snapshot`` or ``restore``.
            now: the time.
        """
        known = StepRecord.from_state(self._read(step))
        if known.began:
            return datetime.fromisoformat(known.began)
        self._write(step, StepRecord(now.isoformat()).to_state())
        return now

    def write_fingerprint(self, fingerprint: str) -> None:
        """Keep the schema as it was before the run; see schema_before."""
        self.store.write(self._key("fingerprint"), fingerprint.encode())

    def fingerprint(self) -> bytes | None:
        """The schema as it was before the run; None where that was not kept."""
        return self.store.read(self._key("fingerprint"))

    def request_cancel(self, by: str, reason: str, create: Callable[[str, bytes], bool]) -> bool:
        """Ask the run to stop; returns whether nobody had asked before.

        Args:
            by: who asks.
            reason: why; may be empty.
            create: stores an object unless it exists.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        request = CancelRecord(by, at, reason).to_state()
        return create(self._key("cancel"), json.dumps(request, indent=2).encode())

    def cancelled(self) -> str | None:
        """Who cancelled this run and why, as a sentence; None if nobody did."""
        if not self._read("cancel"):
            return None
        found = CancelRecord.from_state(self._read("cancel"))
        reason = f": {found.reason}" if found.reason else ""
        return f"the run was cancelled by {found.by or 'someone'}{reason}"

    def report(self) -> RunReport:
        """What was done so far; empty before anything was."""
        return RunReport.from_state(self._read("report"))

    def add(
        self,
        *,
        applied: Iterable[Finished] = (),
        rolled_back: Iterable[Finished] = (),
        error: TurnbackError | None = None,
        verified: str | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        """Add to the report. A run's steps come in several calls, each with a part.

        Args:
            applied: migrations applied since the last call.
            rolled_back: migrations rolled back since the last call.
            error: what stopped the step.
            verified: what the schema after the rollback is; see RunReport.
            notes: sentences that a person should read.
        """
        report = self.report()
        self._write_report(
            replace(
                report,
                worked=True,
                applied=_merged(report.applied, applied),
                rolled_back=_merged(report.rolled_back, rolled_back),
                errors=(*report.errors, *([_error(error)] if error else ())),
                verified=verified or report.verified,
                notes=tuple(dict.fromkeys((*report.notes, *notes))),
            )
        )

    def add_note(self, note: str) -> None:
        """Add to the report a sentence that a person should read."""
        report = self.report()
        self._write_report(replace(report, notes=tuple(dict.fromkeys((*report.notes, note)))))

    def add_loss(self, loss: RestoreLoss) -> None:
        """Add to the report what the restore lost, as counted right before the swap."""
        self._write_report(replace(self.report(), loss=loss))

    def add_approval(self, approval: dict[str, Any]) -> None:
        """Add to the report how a question to people ended; one of each gate."""
        report = self.report()
        kept = [row for row in report.approvals if row["gate"] != approval["gate"]]
        self._write_report(replace(report, approvals=(*kept, approval)))

    @staticmethod
    def final_key(run: str) -> str:
        """The key of the final status, whole."""
        return f"runs/{run}/final.json"

    def write_final(self, final: FinalRecord) -> None:
        """Keep the final status, before and after it was published."""
        self._write("final", final.to_state())

    def final(self) -> FinalRecord:
        """The final status of the run; empty before there is one."""
        return FinalRecord.from_state(self._read("final"))

    def write_checklist(self, items: list[dict[str, str]]) -> None:
        """Add the checklist's answers to the report."""
        self._write_report(replace(self.report(), checklist=tuple(items)))

    def _write_report(self, report: RunReport) -> None:
        self._write("report", replace(report, version=1, run=self.run).to_state())

    def _key(self, name: str) -> str:
        return f"runs/{self.run}/{name}.json"

    def _read(self, name: str) -> Any:
        body = self.store.read(self._key(name))
        return json.loads(body) if body else {}

    def _write(self, name: str, content: object) -> bytes:
        body = json.dumps(content, indent=2).encode()
        self.store.write(self._key(name), body)
        return body


def _error(error: TurnbackError) -> RunError:
    return RunError.from_state({**error.to_dict(), "version": error.version})


def _merged(known: Iterable[DoneMigration], done: Iterable[Finished]) -> tuple[DoneMigration, ...]:
    """Each migration once, with what was said of it last."""
    rows = {row.version: row for row in known}
    rows |= {one.version: DoneMigration(one.version, one.name, one.execution_ms) for one in done}
    return tuple(rows.values())
