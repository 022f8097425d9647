"""What a connection that failed means, and what to do about it.

What the server refuses has a code (SQLSTATE), and the code decides: its text may be in any
language. libpq keeps the code to itself, so it is asked once more, with verbose errors. What libpq
itself says, of TLS above all, has no code; it is in English, because no locale is set here.
"""

from __future__ import annotations

import ctypes
import os
import re
import selectors
import time
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import pq

from turnback.engine.session.message import server_trouble
from turnback.errors import (
    ConfigurationError,
    DatabaseNotReady,
    DatabaseRefused,
    DatabaseUnreachable,
    TurnbackError,
)

DIRECT = (
    "name the database's direct endpoint: a pooler breaks sessions and their locks. On RDS that is "
    "the instance's or the cluster's own endpoint, on Supabase db.PROJECT.supabase.co"
)
_NETWORK = "check host and port, the network (security group, VPN), and that it is up"
_SUPABASE = re.compile(r"db\.([^.]+)\.supabase\.co")
# A name that has no address of a kind that this machine uses; an address of another kind.
_NO_ROUTE = re.compile(
    "could not translate host name|Network is unreachable|No route to host|"
    "Cannot assign requested address"
)
# What libpq says after a name: (2a05:d018::1), port 5432.
_TO_IPV6 = re.compile(r"\([0-9a-f:.]*:[0-9a-f:.]*\), port")
_LOGIN = "check user, password and database name in the address"
_LOOK_AGAIN_S = 10.0
_WAITS: dict[int, int] = {
    pq.PollingStatus.READING: selectors.EVENT_READ,
    pq.PollingStatus.WRITING: selectors.EVENT_WRITE,
}
_VERBOSE = 2  # PQERRORS_VERBOSE (libpq-fe.h)
# What libpq puts before the words of a server: where it connected, and their severity.
_SERVER_SAYS = re.compile(r" failed: (?:[^\s:]+):  ")
_CODE = re.compile(r" failed: (?:[^\s:]+):  ([0-9A-Z]{5}): ")
_WHERE = re.compile(r"^connection (?:failed|is bad): (?:connection to server [^\n]* failed: )?")
# "cannot connect now", which includes starting and recovery; the shutdowns; too many connections.
_PASSING = {
    "57P01": "the server is being shut down or restarted",
    "57P02": "the server has crashed and restarts",
    "57P03": "the server is starting, stopping or recovering",
    "53300": "the server has no connection left (max_connections, or a limit of the user or the "
    "database)",
}
_REJECTED = "28000"
_HINTS = {
    "28P01": "check user and password in the address; percent-encode the password: %2F for /, %40 "
    "for @, %3F for ?",
    "3D000": "check the database name in the address; turnback db create makes it",
    # The session's own settings are older than that (client_connection_check_interval is of 14).
    "42704": "turnback needs PostgreSQL 14 or later: an older server does not know a setting of "
    "its sessions; a newer one does not know a setting in the options of the address",
    "42501": "a superuser or the database's owner allows it: GRANT CONNECT ON DATABASE … TO this "
    "user",
}
_RDS = re.compile(r"\.rds\.amazonaws\.com(?:\.cn)?$")
_ASKS_TLS = (
    "a server that demands TLS (hostssl in pg_hba.conf, rds.force_ssl) is reached with "
    "sslmode=require or, with its authority in sslrootcert, sslmode=verify-full; for a stack, "
    "DatabaseTls"
)
_NO_ENTRY = (
    "the server admits this user, this database and this address only by a line in pg_hba.conf"
)
# Words of libpq (fe-secure-openssl.c, fe-connect.c): what is wrong, and the setting to change.
_TLS = (
    (
        r"certificate verify failed",
        "its TLS certificate is of an authority that is not trusted here",
        "set sslrootcert to the file of the authority that issued it: for RDS the global bundle of "
        "AWS. A stack trusts the authorities of RDS and no others; for another server, set "
        "DatabaseTls to require, which encrypts and does not verify",
    ),
    (
        r"server certificate for .* does not match host name",
        "its TLS certificate is for another host name",
        "connect by a name that is in the certificate: on RDS the endpoint, not a CNAME or an IP "
        "address of it; sslmode=verify-ca (for a stack: DatabaseTls require) verifies no name",
    ),
    (
        r"root certificate file .* does not exist",
        "the file of the authorities to trust is missing",
        "set sslrootcert to a file that exists, or to system for those of the operating system",
    ),
    (
        r"could not read root certificate file",
        "the file of the authorities to trust cannot be read",
        "set sslrootcert to a file of certificates in PEM format that this user may read",
    ),
    (
        r"server does not support SSL",
        "it offers no TLS, and sslmode demands it",
        "turn on ssl in the server; or where the network can be trusted, set sslmode=disable (for "
        "a stack: DatabaseTls disable)",
    ),
    (
        r"private key|certificate file|client certificate",
        "the client's TLS certificate cannot be used",
        "correct sslcert and sslkey; only the user who runs turnback may be able to read the key",
    ),
    (
        r"SSL error: ",
        "TLS could not be established",
        "compare the versions and the settings of TLS on both sides: sslmode, "
        "ssl_min_protocol_version",
    ),
)


def explain(
    exc: psycopg.OperationalError, parameters: Mapping[str, object], address: str, where: str
) -> TurnbackError:
    """The error for a connection that failed.

    Args:
        exc: psycopg's.
        parameters: the parts of the connection string.
        address: the connection string, for a second look.
        where: the database, for people.
    """
    whole = str(exc).strip()
    text = _WHERE.sub("", whole)
    if whole.startswith("connection is bad: ") and text == whole.partition(": ")[2]:
        # libpq refuses it before it connects.
        return ConfigurationError(
            f"the database's address has a setting that cannot be used: {text}",
            hint="correct it in the address, or in the variable that sets it (PGSSLMODE, …)",
        )
    if "unsupported startup parameter" in text:
        # Ours are left out for a pooler.
        return DatabaseRefused(
            f"{where} is a connection pooler: {text}",
            hint=f"leave the options out of the address (PGOPTIONS as well); or {DIRECT}",
        )
    if _SERVER_SAYS.search(whole):
        return _refused(exc, parameters, address, f"{where} refuses the connection: {text}")
    if "no password supplied" in text:
        return DatabaseRefused(
            f"{where} asks for a password, and there is none",
            hint="give it in the address (postgresql://user:password@host:5432/database), in "
            "PGPASSWORD, or in ~/.pgpass",
        )
    for pattern, what, hint in _TLS:
        if re.search(pattern, text):
            said = text.partition("\n")[0]
            return DatabaseRefused(f"{where} cannot be used: {what} ({said})", hint=hint)
    return DatabaseUnreachable(
        f"{where} does not answer: {text}", hint=_network_hint(whole, str(parameters.get("host")))
    )


def _network_hint(text: str, host: str) -> str:
    """What to do about a server that cannot be reached.

    Args:
        text: what libpq says, with each address that it has tried.
        host: the name in the address.
    """
    project = _SUPABASE.fullmatch(host)
    if project and _NO_ROUTE.search(text):
        return (
            f"{host} has an IPv6 address only, unless the project has the IPv4 add-on, and there "
            "is no way to it from here. Use the session pooler, which has IPv4: user "
            f"postgres.{project[1]}, port 5432 of the host that the project shows under Connect"
        )
    if _TO_IPV6.search(text) and _NO_ROUTE.search(text):
        return f"the address of {host} is IPv6, and there is no way to it from here; {_NETWORK}"
    return _NETWORK


def _refused(
    exc: psycopg.OperationalError, parameters: Mapping[str, object], address: str, message: str
) -> TurnbackError:
    state = exc.sqlstate or _code_of(address)
    if passing := _PASSING.get(state or ""):
        return DatabaseNotReady(
            message, sqlstate=state, hint=f"{passing}: run it again when that is over"
        )
    hint = _HINTS.get(state or "") or server_trouble(state) or _LOGIN
    if state == _REJECTED and not (exc.pgconn is not None and exc.pgconn.used_password):
        encrypted = exc.pgconn is not None and exc.pgconn.ssl_in_use
        if encrypted and _RDS.search(str(parameters.get("host") or "")):
            # Nobody edits this file on RDS: a server that wakes or fails over has not read it yet.
            return DatabaseNotReady(
                message,
                sqlstate=state,
                hint="the server wakes or fails over: run it again when that is over",
            )
        hint = _NO_ENTRY if encrypted else f"{_NO_ENTRY}; {_ASKS_TLS}"
    return DatabaseRefused(message, sqlstate=state, hint=hint)


def _code_of(address: str) -> str | None:
    """The SQLSTATE with which the server refuses a connection now; None if it cannot be found out.

    Where it accepts one meanwhile, it is that of a server that could not be connected to.
    """
    library = _libpq()
    if library is None:
        return None
    attempt = pq.PGconn.connect_start(address.encode())
    try:
        # Both implementations in C have the pointer; the type is that of all three.
        pointer = attempt.pgconn_ptr  # type: ignore[attr-defined]
        library.PQsetErrorVerbosity(ctypes.c_void_p(pointer), _VERBOSE)
        until = time.monotonic() + _LOOK_AGAIN_S
        while (status := attempt.connect_poll()) in _WAITS:
            with selectors.DefaultSelector() as waiting:
                waiting.register(attempt.socket, _WAITS[status])
                if not waiting.select(max(until - time.monotonic(), 0)):
                    return None
        if status == pq.PollingStatus.OK:
            return "57P03"
        codes = _CODE.findall(attempt.get_error_message())
    finally:
        attempt.finish()
    # With sslmode prefer and allow, libpq tries with and without TLS: one of them is not admitted.
    return next((code for code in codes if code != _REJECTED), codes[0] if codes else None)


@cache
def _libpq() -> ctypes.CDLL | None:
    """The libpq that psycopg works with, where psycopg brings it."""
    found = bundled_libpq() if pq.__impl__ == "binary" else None
    return ctypes.CDLL(str(found)) if found else None


def bundled_libpq() -> Path | None:
    """The file of the libpq that psycopg[binary] brings; None if it does not exist."""
    package = find_spec("psycopg_binary")
    folder = Path(package.origin).parent if package and package.origin else Path(os.sep)
    found = [
        *(folder.parent / "psycopg_binary.libs").glob("libpq-*.so*"),
        *(folder / ".dylibs").glob("libpq*.dylib"),
    ]
    return min(found, default=None)
