"""The stack for the faults of rollbacks and restores: each time with a database of its own."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from moto.awslambda.models import LambdaFunction
from moto.sns.models import SNSBackend
from turnback.migrations.artifact import pack
from turnback.runs.reporting.execution import ENDS

from tests.conftest import ProjectFactory
from tests.faults.recovery_bridge import bridge
from tests.faults.recovery_cells import Course
from tests.faults.recovery_databases import Databases
from tests.faults.recovery_faults import Answer, Fault, Faults, refuse
from tests.faults.recovery_judge import Standing, look
from tests.faults.recovery_moto import fix, hurry
from tests.integration.moto_stack import DEADLINE_S, Run, Stack, deployed, functions
from tests.integration.test_release_application import run_application

TASK_FAILED = ("TaskFailed", "TaskTimedOut")


@dataclass
class Ended:
    """A run that has ended, and what it left.

    Attributes:
        name: the run.
        run: of the state machine.
        failures: of each entry of the state that was to fail, how often it did.
        found: the database after it.
    """

    name: str
    run: Run
    failures: list[int]
    found: Standing

    @property
    def end(self) -> str:
        """The state it ended in."""
        return self.run.states[-1]

    @property
    def message(self) -> dict[str, Any] | None:
        """Its last message, where that tells its end."""
        last = self.run.messages[-1] if self.run.messages else None
        return last if last and ENDS[self.end] == last["status"] else None


@dataclass
class Ground:
    """One course's stack, and databases like the one that its release comes to.

    Attributes:
        course: the course.
        stack: deployed as it wants.
        faults: in the place of the functions.
        folder: the release's migrations.
        archive: the release, packed; None for a run downwards.
        database: makes a database with what stands before; its URL.
        service: the application.
    """

    course: Course
    stack: Stack
    faults: Faults
    folder: Path | None
    archive: bytes | None
    database: Callable[[], str]
    service: Any = None
    url: str = ""

    @functools.cached_property
    def before(self) -> Standing:
        """What stands before the release."""
        return look(self.database())

    @functools.cached_property
    def undisturbed(self) -> Ended:
        """The run to which nothing happens."""
        return self.run("", None)

    @property
    def after(self) -> Standing:
        """What an undisturbed run leaves."""
        return self.undisturbed.found

    @property
    def without(self) -> Standing:
        """The database without the release's migrations."""
        return self.after if self.course.files is None else self.before

    def fresh(self) -> None:
        """A database of its own for the next run, and the application as it was."""
        self.url = self.database()
        client = self.stack.client("secretsmanager")
        secret = json.loads(client.get_secret_value(SecretId="database")["SecretString"])
        secret["dbname"] = self.url.rpartition("/")[2]
        client.put_secret_value(SecretId="database", SecretString=json.dumps(secret))
        if self.service is not None:
            self.service.desired_count = self.service.running_count = 3
            self.service.task_definition = self.service.task_definition[:-1] + "2"

    def run(self, state: str, fault: Fault | None, moments: list[str] | None = None) -> Ended:
        """The course's run on a fresh database, with a fault at a state."""
        self.fresh()
        self.faults.arm(state, fault, moments)
        return self.ended(self.start(), state)

    def stopped(self, state: str, moments: list[str] | None) -> Ended:
        """A run that is stopped from outside while this state works; its call goes on.

        Args:
            state: by its name.
            moments: where the call dies; None lets it come to its end.
        """

        def stop(event: dict[str, Any]) -> None:
            self.stack.client("stepfunctions").stop_execution(executionArn=event["execution"])

        self.fresh()
        self.faults.arm(state, Fault.KILLED if moments else None, moments)
        self.faults.before = stop
        name = self.start()
        assert self.faults.finished.wait(DEADLINE_S)
        self.faults.arm("", None)
        return self.ended(name)

    def redrive(self) -> Standing:
        """Call the step that failed once more with the same state; what stands then."""
        self.faults.arm("", None)
        self.faults.again()
        return look(self.url)

    def report(self, name: str) -> dict[str, Any]:
        """``report.json`` of a run; empty where it wrote none."""
        try:
            return self.stack.record(name, "report")
        except self.stack.client("s3").exceptions.NoSuchKey:
            return {}

    def start(self) -> str:
        """Start the course's run on the database that there is."""
        if self.archive is None:
            return self.stack.start({"artifact": None, "rollback_to": "1.0.0"})
        key = f"artifacts/learning/{self.course.release}.zip"
        version = self.stack.put(self.archive, key)
        artifact = {"bucket": self.stack.bucket, "key": key, "version_id": version}
        return self.stack.start({"artifact": {**artifact, "sha256": None}})

    def ended(self, name: str, state: str = "") -> Ended:
        """The run, once it has ended."""
        run = self.stack.ended(name)
        return Ended(name, run, self.failures(name, state), look(self.url))

    def failures(self, name: str, state: str) -> list[int]:
        """How often a state of a run failed, each time that it was entered."""
        entries: list[int] = []
        inside = False
        for event in self.stack.execution(name).to_history_output()["events"]:
            if "stateEnteredEventDetails" in event:
                inside = event["stateEnteredEventDetails"]["name"] == state
                entries += [0] if inside else []
            elif event["type"] in TASK_FAILED and inside:
                entries[-1] += 1
        return entries


@contextmanager
def ground(
    course: Course,
    databases: Databases,
    layer: Path,
    projects: ProjectFactory,
    folder: Path,
) -> Iterator[Ground]:
    """The stack of a course, deployed."""
    parameters = {"Environment": "development", "SnapshotKind": "none", **course.parameters}
    having = {
        str(item["CodeUri"]).rpartition("/")[2]
        for item in functions().values()
        if {"Ref": "PostgresLayer"} in item["Layers"]
    }
    with ExitStack() as opened:
        patch = opened.enter_context(pytest.MonkeyPatch.context())
        hurry(patch)
        fix(patch)
        url = databases.like(course.before)
        stack = opened.enter_context(deployed(url, patch, parameters, layer))
        stack.set_timeout("apply", course.seconds)
        faults = Faults(layer, having, opened.enter_context(bridge()), _yes(stack))
        faults.other = _other_run(stack) if course.waits else None
        patch.setattr(LambdaFunction, "_invoke_lambda", _handed_to(faults))
        patch.setattr(SNSBackend, "publish", refuse(faults))
        files = projects(course.files) if course.files is not None else None
        archive = pack(files, course.release, folder / "a.zip").read_bytes() if files else None
        service = run_application() if "EcsServices" in course.parameters else None
        yield Ground(
            course, stack, faults, files, archive, lambda: databases.like(course.before), service
        )


def _handed_to(faults: Faults) -> Callable[..., Answer]:
    def invoke(function: Any, event: Any = None) -> Answer:
        return faults.invoke(function, event)

    return invoke


def _other_run(stack: Stack) -> Callable[[bool], None]:
    """A run that has the turn until another one waits for it.

    Its execution has been started just now, so that Step Functions does not know it yet.
    """

    def act(has_it: bool) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        if not has_it:
            stack.invoke("turn", {"do": "leave", "run": "r-other"})
            return
        record = {"holder": {"run": "r-other", "uploaded_at": now, "since": now}}
        stack.client("s3").put_object(
            Bucket=stack.bucket, Key="targets/learning/turn.json", Body=json.dumps(record)
        )

    return act


def _yes(stack: Stack) -> Callable[[dict[str, Any]], None]:
    """The person who agrees to everything, at once."""

    def answer(asked: dict[str, Any]) -> None:
        arn = "arn:aws:iam::123456789012:user/ann"
        stack.invoke(
            "answer",
            {
                "run": asked["state"]["run"],
                "gate": asked["gate"],
                "decision": "approved",
                "person": {"arn": arn, "user_id": "AIDAANN"},
            },
        )

    return answer
