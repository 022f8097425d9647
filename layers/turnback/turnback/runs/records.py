"""What a run leaves in the bucket: its plan and its report, too large for the state machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from turnback.errors import VerificationFailed
from turnback.store import Store


class Finished(Protocol):
    """A migration that was applied, or rolled back."""

    @property
    def version(self) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one run."""

    store: Store
    run: str

    @property
    def plan_key(self) -> str:
        """Where the plan is."""
        return f"runs/{self.run}/plan.json"

    @property
    def report_key(self) -> str:
        """Where the report is."""
        return f"runs/{self.run}/report.json"

    @property
    def rehearsal_key(self) -> str:
        """Where the result of the rehearsal is."""
        return f"runs/{self.run}/rehearsal.json"

    @property
    def fingerprint_key(self) -> str:
        """Where the fingerprint of the schema before the run is."""
        return f"runs/{self.run}/fingerprint.json"

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Keep the plan."""
        self.store.write(self.plan_key, json.dumps(plan, indent=2).encode())

    def plan(self) -> dict[str, Any]:
        """The plan; empty before there is one."""
        return self._read(self.plan_key)

    def planned(self) -> list[str]:
        """The versions that this run may apply, oldest first.

        Raises:
            VerificationFailed: the plan is gone.
        """
        plan = self.plan()
        if not plan:
            raise VerificationFailed(
                f"the plan of this run is not at {self.plan_key}", hint="release again"
            )
        return [step["version"] for step in plan["migrations"]]

    def write_rehearsal(self, rehearsal: dict[str, Any]) -> None:
        """Keep what the rehearsal found."""
        self.store.write(self.rehearsal_key, json.dumps(rehearsal, indent=2).encode())

    def rehearsal(self) -> dict[str, Any]:
        """What the rehearsal found; empty where there was none."""
        return self._read(self.rehearsal_key)

    def write_counters(self, counters: dict[str, Any]) -> None:
        """Keep the counters of written rows, as of the snapshot."""
        self.store.write(f"runs/{self.run}/counters.json", json.dumps(counters).encode())

    def counters(self) -> dict[str, Any]:
        """The counters of written rows, as of the snapshot; empty where there are none."""
        return self._read(f"runs/{self.run}/counters.json")

    def has_begun(self, step: str) -> bool:
        """Whether this step of the run was called before."""
        return bool(self._read(f"runs/{self.run}/{step}.json"))

    def began(self, step: str, now: datetime) -> datetime:
        """When this step of the run began: now, when this is its first call.

        Args:
            step: ``snapshot`` or ``restore``.
            now: the time.
        """
        key = f"runs/{self.run}/{step}.json"
        known = self._read(key)
        if known:
            return datetime.fromisoformat(known["began"])
        self.store.write(key, json.dumps({"began": now.isoformat()}).encode())
        return now

    def write_fingerprint(self, fingerprint: dict[str, Any]) -> None:
        """Keep the schema as it was before the run; what was kept before stays.

        Args:
            fingerprint: as of Fingerprint.to_json; with ``half_done``, the versions that an
                earlier run had left half done.
        """
        if self.store.read(self.fingerprint_key) is None:
            body = json.dumps(fingerprint, separators=(",", ":"), ensure_ascii=False)
            self.store.write(self.fingerprint_key, body.encode())

    def fingerprint(self) -> dict[str, Any]:
        """The schema as it was before the run; empty where that was not kept."""
        return self._read(self.fingerprint_key)

    def request_cancel(self, by: str, reason: str, create: Callable[[str, bytes], bool]) -> bool:
        """Ask the run to stop; returns whether nobody had asked before.

        Args:
            by: who asks.
            reason: why; may be empty.
            create: stores an object unless it exists.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        request = {"by": by, "at": at, "reason": reason}
        return create(f"runs/{self.run}/cancel.json", json.dumps(request, indent=2).encode())

    def cancelled(self) -> str | None:
        """Who cancelled this run and why, as a sentence; None as long as nobody did."""
        found = self._read(f"runs/{self.run}/cancel.json")
        if not found:
            return None
        reason = f": {found['reason']}" if found.get("reason") else ""
        return f"the run was cancelled by {found.get('by') or 'someone'}{reason}"

    def report(self) -> dict[str, Any]:
        """What was done so far; empty before anything was."""
        return self._read(self.report_key)

    def add(
        self,
        *,
        applied: Iterable[Finished] = (),
        rolled_back: Iterable[Finished] = (),
        error: dict[str, Any] | None = None,
        verified: str | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        """Add to the report; a run's steps come in several calls, each with a part.

        Args:
            applied: migrations applied since the last call.
            rolled_back: migrations rolled back since the last call.
            error: what stopped the step, as of TurnbackError.to_dict.
            verified: what the schema after the rollback is to the one before the run: ``exact``,
                ``column_order``, ``names``, ``differs`` or ``unknown``.
            notes: sentences that a person should read.
        """
        report: dict[str, Any] = {
            "version": 1,
            "run": self.run,
            "applied": [],
            "rolled_back": [],
            "errors": [],
        }
        report |= self.report()
        for name, finished in (("applied", applied), ("rolled_back", rolled_back)):
            rows = {row["version"]: row for row in report[name]}
            rows |= {done.version: done.to_dict() for done in finished}
            report[name] = list(rows.values())
        if error is not None:
            report["errors"] = [*report["errors"], error]
        if verified is not None:
            report["verified"] = verified
        told = report.get("notes", [])
        report["notes"] = [*told, *(note for note in notes if note not in told)]
        self.store.write(self.report_key, json.dumps(report, indent=2).encode())

    def add_loss(self, loss: dict[str, Any]) -> None:
        """Add to the report what the restore lost, as counted right before the swap."""
        report = {"version": 1, "run": self.run, **self.report(), "loss": loss}
        self.store.write(self.report_key, json.dumps(report, indent=2).encode())

    def add_approval(self, approval: dict[str, Any]) -> None:
        """Add to the report how a question to people ended; one of each gate."""
        report = {"version": 1, "run": self.run, "approvals": [], **self.report()}
        others = [row for row in report["approvals"] if row["gate"] != approval["gate"]]
        report["approvals"] = [*others, approval]
        self.store.write(self.report_key, json.dumps(report, indent=2).encode())

    def write_checklist(self, items: list[dict[str, str]]) -> None:
        """Add the checklist's answers to the report."""
        report = {"version": 1, "run": self.run, **self.report(), "checklist": items}
        self.store.write(self.report_key, json.dumps(report, indent=2).encode())

    def _read(self, key: str) -> dict[str, Any]:
        body = self.store.read(key)
        return dict(json.loads(body)) if body else {}
