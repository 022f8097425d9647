"""The server side of a restore: the session that leads it, and the properties of a database.

A dump has none of these properties, so the catalog is asked. pg_dump writes them with --create
only, and then under the old name (manual, pg_dump, "--create").
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256

import psycopg

from turnback.engine.session.connection import Connection
from turnback.engine.session.read_only import refuse_read_only
from turnback.errors import DatabaseRefused, RestoreFailed, RunnerBusy
from turnback.recovery.endpoint import Endpoint
from turnback.sql.quoting import identifier, literal

# A session that says nothing for this long is over. Its owner may be a Lambda function that was
# stopped in the middle: it never closes its socket, and would keep its lock for ever.
_SILENT_MS = 60_000
_HEARTBEAT_S = 10.0
# The same in the middle of the swap, where every new session of the application waits for us.
_SILENT_IN_SWAP_MS = 15_000
_LOCK_TIMEOUT_MS = 10_000

_USUAL = "pg_default"
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
# Settings whose value is a list of names (guc_tables.c, GUC_LIST_QUOTE).
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of a database that its successor must have as well.

    Attributes:
        database: its name.
        oid: of the database.
        creation: the options of CREATE DATABASE.
        grants: run before it takes sessions, with ``{name}`` where the new one's name goes.
        settings: run when it is filled, likewise.
        search_path: the one that its settings give to every session; None without one.
        connection_limit: -1 is without limit.
        template: whether everybody may copy it.
        comment: of the database.
    """

    database: str
    oid: int
    creation: str
    grants: tuple[str, ...]
    settings: tuple[str, ...]
    search_path: str | None
    connection_limit: int
    template: bool
    comment: str | None


def read_properties(connection: Connection, database: str) -> Properties:
    """The properties of a database of this server.

    Raises:
        RestoreFailed: there is no such database.
    """
    row = connection.execute(
        "SELECT to_jsonb(d), pg_catalog.pg_get_userbyid(d.datdba), "
        "pg_catalog.pg_encoding_to_char(d.encoding), t.spcname, "
        "pg_catalog.shobj_description(d.oid, 'pg_database') "
        "FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace "
        "WHERE d.datname = %s",
        [database],
    ).fetchone()
    if row is None:
        raise RestoreFailed(
            f'there is no database "{database}" in this server for the restored one to replace',
            hint="make one, even an empty one, of this name; then restore again",
        )
    fields, owner, encoding, tablespace, comment = row
    assert isinstance(fields, dict)
    settings = list(_settings(connection, database))
    return Properties(
        database=database,
        oid=int(fields["oid"]),
        creation=" ".join(
            [
                f"TEMPLATE template0 OWNER {identifier(str(owner))}",
                f"ENCODING {literal(str(encoding))}",
                # To name the usual one takes a right that only superusers have.
                *([f"TABLESPACE {identifier(str(tablespace))}"] if tablespace != _USUAL else []),
                *_locale(fields),
            ]
        ),
        grants=tuple(_grants(connection, database, str(owner))),
        settings=tuple(_statement(*setting) for setting in settings),
        search_path=next(
            (value for role, name, value in settings if role is None and name == "search_path"),
            None,
        ),
        connection_limit=int(fields["datconnlimit"]),
        template=bool(fields["datistemplate"]),
        comment=None if comment is None else str(comment),
    )


def _locale(fields: dict[str, object]) -> Iterator[str]:
    """The columns differ by version: providers since 15, rules since 16, datlocale since 17."""
    yield f"LC_COLLATE {literal(str(fields['datcollate']))}"
    yield f"LC_CTYPE {literal(str(fields['datctype']))}"
    provider = _PROVIDERS.get(str(fields.get("datlocprovider", "c")), "libc")
    if "datlocprovider" in fields:
        yield f"LOCALE_PROVIDER {provider}"
    locale = fields.get("datlocale") or fields.get("daticulocale")
    if locale and provider != "libc":
        yield f"{'ICU' if provider == 'icu' else 'BUILTIN'}_LOCALE {literal(str(locale))}"
    if fields.get("daticurules"):
        yield f"ICU_RULES {literal(str(fields['daticurules']))}"


def _settings(connection: Connection, database: str) -> Iterator[tuple[str | None, str, str]]:
    rows = connection.execute(
        "SELECT r.rolname, setting FROM pg_catalog.pg_db_role_setting s "
        "JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase "
        "LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, "
        "pg_catalog.unnest(s.setconfig) WITH ORDINALITY AS u(setting, place) "
        "WHERE d.datname = %s ORDER BY r.rolname NULLS FIRST, place",
        [database],
    )
    for role, setting in rows:
        name, _, value = str(setting).partition("=")
        yield None if role is None else str(role), name, value


def _statement(role: str | None, name: str, value: str) -> str:
    place = "DATABASE {name}"
    if role is not None:
        place = f"{_braced(f'ROLE {identifier(role)} IN ')}{place}"
    # A custom setting has a dot in its name, and each part is a name of its own.
    what = ".".join(identifier(part) for part in name.split("."))
    return f"ALTER {place} SET {_braced(what)} TO {_braced(_value(name, value))}"


def _value(name: str, value: str) -> str:
    if name.lower() not in _LISTS:
        return literal(value)
    parts = re.findall(r'"((?:[^"]|"")*)"|([^,\s][^,]*)', value)
    return ", ".join(literal(quoted.replace('""', '"') or bare.strip()) for quoted, bare in parts)


def _grants(connection: Connection, database: str, owner: str) -> Iterator[str]:
    """What was granted, and to whom; that the owner granted it is assumed."""
    rows = connection.execute(
        "SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END, "
        "a.privilege_type, a.is_grantable FROM pg_catalog.pg_database d, "
        "pg_catalog.aclexplode(d.datacl) a WHERE d.datname = %s",
        [database],
    ).fetchall()
    changed = connection.execute(
        "SELECT datacl IS NOT NULL FROM pg_catalog.pg_database WHERE datname = %s", [database]
    ).fetchone()
    if changed is None or not changed[0]:
        return
    yield f"REVOKE ALL ON DATABASE {{name}} FROM PUBLIC, {_braced(identifier(owner))}"
    for grantee, privilege, grantable in rows:
        whom = "PUBLIC" if grantee is None else _braced(identifier(str(grantee)))
        option = " WITH GRANT OPTION" if grantable else ""
        yield f"GRANT {privilege} ON DATABASE {{name}} TO {whom}{option}"


def _braced(text: str) -> str:
    """Safe for str.format."""
    return text.replace("{", "{{").replace("}", "}}")


def open_maintenance(endpoint: Endpoint, application: str) -> Connection:
    """A session beside the database: in ``postgres``, else in ``template1``.

    Raises:
        RestoreFailed: it may connect to neither.
        DatabaseUnreachable: no answer.
    """
    refusals = []
    for name in ("postgres", "template1"):
        if name == endpoint.name:
            continue
        try:
            return replace(endpoint, name=name).open(application, lock_timeout_ms=_LOCK_TIMEOUT_MS)
        except DatabaseRefused as error:
            refusals.append(error.message)
    raise RestoreFailed(
        "a restore is run from another database, and none can be connected to: "
        + "; ".join(refusals),
        hint=f"nothing was changed; allow {endpoint.user} to connect to the database postgres",
    )


@contextmanager
def leading_session(endpoint: Endpoint, run: str) -> Iterator[Connection | None]:
    """The one session that restores this database now; None while this run has another one.

    It holds an advisory lock, which goes with the session, however that ends. What is decisive
    runs in this very session, so that one whose lock is gone can change nothing any more.

    Raises:
        RunnerBusy: another run restores this database.
        DatabaseNotReady: the server accepts no writes.
        RestoreFailed, DatabaseUnreachable: see open_maintenance.
    """
    application = f"turnback restore {run}"[:63]
    with open_maintenance(endpoint, application) as connection:
        refuse_read_only(connection)
        key = int.from_bytes(
            sha256(f"turnback restore {endpoint.name}".encode()).digest()[:8], "big", signed=True
        )
        row = connection.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", [key]).fetchone()
        if row is None or not row[0]:
            holder = _holder(connection, key)
            if holder is not None and holder != application:
                raise RunnerBusy(
                    f"{holder} is restoring this database",
                    hint="nothing was changed; wait until it has ended",
                )
            yield None
            return
        connection.execute(
            f"SET idle_in_transaction_session_timeout = {_SILENT_IN_SWAP_MS}".encode()
        )
        if connection.info.server_version >= 140000:
            connection.execute(f"SET idle_session_timeout = {_SILENT_MS}".encode())
        with _heartbeat(connection):
            yield connection


def _holder(connection: Connection, key: int) -> str | None:
    row = connection.execute(
        "SELECT a.application_name FROM pg_catalog.pg_locks l "
        "JOIN pg_catalog.pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        "AND (l.classid::bigint << 32 | l.objid::bigint) = %s "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database "
        "WHERE datname = pg_catalog.current_database())",
        [key],
    ).fetchone()
    return None if row is None else str(row[0])


@contextmanager
def _heartbeat(connection: Connection) -> Iterator[None]:
    """Say something now and then, so that the session of a living owner is not silent."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_HEARTBEAT_S) and not connection.closed:
            # An error of the session shows at the next statement of its owner.
            with suppress(psycopg.Error):
                connection.execute("SELECT 1")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
