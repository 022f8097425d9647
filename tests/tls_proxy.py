"""A server that demands TLS: it ends TLS in front of one that has none.

It speaks the one message of the protocol that comes before TLS (PostgreSQL manual, 54.2.11,
"SSL Session Encryption"), and refuses every client that begins without it, as pg_hba.conf's
hostssl does.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_REFUSAL = b"SFATAL\0C28000\0Mno pg_hba.conf entry, no encryption\0\0"


@dataclass(slots=True)
class TlsServer:
    """Where it listens, who vouches for it, and how many sessions it let in by TLS."""

    port: int
    certificates: Path
    sessions: int = 0
    refused: int = 0


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, for this host and 127.0.0.1; the file and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName(
        [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@contextlib.contextmanager
def demands_tls(port: int, folder: Path, name: str = "localhost") -> Iterator[TlsServer]:
    """A server that lets in by TLS only, in front of the one on this port.

    Args:
        port: of a server on 127.0.0.1 without TLS.
        folder: for the certificate and its key.
        name: the host that the certificate is for.
    """
    certificate_file, key_file = certificate(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        served = TlsServer(listening.getsockname()[1], certificate_file)

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=_session, args=(client, port, context, served)).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield served
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _session(client: socket.socket, port: int, context: ssl.SSLContext, served: TlsServer) -> None:
    with client, contextlib.suppress(OSError):
        first = client.recv(8)
        if first != _SSL_REQUEST:
            # A request to cancel comes without TLS from old clients; ours sends none.
            served.refused += 1
            client.sendall(b"E" + struct.pack("!i", len(_REFUSAL) + 4) + _REFUSAL)
            return
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as secure:
            served.sessions += 1
            with socket.create_connection(("127.0.0.1", port)) as server:
                back = threading.Thread(target=_pump, args=(server, secure))
                back.start()
                _pump(secure, server)
                back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
