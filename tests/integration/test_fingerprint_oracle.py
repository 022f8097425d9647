"""The fingerprint changes when what pg_dump says changes, and only then."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.engine.session.message import Connection
from turnback.schema.read import fingerprint
from turnback.sql.statements import split

from tests.dumps import pg_dump_schema
from tests.integration.everything import CASES, ROLES, SCHEMA
from tests.integration.test_corpora import CORPORA

EXAMPLE = Path(__file__).resolve().parents[2] / "migrations/sql"
# pg_dump does not tell whether a materialized view has been filled; and a database with a
# subscription could not be dropped.
LEFT_OUT = ("WITH NO DATA", "SUBSCRIPTION")


def dump(url: str) -> str:
    """What pg_dump says of the schema, without what differs from call to call."""
    lines = pg_dump_schema(url).splitlines()
    # The order of grants is that of their making, and says nothing.
    grants = sorted(line for line in lines if line.startswith("GRANT"))
    other = [line for line in lines if not line.startswith(("--", "\\", "GRANT")) and line]
    return "\n".join(other + grants)


def run(connection: Connection, sql: str) -> None:
    """Run a script in one message; statement by statement if it cannot be in a transaction."""
    statements = split(sql)
    if any(statement.outside_transaction for statement in statements):
        for statement in statements:
            connection.execute(statement.sql.encode())
    else:
        connection.execute(sql.encode())


def follow(url: str, scripts: list[tuple[str, str]]) -> Iterator[tuple[str, bool, bool]]:
    """Run scripts one by one: whether the dump changed, and whether the fingerprint did."""
    with psycopg.connect(url, autocommit=True) as connection:
        said, known = dump(url), fingerprint(connection)
        for name, sql in scripts:
            run(connection, sql)
            said_now, known_now = dump(url), fingerprint(connection)
            yield name, said_now != said, known_now.digest != known.digest
            said, known = said_now, known_now


@pytest.mark.parametrize(
    "name",
    [
        "the example",
        pytest.param("gitness", marks=pytest.mark.slow),
        pytest.param("cratesio", marks=pytest.mark.slow),
    ],
)
def test_every_migration_changes_both_or_neither(name: str, database: str) -> None:
    if name == "the example":
        files = sorted(EXAMPLE.glob("*.sql"))
    else:
        folder = CORPORA / name
        if not folder.is_dir():
            missing = f"the corpus '{name}' is not there: ../shared/corpora/{name}"
            if os.environ.get("CORPORA_REQUIRED"):
                pytest.fail(missing)
            pytest.skip(missing)
        files = [folder / item["up"] for item in json.loads((folder / "map.json").read_text())]
    steps = list(follow(database, [(file.name, file.read_text()) for file in files]))
    assert len(steps) == len(files)
    assert [step for step in steps if step[1] != step[2]] == []
    assert any(changed for _, changed, _ in steps)


@pytest.fixture
def everything(database: str, admin: psycopg.Connection) -> Iterator[str]:
    """The address of a database with one of everything."""
    for role in ROLES:
        admin.execute(f"CREATE ROLE {role}".encode())
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SCHEMA)
    yield database
    with psycopg.connect(database, autocommit=True) as connection:
        for role in ROLES:
            connection.execute(f"DROP OWNED BY {role} CASCADE".encode())
    for role in ROLES:
        admin.execute(f"DROP ROLE {role}".encode())


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_walk_of_random_changes_changes_both_or_neither(seed: int, everything: str) -> None:
    walk = random.Random(seed).sample(CASES, 60)
    changes = [case.sql for case in walk if not any(word in case.sql for word in LEFT_OUT)]
    steps = list(follow(everything, [(sql, guarded(sql)) for sql in changes]))
    assert [step for step in steps if step[1] != step[2]] == []
    assert sum(changed for _, changed, _ in steps) > len(steps) / 2


def guarded(sql: str) -> str:
    """The same, or nothing where an earlier change of the walk has made it impossible."""
    return f"DO $guard$ BEGIN {sql.rstrip(';')}; EXCEPTION WHEN OTHERS THEN NULL; END $guard$"
