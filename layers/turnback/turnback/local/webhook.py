"""A chat's incoming webhook on this machine: it keeps what is posted to it."""

from __future__ import annotations

import json
import queue
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class Webhook:
    """A webhook that listens on 127.0.0.1 while its ``with`` block runs."""

    def __init__(self) -> None:
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        messages = self._messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                messages.put(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the output is the demo's."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def address(self) -> str:
        """Where to post to."""
        return f"http://127.0.0.1:{self._server.server_port}/services/local"

    def next_message(self, seconds: float) -> dict[str, Any] | None:
        """The oldest message not yet asked for, or None.

        Args:
            seconds: how long to wait for one.
        """
        try:
            return self._messages.get(timeout=seconds)
        except queue.Empty:
            return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def readable(message: dict[str, Any]) -> list[str]:
    """The lines of a Block Kit message as a chat shows them, without its markup."""
    lines: list[str] = []
    for block in message.get("blocks", []):
        for part in (block.get("text"), *block.get("elements", [])):
            lines += _plain(part["text"]).splitlines() if part else []
        # Side by side in the chat: a name over its value.
        lines += [": ".join(_plain(part["text"]).splitlines()) for part in block.get("fields", [])]
        lines.append("")
    return lines[:-1] or [str(message.get("text", ""))]


def _plain(text: str) -> str:
    text = re.sub(r"```|`|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)", "", text)
    for name, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(name, character)
    return text
