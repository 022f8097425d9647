"""A TCP proxy that makes the server as far away as one wants.

What comes in is passed on after half a round trip, in each direction and in order, with no limit
on how much is under way. A timer of asyncio is good for a millisecond only, so each direction has
two threads: one that receives and one that sleeps until it is time to send.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from queue import SimpleQueue
from typing import Self

CHUNK = 256 * 1024


class Proxy:
    """Forwards from a free port of 127.0.0.1 to another one, while its context lasts.

    Attributes:
        port: where it listens.
        exchanges: how often the server has answered after the client had spoken, on any
            connection: the number of round trips that were waited for.
    """

    def __init__(self, server_port: int, round_trip_s: float) -> None:
        """Begin to listen.

        Args:
            server_port: of the server, on 127.0.0.1.
            round_trip_s: what is added to the round trip, seconds.
        """
        self._server_port = server_port
        self._delay_s = round_trip_s / 2
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.exchanges = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            # Without it, accept would go on in its thread after the close.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            _Connection(self, client, self._server_port, self._delay_s)


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket, port: int, delay_s: float) -> None:
        self._proxy = proxy
        self._delay_s = delay_s
        self._asked = False
        server = socket.create_connection(("127.0.0.1", port))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, target in ((client, server), (server, client)):
            under_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
            for work in (
                lambda s=source, q=under_way, asks=source is client: self._receive(s, q, asks),
                lambda t=target, q=under_way: self._send(t, q),
            ):
                threading.Thread(target=work, daemon=True).start()

    def _receive(
        self, source: socket.socket, under_way: SimpleQueue[tuple[float, bytes]], asks: bool
    ) -> None:
        data = b"."
        while data:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            under_way.put((time.perf_counter() + self._delay_s, data))
            if data and asks:
                self._asked = True
            elif data and self._asked:
                self._asked = False
                self._proxy.exchanges += 1

    def _send(self, target: socket.socket, under_way: SimpleQueue[tuple[float, bytes]]) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = under_way.get()
                if (left := due - time.perf_counter()) > 0:
                    time.sleep(left)
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
