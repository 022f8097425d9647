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
from typing import BinaryIO, Self
from urllib.parse import urlsplit, urlunsplit

_NOT_COUNTED = (b"p", b"X")
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

    Attributes:
        seen: a letter for each message since ``arm``, those of the protocol: Q is a simple query;
            P, B, D, E and S are the parts of a pipeline.
        fired: whether the fault has happened.
        refusing: how many of the next clients are sent away.
    """

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._links: list[Link] = []
        self._fault: Fault | None = None
        self.refusing = 0
        self.seen = ""
        self.fired = False
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, database: str) -> str:
        """The address of a database by way of this proxy, without encryption."""
        user = self._url.netloc.rpartition("@")[0]
        port = self._listener.getsockname()[1]
        place = (self._url.scheme, f"{user}@127.0.0.1:{port}", f"/{database}")
        return urlunsplit((*place, "sslmode=disable&gssencmode=disable", ""))

    def arm(self, fault: Fault | None = None) -> None:
        """Count anew, and let this happen."""
        with self._lock:
            self._fault, self.seen, self.fired = fault, "", False

    def counted(self, kind: str) -> Fault | None:
        """Count a message, and return the fault that belongs to it."""
        with self._lock:
            self.seen += kind
            fault = self._fault
            if fault is None or fault.at != len(self.seen):
                return None
            self._fault, self.fired = None, True
            return fault

    def close(self) -> None:
        """Listen no more, and end all connections."""
        # The shutdown wakes the thread that accepts, which would keep the port open.
        _end(self._listener)
        self._listener.close()
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing > 0:
                self.refusing -= 1
                client.close()
                continue
            try:
                server = socket.create_connection((self._url.hostname or "", self._url.port or 0))
            except OSError:
                client.close()
                continue
            link = Link(self, client, server)
            with self._lock:
                self._links.append(link)
            link.begin()


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
        self._stranded = False
        self.backend = 0
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._threads = [
            threading.Thread(target=self._until_cut, args=(work,), daemon=True)
            for work in (self._to_server, self._to_client)
        ]

    def begin(self) -> None:
        """Forward in both directions until one side ends."""
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        """End the connection on both sides."""
        _end(self._client)
        _end(self._server)

    def strand(self) -> None:
        """End the client's side only; the server never hears of it."""
        self._stranded = True
        _end(self._client)

    def close(self) -> None:
        """End the connection and give back what it holds."""
        self.cut()
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._server.close()

    def _until_cut(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(OSError, EOFError):
            work()
        if not self._stranded:
            self.cut()

    def _to_server(self) -> None:
        with self._client.makefile("rb") as stream:
            (size,) = struct.unpack("!I", head := _read(stream, 4))
            self._server.sendall(head + _read(stream, size - 4))
            while not self._stranded:
                kind, length = _read(stream, 1), _read(stream, 4)
                message = kind + length + _read(stream, struct.unpack("!I", length)[0] - 4)
                fault = None if kind in _NOT_COUNTED else self._proxy.counted(kind.decode())
                if fault and fault.when is When.BEFORE:
                    fault.act(self)
                if fault and fault.when is When.ANSWER:
                    self._on_answer = fault
                self._server.sendall(message)
                if fault and fault.when is When.AFTER:
                    fault.act(self)

    def _to_client(self) -> None:
        greeting = b""
        while data := self._server.recv(_CHUNK):
            if not self.backend:
                greeting += data
                self.backend = _backend_of(greeting)
            fault, self._on_answer = self._on_answer, None
            if fault:
                self._client.sendall(data[: len(data) // 2])
                fault.act(self)
                return
            self._client.sendall(data)


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _backend_of(greeting: bytes) -> int:
    """The process id in the server's first words; 0 while it is not among them."""
    place = 0
    while place + 9 <= len(greeting):
        if greeting[place : place + 1] == _BACKEND_KEY:
            return int(struct.unpack("!I", greeting[place + 5 : place + 9])[0])
        place += 1 + int(struct.unpack("!I", greeting[place + 1 : place + 5])[0])
    return 0


def _end(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
