"""Each call of AWS that a run's functions make fails once, for all of botocore's tries.

Which calls there are, a run without a fault says; tests/faults/README.md has what came of it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from turnback.local.server import EmbeddedServer
from turnback.runs.reporting.execution import ENDS
from turnback.runs.status import Status

from tests import aws_calls
from tests.conftest import TEMPLATE, ProjectFactory
from tests.faults.recovery_moto import hurry
from tests.integration.moto_stack import Stack, deployed
from tests.integration.releases import BROKEN, GOOD, NO_WAY_BACK
from tests.integration.test_release_final_word import ended, say

pytestmark = pytest.mark.slow
PARAMETERS = {"Environment": "staging", "SnapshotKind": "dump", "RestorePolicy": "automatic"}
# The project of each course, and how it ends if nothing fails.
COURSES = {
    "good": (GOOD, Status.SUCCEEDED),
    "broken": (BROKEN, Status.ROLLED_BACK),
    "stuck": (NO_WAY_BACK, Status.RESTORED),
    "approved": (GOOD, Status.SUCCEEDED),
}
ANN = {"name": "ann", "aws": "arn:aws:iam::1:user/ann", "email": "ann@example.com"}
# The functions whose calls fail, one after the other.
EVERY = {"on_upload", "turn", "validate", "snapshot", "apply", "announce"}
FUNCTIONS = {
    "good": EVERY | {"rehearse"},
    "broken": EVERY | {"roll_back"},
    "stuck": EVERY | {"roll_back", "restore"},
    "approved": EVERY | {"ask", "answer"},
}
# What is broken would be refused by its rehearsal.
MORE = {
    "good": {"Rehearse": "always"},
    "approved": {"Approvals": "one", "ApproveAlways": "yes", "Approvers": json.dumps([ANN])},
}
Name = tuple[str, str]


def name_of(function: str, operation: str, of: dict[str, str]) -> Name:
    """Function and call, such as ``apply``, ``PutObject report.json``."""
    what = of.get("Key", "").rpartition("/")[2] or of.get("EventBusArn", "")
    thing = next((of[key] for key in ("SecretId", "TopicArn", "stateMachineArn") if key in of), "")
    last = re.sub(r"-SUFFIX$", "", thing.rpartition(":")[2])
    what = re.sub(r"^RUN\b", "<run>", what.replace("KEY", "the artifact"))
    return function, f"{operation.partition('.')[2]} {what or last}".strip()


@contextmanager
def watched(failing: Name | None, seen: list[Name]) -> Iterator[None]:
    """Note each call of a function; the first one of this name fails as if AWS were down."""
    make_call, left = BaseClient._make_api_call, [failing]

    def noted(client: BaseClient, operation: str, given: dict[str, Any]) -> Any:
        function = aws_calls.caller()
        if function is None or function == "final_word":
            return make_call(client, operation, given)
        named = dict(aws_calls.naming(given))
        name = name_of(function, f"{client.meta.service_model.service_name}.{operation}", named)
        seen.append(name)
        if name == left[0]:
            left[0] = None
            answer = {
                "Error": {"Code": "InternalError", "Message": "from the test"},
                "ResponseMetadata": {"HTTPStatusCode": 500},
            }
            raise ClientError(answer, operation)  # type: ignore[arg-type]
        return make_call(client, operation, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", noted)
        hurry(patch)
        yield


@dataclass
class Ground:
    """Runs of one course, each on a database of its own."""

    admin: psycopg.Connection[Any]
    server: EmbeddedServer
    layer: Path
    folder: Path
    tmp: Path
    parameters: dict[str, str]
    number: int = 0

    def run(self, failing: Name | None) -> tuple[str, list[Name]]:
        """How the run of a release ends where this call fails, and the calls that were made."""
        self.number += 1
        name, seen = f"aws_fault_{self.number}", list[Name]()
        self.admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        try:
            with (
                pytest.MonkeyPatch.context() as patch,
                deployed(self.server.url(name), patch, self.parameters, self.layer) as stack,
                watched(failing, seen),
            ):
                return self._ended(stack), seen
        finally:
            self.admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _ended(self, stack: Stack) -> str:
        key = "artifacts/learning/1.0.0.zip"
        version = stack.upload(self.folder, "1.0.0", self.tmp)
        [started] = again(lambda: stack.uploaded(key, version))["runs"]
        run = started["run"]
        said = self._answered(stack, run) if "Approvers" in self.parameters else []
        last = stack.ended(run)
        said += [message["status"] for message in last.messages]
        say(stack, ended(run, last.status))
        said += [message["status"] for message in stack.messages()]
        # One final word, and that of the state which the run ended in.
        final = [str(word) for word in said if Status(word).final]
        return final[0] if final == [ENDS[last.states[-1]]] else f"{last.states[-1]}: {final}"

    def _answered(self, stack: Stack, run: str) -> list[str]:
        """Wait for the question, and approve; what was said until then."""
        said: list[str] = []
        while "awaiting_approval" not in said and not hasattr(stack.execution(run), "ended"):
            said += [message["status"] for message in stack.messages()]
            time.sleep(0.02)
        answer = {"run": run, "decision": "approved", "person": ANN["aws"]}
        # Twice: a run that did not hear of it does by the same answer, or at its next reminder.
        for _ in range(2):
            again(lambda: stack.invoke("answer", answer))
        return said


def again(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a call returns; as Lambda or a person does, it is made once more if it fails."""
    try:
        return call()
    except AssertionError:
        return call()


@pytest.mark.parametrize("course", COURSES)
def test_a_run_whose_calls_of_aws_fail_once_each_ends_as_if_none_had(
    course: str,
    admin: psycopg.Connection[Any],
    server: EmbeddedServer,
    postgres_layer: Path,
    project_factory: ProjectFactory,
    tmp_path: Path,
) -> None:
    files, undisturbed = COURSES[course]
    parameters = PARAMETERS | {"Rehearse": "never"} | MORE.get(course, {})
    folder = project_factory(files)
    ground = Ground(admin, server, postgres_layer, folder, tmp_path, parameters)
    end, calls = ground.run(None)
    assert end == undisturbed
    ends = {name: ground.run(name)[0] for name in dict.fromkeys(calls)}
    # A call that fails once changes nothing: it is tried again before anybody is called.
    assert {name: found for name, found in ends.items() if found != undisturbed} == {}
    assert FUNCTIONS[course] <= {function for function, _ in ends}
