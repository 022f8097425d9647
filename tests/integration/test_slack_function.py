"""The slack function, from the topic's event to what the chat gets."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from tests.chat import Chat, chatting
from tests.integration.handlers import Context, load_handler
from tests.real_events import event


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    """A chat whose address is in the function's secret."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws(), chatting() as server:
        secret = boto3.client("secretsmanager").create_secret(
            Name="slack", SecretString=json.dumps({"url": server.address})
        )
        monkeypatch.setenv("SLACK_SECRET_ARN", secret["ARN"])
        yield server


def test_a_status_event_becomes_one_message(chat: Chat) -> None:
    chat.answers = [(200, {})]
    result = load_handler("slack")(event("sns_status"), Context("slack", 60))

    assert result == {"posted": "rolled_back"}
    (message,) = chat.got
    header = message["blocks"][0]["text"]["text"]
    assert header == "learning: 1.0.0 failed and was rolled back"


def test_a_chat_that_is_down_fails_the_call_so_that_lambda_tries_again(
    chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    chat.answers = [(503, {})]
    with pytest.raises(Exception, match="ChatUnreachable") as caught:
        load_handler("slack")(event("sns_status"), Context("slack", 60))
    assert "sEcReT" not in str(caught.value) + capsys.readouterr().out
