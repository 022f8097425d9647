"""What a run leaves in the bucket: its plan and its report, too large for the state machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from turnback.errors import VerificationFailed


class Store(Protocol):
    """A bucket, as far as records need it."""

    def read(self, key: str) -> bytes | None:
        """The object's bytes, or None."""

    def write(self, key: str, body: bytes) -> None:
        """Store the object."""


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

    def report(self) -> dict[str, Any]:
        """What was done so far; empty before anything was."""
        return self._read(self.report_key)

    def add(
        self,
        *,
        applied: Iterable[Finished] = (),
        rolled_back: Iterable[Finished] = (),
        error: dict[str, Any] | None = None,
    ) -> None:
        """Add to the report; a run's steps come in several calls, each with a part.

        Args:
            applied: migrations applied since the last call.
            rolled_back: migrations rolled back since the last call.
            error: what stopped the step, as of TurnbackError.to_dict.
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
        self.store.write(self.report_key, json.dumps(report, indent=2).encode())

    def write_checklist(self, items: list[dict[str, str]]) -> None:
        """Add the checklist's answers to the report."""
        report = {"version": 1, "run": self.run, **self.report(), "checklist": items}
        self.store.write(self.report_key, json.dumps(report, indent=2).encode())

    def _read(self, key: str) -> dict[str, Any]:
        body = self.store.read(key)
        return dict(json.loads(body)) if body else {}
