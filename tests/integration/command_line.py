"""The command line as a user runs it: by its installed name, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests import documents

PROGRAM = Path(sys.executable).with_name("turnback")
# The first object identifier that the server gives to objects of users (manual, 5.14).
FIRST_OF_USERS = 16384
# Their key, and their columns that VACUUM changes.
CATALOGS = {
    "pg_class": (
        "oid",
        "relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid,relhasindex",
    ),
    "pg_attribute": ("attrelid", ""),
    "pg_constraint": ("oid", ""),
    "pg_extension": ("oid", ""),
    "pg_index": ("indexrelid", ""),
    "pg_namespace": ("oid", ""),
    "pg_proc": ("oid", ""),
    "pg_trigger": ("oid", ""),
    "pg_type": ("oid", ""),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, and the exit code it left with."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What ``--json`` printed; an error unless it is one document, and as its schema says."""
        return documents.read(self.out)


Turnback = Callable[..., Answer]


def turnback(*arguments: str | Path, url: str | None = None, folder: Path | None = None) -> Answer:
    """Run ``turnback ARGUMENTS``.

    No command may ever print a traceback, or the password of the database.

    Args:
        arguments: of the command.
        url: the database, as ``DATABASE_URL``.
        folder: the migrations; the command runs beside it.
    """
    place = ["--dir", str(folder)] if folder else []
    environment = dict(os.environ) | ({"DATABASE_URL": url} if url else {})
    done = subprocess.run(
        [PROGRAM, *map(str, arguments), *place],
        cwd=folder.parent if folder else None,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    answer = Answer(done.returncode, done.stdout, done.stderr)
    if "--json" in arguments and answer.out:
        assert answer.document
    if password := _password_of(url):
        assert password not in said
    return answer


def _password_of(url: str | None) -> str | None:
    try:
        return str(conninfo_to_dict(url)["password"]) if url else None
    except (psycopg.Error, KeyError):
        return None


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with psycopg.connect(url) as connection:
        return connection.execute(sql.encode()).fetchall()


def tables(url: str) -> set[str]:
    """The tables of the schema ``public`` that are not turnback's."""
    found = query(
        url,
        "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname = 'public' AND relkind = 'r'",
    )
    return {name for (name,) in found} - {"migrations", "migration_log"}


def history(url: str) -> list[tuple[Any, ...]]:
    """Version and status of every row of the history, oldest version first."""
    if query(url, "SELECT to_regclass('migration_health')") == [(None,)]:
        return []
    return query(url, "SELECT version, status FROM migration_health ORDER BY version::numeric")


def fingerprint(url: str) -> list[str]:
    """Everything in the database that is not the server's own: the catalog's rows, and all data.

    The same list twice means that nothing was changed in between, not even dropped and made again.
    """
    found = []
    with psycopg.connect(url) as connection:
        for catalog, (key, restless) in CATALOGS.items():
            rows = connection.execute(
                f"SELECT (to_jsonb(c) - '{{{restless}}}'::text[])::text "
                f"FROM pg_catalog.{catalog} c WHERE {key} >= {FIRST_OF_USERS}".encode()
            )
            found += [f"{catalog} {row}" for (row,) in rows]
        relations = connection.execute(
            "SELECT oid::regclass::text FROM pg_class "
            f"WHERE oid >= {FIRST_OF_USERS} AND relkind IN ('r', 'S', 'm')".encode()
        ).fetchall()
        for (relation,) in relations:
            rows = connection.execute(f"SELECT * FROM {relation}".encode())
            found += [f"{relation} {row}" for row in rows]
    return sorted(found)
