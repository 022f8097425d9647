"""One session with the server: how it is opened, and what every session of ours sets."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import conninfo

from turnback.engine.events import Options
from turnback.errors import ConfigurationError, DatabaseRefused, DatabaseUnreachable

CONNECT_TIMEOUT_S = 10
_TEMPORARY = ("57P03", "53300", "57P01", "57P02")


def connect(
    target: str, *, application_name: str, options: Options
) -> psycopg.Connection[tuple[object, ...]]:
    """Open a session that commits by itself and has our settings as its defaults.

    They are given as startup options, so that RESET ALL returns to them.

    Raises:
        ConfigurationError: the connection string cannot be read.
        DatabaseUnreachable: no answer.
        DatabaseRefused: wrong password, no such database, a pooler.
    """
    try:
        parameters = conninfo.conninfo_to_dict(target)
    except psycopg.ProgrammingError as exc:
        raise ConfigurationError(
            "the database's address cannot be read",
            hint="it has the form postgresql://user:password@host:5432/database",
        ) from exc
    settings = {
        "lock_timeout": options.lock_timeout_ms,
        "statement_timeout": options.statement_timeout_ms,
        "idle_in_transaction_session_timeout": 0,
    }
    ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
    parameters["options"] = f"{parameters.get('options') or ''} {ours}".strip()
    parameters.setdefault("connect_timeout", str(CONNECT_TIMEOUT_S))
    # Longer names are cut by the server, with a notice (NAMEDATALEN is 64).
    parameters["application_name"] = application_name[:63]
    parameters["client_encoding"] = "UTF8"
    try:
        connection = psycopg.connect(
            conninfo.make_conninfo("", **parameters), autocommit=True, prepare_threshold=None
        )
    except psycopg.OperationalError as exc:
        raise _translate(exc, parameters) from exc
    return connection


def describe(target: str) -> str:
    """``host:port/database`` of a connection string, never with its password."""
    try:
        parameters = conninfo.conninfo_to_dict(target)
    except psycopg.ProgrammingError:
        return "?"
    return _describe(parameters)


def _describe(parameters: Mapping[str, object]) -> str:
    host = str(parameters.get("host") or parameters.get("hostaddr") or "localhost")
    port = parameters.get("port")
    place = "local socket" if host.startswith("/") else f"{host}:{port or 5432}"
    return f"{place}/{parameters.get('dbname') or parameters.get('user') or ''}"


def _translate(
    exc: psycopg.OperationalError, parameters: Mapping[str, object]
) -> DatabaseUnreachable | DatabaseRefused:
    text = str(exc).strip()
    where = _describe(parameters)
    state = exc.sqlstate
    answered = "FATAL" in text or state is not None
    if "unsupported startup parameter" in text:
        return DatabaseRefused(
            f"{where} is a connection pooler: {text}",
            sqlstate=state,
            hint="name the database's direct endpoint: a pooler breaks sessions and their locks",
        )
    if not answered or state in _TEMPORARY or "starting up" in text or "too many" in text:
        return DatabaseUnreachable(
            f"{where} does not answer: {text}",
            sqlstate=state,
            hint="check host and port, the network (security group, VPN), and that it is up",
        )
    return DatabaseRefused(
        f"{where} refuses the connection: {text}",
        sqlstate=state,
        hint="check user, password and database name in the address",
    )
