"""Opens a session with the server, with the settings that every session of turnback has."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import psycopg
from psycopg import conninfo, pq

from turnback.engine.session.connect_errors import DIRECT, explain
from turnback.engine.session.events import LOCK_TIMEOUT_MS, Options
from turnback.engine.session.message import send, value
from turnback.engine.session.pooler import (
    connect_through,
    is_pooler,
    refuse_in_transaction_mode,
    takes_no_options,
)
from turnback.errors import ConfigurationError, DatabaseRefused

Connection = psycopg.Connection[tuple[object, ...]]
CONNECT_TIMEOUT_S = 10
# How the server reads text. With another value than our parser assumes, a string that a check has
# seen could be a statement for the server.
READING = {
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "DateStyle": "ISO,MDY",
    "IntervalStyle": "postgres",
    "xmloption": "content",
}
# The major versions of PostgreSQL that turnback is tested with (docs/start.md). An older server
# does not know a setting of the session, and so it refuses the connection.
OLDEST_MAJOR, NEWEST_MAJOR = 14, 18
# From this version of the server on there is a setting that others do not know.
_TRANSACTION_TIMEOUT_SINCE = 170000
# Who gives these in the address, in PGOPTIONS or in a service file means this session.
_FOR_THIS_SESSION = ("lock_timeout", "statement_timeout")
_SETTING = re.compile(r"(?:^|\s)(?:-c\s*|--)([A-Za-z_.-]+)=")
# libpq sends these variables after our options, and so they would win.
_VARIABLES = ("PGDATESTYLE", "PGTZ", "PGGEQO")
# Those that the server reports after every change, with the value that every session has.
_REPORTED = {"standard_conforming_strings": "on", "client_encoding": "UTF8"}


def connect(target: str, *, application_name: str, options: Options) -> Connection:
    """Open a session in autocommit, with turnback's settings as its defaults.

    They are startup options, so that RESET ALL returns to them.

    Raises:
        ConfigurationError: the connection string cannot be read, or parts of it would be misread.
        DatabaseUnreachable: no answer.
        DatabaseNotReady: it starts, stops, or has no connection left.
        DatabaseRefused: for example a wrong password, no such database, TLS, a pooler.
    """
    return _open(target, application_name, options, {})


def connect_for_own(
    target: str, *, application_name: str, lock_timeout_ms: int = 2000
) -> Connection:
    """A session for turnback's own statements alone: it looks everything up in pg_catalog.

    With the search_path of the database or the role, an operator that somebody has planted in one
    of its schemas could match the operands better than the server's own, and would run with the
    rights of this session.

    Raises as ``connect`` does.
    """
    options = Options(lock_timeout_ms=lock_timeout_ms)
    return _open(target, application_name, options, {"search_path": "pg_catalog"})


def _open(
    target: str, application_name: str, options: Options, more: Mapping[str, str]
) -> Connection:
    """A session with turnback's settings, and these.

    Raises:
        ConfigurationError: the connection string cannot be read, or parts of it would be misread.
        DatabaseUnreachable: no answer.
        DatabaseNotReady: it starts, stops, or has no connection left.
        DatabaseRefused: for example a wrong password, no such database, TLS, a pooler.
    """
    parameters = read_address(target)
    refuse_in_transaction_mode(parameters)
    theirs = _options_of(parameters)
    given = {name.replace("-", "_").lower() for name in _SETTING.findall(theirs)}
    settings: dict[str, int | str] = {
        "lock_timeout": options.lock_timeout_ms or LOCK_TIMEOUT_MS,
        "statement_timeout": options.statement_timeout_ms,
        "idle_in_transaction_session_timeout": 0,
        "idle_session_timeout": 0,
        # A statement must outlive the client that has to leave it (docs/decisions/0008).
        "client_connection_check_interval": 0,
        # But an idle session must not outlive a client that vanished.
        "tcp_keepalives_idle": 30,
        "tcp_keepalives_interval": 10,
        "tcp_keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        **READING,
        **more,
    }
    if options.detachable:
        # What the server sends to a client that is gone aborts the transaction.
        settings["client_min_messages"] = "error"
    chosen = {
        "lock_timeout": options.lock_timeout_ms,
        "statement_timeout": options.statement_timeout_ms,
    }
    for name in _FOR_THIS_SESSION:
        if name in given and not chosen[name]:
            del settings[name]
    parameters["options"] = theirs
    parameters.setdefault("connect_timeout", str(CONNECT_TIMEOUT_S))
    # Longer names are cut by the server, with a notice (NAMEDATALEN is 64).
    parameters["application_name"] = application_name[:63]
    parameters["client_encoding"] = "UTF8"
    for name in _VARIABLES:
        os.environ.pop(name, None)
    return _connect(parameters, settings, detachable=options.detachable)


def _connect(
    parameters: Mapping[str, str | int | None],
    settings: Mapping[str, int | str],
    *,
    detachable: bool,
) -> Connection:
    """A session with these settings as its defaults."""
    where = _describe(parameters)
    ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
    address = conninfo.make_conninfo(
        "", **{**parameters, "options": f"{parameters['options']} {ours}".strip()}
    )
    pooled = is_pooler(parameters)
    if not pooled:
        try:
            connection = psycopg.connect(address, autocommit=True, prepare_threshold=None)
        except psycopg.OperationalError as exc:
            pooled = takes_no_options(exc)
            if not pooled:
                raise explain(exc, parameters, address, where) from exc
    if pooled:
        if detachable:
            # It ends the statement of a client that leaves, and a function has to.
            raise DatabaseRefused(f"{where} is a connection pooler", hint=DIRECT)
        return connect_through(parameters, settings, where)
    if _has_transaction_timeout(connection):
        # As a startup option too, so that RESET ALL returns to it; an older server refuses it.
        connection.close()
        return _connect(parameters, {**settings, "transaction_timeout": 0}, detachable=detachable)
    return connection


def untested(connection: Connection) -> str | None:
    """A warning where turnback was never tested with a server as new as this one; else None."""
    if connection.info.server_version // 10_000 <= NEWEST_MAJOR:
        return None
    return (
        f"the server is PostgreSQL {connection.info.parameter_status('server_version')}; turnback "
        f"was tested with {OLDEST_MAJOR} to {NEWEST_MAJOR}"
    )


def _has_transaction_timeout(connection: Connection) -> bool:
    """Whether the database or the role limits how long a transaction may last."""
    if connection.info.server_version < _TRANSACTION_TIMEOUT_SINCE:
        return False
    [shown] = send(connection, "SHOW transaction_timeout")
    return value(shown) != "0"


def _options_of(parameters: Mapping[str, object]) -> str:
    """The server options that this address means, with those of the environment and its service.

    libpq takes PGOPTIONS and the service file only where the address has no options; as ours are
    in the address, it would take them for nothing.
    """
    if parameters.get("options"):
        return str(parameters["options"])
    before = os.environ.get("PGSERVICE")
    if service := parameters.get("service"):
        os.environ["PGSERVICE"] = str(service)
    try:
        found = {option.keyword: option.val for option in pq.Conninfo.get_defaults()}
    except MemoryError:
        # The service cannot be found: connecting says so.
        return ""
    finally:
        if service and before is None:
            del os.environ["PGSERVICE"]
        elif service and before is not None:
            os.environ["PGSERVICE"] = before
    return (found.get(b"options") or b"").decode()


def lock_timeout_of(connection: Connection) -> int:
    """The lock timeout that a session began with, milliseconds; 0 is without limit."""
    given = re.findall(r"\block_timeout=(\S+)", connection.pgconn.options.decode())
    if given and given[-1].isdecimal():
        return int(given[-1])
    [shown] = send(
        connection,
        "SELECT (pg_catalog.date_part('epoch', pg_catalog.current_setting('lock_timeout')"
        "::pg_catalog.interval) OPERATOR(pg_catalog.*) 1000)::integer",
    )
    return int(value(shown) or 0)


def misread(connection: Connection) -> str | None:
    """A setting with which the server reads text in another way than turnback; None without one.

    A script that is sent statement by statement can have changed it for its later statements.
    """
    for name, ours in _REPORTED.items():
        value = connection.info.parameter_status(name)
        if value != ours:
            return f"{name} = {value}"
    return None


def read_address(target: str) -> dict[str, str | int | None]:
    """The parameters of a connection string.

    A password with a ``/`` or an ``@`` that is not percent-encoded ends too early, and its rest
    becomes a part of the host, the port or the name of the database. These are shown in messages,
    and the host is sent to name servers, so such an address is refused, and no part of it shown.

    Raises:
        ConfigurationError: it cannot be read, or part of the password may be read as another part.
    """
    try:
        parameters = conninfo.conninfo_to_dict(target)
    except psycopg.ProgrammingError:
        # Not chained: the error of psycopg quotes the address.
        raise _unreadable("cannot be read", encode="=" in target or "://" in target) from None
    hosts = f"{parameters.get('host') or ''},{parameters.get('hostaddr') or ''}".split(",")
    ports = str(parameters.get("port") or "").split(",")
    database = str(parameters.get("dbname") or "")
    path = re.match("postgres(?:ql)?://[^/]*/([^?]*)", target)
    if any("@" in host and not host.startswith("/") for host in hosts):
        raise _unreadable("has an @ in its host")
    if not all(re.fullmatch("[0-9]{0,5}", port) for port in ports):
        raise _unreadable("has a port that is not a number")
    if (path and "@" in path[1]) or "://" in database:
        raise _unreadable("has an @, or another address, in the name of the database")
    return parameters


def _unreadable(what: str, *, encode: bool = True) -> ConfigurationError:
    password = "percent-encode the password: %2F for /, %40 for @, %3F for ?; " if encode else ""
    return ConfigurationError(
        f"the database's address {what}",
        hint=f"{password}the form is postgresql://user:password@host:5432/database",
    )


def describe(target: str) -> str:
    """``host:port/database`` of a connection string, never with its user or password.

    It is ``?`` if the address cannot be read.
    """
    try:
        return _describe(read_address(target))
    except ConfigurationError:
        return "?"


def describe_session(connection: Connection) -> str:
    """As ``describe``, of an open session."""
    # Not by get_parameters of psycopg: it fails where the user has no home, as in Lambda.
    server = connection.pgconn
    named = {"host": server.host, "port": server.port, "dbname": server.db}
    return _describe({name: found.decode() for name, found in named.items()})


def _describe(parameters: Mapping[str, object]) -> str:
    host = str(parameters.get("host") or parameters.get("hostaddr") or "localhost")
    port = parameters.get("port")
    place = "local socket" if host.startswith("/") else f"{host}:{port or 5432}"
    return f"{place}/{parameters.get('dbname') or ''}"
