"""A run that waits for people, and nothing else of the stack: the gate of the real definition.

moto executes it, with our own functions ``ask`` and ``answer``; S3, SNS, Secrets Manager and IAM
are moto's. moto forgets the cause of SendTaskFailure, which is put right here.
"""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
from moto import mock_aws
from moto.awslambda.models import LambdaFunction
from moto.stepfunctions.responses import StepFunctionResponse
from turnback.runs.approvals.slack import sign

from tests.integration.handlers import call
from tests.integration.moto_stack import keep_cause
from tests.real_events import event

ROOT = Path(__file__).resolve().parents[2]
DEFINITION = json.loads((ROOT / "statemachine" / "release.asl.json").read_text())
GATES = {"release": "AskApproval", "restore": "AskRestore"}
REGION, ACCOUNT = "us-east-1", "123456789012"
BUCKET = "turnback-learning"
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
DEADLINE_S = 60


@dataclass
class Waiting:
    """The stack, and what a test does with it."""

    arns: dict[str, str]
    queues: dict[str, str]
    machines: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client of moto."""
        return boto3.client(service)

    def start(self, gate: str = "release", **changes: Any) -> str:
        """Start a run that comes to this gate at once."""
        run = f"r-{uuid.uuid4().hex[:20]}"
        state = {**event("ask")["state"], "run": run, **changes}
        plan = {
            "release": "1.4.0",
            "approval_reasons": ["sql/0003_drop.sql:1 table edges, with its rows (DROP TABLE)"],
        }
        plan["migrations"] = []  # type: ignore[assignment]
        self.put(f"runs/{run}/plan.json", plan)
        self.client("stepfunctions").start_execution(
            stateMachineArn=self.machines[gate], name=run, input=json.dumps(state)
        )
        return run

    def asked(self, times: int = 1) -> list[dict[str, Any]]:
        """The status events, once so many have been published since the last call."""
        return self._messages("statuses", times)

    def mails(self, times: int = 1) -> list[dict[str, Any]]:
        """What was sent to the topic of the links: envelopes of SNS."""
        return self._messages("links", times, whole=True)

    def link_of(self, person: str, times: int) -> str:
        """The newest link of this person, among so many mails."""
        mails = [
            m for m in self.mails(times) if m["MessageAttributes"]["person"]["Value"] == person
        ]
        [line] = [line for line in mails[-1]["Message"].splitlines() if "?t=" in line]
        return str(line)

    def over_http(self, method: str, query: str, **form: str) -> dict[str, Any]:
        """What the Function URL answers."""
        request = event("approval_link")
        request["requestContext"]["http"]["method"] = method
        request["rawQueryString"] = query
        if form:
            request["body"] = b64encode(urlencode(form).encode()).decode()
            request["isBase64Encoded"] = True
        return self.invoke("answer", request)

    def press(self, run: str, action: str, user: str, gate: str = "release") -> dict[str, Any]:
        """What Slack gets when somebody presses a button now."""
        request, now = event("slack_interaction"), str(int(time.time()))
        payload = {
            "user": {"id": user},
            "actions": [
                {
                    "block_id": "turnback_approval",
                    "action_id": action,
                    "value": json.dumps({"run": run, "gate": gate}),
                }
            ],
            "trigger_id": str(uuid.uuid4()),
        }
        body = urlencode({"payload": json.dumps(payload)}).encode()
        request["headers"] |= {
            "x-slack-request-timestamp": now,
            "x-slack-signature": sign(SIGNING_SECRET, now, body),
        }
        request["body"] = b64encode(body).decode()
        return self.invoke("answer", request)

    def invoke(self, function: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """What a function returns; its error fails the test."""
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
        result = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, result
        return dict(result)

    def ended(self, run: str, gate: str = "release") -> dict[str, Any]:
        """The state that the run ended with."""
        arn = f"{self.machines[gate].replace(':stateMachine:', ':execution:')}:{run}"
        deadline = time.monotonic() + DEADLINE_S
        states = self.client("stepfunctions")
        while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline, f"{run} has not ended"
            time.sleep(0.02)
        assert found["status"] == "SUCCEEDED", found
        return dict(json.loads(found["output"]))

    def question(self, run: str, gate: str = "release") -> dict[str, Any]:
        """The record of the question."""
        return self.get(f"runs/{run}/approvals/{gate}.json")

    def get(self, key: str) -> dict[str, Any]:
        """A record."""
        body = self.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"]
        return dict(json.loads(body.read()))

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Write a record."""
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(record).encode())

    def _messages(self, queue: str, times: int, *, whole: bool = False) -> list[dict[str, Any]]:
        sqs, found = self.client("sqs"), list[dict[str, Any]]()
        deadline = time.monotonic() + DEADLINE_S
        while len(found) < times:
            assert time.monotonic() < deadline, f"{len(found)} of {times} messages"
            got = sqs.receive_message(QueueUrl=self.queues[queue], MaxNumberOfMessages=1)
            for item in got.get("Messages", []):
                envelope = json.loads(item["Body"])
                found.append(envelope if whole else json.loads(envelope["Message"]))
                sqs.delete_message(QueueUrl=self.queues[queue], ReceiptHandle=item["ReceiptHandle"])
            time.sleep(0.01)
        return found


@contextmanager
def waiting(
    monkeypatch: pytest.MonkeyPatch,
    approvers: list[dict[str, Any]],
    *,
    reminder_s: int = 3600,
    **parameters: str,
) -> Iterator[Waiting]:
    """The stack with these approvers.

    Args:
        monkeypatch: of the test.
        approvers: as the parameter Approvers has them.
        reminder_s: after how many seconds the question is put again.
        parameters: further variables of the functions.
    """
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(LambdaFunction, "_invoke_lambda", call)
    monkeypatch.setattr(StepFunctionResponse, "send_task_failure", keep_cause)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        arns, queues = {}, {}
        for name in ("statuses", "links"):
            arns[name] = boto3.client("sns").create_topic(Name=name)["TopicArn"]
            queues[name] = boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]
            boto3.client("sns").subscribe(
                TopicArn=arns[name],
                Protocol="sqs",
                Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
            )
        secrets = {"key": "k" * 43, "chat": json.dumps({"signing_secret": SIGNING_SECRET})}
        for name, text in secrets.items():
            made = boto3.client("secretsmanager").create_secret(Name=name, SecretString=text)
            arns[name] = made["ARN"]
        variables = {
            "TARGET": "learning",
            "ENVIRONMENT": "production",
            "BUCKET": BUCKET,
            "TOPIC_ARN": arns["statuses"],
            "APPROVAL_TOPIC_ARN": arns["links"],
            "APPROVAL_KEY_SECRET_ARN": arns["key"],
            "SLACK_SECRET_ARN": arns["chat"],
            "ANSWER_URL": "https://abc.lambda-url.us-east-1.on.aws/",
            "APPROVERS": json.dumps(approvers),
            **parameters,
        }
        stack = Waiting(arns, queues)
        role = boto3.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument="{}")
        for name in ("ask", "answer"):
            arns[name] = _function(name, variables, role["Role"]["Arn"])
        for gate, state in GATES.items():
            stack.machines[gate] = _machine(gate, state, arns["ask"], reminder_s)
        yield stack


def _function(name: str, variables: Mapping[str, str], role: str) -> str:
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    made = boto3.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="app.handler",
        Timeout=30,
        Code={"ZipFile": empty.getvalue()},
        Environment={"Variables": dict(variables)},
    )
    return str(made["FunctionArn"])


def _machine(gate: str, state: str, function: str, reminder_s: int) -> str:
    asking = json.loads(
        json.dumps(DEFINITION["States"][state]).replace("${AskFunctionArn}", function)
    )
    asking |= {"TimeoutSeconds": reminder_s, "Next": "Done"}
    for caught in asking["Catch"]:
        # moto takes a Catch whose Next is its own state for none, and goes on to the next state.
        caught["Next"] = "Again" if caught["ErrorEquals"] == ["States.Timeout"] else "Done"
    states = {
        state: asking,
        "Again": {"Type": "Pass", "Next": state},
        "Done": {"Type": "Succeed"},
    }
    made = boto3.client("stepfunctions").create_state_machine(
        name=gate,
        definition=json.dumps({"StartAt": state, "States": states}),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/any",
    )
    return str(made["stateMachineArn"])
