"""What a restore would lose: shown before it, and never what nobody was asked about."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from turnback.errors import RestoreFailed, RollbackFailed, RunnerBusy, TurnbackError
from turnback.recovery.contents import counters
from turnback.recovery.model import Place, RestoreProgress, Restorer, RestoreRequest, RestoreState
from turnback.runs.announce import Known
from turnback.runs.record_types import PlanRecord, RunReport
from turnback.runs.restore import assess, restore
from turnback.runs.state import RestoreLoss, RunAssessment, RunRestore, RunState
from turnback.runs.status import Status
from turnback.settings.recovery import RestoreSettings

from tests.conftest import ProjectFactory
from tests.integration.bucket import MemoryBucket, Release, release_of, run_back_to
from tests.integration.releases import FIRST, GOOD, NO_WAY_BACK, health, tables

FOURTH = {
    **GOOD,
    "sql/0004_more.sql": "ALTER TABLE edges ADD COLUMN c bigint;\n",
    "rollback/0004_rollback.sql": "ALTER TABLE edges DROP COLUMN c;\n",
}
# Its rollback runs statement by statement; the second one finds rows that it cannot keep.
TWO_STEPS_BACK = {
    **FIRST,
    "sql/0003_edges.sql": "CREATE TABLE edges (a bigint);\n"
    "CREATE TABLE tags (a bigint);\nALTER TABLE users DROP COLUMN email;\n",
    "rollback/0003_rollback.sql": "-- turnback: no-transaction\nDROP TABLE tags;\n"
    "ALTER TABLE users ADD COLUMN email text NOT NULL;\nDROP TABLE edges;\n",
}


def snapshot_of(run: Release) -> dict[str, Any]:
    """The state after the run's snapshot, whose counters are those of now."""
    with psycopg.connect(run.database) as connection:
        run.records.write_counters(counters(connection))
    taken = {"kind": "dump", "id": "d", "state": "available"}
    return {"snapshot": {**taken, "taken_at": datetime.now(UTC).isoformat()}}


def assessed(run: Release, state: dict[str, Any], policy: str = "automatic") -> RunAssessment:
    run.state |= state
    return assess(run.step(), policy)


@pytest.fixture
def bucket(database: str, project_factory: ProjectFactory, tmp_path: Path) -> MemoryBucket:
    """1.0.0 is released."""
    bucket = MemoryBucket()
    released(release_of(database, bucket, "r-1", project_factory(FIRST), "1.0.0", tmp_path))
    return bucket


def released(run: Release) -> Release:
    run.validate()
    run.apply()
    return run


def failing(
    database: str, bucket: MemoryBucket, project: Path, tmp: Path
) -> tuple[Release, dict[str, Any]]:
    """1.1.0, which fails and whose rollback fails; 0003 stays."""
    run = release_of(database, bucket, "r-2", project, "1.1.0", tmp)
    run.validate()
    state = snapshot_of(run)
    with pytest.raises(TurnbackError):
        run.apply()
    with pytest.raises(TurnbackError):
        run.roll_back()
    return run, state


def test_without_others_the_policy_automatic_restores(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run, state = failing(database, bucket, project_factory(NO_WAY_BACK), tmp_path)
    found = assessed(run, state)
    assert found.decision == "restore"
    assert found.loss is not None and not found.loss.others


def test_what_another_run_released_since_is_named_and_never_restored_away_by_policy(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run, state = failing(database, bucket, project_factory(NO_WAY_BACK), tmp_path)
    released(release_of(database, bucket, "r-3", project_factory(FOURTH), "1.2.0", tmp_path))

    found = assessed(run, state)
    assert found.decision == "ask"
    assert "run r-3 (release 1.2.0): 0004" in found.reason
    assert found.loss is not None
    assert found.loss.others == ("run r-3 (release 1.2.0): 0004",)


def test_what_another_run_took_back_since_is_named_as_well(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = released(release_of(database, bucket, "r-2", project_factory(GOOD), "1.1.0", tmp_path))
    state = snapshot_of(run)
    back = run_back_to(database, bucket, "r-3", "1.0.0")
    released(back)

    found = assessed(run, state)
    # 0003 was rolled back by somebody else: nothing of this run is left.
    assert found.decision == "as_before"
    state_of_back = snapshot_of(back)
    released(release_of(database, bucket, "r-4", project_factory(GOOD), "1.1.1", tmp_path))
    found = assessed(back, state_of_back)
    assert found.decision == "ask"
    assert found.loss is not None and found.loss.others == ("run r-4 (release 1.1.1): 0003",)


def test_a_run_that_left_nothing_is_not_restored_because_of_another_run(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = run_back_to(database, bucket, "r-2", "1.0.0")
    run.validate()
    state = snapshot_of(run)
    released(release_of(database, bucket, "r-3", project_factory(GOOD), "1.1.0", tmp_path))
    assert assessed(run, state).decision == "as_before"


def test_a_rollback_cut_short_outside_a_transaction_is_not_called_as_before(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    released(
        release_of(database, bucket, "r-2", project_factory(TWO_STEPS_BACK), "1.1.0", tmp_path)
    )
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users VALUES (1)")
    run = run_back_to(database, bucket, "r-3", "1.0.0")
    run.validate()
    state = snapshot_of(run)
    with pytest.raises(TurnbackError):
        run.apply()

    assert tables(database) == {"users", "nodes", "edges"}
    assert health(database)["0003"] == "applied"
    assert assessed(run, state).decision == "restore"


def test_where_nobody_knows_the_loss_even_the_policy_automatic_asks(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run, state = failing(database, bucket, project_factory(NO_WAY_BACK), tmp_path)
    counted = run.records.counters()
    run.records.write_counters({**counted, "oid": 1})
    assert assessed(run, state).decision == "ask"
    del bucket.objects["runs/r-2/counters.json"]
    found = assessed(run, state)
    assert found.decision == "ask" and "not known" in found.reason


def test_a_run_that_a_person_stopped_half_way_is_not_restored_without_asking(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run, state = failing(database, bucket, project_factory(NO_WAY_BACK), tmp_path)
    state["error"] = {"Error": "RunCancelled", "Cause": "{}"}
    assert assessed(run, state).decision == "ask"


def test_a_snapshot_of_days_ago_is_not_restored_without_asking(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run, state = failing(database, bucket, project_factory(NO_WAY_BACK), tmp_path)
    state["snapshot"]["taken_at"] = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    found = assessed(run, state)
    assert found.decision == "ask" and "72 hours old" in found.reason


def test_nothing_is_decided_while_a_statement_of_the_run_works_still(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run, state = failing(database, bucket, project_factory(NO_WAY_BACK), tmp_path)
    with run.step().database.connect(None) as engine:
        engine.connection.execute("SELECT pg_advisory_lock(%s)", [lock_number()])
        with pytest.raises(RunnerBusy, match="this very run"):
            assessed(run, state)
        with pytest.raises(RunnerBusy, match="this very run"):
            restored(run, state)


def lock_number() -> int:
    from turnback.engine.session import lock

    return lock.lock_key("public")


def test_a_rollback_does_not_take_away_what_another_run_has_built_on(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    broken = {**GOOD, "sql/0005_x.sql": "SELECT 1/0;\n", "rollback/0005_rollback.sql": ""}
    run = release_of(database, bucket, "r-2", project_factory(broken), "1.1.0", tmp_path)
    run.validate()
    with pytest.raises(TurnbackError):
        run.apply()
    # The run was killed there; another one came, and then it was taken up again.
    released(release_of(database, bucket, "r-3", project_factory(FOURTH), "1.2.0", tmp_path))
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO edges VALUES (1, 2, 3)")

    with pytest.raises(RollbackFailed, match=r"run r-3 \(release 1\.2\.0\): 0004"):
        run.roll_back()
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT * FROM edges").fetchall() == [(1, 2, 3)]


def test_a_restore_whose_old_database_has_no_name_any_more_gets_time_to_end(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run, state = failing(database, bucket, project_factory(NO_WAY_BACK), tmp_path)
    run.records.began(
        "restore",
        datetime.now(UTC) - timedelta(minutes=RestoreSettings.read({}).timeout_minutes + 1),
    )
    answer = restored(run, state, Renaming("turnback-before-old-r-2"))
    assert answer.state == "swapping"
    with pytest.raises(RestoreFailed, match="did not end"):
        restored(run, state, Renaming(None))


class Renaming:
    """A restore in the middle of its renames, or before them."""

    def __init__(self, kept: str | None) -> None:
        self.kept = kept

    def advance(self, request: RestoreRequest) -> RestoreProgress:
        assert request.run == "r-2"
        return RestoreProgress(RestoreState.SWAPPING, "RDS still renames", kept=self.kept)


class FakeRestorer:
    """A restore whose new database is checked at once; it must not get as far as the swap."""

    def __init__(self) -> None:
        self.swapped = False

    def advance(self, request: RestoreRequest) -> RestoreProgress:
        request.check(Place())
        self.swapped = True
        return RestoreProgress(RestoreState.RESTORED, "swapped")


def restored(
    run: Release,
    state: dict[str, Any],
    restorer: Restorer | None = None,
    at: Any = None,
) -> RunRestore:
    run.state |= state
    step = run.step()
    if at:
        step.database.connect_at = lambda _: nullcontext(at)
    return restore(step, restorer or FakeRestorer(), RestoreSettings.read({}))


def test_what_another_run_did_after_the_question_stops_the_restore(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run, state = failing(database, bucket, project_factory(NO_WAY_BACK), tmp_path)
    state["assessment"] = assessed(run, state, "approval").to_state()
    released(release_of(database, bucket, "r-3", project_factory(FOURTH), "1.2.0", tmp_path))

    restorer = FakeRestorer()
    with pytest.raises(RestoreFailed, match=r"run r-3 \(release 1\.2\.0\): 0004"):
        restored(run, state, restorer)
    assert not restorer.swapped
    # A person who was shown it may decide so; then the restored history is what counts.
    state["assessment"] = assessed(run, state, "approval").to_state()
    with pytest.raises(RestoreFailed, match="is not the one before the run"):
        restored(run, state, restorer)


def test_what_was_written_while_a_person_thought_is_reported_as_lost_too(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run, state = failing(database, bucket, project_factory(NO_WAY_BACK), tmp_path)
    state["assessment"] = assessed(run, state, "approval").to_state()
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users SELECT n, 'late' FROM generate_series(1, 7) n")
        connection.execute("SELECT pg_stat_force_next_flush()")
    before = SimpleNamespace(entries=lambda: run_before(run), repeatable_entries=list[object])
    restorer = FakeRestorer()
    restored(run, state, restorer, at=before)

    assert restorer.swapped
    lost = run.record("report")["loss"]
    assert lost["inserted"] >= state["assessment"]["loss"]["inserted"] + 7
    known = RunState.from_state(state), PlanRecord(), RunReport.from_state(run.record("report"))
    for status, loss in (
        (Status.RESTORED, lost),
        (Status.NEEDS_A_PERSON, state["assessment"]["loss"]),
    ):
        assert Known(status, *known).report().loss == RestoreLoss.from_state(loss)


def run_before(run: Release) -> list[Any]:
    """The history before the run, as the restored database has it."""
    with run.step().database.connect(None) as engine:
        planned = {version for version, _ in run.record("plan")["history"]}
        return [entry for entry in engine.entries() if entry.version in planned]


def test_a_run_of_which_nothing_is_left_cannot_be_restored(
    database: str, bucket: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = release_of(database, bucket, "r-2", project_factory(GOOD), "1.1.0", tmp_path)
    run.validate()
    with pytest.raises(RestoreFailed, match="nothing of the run is in the database"):
        restored(run, snapshot_of(run))
