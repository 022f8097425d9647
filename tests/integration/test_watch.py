"""``turnback watch``: a run as it is seen, and what it survives."""

from __future__ import annotations

import io
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from rich.console import Console
from turnback.aws import stepfunctions
from turnback.aws.s3 import Bucket
from turnback.aws.stepfunctions import Position, StateMachine
from turnback.cli.display import Lines
from turnback.cli.live import LiveDisplay
from turnback.cli.output import Output
from turnback.engine import Engine, Event, RunContext
from turnback.engine.session.events import EventKind
from turnback.migrations.discovery import load_project
from turnback.runs.reporting.execution import Story
from turnback.runs.reporting.progress import Progress, ProgressRecord, progress_key
from turnback.runs.watching.follow import Follower, RunView

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import Stack
from tests.integration.releases import BROKEN, GOOD, SLOW, Deploy, Interrupt
from tests.integration.terminal import (
    another_run,
    at_the_terminal,
    released,
    turnback,
    until,
)

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def stack(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A deployed stack, found by the commands."""
    return at_the_terminal(deploy(), monkeypatch)


def spoilt(
    monkeypatch: pytest.MonkeyPatch, error: Exception, spoil: Callable[[int], bool]
) -> list[int]:
    """Let the calls for events, counted from 1, raise an error; returns which were made."""
    # One of its own: the others are shared.
    real, calls = boto3.session.Session().client("stepfunctions"), list[int]()
    read = real.get_execution_history

    def history(**arguments: Any) -> Any:
        calls.append(len(calls) + 1)
        if spoil(calls[-1]):
            raise error
        return read(**arguments)

    monkeypatch.setattr(real, "get_execution_history", history)
    monkeypatch.setattr(stepfunctions, "client", lambda _: real)
    return calls


def test_a_run_that_is_over_is_shown_as_it_was(
    stack: Stack, project_factory: ProjectFactory
) -> None:
    run = released(project_factory(BROKEN))
    stack.ended(run)
    answer = turnback("watch", run, "--json", "-v")

    assert answer.code == 1
    document = answer.document
    assert (document["run"], document["release"]) == (run, "1.0.0")
    assert (document["status"], document["execution"]) == ("rolled_back", "FAILED")
    names = [step["name"] for step in document["steps"]]
    assert names == ["Validate", "Snapshot", "Apply", "RollBack"]
    assert document["steps"][2]["error"]["file"] == "sql/0004_tags.sql"
    assert document["error"]["line"] == 2
    assert all(step["seconds"] >= 0 for step in document["steps"])


def test_the_beginning_of_a_runs_id_is_enough(
    stack: Stack, project_factory: ProjectFactory
) -> None:
    run = released(project_factory(GOOD))
    stack.ended(run)

    assert turnback("watch", run[:8], "--json", "-v").document["run"] == run
    assert turnback("watch", "--json", "-v").document["run"] == run


def test_a_beginning_that_two_runs_have_is_refused(
    stack: Stack, project_factory: ProjectFactory
) -> None:
    folder = project_factory(GOOD)
    runs = [released(folder, "1.0.0"), released(folder, "1.0.1")]
    answer = turnback("watch", "r-")

    assert answer.code == 2
    assert all(run in answer.err for run in runs)
    for run in runs:
        stack.ended(run)


@pytest.mark.usefixtures("stack")
def test_a_run_that_is_not_there_is_refused() -> None:
    assert "has had no run yet" in turnback("watch").err
    answer = turnback("watch", "r-unknown")
    assert answer.code == 2
    assert "turnback runs" in answer.err


def test_ctrl_c_leaves_the_run_alone_and_says_how_to_watch_again(
    stack: Stack, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lines, "show", lambda *_: signal.raise_signal(signal.SIGINT))
    answer = turnback(
        "release", project_factory(GOOD), "--release", "1.0.0", "--watch", "--json", "-v"
    )

    assert answer.code == 130
    run = answer.document["run"]
    assert answer.document["status"] == "running"
    assert f"the run continues; watch it again: turnback watch {run} --stack turnback" in answer.err
    assert stack.ended(run).status == "SUCCEEDED"


@pytest.mark.usefixtures("stack")
def test_a_lost_connection_is_waited_for(
    project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = EndpointConnectionError(endpoint_url="https://states.us-east-1.amazonaws.com/")
    calls = spoilt(monkeypatch, lost, lambda number: number in (2, 3, 4))
    answer = turnback("release", project_factory(GOOD), "--release", "1.0.0", "--watch")

    assert answer.code == 0
    assert len(calls) > 4
    assert answer.err.count("the run continues, retrying") == 1
    assert "connected again" in answer.err
    assert answer.out.count("Validate") == 1


def test_expired_credentials_end_the_watching_and_not_the_run(
    stack: Stack, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = {"Error": {"Code": "ExpiredTokenException", "Message": "The token has expired"}}
    expired = ClientError(progress, "GetExecutionHistory")  # type: ignore[arg-type]
    calls = spoilt(monkeypatch, expired, lambda number: number > 1)
    answer = turnback(
        "release", project_factory(GOOD), "--release", "1.0.0", "--watch", "--json", "-v"
    )

    assert answer.code == 5
    assert len(calls) == 2
    error = answer.document["error"]
    assert "ExpiredTokenException" in error["message"]
    assert "aws sso login" in error["hint"]
    assert f"turnback watch {answer.document['run']}" in error["hint"]
    assert stack.ended(answer.document["run"]).status == "SUCCEEDED"


def stays_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an execution that was stopped stay so, as on AWS.

    moto's thread finds, between two states, that it may not go on, and writes that as an error over
    the stop.
    """
    fail = Environment.set_error

    def set_error(env: Environment, error: Any) -> None:
        if not isinstance(env.program_state(), ProgramStopped):
            fail(env, error)

    monkeypatch.setattr(Environment, "set_error", set_error)


def test_a_run_that_is_ended_from_outside_leaves_with_6(
    stack: Stack, database: str, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays_stopped(monkeypatch)
    with another_run(database):
        run = released(project_factory(GOOD))
        arn = f"{stack.machine.replace(':stateMachine:', ':execution:')}:{run}"
        found = StateMachine(stack.machine)
        until(lambda: len(found.events(run, Position())[0]) > 1)
        stack.client("stepfunctions").stop_execution(
            executionArn=arn, error="Stopped", cause="by hand"
        )
        answer = turnback("watch", run, "--json", "-v")

    assert answer.code == 6
    assert (answer.document["status"], answer.document["execution"]) == (
        "needs_a_person",
        "ABORTED",
    )
    assert "was ended from outside (ABORTED)" in answer.err
    assert answer.document["left_applied"] == []


def test_the_progress_of_the_engine_is_in_the_bucket(
    stack: Stack, database: str, project_factory: ProjectFactory
) -> None:
    said: list[str] = []
    bucket = Bucket(stack.bucket)
    record = ProgressRecord(bucket, "r-1", said.append, every_s=0.01)
    project = load_project(project_factory(SLOW))
    with Engine(database, context=RunContext(run="r-1"), listener=record) as engine:
        engine.run(engine.plan_up(project))
    record.close()

    kept = Progress.from_json(bucket.read(progress_key("r-1")) or b"")
    assert kept.applied == ("0001", "0002", "0003", "0004", "0005")
    assert kept.at and said == []


def test_a_bucket_that_takes_no_progress_does_not_stop_the_engine() -> None:
    class Broken:
        def read(self, key: str) -> bytes | None:
            raise AssertionError(key)

        def write(self, key: str, body: bytes) -> None:
            raise OSError(f"no room for {key}: {body!r}")

    said: list[str] = []
    record = ProgressRecord(Broken(), "r-1", said.append, every_s=0.01)
    record(Event(EventKind.STARTED, "0001", "users"))
    record.close()
    record(Event(EventKind.APPLIED, "0001", "users"))
    record.close()

    assert len(said) == 1
    assert "no room for runs/r-1/progress.json" in said[0]


def test_what_a_run_is_at_is_read_from_the_bucket_while_it_applies(
    stack: Stack, database: str, project_factory: ProjectFactory, before: Interrupt
) -> None:
    seen: list[RunView] = []

    class Eyes:
        def show(self, look: RunView) -> None:
            seen.append(look)
            step = look.story.current
            if step and step.name == "Apply" and not look.progress:
                now = datetime.now(UTC) + timedelta(seconds=1)
                progress = Progress(
                    now.isoformat(), ("0001",), (), "0002", "nodes", "waiting for it"
                )
                Bucket(stack.bucket).write(progress_key(run), progress.to_json())
            elif look.progress:
                other.__exit__(None, None, None)

        def note(self, text: str) -> None:
            raise AssertionError(text)

        def close(self) -> None: ...

    # Validate would wait for it.
    other = another_run(database)
    before("apply", other.__enter__)
    run = released(project_factory(GOOD))
    follower = Follower(run, StateMachine(stack.machine), Bucket(stack.bucket), Eyes())
    assert follower.follow().exit_code == 0

    found = next(look for look in seen if look.progress)
    assert found.progress and found.progress.name == "nodes"
    assert (found.done, found.planned) == (1, 3)


def story_at(name: str) -> Story:
    """The story of a run that has come to this step."""
    story = Story()
    details = {"stateEnteredEventDetails": {"name": name}}
    story.read([{"id": 1, "type": "TaskStateEntered", "timestamp": BEGAN, **details}])
    return story


def test_a_terminal_is_redrawn_in_place() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, color_system=None, width=80)
    live, story = LiveDisplay(console, animate=False), story_at("Apply")
    for done, percent in ((3, 40), (4, 80)):
        text = f"building index: {percent} %"
        progress = Progress(BEGAN.isoformat(), (), (), "0004", "tags", text, percent)
        live.show(RunView("r-1", story, BEGAN + timedelta(seconds=done), 8, progress, done))
    first, second = (
        [line.rstrip() for line in terminal.getvalue().splitlines() if f"{percent} %" in line]
        for percent in (40, 80)
    )
    live.close()
    shown = terminal.getvalue()

    assert first[-1].endswith("building index: 40 %")
    assert second[-1].endswith("building index: 80 %")
    assert re.search(r"Apply +3\.0 s", shown) and re.search(r"Apply +4\.0 s", shown)
    assert re.search(r"━{9} +3 of 8 migrations", shown)
    assert re.search(r"━{12} +4 of 8 migrations", shown)
    assert "0004 tags" in shown
    # What was drawn is erased, line by line, before it is drawn again and at the end.
    erased = "\x1b[1A\x1b[2K" * 3
    assert first[-1] in shown.split(erased)[0] and shown.endswith("\x1b[1A\x1b[2K")


def test_a_line_that_is_too_long_for_the_terminal_is_cut() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, color_system=None, width=40)
    live = LiveDisplay(console, animate=False)
    progress = Progress(BEGAN.isoformat(), (), (), "0004", "tags", "waiting " * 20, None)
    live.show(RunView("r-1", story_at("Apply"), BEGAN, 8, progress, 3))
    live.close()
    lines = [line for line in terminal.getvalue().splitlines() if "waiting" in line]
    assert lines and all(line.endswith("…") and len(line) == 40 for line in lines)


def test_a_pipe_gets_each_thing_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines, story = Lines(Output("watch", as_json=False)), story_at("Apply")
    for percent in (40, 41, 49, 50, 50):
        text = f"building index: {percent} %"
        progress = Progress(BEGAN.isoformat(), (), (), "0004", "tags", text, percent)
        lines.show(RunView("r-1", story, BEGAN, 8, progress, 3))

    assert capsys.readouterr().out.splitlines() == [
        "  3 of 8 migrations: 0004 tags: building index: 40 %",
        "  3 of 8 migrations: 0004 tags: building index: 50 %",
    ]


def test_a_run_that_waits_for_a_person_says_how_to_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Lines(Output("watch", as_json=False)).show(RunView("r-1", story_at("AskApproval"), BEGAN))
    assert "turnback approve r-1" in capsys.readouterr().out
