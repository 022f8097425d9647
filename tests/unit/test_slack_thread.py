"""One message a run: posted once, changed in place, whatever is delivered how often and when."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from turnback.demo.slack import CHANNEL, FailedResponse, LocalSlack
from turnback.errors import ChatUnreachable, CheckFailed, ConfigurationError
from turnback.runs.notifications import slack as slack_module
from turnback.runs.notifications.chat import Chat, MessageRecord, Posted
from turnback.runs.notifications.slack import ChatAccess, Deadline
from turnback.runs.reporting.chat import slack_message
from turnback.runs.reporting.report import Report
from turnback.runs.status import Status

from tests.chat import NEVER, Clock, chatting, later, of_every_kind

EVENTS = of_every_kind()
STARTED = json.loads(EVENTS[Status.STARTED].to_json())
KEY = "runs/r-1/slack.json"


class Memory:
    """A bucket that compares and writes in one step, as S3 does."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.meanwhile: list[Callable[[], object]] = []

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        with self.lock:
            body = self.objects.get(key)
        if self.meanwhile:
            self.meanwhile.pop()()
        return None if body is None else (body, str(hash(body)))

    def swap(self, key: str, body: bytes, tag: str | None) -> bool:
        with self.lock:
            old = self.objects.get(key)
            if (None if old is None else str(hash(old))) != tag:
                return False
            self.objects[key] = body
            return True

    def write(self, key: str, body: bytes) -> None:
        with self.lock:
            self.objects[key] = body


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    with chatting() as server:
        yield server


@pytest.fixture
def store() -> Memory:
    return Memory()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bot(slack: LocalSlack, store: Memory, clock: Clock) -> Chat:
    return Chat(ChatAccess.from_secret(slack.bot_secret("s")), store, clock.deadline)


@pytest.fixture
def hook(slack: LocalSlack, store: Memory, clock: Clock) -> Chat:
    return Chat(ChatAccess.from_secret(slack.address), store, clock.deadline)


def methods(slack: LocalSlack) -> list[str]:
    return [method for method, _ in slack.calls]


def header(message: dict[str, Any]) -> str:
    return str(message["blocks"][0]["text"]["text"])


def test_a_run_is_one_message_that_is_changed(bot: Chat, slack: LocalSlack) -> None:
    words = [Status.STARTED, Status.REHEARSED, Status.SNAPSHOT_TAKEN, Status.SUCCEEDED]
    done = [bot.show(EVENTS[word]) for word in words]

    assert done == ["posted", "changed", "changed", "changed"]
    (message,) = slack.messages.values()
    assert header(message) == "learning: 1.0.0 succeeded"


def test_the_name_of_the_message_is_kept_in_the_bucket(
    bot: Chat, slack: LocalSlack, store: Memory
) -> None:
    bot.show(EVENTS[Status.STARTED])
    kept = json.loads(store.objects[KEY])
    assert kept["ts"] in slack.messages
    assert kept["channel"] == CHANNEL
    assert (kept["status"], kept["at"]) == ("started", EVENTS[Status.STARTED].at)
    assert kept["busy_until"] == ""


@pytest.mark.parametrize("word", Status)
def test_a_status_sent_twice_is_posted_once(bot: Chat, slack: LocalSlack, word: Status) -> None:
    bot.show(EVENTS[word])
    before = list(slack.calls)
    assert bot.show(EVENTS[word]) == "already shown"
    assert slack.calls == before


def test_an_older_status_never_takes_the_place_of_a_newer_one(bot: Chat, slack: LocalSlack) -> None:
    for word in reversed(Status):
        bot.show(EVENTS[word])
    assert methods(slack) == ["chat.postMessage"]
    (message,) = slack.messages.values()
    assert header(message) == "learning: 1.0.0 failed: a person is needed"


def test_deliveries_at_the_same_time_end_in_one_message_with_the_newest(
    slack: LocalSlack, store: Memory
) -> None:
    access = ChatAccess.from_secret(slack.bot_secret())
    words = [Status.STARTED, Status.REHEARSED, Status.SNAPSHOT_TAKEN, Status.SUCCEEDED]

    def deliver(word: Status) -> str:
        left = threading.Event()
        deadline = Deadline(lambda: 60.0, lambda _: left.wait(0.005) and None)
        return Chat(access, store, deadline).show(EVENTS[word])

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(deliver, [*words, *words]))

    assert done.count("posted") == 1
    (message,) = slack.messages.values()
    assert header(message) == "learning: 1.0.0 succeeded"
    assert json.loads(store.objects[KEY])["status"] == "succeeded"


@pytest.mark.parametrize(
    ("first", "done", "shown"),
    [(Status.STARTED, "changed", "succeeded"), (Status.NEEDS_A_PERSON, "already shown", "failed")],
)
def test_a_delivery_that_is_overtaken_after_its_look_looks_again(
    bot: Chat, slack: LocalSlack, store: Memory, first: Status, done: str, shown: str
) -> None:
    store.meanwhile = [lambda: bot.show(EVENTS[first])]
    assert bot.show(EVENTS[Status.SUCCEEDED]) == done
    assert methods(slack).count("chat.postMessage") == 1
    (message,) = slack.messages.values()
    assert shown in header(message)


def test_what_waits_for_a_person_is_said_again_in_the_thread(bot: Chat, slack: LocalSlack) -> None:
    """Slack tells nobody that a message was changed."""
    bot.show(EVENTS[Status.STARTED])
    bot.show(EVENTS[Status.AWAITING_APPROVAL])

    assert methods(slack) == ["chat.postMessage", "chat.update", "chat.postMessage"]
    call = slack.calls[-1][1]
    assert call["thread_ts"] in slack.messages and call["reply_broadcast"] is True
    assert "turnback approve r-1" in call["text"]


def test_a_question_put_again_is_a_reminder(bot: Chat, slack: LocalSlack) -> None:
    asked = EVENTS[Status.AWAITING_APPROVAL]
    bot.show(EVENTS[Status.STARTED])
    bot.show(asked)
    assert asked.approval is not None
    again = replace(asked.approval, reminders=1)
    bot.show(replace(asked, at="2026-11-22T10:16:02.000+00:00", approval=again))
    assert methods(slack)[-4:] == ["chat.update", "chat.postMessage"] * 2
    assert slack.calls[-1][1]["text"].startswith("*Reminder: learning: 1.0.0 waits")


def test_buttons_go_away_with_the_answer(bot: Chat, slack: LocalSlack) -> None:
    bot.show(EVENTS[Status.AWAITING_APPROVAL])
    (message,) = slack.messages.values()
    assert [block for block in message["blocks"] if block["type"] == "actions"]
    bot.show(EVENTS[Status.SNAPSHOT_TAKEN])
    (message,) = slack.messages.values()
    assert not [block for block in message["blocks"] if block["type"] == "actions"]


def test_the_chat_shows_the_message_of_a_run_as_it_was_posted(bot: Chat, slack: LocalSlack) -> None:
    bot.show(EVENTS[Status.STARTED])
    bot.show(EVENTS[Status.NEEDS_A_PERSON])
    assert slack.message_of("r-1") == slack_message(EVENTS[Status.NEEDS_A_PERSON], buttons=True)
    assert slack.message_of("r-2") is None


def test_a_press_carries_the_question_that_slack_sends_back(bot: Chat, slack: LocalSlack) -> None:
    bot.show(EVENTS[Status.AWAITING_APPROVAL])
    press = json.loads(parse_qs(slack.press("approve", "U1").decode())["payload"][0])
    (action,) = press["actions"]
    assert (action["block_id"], action["action_id"]) == ("turnback_approval", "approve")
    assert json.loads(action["value"]) == {"run": "r-1", "gate": "release"}
    with pytest.raises(CheckFailed, match="no button"):
        slack.press("no button", "U1")


def test_a_message_that_somebody_deleted_is_posted_anew(bot: Chat, slack: LocalSlack) -> None:
    bot.show(EVENTS[Status.STARTED])
    slack.messages.clear()
    assert bot.show(EVENTS[Status.SUCCEEDED]) == "posted"
    (message,) = slack.messages.values()
    assert header(message) == "learning: 1.0.0 succeeded"


@pytest.mark.parametrize("error", ["cant_update_message", "edit_window_closed"])
def test_a_message_that_may_not_be_changed_is_posted_anew(
    bot: Chat, slack: LocalSlack, error: str
) -> None:
    bot.show(EVENTS[Status.STARTED])
    slack.failures = [FailedResponse(200, body=json.dumps({"ok": False, "error": error}))]
    assert bot.show(EVENTS[Status.SUCCEEDED]) == "posted"
    assert len(slack.messages) == 2


def test_a_bot_that_is_throttled_waits(bot: Chat, slack: LocalSlack, clock: Clock) -> None:
    slack.failures = [
        later(3, json.dumps({"ok": False, "error": "ratelimited"})),
        FailedResponse(500),
        FailedResponse(200, body=json.dumps({"ok": False, "error": "internal_error"})),
    ]
    assert bot.show(EVENTS[Status.STARTED]) == "posted"
    assert clock.pauses == [3.0, 2.0, 4.0]


def test_a_bot_that_never_hears_back_ends_in_time_and_lets_the_next_try(
    bot: Chat, slack: LocalSlack, clock: Clock, store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_module, "TIMEOUT_S", 0.1)
    clock.left = 6.0
    slack.failures = [NEVER] * 9
    with pytest.raises(ChatUnreachable, match="does not answer"):
        bot.show(EVENTS[Status.STARTED])
    slack.failures.clear()
    clock.left = 60.0
    assert bot.show(EVENTS[Status.STARTED]) == "posted"
    assert json.loads(store.objects[KEY])["status"] == "started"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("invalid_auth", "token"),
        ("token_revoked", "token"),
        ("missing_scope", "token"),
        ("channel_not_found", "channel"),
        ("not_in_channel", "channel"),
        ("is_archived", "channel"),
    ],
)
def test_a_wrong_token_or_channel_is_said_so_and_not_tried_again(
    bot: Chat, slack: LocalSlack, error: str, said: str
) -> None:
    slack.failures = [FailedResponse(200, body=json.dumps({"ok": False, "error": error}))]
    with pytest.raises(ConfigurationError, match=f"{said}: {error}") as caught:
        bot.show(EVENTS[Status.STARTED])
    assert len(slack.calls) == 1
    assert "xoxb" not in str(caught.value) + str(caught.value.hint)
    assert "secret" in str(caught.value.hint)


def test_the_token_is_what_slack_looks_at(slack: LocalSlack, store: Memory, clock: Clock) -> None:
    access = replace(ChatAccess.from_secret(slack.bot_secret()), bot_token="xoxb-other")
    with pytest.raises(ConfigurationError, match="invalid_auth"):
        Chat(access, store, clock.deadline).show(EVENTS[Status.STARTED])
    assert slack.messages == {}


@pytest.mark.parametrize("body", ["<html>proxy</html>", "[]", "", '"ok"'])
def test_what_is_not_slack_is_said_so(bot: Chat, slack: LocalSlack, body: str) -> None:
    slack.failures = [FailedResponse(200, body=body)]
    with pytest.raises(ChatUnreachable, match="not from Slack's Web API"):
        bot.show(EVENTS[Status.STARTED])


def test_an_error_that_is_unknown_is_repeated(bot: Chat, slack: LocalSlack) -> None:
    slack.failures = [FailedResponse(200, body=json.dumps({"ok": False, "error": "moon_phase"}))]
    with pytest.raises(ChatUnreachable, match="moon_phase"):
        bot.show(EVENTS[Status.STARTED])


def test_of_blocks_that_slack_refuses_the_text_is_posted(bot: Chat, slack: LocalSlack) -> None:
    slack.failures = [
        FailedResponse(200, body=json.dumps({"ok": False, "error": "invalid_blocks"}))
    ]
    assert bot.show(EVENTS[Status.STARTED]) == "posted"
    (message,) = slack.messages.values()
    assert message["blocks"] == []
    assert message["text"] == "learning: 1.0.0 has started"


def test_a_delivery_whose_other_half_died_is_done_once_its_time_is_over(
    store: Memory, clock: Clock
) -> None:
    dead = Posted(busy_until=(datetime.now(UTC) + timedelta(seconds=30)).isoformat())
    store.objects[KEY] = dead.to_json()
    known = MessageRecord(store, "r-1", clock.deadline)
    with pytest.raises(ChatUnreachable, match="another status of r-1"):
        known.show(EVENTS[Status.STARTED], lambda shown: shown)

    after = replace(known, now=lambda: datetime.now(UTC) + timedelta(seconds=31))
    assert after.show(EVENTS[Status.STARTED], lambda shown: replace(shown, ts="1.1"))
    assert Posted.from_json(store.objects[KEY]).ts == "1.1"


def test_a_webhook_tells_the_begin_what_waits_and_the_end(hook: Chat, slack: LocalSlack) -> None:
    done = {word: hook.show(EVENTS[word]) for word in Status}
    quiet = {word for word, outcome in done.items() if outcome == "skipped"}
    doing = {Status.WAITING, Status.REHEARSED, Status.SNAPSHOT_TAKEN, Status.APPLYING}
    assert quiet == doing | {Status.BACKFILLING}
    assert set(methods(slack)) == {"webhook"}
    assert len(slack.messages) == len(Status) - len(quiet)


def test_a_webhook_tells_nothing_twice_and_nothing_old(hook: Chat, slack: LocalSlack) -> None:
    assert hook.show(EVENTS[Status.SUCCEEDED]) == "posted"
    assert hook.show(EVENTS[Status.SUCCEEDED]) == "already shown"
    assert hook.show(EVENTS[Status.STARTED]) == "already shown"
    assert len(slack.messages) == 1


def test_two_runs_are_two_messages(bot: Chat, slack: LocalSlack) -> None:
    bot.show(EVENTS[Status.STARTED])
    bot.show(replace(EVENTS[Status.STARTED], run="r-2"))
    assert len(slack.messages) == 2


@pytest.mark.parametrize("word", Status)
def test_a_status_is_read_as_it_was_published(word: Status) -> None:
    assert Report.from_message(EVENTS[word].to_json()) == EVENTS[word]


def test_a_status_of_an_older_turnback_is_read_with_what_it_lacks() -> None:
    old = {
        name: STARTED[name]
        for name in ("run", "target", "status", "environment", "at", "trigger", "summary")
    }
    read = Report.from_message(json.dumps(old))
    assert read.migrations == () and read.approval is None and read.release is None


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        json.dumps({**STARTED, "status": "bored"}),
        json.dumps({**STARTED, "at": "yesterday"}),
        json.dumps({**STARTED, "run": None}),
    ],
)
def test_what_is_no_status_event_is_refused(message: str) -> None:
    with pytest.raises(ConfigurationError, match="a message of the topic is") as caught:
        Report.from_message(message)
    assert caught.value.hint
