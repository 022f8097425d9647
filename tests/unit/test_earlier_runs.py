"""Records that turnback wrote before its runs were typed: they are read, and nothing gets lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from turnback.runs.order import Order
from turnback.runs.record_types import PlanRecord, RunReport
from turnback.runs.records import Records
from turnback.runs.schema_before import kept_schema
from turnback.runs.state import RunState

EARLIER = Path(__file__).parents[1] / "earlier_runs"
RUNS = sorted(path.stem for path in EARLIER.glob("*.json"))


class Folder:
    """A bucket that has the records of one earlier run."""

    def __init__(self, name: str) -> None:
        self.documents = json.loads((EARLIER / f"{name}.json").read_text())

    def read(self, key: str) -> bytes | None:
        document = self.documents.get(Path(key).stem)
        return None if document is None else json.dumps(document).encode()


def has(new: Any, old: Any) -> bool:
    """Whether everything of the old document is in the new one, with the same values."""
    if isinstance(old, dict):
        return all(name in new and has(new[name], value) for name, value in old.items())
    if isinstance(old, list):
        return len(new) == len(old) and all(map(has, new, old))
    return new == old


@pytest.fixture(params=RUNS)
def folder(request: pytest.FixtureRequest) -> Folder:
    return Folder(request.param)


def test_there_is_an_earlier_run_of_each_end() -> None:
    assert {"dry_run", "refused", "restored", "rolled_back", "succeeded"} <= set(RUNS)


def test_the_plan_and_the_report_are_read_and_written_again_as_they_were(folder: Folder) -> None:
    plan, report = folder.documents["plan"], folder.documents["report"]
    assert has(PlanRecord.from_state(plan).to_state(), plan)
    assert has(RunReport.from_state(report).to_state(), report)


def test_the_state_is_read_and_each_part_is_written_again_as_it_was(folder: Folder) -> None:
    old = folder.documents["state"]
    new = RunState.from_state(old).to_state()
    # Errors change their form: a Catch has wrapped what is read out of it. Nobody reads verify.
    same = set(old) - {"error", "rollback_error", "artifact", "rollback_to", "verify"}
    assert all(has(new[name], old[name]) for name in same)
    assert Order.from_state(old).to_state()["run"] == new["run"]


def test_the_other_records_are_read(folder: Folder) -> None:
    records = Records(folder, folder.documents["state"]["run"])
    known = RunState.from_state(folder.documents["state"]).rehearsal
    assert len(records.rehearsal(known).migrations) == len(
        folder.documents.get("rehearsal", {}).get("migrations", [])
    )
    kept = kept_schema(records)
    assert (kept is not None) == ("fingerprint" in folder.documents)
    assert records.has_begun("snapshot") == ("snapshot" in folder.documents)
    assert records.planned() == [row["version"] for row in folder.documents["plan"]["migrations"]]


def test_what_a_restore_lost_is_read_as_numbers() -> None:
    state = RunState.from_state(Folder("restored").documents["state"])
    assert state.assessment is not None and state.assessment.loss is not None
    assert state.assessment.loss.known
    assert state.rollback_error is not None and state.rollback_error.type == "RollbackFailed"
