"""Each upload gets one final word: where SNS was down, the run was aborted, or there was none."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto.stepfunctions.parser.api import ExecutionStatus
from turnback.migrations.artifact import pack
from turnback.runs.status import Status

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import ACCOUNT, REGION, TARGET, Stack
from tests.integration.releases import FIRST, GOOD, Deploy, tables
from tests.real_events import event

KEY = f"artifacts/{TARGET}/1.0.0.zip"
Asked = Callable[[str, dict[str, Any]], bool]


@contextmanager
def down(operation: str, when: Asked = lambda *_: True) -> Iterator[None]:
    """AWS does not answer this operation, for all of botocore's tries."""
    make_call = BaseClient._make_api_call

    def refused(client: BaseClient, name: str, given: dict[str, Any]) -> Any:
        if name == operation and when(name, given):
            error = {"Code": "InternalFailure", "Message": "from the test"}
            metadata = {"HTTPStatusCode": 500}
            raise ClientError({"Error": error, "ResponseMetadata": metadata}, name)  # type: ignore[typeddict-item]
        return make_call(client, name, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", refused)
        yield


def final(_: str, given: dict[str, Any]) -> bool:
    """Whether a message is the last one of a run."""
    status = given.get("MessageAttributes", {}).get("status", {}).get("StringValue", "")
    return bool(status) and Status(status).final


def say(stack: Stack, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What the function says to a message of its queue."""
    queued = event("final_word")
    queued["Records"][0]["body"] = json.dumps(body)
    return list(stack.invoke("final_word", queued)["said"])


def ended(run: str, status: str) -> dict[str, Any]:
    """EventBridge's event."""
    found = dict(json.loads(event("final_word")["Records"][0]["body"]))
    found["detail"] |= {"name": run, "status": status}
    return found


def test_a_final_status_that_sns_did_not_take_is_published_once_it_takes_it(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    with down("Publish", final):
        run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)
        assert run.status == "SUCCEEDED"
        name = stack.client("stepfunctions").list_executions(stateMachineArn=stack.machine)
        [name] = [row["name"] for row in name["executions"]]
        assert "succeeded" not in run.statuses
        kept = stack.record(name, "final")
        assert (kept["published"], kept["report"]["status"]) == (False, "succeeded")
        queued = event("final_word")
        queued["Records"][0]["body"] = json.dumps(ended(name, "SUCCEEDED"))
        answer = stack.client("lambda").invoke(
            FunctionName="final_word", Payload=json.dumps(queued)
        )
        # An error, so that the queue gives the message again.
        assert "FunctionError" in answer
    assert say(stack, ended(name, "SUCCEEDED")) == [{"run": name, "status": "succeeded"}]
    assert say(stack, ended(name, "SUCCEEDED")) == [{"run": name, "status": ""}]
    [message] = stack.messages()
    assert message == kept["report"] | {"attributes": message["attributes"]}
    assert message["done_count"] == 3


def test_a_run_that_published_its_end_gets_no_second_one(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)
    name = run.messages[-1]["run"]
    assert say(stack, ended(name, "SUCCEEDED")) == [{"run": name, "status": ""}]
    assert stack.messages() == []


def test_a_release_with_600_kilobytes_of_source_ends_with_a_message(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    # Random, for what can be compressed so far is refused.
    source = {name: os.urandom(150_000).hex() for name in ("repository", "commit")}
    archive = pack(project_factory(GOOD), "1.0.0", tmp_path / "1.0.0.zip", source=source)
    version = stack.put(archive.read_bytes(), KEY)
    [started] = stack.uploaded(KEY, version)["runs"]
    run = stack.ended(started["run"])
    assert run.statuses[-1] == "succeeded"
    assert len(json.dumps(run.messages[-1])) < 20_000


def test_a_run_that_was_aborted_ends_with_a_message(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    ann = json.dumps([{"name": "ann", "aws": "arn:aws:iam::1:user/ann"}])
    # A topic that is not there: what fails beside the status topic is logged.
    q = f"arn:aws:sns:{REGION}:{ACCOUNT}:q"
    stack = deploy(Approvals="one", ApproveAlways="yes", Approvers=ann, AmazonQTopicArn=q)
    version = stack.upload(project_factory(GOOD), "1.0.0", tmp_path)
    [started] = stack.uploaded(KEY, version)["runs"]
    while "awaiting_approval" not in {message["status"] for message in stack.messages()}:
        time.sleep(0.02)
    run = started["run"]
    # moto ends no execution while a task of it waits for its token.
    found = stack.execution(run)
    found.exec_status, found.stop_date = ExecutionStatus.ABORTED, datetime.now(UTC)
    assert say(stack, ended(run, "ABORTED")) == [{"run": run, "status": "needs_a_person"}]
    [message] = stack.messages()
    assert (message["run"], message["release"], message["target"]) == (run, "1.0.0", TARGET)
    assert "ended from outside (ABORTED)" in message["error"]["message"]
    assert tables(database) == set()
    assert say(stack, ended(run, "ABORTED")) == [{"run": run, "status": ""}]


def test_an_upload_that_could_not_be_started_is_started_later(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    version = stack.upload(project_factory(FIRST), "1.0.0", tmp_path)
    upload = uploaded(stack, version)
    with down("StartExecution"):
        # Lambda tries twice more, then puts the event into the queue.
        assert "FunctionError" in stack.client("lambda").invoke(
            FunctionName="on_upload", Payload=json.dumps(upload)
        )
    [said] = say(stack, upload)
    assert said["status"] == ""
    assert stack.ended(said["run"]).statuses[-1] == "succeeded"


def test_an_upload_that_can_never_be_started_is_refused_with_its_key(deploy: Deploy) -> None:
    stack = deploy()
    upload = uploaded(stack, stack.put(b"", KEY))
    with down("StartExecution"):
        [said] = say(stack, upload)
    assert said["status"] == "refused"
    [message] = stack.messages()
    assert KEY in message["summary"]
    assert "could not start the run" in message["error"]["message"]
    assert "upload it again" in message["error"]["hint"]


def uploaded(stack: Stack, version: str) -> dict[str, Any]:
    """S3's event of the artifact."""
    upload = event("s3_upload")
    stored = upload["Records"][0]["s3"]
    stored["bucket"]["name"] = stack.bucket
    stored["object"] |= {"key": KEY, "versionId": version}
    return upload
