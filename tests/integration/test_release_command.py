"""``turnback release``: what it uploads and starts, and the exit code that it leaves with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from turnback.migrations.artifact import pack

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import TARGET, Stack
from tests.integration.releases import (
    BROKEN,
    FIRST,
    GOOD,
    NO_WAY_BACK,
    Deploy,
    assert_untouched,
    health,
    tables,
)
from tests.integration.terminal import (
    another_run,
    at_the_terminal,
    described,
    know_stacks,
    turnback,
    without_pauses,
)


@pytest.fixture
def stack(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A deployed stack, found by the commands."""
    return at_the_terminal(deploy(), monkeypatch)


@pytest.mark.usefixtures("stack")
def test_a_release_that_succeeds_leaves_with_0(
    database: str, project_factory: ProjectFactory
) -> None:
    answer = turnback("release", project_factory(GOOD), "--release", "1.0.0", "--watch")

    assert answer.code == 0
    assert tables(database) == {"users", "nodes", "edges"}
    lines = answer.out.splitlines()
    assert f"release 1.0.0 (3 migrations) on {TARGET}: run r-" in lines[0]
    # Between them may be how far a step is.
    steps = [line for line in lines[1:-1] if line.startswith("✓")]
    assert [line.split()[2] for line in steps] == ["Validate", "Snapshot", "Apply", "Verify"]
    assert "3 of 3 applied" in steps[2]
    assert "release 1.0.0 on learning succeeded: 3 migrations applied (" in lines[-1]


@pytest.mark.usefixtures("stack")
def test_a_release_that_is_rolled_back_leaves_with_1(
    database: str, project_factory: ProjectFactory
) -> None:
    answer = turnback("release", project_factory(BROKEN), "--release", "1.0.0", "--watch")

    assert answer.code == 1
    assert tables(database) == set()
    assert "Roll back" in answer.out and "3 migrations rolled back" in answer.out
    assert "failed and was rolled back: the schema is as before" in answer.out
    assert re.search(r"^error: \S+/migrations/sql/0004_tags.sql:2:1: ", answer.err, re.MULTILINE)


@pytest.mark.usefixtures("stack")
def test_a_release_that_finds_another_run_at_work_leaves_with_4(
    database: str, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pauses(monkeypatch)
    with another_run(database):
        answer = turnback("release", project_factory(GOOD), "--release", "1.0.0", "--watch")

    assert answer.code == 4
    assert "(11 tries)" in answer.out
    assert "another run is working on this database: turnback/r-other" in answer.err
    assert tables(database) == set()


@pytest.mark.usefixtures("stack")
def test_a_release_that_needs_a_person_leaves_with_6_and_says_what_is_left(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(NO_WAY_BACK)
    answer = turnback("release", folder, "--release", "1.0.0", "--watch", "--json")

    assert answer.code == 6
    assert answer.document["status"] == "needs_a_person"
    assert answer.document["error"]["type"] == "MigrationFailed"
    failed = {
        step["name"]: step["error"]["type"] for step in answer.document["steps"] if step["error"]
    }
    assert failed["RollBack"] == "RollbackFailed"
    assert set(answer.document["left_applied"]) == {"0001", "0002", "0003"}
    assert tables(database) == {"users", "nodes", "edges"}


@pytest.mark.usefixtures("stack")
def test_a_release_that_is_refused_leaves_with_the_code_of_its_error(
    database: str, project_factory: ProjectFactory
) -> None:
    assert turnback("release", project_factory(GOOD), "--release", "1.1.0", "--watch").code == 0
    answer = turnback("release", project_factory(BROKEN), "--release", "1.0.0", "--watch")

    assert answer.code == 3
    assert "was refused: nothing was changed" in answer.out
    assert "release 1.0.0 is lower than 1.1.0" in answer.err
    assert tables(database) == {"users", "nodes", "edges"}


@pytest.mark.usefixtures("stack")
def test_a_release_that_a_newer_one_has_overtaken_leaves_with_0(
    project_factory: ProjectFactory,
) -> None:
    assert turnback("release", project_factory(GOOD), "--release", "1.1.0", "--watch").code == 0
    answer = turnback("release", project_factory(FIRST), "--release", "1.0.0", "--watch", "--json")

    assert (answer.code, answer.document["status"]) == (0, "superseded")


def test_without_watching_it_says_which_run_the_upload_started(
    stack: Stack, project_factory: ProjectFactory
) -> None:
    answer = turnback("release", project_factory(GOOD), "--release", "1.0.0", "--json")

    assert answer.code == 0
    document = answer.document
    assert (document["status"], document["release"]) == ("started", "1.0.0")
    assert document["artifact"]["key"] == f"artifacts/{TARGET}/1.0.0.zip"
    assert stack.ended(document["run"]).status == "SUCCEEDED"


def test_a_zip_is_released_as_it_is(
    stack: Stack, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    archive = pack(project_factory(GOOD), "2.0.0", tmp_path / "any-name.zip")
    answer = turnback("release", archive, "--json")

    assert answer.document["release"] == "2.0.0"
    key = answer.document["artifact"]["key"]
    stored = stack.client("s3").get_object(Bucket=stack.bucket, Key=key)["Body"].read()
    assert stored == archive.read_bytes()
    assert stack.ended(answer.document["run"]).status == "SUCCEEDED"


def test_a_damaged_zip_is_refused_before_it_is_uploaded(stack: Stack, tmp_path: Path) -> None:
    archive = tmp_path / "1.0.0.zip"
    archive.write_bytes(b"PK no zip")
    answer = turnback("release", archive)

    assert answer.code == 3
    assert "not a sound zip" in answer.err
    assert "Contents" not in stack.client("s3").list_objects_v2(Bucket=stack.bucket)


def test_a_dry_run_uploads_nothing_that_would_start_a_run(
    stack: Stack, database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(GOOD)
    answer = turnback("release", folder, "--release", "1.0.0", "--dry-run", "--watch", "--json")

    assert answer.code == 0
    assert answer.document["status"] == "succeeded"
    assert "a dry run, nothing is changed" in answer.document["steps"][0]["result"]
    stored = stack.client("s3").list_objects_v2(Bucket=stack.bucket)["Contents"]
    assert not [item["Key"] for item in stored if item["Key"].startswith("artifacts/")]
    assert_untouched(database)


def test_a_rollback_is_ordered_without_an_artifact(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = []
    start = stack.client("stepfunctions").start_execution
    monkeypatch.setattr(
        "turnback.aws.stepfunctions.StateMachine.start",
        lambda _, name, order: ordered.append((name, dict(order))) or bool(start),
    )
    answer = turnback("release", "--rollback-to", "1.3.0", "--json")

    assert answer.code == 0
    [(name, order)] = ordered
    assert answer.document["run"] == name == order["run"]
    assert order["artifact"] is None
    assert (order["rollback_to"], order["target"]) == ("1.3.0", TARGET)
    assert order["trigger"].startswith("release:arn:aws:")


def test_a_rollback_undoes_the_releases_after_the_one_named(
    stack: Stack, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    stack.release(project_factory(GOOD), "1.1.0", tmp_path)
    answer = turnback("release", "--rollback-to", "1.0.0", "--watch")

    assert answer.code == 0, answer
    assert tables(database) == {"users", "nodes"}
    assert health(database)["0003"] == "rolled_back"
    assert "1 of 1 rolled back" in answer.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "name either an artifact or --rollback-to"),
        (["a.zip", "--rollback-to", "1.0.0"], "name either an artifact or --rollback-to"),
        (["nowhere.zip"], "there is no nowhere.zip"),
        ([".", "--release", "one"], "'one' is not a release number"),
        (["."], "no release is named"),
        (["--rollback-to", "x"], "'x' is not a release number"),
    ],
)
def test_a_wrong_order_is_refused_with_2(arguments: list[str], expected: str) -> None:
    answer = turnback("release", *arguments, "--json")

    assert answer.code == 2
    assert expected in answer.document["error"]["message"]
    assert answer.document["error"]["hint"]


@pytest.mark.parametrize("name", ["1.4.0.tar.gz", "1.4.0.ZIP"])
def test_a_file_with_an_ending_that_the_stack_is_told_nothing_of_is_refused(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"PK")
    answer = turnback("release", str(tmp_path / name), "--json")
    assert answer.code == 2
    assert f"{name} does not end with .zip" in answer.document["error"]["message"]


def test_a_stack_that_is_not_there_is_named_with_those_that_are(
    stack: Stack, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = {"StackName": "network", "StackStatus": "CREATE_COMPLETE"}
    know_stacks(monkeypatch, described(stack, "turnback-production"), another)
    folder = project_factory(GOOD)
    answer = turnback("release", folder, "--release", "1.0.0", "--stack", "turnback-prod")

    assert answer.code == 2
    assert "there is no stack 'turnback-prod' in us-east-1" in answer.err
    assert "turnback-production" in answer.err and "network" not in answer.err


def test_a_stack_of_something_else_is_refused(
    project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_stacks(monkeypatch, {"StackName": "network", "StackStatus": "CREATE_COMPLETE"})
    folder = project_factory(GOOD)
    answer = turnback("release", folder, "--release", "1.0.0", "--stack", "network")

    assert answer.code == 2
    assert "the stack network is not a stack of turnback: it has no output BucketName" in answer.err


def test_nothing_is_released_to_a_stack_that_is_being_changed(
    stack: Stack, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_stacks(monkeypatch, described(stack, status="UPDATE_IN_PROGRESS"))
    answer = turnback("release", project_factory(GOOD), "--release", "1.0.0")

    assert answer.code == 5
    assert "the stack turnback is being changed: UPDATE_IN_PROGRESS" in answer.err
    assert turnback("runs").code == 0


def test_without_a_region_or_credentials_it_says_what_to_set(
    project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    folder = project_factory(GOOD)
    without_region = turnback("release", folder, "--release", "1.0.0")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    without_credentials = turnback("release", folder, "--release", "1.0.0")

    assert (without_region.code, without_credentials.code) == (2, 2)
    assert "set AWS_REGION" in without_region.err
    assert "set AWS_PROFILE" in without_credentials.err


def test_the_order_of_a_run_that_was_started_here_is_kept_by_its_execution(
    stack: Stack, project_factory: ProjectFactory
) -> None:
    folder = project_factory(GOOD)
    answer = turnback("release", folder, "--release", "1.0.0", "--dry-run", "--json")

    run = answer.document["run"]
    stack.ended(run)
    arn = f"{stack.machine.replace(':stateMachine:', ':execution:')}:{run}"
    found = stack.client("stepfunctions").describe_execution(executionArn=arn)
    order = json.loads(found["input"])
    assert order["dry_run"] is True
    assert order["artifact"]["sha256"] == answer.document["artifact"]["sha256"]
