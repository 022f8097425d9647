"""Statuses for machines and mail: what SNS and EventBridge really hand on, held to the schema."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from turnback.aws.events import EventBus
from turnback.aws.sns import Topic, by_protocol
from turnback.errors import AwsError
from turnback.runs.notifications.channels import Channels
from turnback.runs.reporting.report import Report
from turnback.runs.status import Status

from tests.chat import ERROR, of_every_kind, status_event
from tests.real_events import event

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: dict[str, Any] = json.loads(
    (ROOT / "docs" / "reference" / "status-event.schema.json").read_text()
)
EVENTS = {word: json.loads(report.to_json()) for word, report in of_every_kind().items()}
KINDS = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
KNOWN = {
    "$schema", "$defs", "title", "description", "type", "enum", "minimum", "items", "properties",
    "required", "additionalProperties", "$ref",
}  # fmt: skip


def wrong(value: Any, schema: Mapping[str, Any], where: str = "$") -> Iterator[str]:
    """What in a value is not as the schema says; of JSON Schema, as much as ours uses."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        yield from wrong(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], where)
        return
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(fits(value, kind) for kind in types):
        yield f"{where} is {value!r}, not {' or '.join(types)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is {value!r}"
    if isinstance(value, int) and value < schema.get("minimum", value):
        yield f"{where} is {value}"
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from wrong(item, schema["items"], f"{where}[{number}]")
    if isinstance(value, dict):
        yield from (f"{where} has no {name}" for name in schema["required"] if name not in value)
        for name, item in value.items():
            if name in schema["properties"]:
                yield from wrong(item, schema["properties"][name], f"{where}.{name}")
            elif not schema["additionalProperties"]:
                yield f"{where} has {name}"


def fits(value: Any, kind: str) -> bool:
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Makes clients of moto."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield boto3.client


@pytest.fixture
def queue(client: Callable[[str], Any]) -> str:
    return str(client("sqs").create_queue(QueueName="listener")["QueueUrl"])


def arn_of(queue: str) -> str:
    asked = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    return str(asked["Attributes"]["QueueArn"])


def received(queue: str) -> list[dict[str, Any]]:
    found = boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    return [json.loads(item["Body"]) for item in found.get("Messages", [])]


@pytest.fixture
def topic(queue: str) -> str:
    """A topic that the queue listens to."""
    sns = boto3.client("sns")
    arn = str(sns.create_topic(Name="status")["TopicArn"])
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=arn_of(queue))
    return arn


@pytest.fixture
def bus(queue: str) -> EventBus:
    """The default bus, with a rule that sends our statuses to the queue."""
    events = boto3.client("events")
    pattern = {"source": ["turnback"], "detail-type": ["Run status"]}
    events.put_rule(Name="all", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="all", Targets=[{"Id": "queue", "Arn": arn_of(queue)}])
    return EventBus("default")


def published(event_: Report, topic: str, queue: str) -> dict[str, Any]:
    Channels(Topic(topic)).publish(event_)
    (envelope,) = received(queue)
    return envelope


def test_the_schema_has_exactly_the_fields_of_the_message() -> None:
    fields = set(Report.__dataclass_fields__)
    assert set(SCHEMA["properties"]) == set(SCHEMA["required"]) == fields
    assert set(SCHEMA["properties"]["status"]["enum"]) == set(Status)


@pytest.mark.parametrize("word", Status)
def test_each_status_is_as_the_schema_says(word: Status) -> None:
    assert list(wrong(EVENTS[word], SCHEMA)) == []


@pytest.mark.parametrize("name", ["sns_status", "sns_awaiting_approval"])
def test_the_event_in_events_is_as_the_schema_says(name: str) -> None:
    message = json.loads(event(name)["Records"][0]["Sns"]["Message"])
    assert list(wrong(message, SCHEMA)) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "bored"),
        ("migration_count", -1),
        ("migration_count", True),
        ("migrations", [{"version": "1"}]),
        ("error", {"message": "m"}),
        ("approval", {"gate": "garden", "approved_by": []}),
        ("release", 1),
    ],
)
def test_the_schema_refuses_what_is_otherwise(field: str, value: Any) -> None:
    broken = copy.deepcopy(EVENTS[Status.RESTORED])
    assert list(wrong({**broken, field: value}, SCHEMA))
    del broken[field]
    assert list(wrong(broken, SCHEMA)) == [f"$ has no {field}"]


def test_machines_get_json_and_the_subject(topic: str, queue: str) -> None:
    envelope = published(status_event(Status.SUCCEEDED), topic, queue)
    assert json.loads(envelope["Message"]) == json.loads(status_event(Status.SUCCEEDED).to_json())
    assert envelope["Subject"] == "learning: 1.0.0 succeeded"
    assert envelope["MessageAttributes"]["status"]["Value"] == "succeeded"


def test_readers_of_e_mail_get_text() -> None:
    """Nothing here delivers mail: this is what SNS is given to choose from."""
    by = json.loads(by_protocol('{"status": "succeeded"}', "all is well\n"))
    assert by == {"default": '{"status": "succeeded"}', "email": "all is well\n"}


def test_a_message_with_markup_quotes_and_lines_arrives_as_it_was(topic: str, queue: str) -> None:
    evil = 'a "quoted" <b>&amp;</b>\n\\ ü \u2028 \U0001f600'
    envelope = published(
        status_event(Status.REFUSED, summary=evil, error={**ERROR, "message": evil}), topic, queue
    )
    assert json.loads(envelope["Message"])["error"]["message"] == evil


def test_a_topic_that_is_gone_is_an_error_that_says_so(topic: str) -> None:
    boto3.client("sns").delete_topic(TopicArn=topic)
    gone = Topic(topic)
    with pytest.raises(AwsError, match="could not publish the status: NotFound"):
        Channels(gone).publish(status_event(Status.SUCCEEDED))


def test_event_bridge_hands_on_each_status(bus: EventBus, topic: str, queue: str) -> None:
    boto3.client("sns").unsubscribe(
        SubscriptionArn=boto3.client("sns").list_subscriptions()["Subscriptions"][0][
            "SubscriptionArn"
        ]
    )
    restored = status_event(Status.RESTORED, execution_arn="arn:aws:states:e")
    assert Channels(Topic(topic), bus).publish(restored) == []

    (handed,) = received(queue)
    assert (handed["source"], handed["detail-type"]) == ("turnback", "Run status")
    assert handed["resources"] == ["arn:aws:states:e"]
    assert list(wrong(handed["detail"], SCHEMA)) == []


def test_a_bus_that_is_not_there_fails_nothing(topic: str, queue: str) -> None:
    (failed,) = Channels(Topic(topic), EventBus("nope")).publish(status_event(Status.SUCCEEDED))
    assert "event bus nope" in failed.message and "ResourceNotFound" in failed.message
    assert len(received(queue)) == 1


class Refusing:
    """A client of EventBridge whose first answers refuse the entry."""

    def __init__(self, *codes: str) -> None:
        self.codes = list(codes)
        self.asked = 0

    def put_events(self, **_: Any) -> dict[str, Any]:
        self.asked += 1
        if not self.codes:
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}
        answer = {"ErrorCode": self.codes.pop(0), "ErrorMessage": "no"}
        return {"FailedEntryCount": 1, "Entries": [answer]}


def refusing(bus: EventBus, monkeypatch: pytest.MonkeyPatch, *codes: str) -> Refusing:
    client = Refusing(*codes)
    monkeypatch.setattr(bus, "_events", client)
    monkeypatch.setattr(bus, "_sleep", lambda _: None)
    return client


def test_an_entry_refused_in_passing_is_put_again(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = refusing(bus, monkeypatch, "ThrottlingException", "InternalFailure")
    bus.put("Run status", "{}")
    assert client.asked == 3


def test_an_entry_refused_for_good_is_an_error_at_once(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = refusing(bus, monkeypatch, "MalformedDetail")
    with pytest.raises(AwsError, match="MalformedDetail: no") as caught:
        bus.put("Run status", "{")
    assert client.asked == 1
    assert "the run goes on without it" in str(caught.value.hint)


def test_an_entry_refused_in_passing_for_ever_is_an_error(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = refusing(bus, monkeypatch, *["ThrottlingException"] * 9)
    with pytest.raises(AwsError, match="ThrottlingException"):
        bus.put("Run status", "{}")
    assert client.asked == 3
