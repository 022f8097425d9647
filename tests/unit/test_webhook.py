"""Posting to a chat: patient where it asks for patience, and silent about its address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from turnback.errors import ChatUnreachable, ConfigurationError
from turnback.runs.webhook import post, webhook_address

from tests.chat import Chat, chatting


@pytest.fixture
def chat() -> Iterator[Chat]:
    with chatting() as server:
        yield server


def test_a_message_arrives_as_json(chat: Chat) -> None:
    chat.answers = [(200, {})]
    post(chat.address, {"text": "é"}, seconds_left=lambda: 30)
    assert chat.got == [{"text": "é"}]


def test_it_waits_as_long_as_the_chat_asks_and_tries_again(chat: Chat) -> None:
    chat.answers = [(429, {"Retry-After": "7"}), (429, {}), (200, {})]
    pauses: list[float] = []
    post(chat.address, {"text": "a"}, seconds_left=lambda: 30, sleep=pauses.append)
    assert pauses == [7.0, 1.0]
    assert len(chat.got) == 3


def test_it_does_not_wait_beyond_the_functions_own_time(chat: Chat) -> None:
    chat.answers = [(429, {"Retry-After": "60"})]
    pauses: list[float] = []
    with pytest.raises(ChatUnreachable, match="429"):
        post(chat.address, {"text": "a"}, seconds_left=lambda: 30, sleep=pauses.append)
    assert pauses == []


@pytest.mark.parametrize("code", [400, 403, 404, 410, 500, 503])
def test_a_refusal_is_an_error_without_the_address(chat: Chat, code: int) -> None:
    chat.answers = [(code, {})]
    with pytest.raises(ChatUnreachable, match=str(code)) as caught:
        post(chat.address, {"text": "a"}, seconds_left=lambda: 30)
    assert "sEcReT" not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None


def test_a_chat_that_is_down_is_an_error_without_the_address(chat: Chat) -> None:
    address = f"http://127.0.0.1:1/services/{'sEcReT'}"
    with pytest.raises(ChatUnreachable) as caught:
        post(address, {"text": "a"}, seconds_left=lambda: 30)
    assert "sEcReT" not in repr(caught.value) + str(caught.value)
    assert chat.got == []


@pytest.mark.parametrize(
    "secret",
    ["https://example.com/services/a", ' {"url": "https://example.com/services/a"}\n'],
)
def test_the_address_is_the_secrets_text_or_its_field_url(secret: str) -> None:
    assert webhook_address(secret) == "https://example.com/services/a"


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "hunter2",
        "http://example.com/hunter2",
        '{"hunter2": 1}',
        '{"hunter2"',
        "file:///hunter2",
    ],
)
def test_what_is_no_https_address_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        webhook_address(secret)
    assert "hunter2" not in str(caught.value) + str(caught.value.hint)
