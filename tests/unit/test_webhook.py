"""Posting to a chat: it waits where Slack asks it to, and silent about its address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from turnback.demo.slack import FailedResponse, LocalSlack
from turnback.errors import ChatUnreachable, ConfigurationError
from turnback.runs.notifications import slack
from turnback.runs.notifications.slack import ChatAccess, post_to_webhook, retry_after

from tests.chat import NEVER, Clock, chatting, later


@pytest.fixture
def chat() -> Iterator[LocalSlack]:
    with chatting() as server:
        yield server


def test_a_message_arrives_as_json(chat: LocalSlack) -> None:
    post_to_webhook(chat.address, {"text": "é"}, Clock().deadline)
    assert chat.calls == [("webhook", {"text": "é"})]


def test_it_waits_as_long_as_the_chat_asks_and_tries_again(chat: LocalSlack) -> None:
    chat.failures = [later(7), later()]
    clock = Clock()
    post_to_webhook(chat.address, {"text": "a"}, clock.deadline)
    assert clock.pauses == [7.0, 2.0]
    assert len(chat.calls) == 3


def test_a_chat_in_trouble_is_tried_again_after_growing_pauses(chat: LocalSlack) -> None:
    chat.failures = [FailedResponse(500), FailedResponse(503), FailedResponse(502)]
    clock = Clock()
    post_to_webhook(chat.address, {"text": "a"}, clock.deadline)
    assert clock.pauses == [1.0, 2.0, 4.0]


def test_a_chat_that_never_answers_is_tried_again(
    chat: LocalSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack, "TIMEOUT_S", 0.2)
    chat.failures = [NEVER]
    clock = Clock()
    post_to_webhook(chat.address, {"text": "a"}, clock.deadline)
    assert clock.pauses == [1.0]
    assert len(chat.messages) == 1


def test_it_does_not_wait_beyond_the_functions_own_time(chat: LocalSlack) -> None:
    chat.failures = [later(60)]
    clock = Clock(30)
    with pytest.raises(ChatUnreachable, match="429") as caught:
        post_to_webhook(chat.address, {"text": "a"}, clock.deadline)
    assert clock.pauses == []
    assert "dead letter queue" in str(caught.value.hint)


def test_a_chat_that_keeps_failing_is_an_error_before_the_function_is_stopped(
    chat: LocalSlack,
) -> None:
    chat.failures = [FailedResponse(500)] * 99
    clock = Clock(60)
    with pytest.raises(ChatUnreachable, match="500"):
        post_to_webhook(chat.address, {"text": "a"}, clock.deadline)
    assert clock.left > slack.RESERVE_S
    assert len(chat.calls) > 4


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_revoked_webhook_is_said_so_and_not_tried_again(chat: LocalSlack, code: int) -> None:
    chat.failures = [FailedResponse(code, body="no_service")]
    with pytest.raises(ConfigurationError, match=f"{code} no_service") as caught:
        post_to_webhook(chat.address, {"text": "a"}, Clock().deadline)
    assert len(chat.calls) == 1
    assert "/services/" not in repr(caught.value) + str(caught.value) + str(caught.value.hint)


def test_a_message_that_is_refused_is_an_error_and_not_tried_again(chat: LocalSlack) -> None:
    chat.failures = [FailedResponse(400, body="invalid_token")]
    with pytest.raises(ChatUnreachable, match="400 invalid_token"):
        post_to_webhook(chat.address, {"text": "a"}, Clock().deadline)
    assert len(chat.calls) == 1


def test_of_a_message_whose_blocks_are_refused_the_text_arrives(chat: LocalSlack) -> None:
    chat.failures = [FailedResponse(400, body="invalid_blocks")]
    post_to_webhook(chat.address, {"text": "a", "blocks": [{"type": "nonsense"}]}, Clock().deadline)
    assert chat.calls[-1] == ("webhook", {"text": "a"})


def test_what_the_chat_says_is_repeated_only_where_it_is_a_word(chat: LocalSlack) -> None:
    chat.failures = [FailedResponse(400, body=f"<html>{chat.address}</html>")]
    with pytest.raises(ChatUnreachable) as caught:
        post_to_webhook(chat.address, {"text": "a"}, Clock().deadline)
    assert str(caught.value) == "the chat answered 400"


def test_a_chat_that_is_down_is_an_error_without_the_address() -> None:
    clock = Clock(20)
    with pytest.raises(ChatUnreachable) as caught:
        post_to_webhook("http://127.0.0.1:1/services/sEcReT", {"text": "a"}, clock.deadline)
    assert "sEcReT" not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None
    assert clock.pauses == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), (None, None), ("", None), ("soon", None), ("-1", None), ("²", None)],
)
def test_a_retry_after_is_whole_seconds_or_nothing(header: str | None, seconds: float) -> None:
    assert retry_after(header) == seconds


@pytest.mark.parametrize(
    "secret",
    [
        "https://example.com/services/a",
        ' {"url": "https://example.com/services/a"}\n',
        '{"url": "https://example.com/services/a", "signing_secret": ""}',
    ],
)
def test_the_address_is_the_secrets_text_or_its_field_url(secret: str) -> None:
    assert ChatAccess.from_secret(secret) == ChatAccess(webhook="https://example.com/services/a")


def test_with_a_signing_secret_there_are_buttons() -> None:
    webhook = '{"url": "https://example.com/a", "signing_secret": "s"}'
    bot = '{"bot_token": "xoxb-1", "channel": "C1", "signing_secret": "s"}'
    assert ChatAccess.from_secret(webhook).buttons
    assert ChatAccess.from_secret(bot) == ChatAccess(bot_token="xoxb-1", channel="C1", buttons=True)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "hunter2",
        "http://example.com/hunter2",
        "http://127.0.0.1.example.com/hunter2",
        "https://[hunter2",
        "https://exa mple.com/hunter2",
        '{"hunter2": 1}',
        '{"hunter2"',
        '{"url": "hunter2"}',
        '{"bot_token": "hunter2"}',
        '{"bot_token": "hunter2", "channel": ""}',
        '{"bot_token": "hunter2", "channel": 7}',
        '{"bot_token": "hunter2\\nX: y", "channel": "C1"}',
        '{"bot_token": "hünter2", "channel": "C1"}',
        '{"bot_token": "hunter2", "channel": "C1", "api": "http://example.com/"}',
        "file:///hunter2",
    ],
)
def test_what_is_neither_a_bot_nor_a_webhook_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ChatAccess.from_secret(secret)
    shown = str(caught.value) + str(caught.value.hint)
    assert "hunter2" not in shown and "hünter2" not in shown
    assert caught.value.hint
    assert caught.value.__cause__ is None


def test_an_access_shows_nothing_of_its_secrets() -> None:
    access = ChatAccess(webhook="https://example.com/hunter2", bot_token="hunter2", channel="C1")
    assert "hunter2" not in repr(access)
