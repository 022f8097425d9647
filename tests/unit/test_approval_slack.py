"""Buttons in Slack: only Slack's own, only now, once; and what the message says afterwards."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from turnback.errors import ApprovalRefused, AwsError, ConfigurationError
from turnback.runs.approvals.slack import BLOCK, SlackSecret, send, sign
from turnback.runs.reporting.chat import slack_message
from turnback.runs.status import Status

from tests.asking import NOW, RUN, Desk, called, endpoint
from tests.chat import NEVER, chatting, later, status
from tests.real_events import event

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
STAMP = str(int(NOW.timestamp()))


def press(
    desk: Desk,
    change: Callable[[dict[str, Any]], object] = dict,
    *,
    secret: str = SECRET,
    stamp: str = STAMP,
    plain: bool = False,
    tamper: bytes = b"",
    teams: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What the function answers when the recorded press comes in."""
    request = event("slack_interaction")
    payload = json.loads(parse_qs(base64.b64decode(request["body"]).decode())["payload"][0])
    payload["response_url"] = ""
    change(payload)
    body = urlencode({"payload": json.dumps(payload)}).encode()
    request["headers"] |= {
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": sign(secret, stamp, body),
    }
    sent = body + tamper
    request["body"] = sent.decode() if plain else base64.b64encode(sent).decode()
    request["isBase64Encoded"] = not plain
    slack = SlackSecret(SECRET, frozenset(teams))
    return called(endpoint(desk, lambda: slack), request)


@pytest.fixture
def desk() -> Desk:
    found = Desk()
    found.ask()
    return found


def answers(desk: Desk) -> list[tuple[str, str, str]]:
    return [(a.person, a.decision, a.way) for a in desk.questions.look(RUN).answers]


@pytest.mark.parametrize("plain", [False, True], ids=["base64", "plain"])
def test_a_press_of_approve_approves(desk: Desk, plain: bool) -> None:
    assert press(desk, plain=plain)["statusCode"] == 200
    assert answers(desk) == [("ann", "approved", "slack")]
    assert desk.tasks.ended == [("approved", ("ann",))]


def test_a_press_of_deny_denies(desk: Desk) -> None:
    press(desk, lambda payload: payload["actions"][0].update(action_id="deny"))
    assert answers(desk) == [("ann", "denied", "slack")]


def test_a_forged_signature_is_refused(desk: Desk) -> None:
    assert press(desk, secret="guessed")["statusCode"] == 403
    assert press(desk, tamper=b"&x=1")["statusCode"] == 403
    assert answers(desk) == []


def test_a_request_without_a_signature_is_none_of_slacks(desk: Desk) -> None:
    request = event("slack_interaction")
    for value in ("", "v0=", "v1=00", "é"):
        request["headers"]["x-slack-signature"] = value
        found = called(endpoint(desk, lambda: SlackSecret(SECRET)), request)
        assert found["statusCode"] == 403
    assert answers(desk) == []


@pytest.mark.parametrize("minutes", [-5.1, 5.1])
def test_an_old_request_is_refused_though_its_signature_is_right(
    desk: Desk, minutes: float
) -> None:
    assert press(desk, stamp=str(int(NOW.timestamp() + 60 * minutes)))["statusCode"] == 403
    assert answers(desk) == []


@pytest.mark.parametrize("stamp", ["", "now", "-1", "1e9"])
def test_a_time_that_is_none_is_refused(desk: Desk, stamp: str) -> None:
    assert press(desk, stamp=stamp)["statusCode"] == 403


def other_workspace(payload: dict[str, Any]) -> None:
    """The same id of a user, in a channel that two workspaces share."""
    payload["user"]["team_id"] = "T0OTHER"


def test_a_user_of_another_workspace_with_an_approvers_id_does_not_answer(desk: Desk) -> None:
    posted = {"ts": "1.1", "channel": "C0RELEASES", "team": "T0TEAM"}
    desk.store.write(f"runs/{RUN}/slack.json", json.dumps(posted).encode())
    press(desk, other_workspace)
    assert answers(desk) == []
    assert "another workspace of Slack (T0OTHER)" in json.dumps(desk.log.lines)
    press(desk)
    assert answers(desk) == [("ann", "approved", "slack")]


def test_the_secret_names_the_workspaces_that_may_answer(desk: Desk) -> None:
    press(desk, other_workspace, teams=("T0TEAM", "T0THIRD"))
    assert answers(desk) == []
    press(desk, other_workspace, teams=("T0TEAM", "T0OTHER"))
    assert answers(desk) == [("ann", "approved", "slack")]
    read = SlackSecret.from_text('{"signing_secret": "s", "team": "T1, T2"}')
    assert read == SlackSecret("s", frozenset({"T1", "T2"}))


def test_a_press_whose_answer_could_not_be_written_can_be_sent_again(desk: Desk) -> None:
    written = desk.store.create

    def without_answers(key: str, body: bytes) -> bool:
        if "/used/" not in key:
            raise AwsError("could not write: SlowDown")
        return written(key, body)

    desk.store.create = without_answers  # type: ignore[method-assign]
    press(desk)
    desk.store.create = written  # type: ignore[method-assign]
    press(desk)
    assert answers(desk) == [("ann", "approved", "slack")]


def test_a_replay_within_the_five_minutes_counts_for_nothing() -> None:
    desk = Desk(needed=2)
    desk.ask()
    press(desk)
    desk.store.objects = {
        key: body
        for key, body in desk.store.objects.items()
        if "/used/" in key or key.endswith("release.json")
    }
    press(desk)
    assert answers(desk) == []
    assert "used before" in json.dumps(desk.log.lines)


def test_without_a_signing_secret_nobody_presses_anything(desk: Desk) -> None:
    request = event("slack_interaction")
    found = called(endpoint(desk), request)
    assert found["statusCode"] == 503
    assert answers(desk) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload["actions"].clear(),
        lambda payload: payload["actions"][0].update(block_id="another"),
        lambda payload: payload["actions"][0].update(action_id="delete"),
        lambda payload: payload["actions"][0].update(value="r-1"),
        lambda payload: payload["actions"][0].update(value="[]"),
        lambda payload: payload.pop("user"),
    ],
)
def test_another_button_is_none_of_ours(desk: Desk, change: Callable[[Any], object]) -> None:
    assert press(desk, change)["statusCode"] == 403
    assert answers(desk) == []


@pytest.fixture
def chat() -> Iterator[Any]:
    with chatting() as server:
        yield server


def reply_to(chat: Any, **more: Any) -> Callable[[dict[str, Any]], object]:
    return lambda payload: payload.update(response_url=chat.address, **more)


def test_the_message_shows_who_said_what_and_has_no_buttons_left(desk: Desk, chat: Any) -> None:
    press(desk, reply_to(chat))
    shown = chat.next_message(5)
    assert shown["replace_original"] is True
    assert BLOCK not in {block.get("block_id") for block in shown["blocks"]}
    assert shown["blocks"][0]["type"] == "header"
    assert "ann approved" in shown["blocks"][-1]["elements"][0]["text"]


def test_while_it_waits_for_a_second_person_the_buttons_stay(chat: Any) -> None:
    desk = Desk(needed=2)
    desk.ask()
    press(desk, reply_to(chat))
    shown = chat.next_message(5)
    assert BLOCK in {block.get("block_id") for block in shown["blocks"]}
    assert "1 of 2 have approved" in shown["blocks"][-1]["elements"][0]["text"]
    press(desk, reply_to(chat, message={"blocks": shown["blocks"]}), stamp=str(int(STAMP) + 1))
    again = chat.next_message(5)
    assert len(again["blocks"]) == len(shown["blocks"])


def test_somebody_who_is_no_approver_gets_a_private_answer(desk: Desk, chat: Any) -> None:
    found = press(desk, reply_to(chat, user={"id": "U0EVE", "username": "<!here>"}))
    assert found["statusCode"] == 200
    answer = chat.next_message(5)
    assert answer["response_type"] == "ephemeral"
    assert "do not include &lt;!here&gt; (U0EVE)" in answer["text"]
    assert answers(desk) == []


def test_who_triggered_the_run_gets_a_word(chat: Any) -> None:
    desk = Desk()
    desk.ask(trigger="upload:AWS:AIDAANN000000000000A")
    press(desk, reply_to(chat))
    assert "triggered by ann" in chat.next_message(5)["text"]
    assert desk.tasks.ended == []


@pytest.mark.parametrize("trouble", [later(1), NEVER], ids=["429", "never"])
def test_an_answer_counts_though_slack_does_not_show_it(
    desk: Desk, chat: Any, trouble: Any
) -> None:
    chat.failures = [trouble]
    assert press(desk, reply_to(chat))["statusCode"] == 200
    assert desk.tasks.ended == [("approved", ("ann",))]
    assert "not updated" in json.dumps(desk.log.lines)


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.test/actions",
        "http://hooks.slack.com/actions",
        "https://hooks.slack.com.evil.test/",
        "https://hooks.slack.com@evil.test/",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "",
    ],
)
def test_nothing_is_sent_to_an_address_that_is_not_slacks(address: str) -> None:
    warned: list[str] = []
    send(address, {"text": "x"}, warned.append)
    assert warned == ["the message in Slack is not updated: the address is not one of Slack"]


def test_the_buttons_of_the_message_are_the_ones_that_are_read() -> None:
    asked = {"gate": "release", "persons_needed": 1, "approved_by": [], "reasons": []}
    event = status(Status.AWAITING_APPROVAL, run=RUN, approval=asked)
    blocks = slack_message(event, buttons=True)["blocks"]
    [block] = [block for block in blocks if block["type"] == "actions"]
    for button, decision in zip(block["elements"], ("approved", "denied"), strict=True):
        other = Desk()
        other.ask()
        pressed = {name: button[name] for name in ("action_id", "value")}
        press(
            other,
            lambda payload, pressed=pressed: payload.update(
                actions=[{**pressed, "block_id": block["block_id"]}]
            ),
        )
        assert answers(other) == [("ann", decision, "slack")]


@pytest.mark.parametrize(
    ("secret", "found"),
    [
        ('{"bot_token": "xoxb-1", "signing_secret": "s"}', "s"),
        ('{"url": "https://hooks.slack.com/x"}', ""),
        ("https://hooks.slack.com/x", ""),
        ("[]", ""),
    ],
)
def test_the_signing_secret_is_a_field_of_the_chats_secret(secret: str, found: str) -> None:
    assert SlackSecret.from_text(secret).signing == found


def test_what_is_wrong_with_the_settings_is_not_shown_to_others(desk: Desk) -> None:
    def broken() -> SlackSecret:
        raise ConfigurationError("the secret is binary", hint="see arn:aws:secret")

    found = called(endpoint(desk, broken), event("slack_interaction"))
    assert found["statusCode"] == 503
    assert "arn:" not in found["body"]


def handed_on(desk: Desk, minutes: float = 0, **changes: str) -> dict[str, Any]:
    """An event like those that the function passes on to itself, signed some minutes ago."""
    kept: list[Any] = []
    desk.passed_on = lambda _, event: kept.append(event)  # type: ignore[method-assign]
    press(desk, stamp=STAMP)
    desk.later(minutes)
    request = kept[0]["slack"]
    return {"slack": {**request, **changes}}


def test_a_press_is_acknowledged_before_anything_is_recorded(desk: Desk) -> None:
    passed_on = handed_on(desk)
    assert answers(desk) == []
    called(endpoint(desk, lambda: SlackSecret(SECRET)), passed_on)
    assert answers(desk) == [("ann", "approved", "slack")]


@pytest.mark.parametrize(("minutes", "counts"), [(14.9, True), (15.1, False)])
def test_what_was_passed_on_counts_for_a_quarter_of_an_hour(
    desk: Desk, minutes: float, counts: bool
) -> None:
    passed_on = handed_on(desk, minutes)
    if counts:
        called(endpoint(desk, lambda: SlackSecret(SECRET)), passed_on)
    else:
        with pytest.raises(ApprovalRefused, match="older than 15 minutes"):
            called(endpoint(desk, lambda: SlackSecret(SECRET)), passed_on)
    assert bool(answers(desk)) is counts


def test_nobody_passes_on_a_press_that_slack_did_not_sign(desk: Desk) -> None:
    """As whoever may invoke the function would, without being an approver."""
    passed_on = handed_on(desk)
    forged = passed_on["slack"]["body"].replace("U0ANN", "U0BOB")
    unsigned = {"x-slack-request-timestamp": STAMP}
    for request in ({**passed_on["slack"], "body": forged}, {"headers": unsigned, "body": ""}, {}):
        with pytest.raises(ApprovalRefused, match="not signed by Slack"):
            called(endpoint(desk, lambda: SlackSecret(SECRET)), {"slack": request})
    assert answers(desk) == []


def test_a_press_that_is_passed_on_twice_counts_once_and_bothers_nobody(desk: Desk) -> None:
    """Lambda invokes asynchronously at least once."""
    passed_on = handed_on(desk)
    for _ in range(2):
        called(endpoint(desk, lambda: SlackSecret(SECRET)), passed_on)
    assert answers(desk) == [("ann", "approved", "slack")]


def test_a_press_that_cannot_be_passed_on_is_not_acknowledged(desk: Desk) -> None:
    def refuse(*_: object) -> None:
        raise AwsError("could not invoke the function: TooManyRequestsException")

    desk.passed_on = refuse  # type: ignore[method-assign]
    assert press(desk)["statusCode"] == 503
