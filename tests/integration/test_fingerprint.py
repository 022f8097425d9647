"""The fingerprint sees every kind of object, and each difference as the one it is."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from turnback.engine.message import Connection, ServerError
from turnback.local.server import EmbeddedServer
from turnback.rehearsal.difference import compare, verdict
from turnback.rehearsal.fingerprint import Fingerprint, fingerprint
from turnback.rehearsal.suggestion import suggest

from tests.integration.everything import CASES, ROLES, SCHEMA, Case

SOFT = ("exact", "column_order")


@pytest.fixture(scope="module")
def everything(server: EmbeddedServer, admin: psycopg.Connection) -> Iterator[Connection]:
    """A session with a database that has one of everything."""
    for role in ROLES:
        admin.execute(f"CREATE ROLE {role}".encode())
    admin.execute("CREATE DATABASE everything TEMPLATE template0")
    with psycopg.connect(server.url("everything"), autocommit=True) as connection:
        connection.execute(SCHEMA)
        yield connection
    admin.execute("DROP DATABASE everything")
    for role in ROLES:
        admin.execute(f"DROP ROLE {role}".encode())


@pytest.fixture(scope="module")
def whole(everything: Connection) -> Fingerprint:
    """Its fingerprint as it was made."""
    return fingerprint(everything)


@pytest.fixture
def changing(everything: Connection, whole: Fingerprint) -> Iterator[Connection]:
    """The session in a transaction, which is rolled back after the test."""
    everything.execute("BEGIN")
    yield everything
    everything.execute("ROLLBACK")
    assert fingerprint(everything) == whole


@pytest.fixture
def session(database: str) -> Iterator[Connection]:
    """A session with a database of its own."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sql[:60])
def test_a_change_is_seen_as_exactly_what_it_is(
    changing: Connection, whole: Fingerprint, case: Case
) -> None:
    changing.execute(case.sql.encode())
    differences = compare(whole, fingerprint(changing))
    assert [str(difference) for difference in differences] == list(case.seen)
    if case.mends:
        for difference in differences:
            if difference.softness not in ("column_order", "cosmetic"):
                changing.execute((suggest(difference, whole) or "").encode())
        assert verdict(compare(whole, fingerprint(changing))) in SOFT
