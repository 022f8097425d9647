"""A local Slack: an incoming webhook and the Web API, which keep what is posted.

Tests make it answer 429, 500, or never.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from turnback.demo.http_server import Listener, QuietHandler
from turnback.errors import CheckFailed

TOKEN = "xoxb-local"
CHANNEL = "C0LOCAL"
TEAM = "T0LOCAL"
BUTTON_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class FailedResponse:
    """A response other than success.

    Attributes:
        status: of HTTP; 0 for no response at all.
        headers: for example Retry-After.
        body: the response body.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


class LocalSlack(Listener):
    """A chat that listens on 127.0.0.1 while its ``with`` block runs."""

    def __init__(self) -> None:
        self._got: queue.Queue[dict[str, Any]] = queue.Queue()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.failures: list[FailedResponse] = []
        """Responses for the next requests; each request takes one."""
        self.calls: list[tuple[str, dict[str, Any]]] = []
        """Every request: the method (``webhook``, ``chat.postMessage``, …) and its body."""
        self.messages: dict[str, dict[str, Any]] = {}
        """The channel's messages by their ``ts``, as they are now."""
        self.ephemeral: list[str] = []
        """The texts that only the person who pressed a button sees."""
        chat = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                kind, _, name = self.path.strip("/").partition("/")
                method = name if kind == "api" else "press" if kind == "actions" else "webhook"
                failure = chat._record(method, body)
                if failure and not failure.status:
                    chat._ended.wait()
                    self.close_connection = True
                    return
                if failure:
                    self.answer(failure.status, failure.body.encode(), failure.headers)
                elif method == "webhook":
                    chat._keep(body)
                    self.answer(200, b"ok", {})
                elif method == "press":
                    chat._pressed(name, body)
                    self.answer(200, b"ok", {})
                else:
                    response = chat._api(method, body, self.headers.get("Authorization", ""))
                    self.answer(
                        200, json.dumps(response).encode(), {"Content-Type": "application/json"}
                    )

        super().__init__(Handler)

    @property
    def address(self) -> str:
        """The URL of the webhook."""
        return f"{self.root}/services/local"

    def bot_secret(self, signing_secret: str = "") -> str:
        """The bot's secret, as stored in Secrets Manager.

        Args:
            signing_secret: if given, messages have buttons.
        """
        fields = {"bot_token": TOKEN, "channel": CHANNEL, "api": f"{self.root}/api/"}
        return json.dumps(fields | ({"signing_secret": signing_secret} if signing_secret else {}))

    def next_message(self, seconds: float) -> dict[str, Any] | None:
        """The next new or changed message, or None.

        Args:
            seconds: how long to wait.
        """
        try:
            return self._got.get(timeout=seconds)
        except queue.Empty:
            return None

    def message_of(self, run: str) -> dict[str, Any] | None:
        """The channel's first message about a run, as it is now."""
        for message in list(self.messages.values()):
            if run in json.dumps(message.get("blocks", [])):
                return {"text": message["text"], "blocks": message["blocks"]}
        return None

    def press(self, action: str, user: str) -> bytes:
        """The body that Slack posts when somebody presses a button of the newest message.

        Args:
            action: its ``action_id``.
            user: Slack's id of who presses it.

        Raises:
            CheckFailed: no message has such a button.
        """
        for ts, message in reversed(list(self.messages.items())):
            for block in message.get("blocks", []):
                for button in block.get("elements", []):
                    if button.get("action_id") == action:
                        payload = {
                            "type": "block_actions",
                            "user": {"id": user, "username": user.lower(), "team_id": TEAM},
                            "message": {**message, "ts": ts},
                            "response_url": f"{self.root}/actions/{ts}",
                            "actions": [{**button, "block_id": block.get("block_id", "")}],
                        }
                        return urlencode({"payload": json.dumps(payload)}).encode()
        raise CheckFailed(f"No message in the chat has a button {action!r}.", findings=[])

    def await_button(self, action: str, user: str) -> bytes:
        """Like ``press``, but wait for the button to appear.

        Raises:
            CheckFailed: it did not appear within a minute.
        """
        deadline = time.monotonic() + BUTTON_SECONDS
        while True:
            try:
                return self.press(action, user)
            except CheckFailed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _pressed(self, ts: str, body: dict[str, Any]) -> None:
        if body.get("replace_original"):
            self._keep({name: body[name] for name in ("text", "blocks") if name in body}, ts)
        else:
            with self._lock:
                self.ephemeral.append(str(body.get("text", "")))

    def _record(self, method: str, body: dict[str, Any]) -> FailedResponse | None:
        with self._lock:
            self.calls.append((method, body))
            return self.failures.pop(0) if self.failures else None

    def _keep(self, message: dict[str, Any], ts: str = "") -> str:
        with self._lock:
            name = ts or f"1700000000.{len(self.messages):06}"
            self.messages[name] = {**self.messages.get(name, {}), **message}
            self._got.put(self.messages[name])
        return name

    def _api(self, method: str, body: dict[str, Any], authorization: str) -> dict[str, Any]:
        if authorization != f"Bearer {TOKEN}":
            return {"ok": False, "error": "invalid_auth"}
        if body.get("channel") != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        if method == "chat.update" and body.get("ts") not in self.messages:
            return {"ok": False, "error": "message_not_found"}
        if method not in ("chat.postMessage", "chat.update"):
            return {"ok": False, "error": "unknown_method"}
        return {
            "ok": True,
            "channel": CHANNEL,
            "ts": self._keep(body, str(body.get("ts") or "")),
            "message": {"team": TEAM},
        }

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        super().__exit__()


def readable(message: dict[str, Any]) -> list[str]:
    """The lines of a Block Kit message as text, without markup."""
    lines: list[str] = []
    for block in message.get("blocks", []):
        for part in (block.get("text"), *block.get("elements", [])):
            text = part["text"] if part else ""
            if isinstance(text, dict):
                # A button.
                text = f"[{text['text']}]"
            lines += _plain(text).splitlines()
        # Slack shows a field's name above its value.
        lines += [": ".join(_plain(part["text"]).splitlines()) for part in block.get("fields", [])]
        lines.append("")
    return lines[:-1] or [str(message.get("text", ""))]


def _plain(text: str) -> str:
    text = re.sub(r"```|`|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)", "", text)
    for name, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(name, character)
    return text
