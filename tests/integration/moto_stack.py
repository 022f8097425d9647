"""The stack of template.yaml in this process: moto, with our own handlers as its functions.

The template says which functions there are, with which variables, and the state machine's
definition is the file that is deployed. Only where moto would start a container, the handler is
called instead.
"""

from __future__ import annotations

import functools
import io
import json
import threading
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import boto3
import pytest
from moto import mock_aws
from moto.awslambda.models import LambdaFunction
from moto.core.responses import EmptyResult
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.backend.execution import (
    BaseExecutionWorkerCommunication,
    Execution,
)
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from moto.stepfunctions.responses import StepFunctionResponse
from turnback.local.deploy import read_template
from turnback.migrations.artifact import pack

from tests.integration.handlers import call
from tests.real_events import event

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(ROOT / "template.yaml")
TARGET = "learning"
ACCOUNT = "123456789012"
REGION = "us-east-1"
DEADLINE_S = 60
# moto parses a definition when it is made and again for each execution; ours takes it a second of
# CPU. What comes of it keeps no state.
PARSE = functools.lru_cache(AmazonStateLanguageParser.parse)
# So it does with each path that a state reads, for which it makes a parser.
JSON_PATH = functools.cache(json_path.parse)
# Notified when an execution has ended, instead of asking moto for it again and again.
_ENDS = threading.Condition()


def functions() -> dict[str, dict[str, Any]]:
    """The functions of the template by their names there."""
    return {
        name: resource["Properties"]
        for name, resource in TEMPLATE["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


@dataclass
class Run:
    """A run that has ended."""

    status: str
    error: str | None
    cause: str | None
    messages: list[dict[str, Any]]
    states: list[str]

    @property
    def statuses(self) -> list[str]:
        """The statuses that were published."""
        return [message["status"] for message in self.messages]


@dataclass
class Stack:
    """The deployed stack, and what a test does with it."""

    bucket: str
    machine: str
    backfills: str
    topic: str
    queue: str
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client of moto."""
        return self.clients.setdefault(service, boto3.client(service))

    def upload(self, folder: Path, release: str, tmp: Path, *, key: str | None = None) -> str:
        """Package a project, upload it, and return the object's version."""
        archive = pack(folder, release, tmp / f"{release}.zip")
        return self.put(archive.read_bytes(), key or f"artifacts/{TARGET}/{release}.zip")

    def put(self, body: bytes, key: str) -> str:
        """Upload any bytes, and return the object's version."""
        answer = self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)
        return str(answer["VersionId"])

    def uploaded(self, key: str, version: str) -> dict[str, Any]:
        """What on_upload returns for the S3 event of this object."""
        upload = event("s3_upload")
        upload["Records"][0]["eventTime"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        stored = upload["Records"][0]["s3"]
        stored["bucket"]["name"] = self.bucket
        stored["object"] |= {"key": quote(key), "versionId": version}
        return self.invoke("on_upload", upload)

    def invoke(self, folder: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """What a function returns; its error fails the test."""
        answer = self.client("lambda").invoke(FunctionName=folder, Payload=json.dumps(payload))
        result = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, result
        return dict(result)

    def release(self, folder: Path, release: str, tmp: Path) -> Run:
        """Upload a release and wait for its run."""
        version = self.upload(folder, release, tmp)
        started = self.uploaded(f"artifacts/{TARGET}/{release}.zip", version)
        return self.ended(started["runs"][0]["run"])

    def start(self, order: Mapping[str, Any]) -> str:
        """Start a run by hand; its id."""
        run = f"r-{uuid.uuid4().hex[:20]}"
        whole = {"run": run, "target": TARGET, "trigger": "test", "dry_run": False, **order}
        self.client("stepfunctions").start_execution(
            stateMachineArn=self.machine, name=run, input=json.dumps(whole)
        )
        return run

    def ended(self, run: str, machine: str = "") -> Run:
        """The run, once it has ended; or an execution of another state machine."""
        found = self.execution(run, machine)
        with _ENDS:
            assert _ENDS.wait_for(lambda: hasattr(found, "ended"), DEADLINE_S), f"{run} goes on"
        states = [
            item["stateEnteredEventDetails"]["name"]
            for item in found.to_history_output()["events"]
            if "stateEnteredEventDetails" in item
        ]
        return Run(found.status, found.error, found.cause, self.messages(), states)

    def execution(self, run: str, machine: str = "") -> Execution:
        """moto's record of a run: an answer over its API costs it more than a step."""
        arn = f"{(machine or self.machine).replace(':stateMachine:', ':execution:')}:{run}"
        return stepfunctions_parser_backends[ACCOUNT][REGION].describe_execution(arn)

    def messages(self) -> list[dict[str, Any]]:
        """The status events published since the last call, in order."""
        sqs, found = self.client("sqs"), []
        while batch := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for item in batch:
                envelope = json.loads(item["Body"])
                message = json.loads(envelope["Message"])
                message["attributes"] = {
                    name: value["Value"] for name, value in envelope["MessageAttributes"].items()
                }
                found.append(message)
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=item["ReceiptHandle"])
        return sorted(found, key=lambda message: message["at"])

    def set_variables(self, folder: str, **variables: str) -> None:
        """Change variables of a function; an empty one counts as not set."""
        client = self.client("lambda")
        old = client.get_function_configuration(FunctionName=folder)["Environment"]["Variables"]
        client.update_function_configuration(
            FunctionName=folder, Environment={"Variables": {**old, **variables}}
        )

    def set_timeout(self, folder: str, seconds: int) -> None:
        """Change the time that a function has."""
        self.client("lambda").update_function_configuration(FunctionName=folder, Timeout=seconds)

    def record(self, run: str, name: str) -> dict[str, Any]:
        """plan.json or report.json of a run."""
        body = self.client("s3").get_object(Bucket=self.bucket, Key=f"runs/{run}/{name}.json")
        return dict(json.loads(body["Body"].read()))


def note_end(worker: BaseExecutionWorkerCommunication) -> None:
    """The end of an execution, once moto has written down all of it."""
    worker._reflect_execution_status()
    with _ENDS:
        worker.execution.ended = True
        _ENDS.notify_all()


def keep_cause(response: StepFunctionResponse) -> EmptyResult:
    """SendTaskFailure as AWS has it: with its cause, which moto drops."""
    response.stepfunction_backend.send_task_failure(
        response._get_param("taskToken"),
        error=response._get_param("error"),
        cause=response._get_param("cause"),
    )
    return EmptyResult()


@contextmanager
def deployed(
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    parameters: Mapping[str, str],
    layer: Path | None = None,
) -> Iterator[Stack]:
    """The stack, for a database.

    Args:
        database: URL of the database, over TCP.
        monkeypatch: of the test.
        parameters: values for the template's parameters, besides those that name the database.
        layer: PostgresLayer, unpacked; the functions that have it in the template find it.
    """
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    having = {
        str(item["CodeUri"]).rpartition("/")[2]
        for item in functions().values()
        if {"Ref": "PostgresLayer"} in item["Layers"]
    }

    def invoke(function: Any, event: Any = None) -> tuple[str, bool, str]:
        has_layer = function.function_name in having
        return call(function, event, layer=layer if has_layer else None)

    monkeypatch.setattr(LambdaFunction, "_invoke_lambda", invoke)
    monkeypatch.setattr(StepFunctionResponse, "send_task_failure", keep_cause)
    monkeypatch.setattr(BaseExecutionWorkerCommunication, "terminated", note_end)
    monkeypatch.setattr(AmazonStateLanguageParser, "parse", PARSE)
    monkeypatch.setattr(json_path, "parse", JSON_PATH)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        yield _deploy(database, parameters)


def _deploy(database: str, parameters: Mapping[str, str]) -> Stack:
    bucket, name = "turnback-learning", "turnback"
    s3, sns, sqs = boto3.client("s3"), boto3.client("sns"), boto3.client("sqs")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    topic = sns.create_topic(Name="status")["TopicArn"]
    queue = sqs.create_queue(QueueName="listener")["QueueUrl"]
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:listener"
    )
    values = _parameters() | {
        "Target": TARGET,
        "DatabaseTls": "disable",
        "DatabaseSecretArn": _secret(database),
        "SnapshotPollSeconds": "1",
        "RunnerWaitSeconds": "0",
        "Bucket": bucket,
        "Topic": topic,
        "ApprovalTopic": sns.create_topic(Name="approval")["TopicArn"],
        "ApprovalKey": boto3.client("secretsmanager").create_secret(
            Name="approval-key", SecretString="k" * 64
        )["ARN"],
        "Settings.StateMachineRevisionId": "INITIAL",
        "AnswerUrl.FunctionUrl": "https://answer.lambda-url.example/",
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::AccountId": ACCOUNT,
        "AWS::StackName": name,
        **parameters,
    }
    role = boto3.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument="{}")
    arn = role["Role"]["Arn"]
    client = boto3.client("lambda")
    arns = {key: _function(client, key, item, values, arn) for key, item in functions().items()}
    machines = []
    for name in ("ReleaseStateMachine", "BackfillStateMachine"):
        properties = TEMPLATE["Resources"][name]["Properties"]
        definition = (ROOT / properties["DefinitionUri"]).read_text()
        for placeholder, value in properties["DefinitionSubstitutions"].items():
            definition = definition.replace(f"${{{placeholder}}}", arns[value["Ref"].split(".")[0]])
        made = boto3.client("stepfunctions").create_state_machine(
            name=_text(properties["Name"], values), definition=definition, roleArn=arn
        )
        machines.append(made["stateMachineArn"])
    return Stack(bucket, *machines, topic, queue)


def _parameters() -> dict[str, str]:
    return {name: str(item.get("Default", "")) for name, item in TEMPLATE["Parameters"].items()}


def _secret(database: str) -> str:
    """A secret as RDS makes it; it says nothing of TLS."""
    url = urlsplit(database)
    secret = {
        "engine": "postgres",
        "host": url.hostname,
        "port": url.port,
        "username": unquote(url.username or ""),
        "password": unquote(url.password or "") or "trusted",
        "dbname": url.path.lstrip("/"),
    }
    client = boto3.client("secretsmanager")
    made = client.create_secret(Name="database", SecretString=json.dumps(secret))
    return str(made["ARN"])


def _function(
    client: Any, name: str, properties: Mapping[str, Any], values: Mapping[str, str], role: str
) -> str:
    folder = str(properties["CodeUri"]).rpartition("/")[2]
    variables = {
        **TEMPLATE["Globals"]["Function"]["Environment"]["Variables"],
        **properties.get("Environment", {}).get("Variables", {}),
    }
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    made = client.create_function(
        FunctionName=folder,
        Description=name,
        Runtime=TEMPLATE["Globals"]["Function"]["Runtime"],
        Role=role,
        Handler=TEMPLATE["Globals"]["Function"]["Handler"],
        Timeout=properties.get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"]),
        Code={"ZipFile": empty.getvalue()},
        Environment={"Variables": {key: _text(value, values) for key, value in variables.items()}},
    )
    return str(made["FunctionArn"])


def _text(value: Any, values: Mapping[str, str]) -> str:
    if isinstance(value, dict) and "Ref" in value:
        return values[value["Ref"]]
    if isinstance(value, dict) and "Fn::Sub" in value:
        text = str(value["Fn::Sub"])
        for name, known in values.items():
            text = text.replace(f"${{{name}}}", known)
        return text
    if isinstance(value, dict) and "Fn::GetAtt" in value:
        return values[".".join(value["Fn::GetAtt"])]
    if isinstance(value, dict) and "Fn::If" in value:
        # As if every condition were true: this stack has everything.
        return _text(value["Fn::If"][1], values)
    if isinstance(value, dict) and "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return separator.join(_text(part, values) for part in [parts] if part)
    return str(value)
