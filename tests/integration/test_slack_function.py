"""The slack function, from the topic's event to what the chat shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from turnback.demo.slack import FailedResponse, LocalSlack
from turnback.runs.status import Status

from tests.chat import chatting, of_every_kind
from tests.integration.handlers import Context, load_handler
from tests.real_events import event

BUCKET = "turnback-learning"
EVENTS = {word: json.loads(report.to_json()) for word, report in of_every_kind().items()}


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalSlack]:
    """A chat, and a bucket; the function's secret holds the chat's webhook."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "BUCKET": BUCKET,
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws(), chatting() as chat:
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        secret = boto3.client("secretsmanager").create_secret(
            Name="slack", SecretString=json.dumps({"url": chat.address})
        )
        monkeypatch.setenv("SLACK_SECRET_ARN", secret["ARN"])
        yield chat


@pytest.fixture
def bot(slack: LocalSlack) -> LocalSlack:
    """The same with a bot in the secret."""
    boto3.client("secretsmanager").put_secret_value(
        SecretId="slack", SecretString=slack.bot_secret("signing")
    )
    return slack


def deliver(message: dict[str, Any] | str, seconds: float = 60) -> dict[str, Any]:
    """What the function returns for a message of the topic."""
    notice = event("sns_status")
    text = message if isinstance(message, str) else json.dumps(message)
    notice["Records"][0]["Sns"]["Message"] = text
    return dict(load_handler("slack")(notice, Context("slack", seconds)))


def test_the_event_in_events_becomes_one_message_by_webhook(slack: LocalSlack) -> None:
    for _ in range(2):
        result = load_handler("slack")(event("sns_status"), Context("slack", 60))
    assert result == {"status": "rolled_back", "done": "already shown"}
    (message,) = slack.messages.values()
    assert message["blocks"][0]["text"]["text"] == "learning: 1.0.0 failed and was rolled back"


def test_a_run_is_one_message_by_a_bot_and_its_name_is_in_the_bucket(bot: LocalSlack) -> None:
    done = [deliver(EVENTS[word])["done"] for word in Status]

    assert done == ["posted", *["changed"] * (len(Status) - 1)]
    record = boto3.client("s3").get_object(Bucket=BUCKET, Key="runs/r-1/slack.json")
    kept = json.loads(record["Body"].read())
    assert kept["status"] == "needs_a_person"
    title = bot.messages[kept["ts"]]["blocks"][0]["text"]["text"]
    assert title == "learning: 1.0.0 failed: a person is needed"


def test_a_question_has_buttons_that_the_answer_function_knows(bot: LocalSlack) -> None:
    load_handler("slack")(event("sns_awaiting_approval"), Context("slack", 60))
    (message,) = bot.messages.values()
    (row,) = [block for block in message["blocks"] if block["type"] == "actions"]
    assert [button["action_id"] for button in row["elements"]] == ["approve", "deny"]


def test_statuses_out_of_order_end_with_the_newest(bot: LocalSlack) -> None:
    for word in (Status.REHEARSED, Status.STARTED, Status.SUCCEEDED, Status.SNAPSHOT_TAKEN):
        deliver(EVENTS[word])
    (message,) = bot.messages.values()
    assert message["text"] == "learning: 1.0.0 succeeded"


def test_a_chat_that_is_down_fails_the_call_so_that_lambda_tries_again(
    slack: LocalSlack, capsys: pytest.CaptureFixture[str]
) -> None:
    slack.failures = [FailedResponse(503)]
    with pytest.raises(Exception, match="ChatUnreachable") as caught:
        deliver(EVENTS[Status.STARTED], seconds=8)
    assert "/services/" not in str(caught.value) + capsys.readouterr().out
    assert deliver(EVENTS[Status.STARTED])["done"] == "posted"


def test_a_revoked_webhook_fails_the_call_at_once_with_what_to_do(slack: LocalSlack) -> None:
    slack.failures = [FailedResponse(404, body="no_service")]
    with pytest.raises(Exception, match="ConfigurationError") as caught:
        deliver(EVENTS[Status.STARTED])
    assert "make a new webhook" in str(caught.value)
    assert len(slack.calls) == 1


@pytest.mark.parametrize("message", ["", "{", "[1]", '{"status": "succeeded"}'])
def test_what_is_no_status_fails_the_call_and_posts_nothing(
    slack: LocalSlack, message: str
) -> None:
    with pytest.raises(Exception, match="a message of the topic is"):
        deliver(message)
    assert slack.calls == []
