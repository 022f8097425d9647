"""The channels beside the status topic, of a stack that has them: Amazon Q's topic, and alarms."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import ACCOUNT, REGION, TARGET, Stack
from tests.integration.releases import GOOD, Deploy

Q, ALARMS = (f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}" for name in ("q", "alarms"))
ANN = {"name": "ann", "aws": "arn:aws:iam::1:user/ann"}


def listen(stack: Stack) -> str:
    """Make the two topics, and a queue behind each; the address of Amazon Q's."""
    addresses = {}
    for arn in (Q, ALARMS):
        name = arn.rpartition(":")[2]
        stack.client("sns").create_topic(Name=name)
        addresses[arn] = stack.client("sqs").create_queue(QueueName=name)["QueueUrl"]
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        stack.client("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
    return str(addresses[Q])


def titles(stack: Stack, queue: str) -> list[str]:
    """Of the notices that Amazon Q would show, in the order in which they came."""
    found = stack.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    notices = [json.loads(json.loads(item["Body"])["Message"]) for item in found["Messages"]]
    return [notice["content"]["title"] for notice in notices]


def test_amazon_q_hears_of_uploads_questions_and_ends_and_the_checklist_of_alarms(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(
        Approvals="one",
        ApproveAlways="yes",
        Approvers=json.dumps([ANN]),
        AmazonQTopicArn=Q,
        AlarmTopicArn=ALARMS,
    )
    queue = listen(stack)
    stack.uploaded("artifacts/elsewhere/1.0.0.zip", stack.put(b"", "artifacts/elsewhere/1.0.0.zip"))
    version = stack.upload(project_factory(GOOD), "1.0.0", tmp_path)
    [started] = stack.uploaded(f"artifacts/{TARGET}/1.0.0.zip", version)["runs"]
    while "awaiting_approval" not in {message["status"] for message in stack.messages()}:
        time.sleep(0.02)
    answer = {"run": started["run"], "decision": "approved", "person": ANN["aws"]}
    assert stack.invoke("answer", answer)["recorded"] is True
    run = stack.ended(started["run"])

    assert run.status == "SUCCEEDED"
    words = " ".join(titles(stack, queue))
    assert "refused" in words
    assert "waits" in words
    assert "succeeded" in words
    [alarms] = [row for row in run.messages[-1]["checklist"] if row["item"] == "alarms in place"]
    assert alarms["answer"] == "yes"
