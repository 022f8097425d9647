"""Buttons in Slack: verifying a press, and updating the message after it.

Slack signs each request with the app's signing secret, over the time and the exact bytes of the
body (Slack API, "Verifying requests from Slack").
"""

from __future__ import annotations

import hmac
import json
import re
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from turnback.errors import ApprovalRefused, ConfigurationError
from turnback.runs.approvals.record import APPROVED, DENIED, QuestionStatus
from turnback.runs.reporting.chat import escape
from turnback.wording import cut

# A request may be this old, in seconds, before it counts as a replay.
OLDEST_S = 300
# The same for one that was verified once and passed on: Lambda tries an asynchronous invocation
# three times within some minutes (its Developer Guide, "Retry behavior").
PASSED_ON_S = 900
REPLY_S = 5.0
SIGNED = ("x-slack-request-timestamp", "x-slack-signature")
BLOCK, ANSWERS = "turnback_approval", "turnback_answers"
_ACTIONS = {"approve": APPROVED, "deny": DENIED}
_TEXT_LENGTH = 2900


@dataclass(frozen=True, slots=True)
class Press:
    """A button that somebody pressed.

    Attributes:
        run, gate: of the question.
        decision: ``approved`` or ``denied``.
        user: who pressed it, by Slack's id.
        user_name: the same, readable.
        team: the workspace that this user belongs to; ids of users are unique in one only.
        reply_to: the address that changes the message; or "".
        message: the message with the button.
        once: the same for a replay of this press, and different for any other.
    """

    run: str
    gate: str
    decision: str
    user: str
    user_name: str
    team: str
    reply_to: str
    message: Mapping[str, Any]
    once: str


@dataclass(frozen=True, slots=True)
class SlackSecret:
    """What verifies a press, from the chat's secret.

    Attributes:
        signing: the app's signing secret; empty where the secret has none.
        teams: the workspaces whose users may press; empty for the one that the message is in.
    """

    signing: str = field(default="", repr=False)
    teams: frozenset[str] = frozenset()

    @classmethod
    def from_text(cls, secret: str) -> SlackSecret:
        """Read the chat's secret: ``signing_secret``, and ``team``, or several with commas."""
        try:
            fields = json.loads(secret)
        except ValueError:
            return cls()
        if not isinstance(fields, dict):
            return cls()
        teams = str(fields.get("team") or "").replace(",", " ").split()
        return cls(str(fields.get("signing_secret") or ""), frozenset(teams))


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature that Slack puts on a request."""
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, "sha256").hexdigest()


def pressed(
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    now: datetime,
    *,
    oldest_s: int = OLDEST_S,
) -> Press:
    """The press in a request that Slack signed, not longer ago than it may be.

    Args:
        headers: of the request, their names in lower case.
        body: its bytes as they came.
        secret: the app's signing secret.
        now: the time.
        oldest_s: how old it may be, in seconds.

    Raises:
        ApprovalRefused: it is forged, too old, or not a press of our buttons.
        ConfigurationError: there is no secret.
    """
    if not secret:
        raise ConfigurationError(
            "the stack has no signing secret of Slack",
            hint='add "signing_secret" to the secret of the chat',
        )
    timestamp, signature = (headers.get(name, "") for name in SIGNED)
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise ApprovalRefused("this request is not signed by Slack")
    expected = sign(secret, timestamp, body)
    if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
        raise ApprovalRefused("this request is not signed by Slack")
    if abs(now.timestamp() - int(timestamp)) > oldest_s:
        raise ApprovalRefused(f"this request is older than {oldest_s // 60} minutes")
    return _press(body, signature)


def _press(body: bytes, signature: str) -> Press:
    try:
        payload = json.loads(parse_qs(body.decode())["payload"][0])
        action = next(item for item in payload["actions"] if item["block_id"] == BLOCK)
        value = json.loads(action["value"])
        return Press(
            run=str(value["run"]),
            gate=str(value["gate"]),
            decision=_ACTIONS[action["action_id"]],
            user=str(payload["user"]["id"]),
            user_name=str(payload["user"].get("username") or payload["user"]["id"]),
            team=str(payload["user"].get("team_id") or (payload.get("team") or {}).get("id") or ""),
            reply_to=str(payload.get("response_url") or ""),
            message=payload.get("message") or {},
            once=f"slack {signature}",
        )
    except (KeyError, IndexError, TypeError, ValueError, StopIteration):
        raise ApprovalRefused("this is not a button of turnback") from None


def reply(press: Press, status: QuestionStatus) -> dict[str, Any]:
    """The message after an answer: with all answers, and without buttons once it is decided."""
    answers = [
        f"{escape(answer.person)} {answer.decision}"
        + (f": {escape(answer.comment)}" if answer.comment else "")
        for answer in status.answers
    ]
    text = cut("\n".join([*answers, escape(status.sentence())]), _TEXT_LENGTH)
    note = {
        "type": "context",
        "block_id": ANSWERS,
        "elements": [{"type": "mrkdwn", "text": text}],
    }
    gone = {ANSWERS} if status.outcome is None else {ANSWERS, BLOCK}
    blocks = press.message.get("blocks") or []
    kept = [block for block in blocks if block.get("block_id") not in gone]
    return {
        "replace_original": True,
        "text": str(press.message.get("text") or escape(status.sentence())),
        "blocks": [*kept[:49], note],
    }


def ephemeral(text: str) -> dict[str, Any]:
    """A message that only the person who pressed sees."""
    return {"response_type": "ephemeral", "replace_original": False, "text": escape(text)}


def send(address: str, message: Mapping[str, Any], warn: Callable[[str], object]) -> None:
    """Send it to the address that came with a press. A failure is only logged: the answer counts.

    Args:
        address: from a request that Slack signed.
        message: what to send.
        warn: logs that it failed.
    """
    host = urlsplit(address)
    local = host.scheme == "http" and host.hostname == "127.0.0.1"
    if not local and (host.scheme != "https" or host.hostname != "hooks.slack.com"):
        warn("the message in Slack is not updated: the address is not one of Slack")
        return
    request = urllib.request.Request(
        address,
        data=json.dumps(message).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=REPLY_S) as answer:
            answer.read(1000)
    except OSError as error:
        warn(f"the message in Slack is not updated: {type(error).__name__}")
