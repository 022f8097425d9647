"""Addresses as Prisma has them: their parameters, which libpq refuses, in its own words.

The meaning of each is that of Prisma's page on the PostgreSQL connector.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from psycopg import conninfo

from turnback.errors import ConfigurationError
from turnback.sql.quoting import identifier

_URL = re.compile(r"(postgres(?:ql)?://[^?]*)\?([^@]*)")
# Of the client's pool and its statements, or of another client.
_OF_THE_POOL = (
    *("connection_limit", "pool_timeout", "max_connection_lifetime"),
    *("max_idle_connection_lifetime", "single_use_connections", "statement_cache_size"),
    *("uselibpqcompat", "supa"),
)
_PRISMA = {"schema", "pgbouncer", "socket_timeout", "sslaccept", "sslidentity", *_OF_THE_POOL}
# The folder that Prisma looks for certificates in.
_FOLDER = Path("prisma")


@dataclass(frozen=True, slots=True)
class Translated:
    """An address as libpq reads it.

    Attributes:
        address: the address.
        remarks: what was left out of it, and what does the same, a sentence each.
    """

    address: str
    remarks: tuple[str, ...] = ()


def translated(address: str) -> Translated:
    """The address with Prisma's parameters in libpq's words; any other address as it is.

    ``sslcert`` is libpq's own where no parameter of Prisma is beside it.

    Raises:
        ConfigurationError: a parameter has no counterpart, and cannot be left out.
    """
    found = _URL.fullmatch(address)
    parts = [part.partition("=") for part in found[2].split("&")] if found else []
    given = [(unquote(name), unquote(value)) for name, _, value in parts]
    own = {name: value for name, value in given if name in _PRISMA}
    if not found or not own:
        return Translated(address)
    if "sslidentity" in own:
        raise ConfigurationError(
            "the database's address has sslidentity, which only Prisma can read (PKCS 12)",
            hint="write certificate and key into files (openssl pkcs12 -in FILE -nodes), and name "
            "an address without Prisma's parameters: ?sslmode=verify-full&sslcert=…&sslkey=…",
        )
    kept = {name: value for name, value in given if name not in _PRISMA}
    if (schema := own.get("schema")) and schema != "public":
        # A space ends an option, and a backslash keeps it (manual, 32.1.2).
        path = re.sub(r"([\s\\])", r"\\\1", identifier(schema))
        kept["options"] = f"{kept.get('options', '')} -csearch_path={path}".strip()
    if certificate := kept.pop("sslcert", None):
        kept["sslrootcert"] = str(_certificate(certificate))
    if own.get("sslaccept") == "strict":
        kept["sslmode"] = "verify-full"
        kept.setdefault("sslrootcert", "system")
    query = "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in kept.items())
    return Translated(f"{found[1]}?{query}" if query else found[1], tuple(_remarks(own)))


def in_prismas_words(address: str) -> str:
    """An address of libpq as a URL that Prisma reads; the folder of a socket is a parameter."""
    found = {key: str(value) for key, value in conninfo.conninfo_to_dict(address).items()}
    host, port = found.get("host", "localhost"), found.get("port", "5432")
    more = {key: found[key] for key in ("sslmode",) if key in found}
    if host.startswith("/"):
        host, more = "localhost", {"host": host, **more}
    user, password = (quote(found.get(key, ""), safe="") for key in ("user", "password"))
    login = f"{user}:{password}" if password else user
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in more.items())
    database = quote(found["dbname"], safe="")
    return f"postgresql://{login}@{host}:{port}/{database}{'?' if query else ''}{query}"


def _certificate(path: str) -> Path:
    """Prisma looks beside its schema."""
    beside = _FOLDER / path
    return beside if not Path(path).is_absolute() and beside.exists() else Path(path)


def _remarks(own: dict[str, str]) -> list[str]:
    found = []
    if left := [name for name in own if name in _OF_THE_POOL]:
        found.append(f"{', '.join(left)}: left out, turnback has one session and no pool")
    if own.get("pgbouncer") == "true":
        found.append(
            "pgbouncer: left out; turnback needs the server itself, and refuses a pooler: name its "
            "address, which Prisma calls DIRECT_URL"
        )
    if "socket_timeout" in own:
        found.append("socket_timeout: left out; a header limits a script: statement-timeout")
    return found
