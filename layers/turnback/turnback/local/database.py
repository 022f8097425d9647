"""A database in an embedded server with its own role and password, and what it contains."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from dataclasses import dataclass, field

from turnback.errors import DatabaseRefused
from turnback.local.programs import binaries, clean_environment
from turnback.local.server import EmbeddedServer

# Each row that this returns is run as a statement.
_COUNT_ROWS = r"""
SELECT format(
    'SELECT %L, count(*) || '' '' || md5(coalesce(string_agg(t::text, '','' ORDER BY t::text), '
    ''''')) FROM %I.%I AS t', nspname || '.' || relname, nspname, relname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY nspname, relname \gexec
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A database and the role that owns it, reached over TCP with a password."""

    port: int
    name: str
    user: str
    password: str = field(repr=False)
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Its address, with the password."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.name}"

    def as_secret(self) -> str:
        """The secret that RDS keeps in Secrets Manager for a database."""
        return json.dumps(
            {
                "engine": "postgres",
                "host": self.host,
                "port": self.port,
                "username": self.user,
                "password": self.password,
                "dbname": self.name,
            }
        )


def make_database(server: EmbeddedServer, name: str) -> Database:
    """Make a database and the role that owns it.

    The role may only create databases, because a dump is restored into a new one.

    Args:
        server: a server that listens on TCP.
        name: of both, a plain identifier.

    Raises:
        DatabaseRefused: the server refuses.
    """
    password = secrets.token_urlsafe(24)
    # By standard input: everyone on this machine could see a password in the arguments.
    _run(
        [
            *("psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", "-"),
            *("--dbname", server.socket_url()),
        ],
        send=f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD '{password}';\n"
        f"CREATE DATABASE {name} OWNER {name};\n",
    )
    return Database(server.port, name, name, password)


def run_sql(server: EmbeddedServer, name: str, sql: str) -> None:
    """Run statements in a database as superuser, in one transaction.

    Raises:
        DatabaseRefused: the server refuses.
    """
    _run(
        [
            *("psql", "--no-psqlrc", "--quiet", "--single-transaction"),
            *("--set", "ON_ERROR_STOP=1", "--file", "-", "--dbname", server.socket_url(name)),
        ],
        send=sql,
    )


def schema_of(server: EmbeddedServer, name: str) -> str:
    """The schema of a database as pg_dump writes it; the same for the same schema."""
    dumped = _run(["pg_dump", "--schema-only", "--dbname", server.socket_url(name)])
    # A random key that keeps an attacker from injecting psql commands.
    return re.sub(r"^\\(un)?restrict .*\n", "", dumped, flags=re.MULTILINE)


def reread(server: EmbeddedServer, schema: str) -> str:
    """What ``schema_of`` returns for a database made from this schema.

    PostgreSQL does not write every expression as it reads it: the first dump of ``kind IN ('a',
    'b')`` on a varchar has its casts moved; later dumps are stable.
    """
    server_url, name = server.socket_url(), "reread"
    _run(["psql", "--no-psqlrc", "--quiet", "--command", f"CREATE DATABASE {name}", server_url])
    try:
        run_sql(server, name, schema)
        return schema_of(server, name)
    finally:
        _run(["psql", "--no-psqlrc", "--quiet", "--command", f"DROP DATABASE {name}", server_url])


def rows_of(server: EmbeddedServer, name: str) -> dict[str, str]:
    """Table → number and checksum of its rows, for every table of a database."""
    counted = _run(
        [
            *("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"),
            *("--set", "ON_ERROR_STOP=1", "--file", "-", "--dbname", server.socket_url(name)),
        ],
        send=_COUNT_ROWS,
    )
    return dict(line.split("|", 1) for line in counted.splitlines())


def _run(command: list[str], *, send: str = "") -> str:
    done = subprocess.run(
        [binaries() / command[0], *command[1:]],
        env=clean_environment(),
        input=send,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DatabaseRefused(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout
