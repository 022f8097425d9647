"""Background backfills of a release, by the real state machines; a trigger counts the changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from turnback.errors import ConfigurationError, DatabaseUnreachable
from turnback.runs import backfills

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.integration.moto_stack import TARGET, Run, Stack
from tests.integration.releases import Deploy, by_version
from tests.integration.terminal import until, without_pauses
from tests.integration.test_backfill import counted, files
from tests.integration.test_backfill_background import AFTER
from tests.integration.test_engine import query
from tests.real_events import event

FILES = files(more=" parallel=2")
# What ``held`` waits for.
GO = "UPDATE users SET email = 'go' WHERE id = 1 RETURNING 1"


def background(stack: Stack, run: str, number: int = 1) -> Run:
    """The execution of its backfills, once it has ended."""
    return stack.ended(f"{run}-{number}", stack.backfills)


def look(stack: Stack) -> list[str]:
    """What the schedule calls every ten minutes."""
    return stack.invoke("start_backfills", {"source": "aws.events"})["started"]


def looked_after(stack: Stack) -> Run:
    """The only execution that a look starts, once it has ended."""
    [name] = look(stack)
    return stack.ended(name, stack.backfills)


def records(stack: Stack) -> list[str]:
    found = stack.client("s3").list_objects_v2(
        Bucket=stack.bucket, Prefix=f"targets/{TARGET}/backfills/"
    )
    return [one["Key"] for one in found.get("Contents", ())]


def held(folder: Path, query: str = "SELECT count(*) = 0 FROM users WHERE email = 'go'") -> Path:
    """The project, whose backfill waits while this is true."""
    (folder.parent / "turnback.toml").write_text(f'[backfill]\nquery = "{query}"\n')
    return folder


def steer(word: str, folder: Path, url: str) -> None:
    assert turnback("backfill", word, "0002", "--dir", str(folder), url=url).code == 0


@pytest.fixture
def stack(deploy: Deploy) -> Stack:
    """Each call has time for one batch."""
    stack = deploy()
    stack.set_timeout("backfill", 30)
    return stack


def test_the_release_ends_at_once_and_an_execution_of_its_own_goes_on(
    stack: Stack, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = stack.release(project_factory(FILES), "1.0.0", tmp_path)
    name = run.messages[0]["run"]
    assert run.status == "SUCCEEDED"
    succeeded = next(one for one in run.messages if one["status"] == "succeeded")
    assert by_version(succeeded) == {"0001": "applied", "0002": "backfilling"}
    assert "the backfill of 0002 continues in the background" in succeeded["summary"]

    done = background(stack, name)
    assert (done.status, done.states[-1]) == ("SUCCEEDED", "Ended")
    assert done.states.count("GoOn") > 2
    said = [one for one in (*run.messages, *done.messages) if "backfill" in one["status"]]
    assert said[-1]["status"] == "backfilled"
    quarters = [int(one["progress"].split()[1]) for one in said[:-1]]
    assert quarters == sorted(set(quarters)) and set(quarters) <= {25, 50, 75}
    assert {one["run"] for one in said} == {name}
    assert counted(database) == [(1, 5000, 5000)]
    assert (records(stack), look(stack)) == ([], [])


def test_what_is_to_come_after_it_is_refused_before_and_released_afterwards(
    stack: Stack,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backfills, "MOST_CALLS", 1)
    first = stack.release(held(project_factory(FILES)), "1.0.0", tmp_path)
    name = first.messages[0]["run"]
    # An execution ends with its number of calls.
    background(stack, name)
    folder = held(project_factory({**FILES, **AFTER}))
    second = stack.release(folder, "1.1.0", tmp_path)
    assert (second.status, second.error) == ("FAILED", "BackfillNotDone")
    assert second.messages[-1]["status"] == "refused"

    query(database, GO)
    number = 1
    while started := look(stack):
        number += 1
        assert started == [f"{name}-{number}"]
        background(stack, name, number)
    assert number > 1
    assert counted(database) == [(1, 4999, 4999), (2, 1, 1)]
    assert stack.release(folder, "1.1.1", tmp_path).status == "SUCCEEDED"


def test_a_paused_one_goes_on_with_the_next_look_after_it_may(
    stack: Stack, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = held(project_factory(FILES))
    run = stack.release(folder, "1.0.0", tmp_path)
    name = run.messages[0]["run"]
    # Nothing was changed so far, because the project's query holds it up.
    until(lambda: query(database, "SELECT count(error) FROM migration_backfills") == [(2,)])
    steer("pause", folder, database)
    paused = background(stack, name)
    assert (paused.status, len(records(stack))) == ("SUCCEEDED", 1)
    said = [one for one in (*run.messages, *paused.messages) if one["status"] == "backfilling"]
    assert [one["progress"] for one in said] == ["0002: waits: the query of [backfill] says so"]
    assert looked_after(stack).messages == []
    assert counted(database) == [(0, 5000, 0)]
    query(database, GO)
    steer("resume", folder, database)
    looked_after(stack)
    assert counted(database) == [(1, 4999, 4999), (2, 1, 1)]


def test_rows_that_cannot_be_changed_are_announced_once(
    stack: Stack, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    setup = FILES["sql/0001_users.sql"].replace(
        "changes int DEFAULT 0", "changes int DEFAULT 0, CHECK (display_name <> 'user7')"
    )
    stack.set_timeout("backfill", 900)
    run = stack.release(project_factory({**FILES, "sql/0001_users.sql": setup}), "1.0.0", tmp_path)
    ended = background(stack, run.messages[0]["run"])
    said = [one for one in (*run.messages, *ended.messages) if one["status"] == "backfill_failed"]
    assert len(said) == 1
    assert "id = 7" in said[0]["error"]["message"]
    assert "turnback backfill resume 0002" in said[0]["error"]["hint"]
    again = looked_after(stack)
    assert (again.status, again.messages) == ("SUCCEEDED", [])


def test_a_call_whose_answer_is_lost_repeats_nothing(
    stack: Stack,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on, calls = backfills.go_on, []

    def dying(run: backfills.Run) -> backfills.RunBackfill:
        calls.append(run.id)
        result = go_on(run)
        if len(calls) % 2:
            raise DatabaseUnreachable("the answer of the call was lost")
        return result

    monkeypatch.setattr(backfills, "go_on", dying)
    without_pauses(monkeypatch)
    key = f"artifacts/{TARGET}/1.0.0.zip"
    stack.upload(project_factory(FILES), "1.0.0", tmp_path, key=key)
    # As somebody starts it by hand: without the version of the object.
    name = stack.start({"artifact": {"bucket": stack.bucket, "key": key}})
    assert stack.ended(name).status == "SUCCEEDED"
    assert background(stack, name).status == "SUCCEEDED"
    assert len(calls) > 3
    assert counted(database) == [(1, 5000, 5000)]


def test_one_that_could_not_be_started_is_started_by_the_next_look(
    stack: Stack,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: backfills.Starter) -> list[str]:
        raise ConfigurationError("the function does not run")

    with monkeypatch.context() as patch:
        patch.setattr(backfills.Starter, "look", fails)
        run = stack.release(project_factory(FILES), "1.0.0", tmp_path)
    assert run.status == "SUCCEEDED"
    assert counted(database) == [(0, 5000, 0)]
    assert looked_after(stack).status == "SUCCEEDED"
    assert counted(database) == [(1, 5000, 5000)]


def test_a_release_back_stops_it_first(
    stack: Stack, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    made = project_factory({name: FILES[name] for name in FILES if "0001" in name})
    assert stack.release(made, "1.0.0", tmp_path).status == "SUCCEEDED"
    folder = project_factory(FILES)
    some = "SELECT sum(batches) > 0 FROM migration_backfills"
    run = stack.release(held(folder, some), "1.1.0", tmp_path)
    until(lambda: query(database, "SELECT count(*) > 0 FROM users WHERE changes > 0") == [(True,)])
    back = stack.ended(stack.start({"rollback_to": "1.0.0"}))
    assert back.status == "SUCCEEDED"
    assert background(stack, run.messages[0]["run"]).status == "SUCCEEDED"
    assert query(database, "SELECT count(display_name), max(changes) FROM users") == [(0, 2)]
    look(stack)
    until(lambda: records(stack) == [])


def test_it_waits_while_its_instance_has_few_credits_left(stack: Stack) -> None:
    """The names of the metrics and their units are those of the RDS User Guide."""
    asked = event("backfill") | {"do": "balances"}
    assert stack.invoke("start_backfills", asked) == {"low": "", "looks": 0}
    stack.set_variables("start_backfills", DB_INSTANCE_IDENTIFIER="orders")
    units = {
        "BurstBalance": (12, "Percent"),
        "EBSIOBalance%": (80, "Percent"),
        "CPUCreditBalance": (3, "Count"),
    }
    stack.client("cloudwatch").put_metric_data(
        Namespace="AWS/RDS",
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "orders"}],
                "Timestamp": datetime.now(UTC) - timedelta(minutes=6),
                "Value": value,
                "Unit": unit,
            }
            for name, (value, unit) in units.items()
        ],
    )
    asked["state"]["backfill"] |= {"burst_balance": 20, "cpu_credits": 10}
    low = {"low": "BurstBalance is 12, CPUCreditBalance is 3", "looks": 1}
    assert stack.invoke("start_backfills", asked) == low
    asked["state"]["balances"] = low
    asked["state"]["backfill"]["cpu_credits"] = 0
    assert stack.invoke("start_backfills", asked) == {"low": "BurstBalance is 12", "looks": 2}
    asked["state"]["backfill"]["burst_balance"] = 12
    assert stack.invoke("start_backfills", asked) == {"low": "", "looks": 0}
