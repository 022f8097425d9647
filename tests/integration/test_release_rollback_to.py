"""A run downwards: back to a release, by the scripts that are in the database."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from turnback.engine import Event
from turnback.errors import (
    ConfigurationError,
    RollbackMissing,
    RunCancelled,
    UnknownVersion,
    VerificationFailed,
)
from turnback.migrations.artifact import pack
from turnback.runs.order import Order
from turnback.runs.record_types import PlannedScript

from tests.conftest import ProjectFactory
from tests.integration.bucket import MemoryBucket, Release, release_of, run_back_to
from tests.integration.releases import Deploy, health, tables

ONE = {"sql/0001_a.sql": "CREATE TABLE a ();\n", "rollback/0001_rollback.sql": "DROP TABLE a;\n"}
TWO = ONE | {
    "sql/0002_b.sql": "CREATE TABLE b ();\n",
    "rollback/0002_rollback.sql": "DROP TABLE b;\n",
    "sql/0003_c.sql": "CREATE TABLE c ();\n",
    "rollback/0003_rollback.sql": "DROP TABLE c;\n",
}
THREE = TWO | {
    "sql/0004_d.sql": "CREATE TABLE d ();\n",
    "rollback/0004_rollback.sql": "DROP TABLE d;\n",
}


@pytest.fixture
def released(database: str, project_factory: ProjectFactory, tmp_path: Path) -> MemoryBucket:
    """1.0.0 with one migration, 1.1.0 with two more, 1.2.0 with one more."""
    bucket = MemoryBucket()
    for number, files in enumerate((ONE, TWO, THREE)):
        name = f"1.{number}.0"
        run = release_of(database, bucket, f"r-{number}", project_factory(files), name, tmp_path)
        run.validate()
        run.apply()
    return bucket


def test_everything_after_the_release_is_rolled_back_newest_first(
    database: str, released: MemoryBucket
) -> None:
    run = run_back_to(database, released, "r-down", "1.0.0")
    answer = run.validate(gate=lambda _, plan: (len(plan.steps), ["why"]), restore="approval")

    stated = answer.to_state()
    assert stated.pop("digest") and stated.pop("basis")
    assert stated == {
        "release": "1.0.0",
        "sha256": None,
        "plan_key": "runs/r-down/plan.json",
        "migrations": 3,
        "decision": "go",
        "direction": "down",
        "rehearse": False,
        "approvals": 3,
        "restore": "approval",
        "stop_application": False,
    }
    plan = run.record("plan")
    assert [step["version"] for step in plan["migrations"]] == ["0004", "0003", "0002"]
    assert [version for version, _ in plan["history"]] == ["0001", "0002", "0003", "0004"]
    assert (plan["direction"], plan["rollback_to"], plan["artifact"]) == ("down", "1.0.0", None)
    assert plan["approval_reasons"] == ["why"]
    # Whoever approves reads exactly what will run: the scripts stored in the database.
    scripts = [PlannedScript.from_state(script) for script in run.record("scripts")["scripts"]]
    assert [script.file for script in scripts] == [step["file"] for step in plan["migrations"]]
    assert all(script.genuine and "DROP TABLE" in script.sql for script in scripts)

    done = run.apply()
    assert (done.done, done.applied, done.rolled_back) == (True, 0, 3)
    assert run.verify() == 3
    assert tables(database) == {"a"}
    assert [row["version"] for row in run.record("report")["rolled_back"]] == [
        "0004",
        "0003",
        "0002",
    ]
    assert run.record("fingerprint")["objects"]["table public.d"] is not None


def test_only_what_is_above_the_release_goes(database: str, released: MemoryBucket) -> None:
    run = run_back_to(database, released, "r-down", "1.1.0")
    run.validate()
    run.apply()
    assert tables(database) == {"a", "b", "c"}
    assert run_back_to(database, released, "r-2", "1.1.0").validate().decision == "nothing_to_do"


def test_a_release_lower_than_the_one_that_was_rolled_back_may_be_released_again(
    database: str, released: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    again = release_of(database, released, "r-x", project_factory(TWO), "1.1.5", tmp_path)
    assert again.validate().decision == "superseded"
    down = run_back_to(database, released, "r-down", "1.0.0")
    down.validate()
    down.apply()
    assert again.validate().migration_count == 2
    again.apply()
    assert tables(database) == {"a", "b", "c"}
    with down.step().database.connect(None) as engine:
        assert engine.last_release() == "1.1.5"


@pytest.mark.parametrize(
    "changed",
    [
        "UPDATE migration_log SET rollback_sql = 'DROP TABLE a, c' WHERE version = '0003'",
        "UPDATE migrations SET checksum = repeat('0', 64) WHERE version = '0003'",
    ],
)
def test_what_was_changed_since_it_was_approved_is_not_run(
    database: str, released: MemoryBucket, changed: str
) -> None:
    run = run_back_to(database, released, "r-down", "1.0.0")
    run.validate()
    with psycopg.connect(database) as connection:
        connection.execute(changed.encode())
    with pytest.raises(VerificationFailed, match="0003 is not as planned: the SHA-256") as caught:
        run.apply()
    assert caught.value.version == "0003"
    assert tables(database) == {"a", "b", "c", "d"}


def test_a_release_that_applied_nothing_is_refused_and_the_known_ones_are_named(
    database: str, released: MemoryBucket
) -> None:
    with pytest.raises(UnknownVersion, match=r"1\.2\.0, 1\.1\.0, 1\.0\.0"):
        run_back_to(database, released, "r-down", "1.0.7").validate()
    assert tables(database) == {"a", "b", "c", "d"}


def test_an_empty_database_knows_no_release(database: str) -> None:
    with pytest.raises(UnknownVersion, match="known are none"):
        run_back_to(database, MemoryBucket(), "r-down", "1.0.0").validate()


def test_what_has_no_rollback_is_refused_before_anything_is_done(
    database: str, released: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    one_way = "-- turnback: irreversible because it is\nCREATE TABLE e ();\n"
    folder = project_factory(THREE | {"sql/0005_e.sql": one_way})
    last = release_of(database, released, "r-3", folder, "1.3.0", tmp_path)
    last.validate()
    last.apply()
    with pytest.raises(RollbackMissing, match="0005"):
        run_back_to(database, released, "r-down", "1.0.0").validate()
    assert len(tables(database)) == 5


def test_a_dry_run_writes_the_plan_and_changes_nothing(
    database: str, released: MemoryBucket
) -> None:
    order = Order("r-dry", "learning", None, "a test", dry_run=True, rollback_to="1.0.0")
    run = Release(database, released, order)
    assert run.validate().decision == "dry_run"
    assert len(run.record("plan")["migrations"]) == 3
    assert set(health(database).values()) == {"applied"}


def test_a_run_downwards_goes_on_where_it_was_and_tells_how_far_it_is(
    database: str, released: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    index = {
        "sql/0005_i.sql": "CREATE TABLE e (id int);\nCREATE INDEX CONCURRENTLY i ON e (id);\n",
        "rollback/0005_rollback.sql": "DROP INDEX CONCURRENTLY i;\nDROP TABLE e;\n",
    }
    last = release_of(database, released, "r-3", project_factory(THREE | index), "1.3.0", tmp_path)
    last.validate()
    last.apply()
    run = run_back_to(database, released, "r-down", "1.0.0")
    run.validate()
    events: list[tuple] = []
    run.listener = lambda event: events.append(
        (event.kind, event.version, event.position, event.total)
    )
    calls = iter([True])
    answer = run.apply(keep_going=lambda: next(calls, False))
    assert (answer.done, answer.rolled_back, answer.remaining) == (False, 1, 3)
    with pytest.raises(VerificationFailed, match="0002 is still applied"):
        run.verify()
    assert run.apply().rolled_back == 3
    assert run.verify() == 4
    assert [row for row in events if row[0] == "rolled_back"] == [
        ("rolled_back", "0005", 1, 4),
        ("rolled_back", "0004", 2, 4),
        ("rolled_back", "0003", 3, 4),
        ("rolled_back", "0002", 4, 4),
    ]
    assert len(run.record("report")["rolled_back"]) == 4


def test_an_artifact_that_says_rollback_to_is_such_a_run(
    database: str, released: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory(ONE)
    run = release_of(database, released, "r-down", folder, "1.0.0", tmp_path)
    archive = pack(folder, "1.0.0", tmp_path / "down.zip", rollback_to="1.0.0")
    released.write("artifacts/learning/1.0.0.zip", archive.read_bytes())
    answer = run.validate()
    assert (answer.direction, answer.migration_count) == ("down", 3)
    assert answer.sha256
    run.apply()
    assert tables(database) == {"a"}


def test_a_run_that_was_cancelled_says_how_far_it_came(
    database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    bucket = MemoryBucket()
    slow = ONE | {
        f"sql/000{n}_i.sql": f"CREATE INDEX CONCURRENTLY i{n} ON p (id);\n" for n in (3, 4)
    }
    slow |= {f"rollback/000{n}_rollback.sql": f"DROP INDEX i{n};\n" for n in (3, 4)}
    slow |= {"sql/0002_p.sql": "CREATE TABLE p (id int);\n"}
    slow |= {"rollback/0002_rollback.sql": "DROP TABLE p;\n"}
    run = release_of(database, bucket, "r-c", project_factory(slow), "1.0.0", tmp_path)
    run.validate()

    def cancel(event: Event) -> None:
        if (event.kind, event.version) == ("applied", "0003"):
            bucket.write("runs/r-c/cancel.json", b'{"by": "ada", "reason": "too late"}')

    run.listener = cancel
    with pytest.raises(RunCancelled) as caught:
        run.apply()
    assert "cancelled by ada: too late" in caught.value.message
    assert "3 of 4 migrations were applied, the next is 0004" in caught.value.message
    report = run.record("report")
    assert [row["version"] for row in report["applied"]] == ["0001", "0002", "0003"]
    assert report["errors"][0]["type"] == "RunCancelled"
    assert run.roll_back().verified == "exact"
    assert tables(database) == set()


def test_an_order_needs_an_artifact_or_a_release_to_come_back_to() -> None:
    base = {"run": "r-1", "target": "learning", "artifact": None}
    assert Order.from_state({**base, "rollback_to": "1.3.0"}).rollback_to == "1.3.0"
    assert Order.from_state({**base, "rollback_to": "1.3.0"}).artifact is None
    with pytest.raises(ConfigurationError, match="'artifact'"):
        Order.from_state(base)
    with pytest.raises(ConfigurationError, match="not a release number"):
        Order.from_state({**base, "rollback_to": "yesterday"})
    with pytest.raises(ConfigurationError, match="'artifact'"):
        _ = Order.from_state({**base, "rollback_to": "1.3.0"}).location


def test_the_state_machine_takes_a_database_back_to_a_release_without_an_artifact(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(ONE), "1.0.0", tmp_path)
    second = stack.release(project_factory(TWO), "1.1.0", tmp_path)
    run = stack.ended(stack.start({"artifact": None, "rollback_to": "1.0.0"}))

    assert (run.status, run.error) == ("SUCCEEDED", None)
    assert run.statuses == ["started", "succeeded"]
    assert tables(database) == {"a"}
    assert health(database) == {"0001": "applied", "0002": "rolled_back", "0003": "rolled_back"}
    assert (
        f"the schema is as it was before run {second.messages[-1]['run']}"
        in run.messages[-1]["notes"]
    )
    unknown = stack.ended(stack.start({"artifact": None, "rollback_to": "0.9.0"}))
    assert (unknown.status, unknown.error) == ("FAILED", "UnknownVersion")
    assert unknown.statuses == ["refused"]
