"""A TCP proxy before a server, which lets something happen at the n-th message of its clients.

It reads the frames of PostgreSQL's protocol (manual, 54.7) as far as it must to count messages.
What a client says until it is let in is not counted, and neither is its good-bye.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_PASSWORD, _TERMINATE = b"p", b"X"
_BACKEND_KEY = b"K"
_CHUNK = 1 << 16


class When(Enum):
    """The moment of a fault, by the n-th message."""

    BEFORE = "before it is forwarded"
    AFTER = "forwarded, no answer yet"
    ANSWER = "half of the answer forwarded"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to happen, and when.

    Attributes:
        at: the number of the message, from 1, counted over all connections.
        act: gets the connection; called once.
    """

    at: int
    when: When
    act: Callable[[Link], None]


class Proxy:
    """Listens on a free port of 127.0.0.1 and forwards to one server.

    Args:
        url: the server's address over TCP.
    """

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._links: list[Link] = []
        self._fault: Fault | None = None
        self.seen = ""
        self.fired = False
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, database: str) -> str:
        """The address of a database by way of this proxy, without any encryption."""
        user = self._url.netloc.rpartition("@")[0]
        port = self._listener.getsockname()[1]
        parts = (self._url.scheme, f"{user}@127.0.0.1:{port}", f"/{database}")
        return urlunsplit((*parts, "sslmode=disable&gssencmode=disable", ""))

    def arm(self, fault: Fault | None = None) -> None:
        """Begin to count anew; from now on ``seen`` has a letter for each message.

        The letters are those of the protocol: Q a simple query; P, B, D, E and S the parts of
        a pipeline.
        """
        with self._lock:
            self._fault, self.seen, self.fired = fault, "", False

    def close(self) -> None:
        """End all connections, and listen no more."""
        # Without the shutdown the thread that accepts would keep the port open.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((self._url.hostname or "", self._url.port or 0))
            except OSError:
                client.close()
                continue
            link = Link(self, client, server)
            with self._lock:
                self._links.append(link)
            link.begin()

    def count(self, kind: str) -> tuple[Fault, bool] | None:
        """Count a message; the fault that belongs to it, and whether it is to be forwarded yet."""
        with self._lock:
            self.seen += kind
            fault = self._fault
            if fault is None or fault.at != len(self.seen):
                return None
            self._fault, self.fired = None, True
            return fault, fault.when is not When.BEFORE


class Link:
    """One client's connection with the server.

    Attributes:
        backend: the process id of the server's side; 0 until the client is let in.
    """

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._on_answer: Fault | None = None
        self.backend = 0
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self) -> None:
        """Forward in both directions until one side ends."""
        for target in (self._to_server, self._to_client):
            threading.Thread(target=self._until_cut, args=(target,), daemon=True).start()

    def cut(self) -> None:
        """End the connection on both sides."""
        for side in (self._client, self._server):
            _end(side)

    def strand(self) -> None:
        """End the client's side only: the server never hears of it."""
        self._until_cut = lambda _: None  # type: ignore[method-assign]
        _end(self._client)

    def _until_cut(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(OSError, EOFError):
            work()
        if self._stranded:
            return
        self.cut()
