"""The commands for AWS in this process, where moto is; and what is special about that.

moto's CloudFormation is not installed, so the answer of ``describe_stacks`` is put in its place,
and moto's S3 events lack the object's version, so on_upload is called with a recorded event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from turnback.aws import cloudformation
from turnback.aws.s3 import Bucket
from turnback.cli.main import cli
from turnback.engine.session import lock
from turnback.runs import release
from turnback.runs.watching import follow
from turnback.runtime import logger

from tests import documents
from tests.integration.moto_stack import REGION, TARGET, Stack

NAME = "turnback"
PATIENCE_S = 30
_OF_FUNCTIONS = ('{"_aws"', '{"level"')
# Before any command runs: the functions' logger keeps the stdout that it was made with.
assert logger


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, and the exit code it left with."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What ``--json`` printed; an error unless it is one document, and as its schema says."""
        return documents.read(self.out)


def turnback(*arguments: str | Path) -> Answer:
    """Run ``turnback ARGUMENTS`` in this process; stdout is no terminal."""
    done = CliRunner().invoke(cli, [str(item) for item in arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    assert isinstance(done.return_value, int)
    # The functions of moto run in this process as well, and their logs are lines of JSON.
    own = [line for line in done.stdout.splitlines() if not line.startswith(_OF_FUNCTIONS)]
    return Answer(done.return_value, "\n".join(own), done.stderr)


def released(folder: Path, release: str = "1.0.0") -> str:
    """The run of a release that is not watched."""
    answer = turnback("release", folder, "--release", release, "--json")
    return str(answer.document["run"])


def until(fact: Callable[[], object]) -> None:
    """Wait for something that has to come."""
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def know_stacks(monkeypatch: pytest.MonkeyPatch, *described: Mapping[str, Any]) -> None:
    """Let CloudFormation have these stacks, in the form of ``describe_stacks``, and no other."""
    known = {item["StackName"]: dict(item) for item in described}

    def describe_stacks(StackName: str) -> dict[str, Any]:
        if StackName not in known:
            message = f"Stack with id {StackName} does not exist"
            error = {"Error": {"Code": "ValidationError", "Message": message}}
            raise ClientError(error, "DescribeStacks")  # type: ignore[arg-type]
        return {"Stacks": [known[StackName]]}

    pages = SimpleNamespace(paginate=lambda: [{"Stacks": list(known.values())}])
    cloud = SimpleNamespace(
        describe_stacks=describe_stacks,
        get_paginator=lambda _: pages,
        meta=SimpleNamespace(region_name=REGION),
    )
    monkeypatch.setattr(cloudformation, "client", lambda _: cloud)


def described(stack: Stack, name: str = NAME, status: str = "CREATE_COMPLETE") -> dict[str, Any]:
    """The stack as ``describe_stacks`` gives it."""
    outputs = {
        "BucketName": stack.bucket,
        "StateMachineArn": stack.machine,
        "TopicArn": stack.topic,
        "Target": TARGET,
        "AnswerFunctionName": "answer",
        "TurnFunctionName": "turn",
        "ApplicationFunctionName": "application",
    }
    return {
        "StackName": name,
        "StackStatus": status,
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
        "Parameters": [{"ParameterKey": "Target", "ParameterValue": TARGET}],
    }


def at_the_terminal(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack, as the commands find it: by name, and with uploads that start runs."""
    know_stacks(monkeypatch, described(stack))
    write_file = Bucket.write_file

    def upload(bucket: Bucket, key: str, file: Path) -> str | None:
        version = write_file(bucket, key, file)
        if key.startswith("artifacts/"):
            stack.uploaded(key, str(version))
        return version

    monkeypatch.setattr(Bucket, "write_file", upload)
    monkeypatch.setattr(follow, "POLL_S", 0.05)
    monkeypatch.setattr(release, "POLL_S", 0.05)
    return stack


def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the state machine try again at once, as often as its definition says."""
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda _: None))


@contextmanager
def another_run(database: str) -> Iterator[None]:
    """Another run holds the lock for as long as the block lasts."""
    with psycopg.connect(database, autocommit=True, application_name="turnback/r-other") as held:
        key = lock.lock_key("public")
        held.execute("SELECT pg_advisory_lock(%s)", [key])
        yield
