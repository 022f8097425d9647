"""A server that refuses every connection with one code, in words of another language than English.

A real one refuses for reasons that a test cannot bring about, such as a failover; its message is
the protocol's ErrorResponse (PostgreSQL manual, 54.7 and 54.8).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@contextlib.contextmanager
def refuses(code: str, text: str, tls: tuple[Path, Path] | None = None) -> Iterator[int]:
    """The port of 127.0.0.1 on which it listens.

    Args:
        code: SQLSTATE.
        text: its message.
        tls: files of its certificate and key; None for a server without TLS.
    """
    fields = f"SВАЖНО\0VFATAL\0C{code}\0M{text}\0\0".encode()
    refusal = b"E" + struct.pack("!i", len(fields) + 4) + fields

    def serve(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client, contextlib.suppress(OSError):
                    _answer(client, refusal, tls)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _answer(client: socket.socket, refusal: bytes, tls: tuple[Path, Path] | None) -> None:
    if client.recv(8, socket.MSG_PEEK) == _SSL_REQUEST:
        client.recv(8)
        client.sendall(b"S" if tls else b"N")
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            client = context.wrap_socket(client, server_side=True)
    with client:
        if client.recv(4096):
            client.sendall(refusal)
