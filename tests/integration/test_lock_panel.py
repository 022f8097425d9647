"""What the trace, lint and a run say a statement locks is what ``pg_locks`` shows under psql."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import psycopg
import pytest
from turnback.engine.session.message import send
from turnback.engine.session.watch import blockers
from turnback.local.server import EmbeddedServer
from turnback.migrations.model import Script
from turnback.rehearsal.lock import STRONG, Lock
from turnback.rehearsal.trace import Tracer
from turnback.sql.lint.locked import locks
from turnback.sql.lint.step import steps
from turnback.sql.locks import locks_of
from turnback.sql.script import prepare
from turnback.sql.statements import split
from turnback.sql.tables import Schema

from tests.integration.lock_panel import SCHEMA, Psql, statements
from tests.other_servers import postgres

# One of a kind of relation each, and what is followed by oid: its table or name is gone.
GATE = """
DROP TABLE line
DROP SCHEMA other CASCADE
DROP SEQUENCE sq
DROP TYPE lonely_pair
ALTER TABLE t RENAME TO tt
ALTER TABLE u SET SCHEMA other
ALTER TABLE t ALTER id TYPE bigint
ALTER TABLE p ATTACH PARTITION future FOR VALUES FROM (100) TO (200)
ALTER SEQUENCE sq INCREMENT 2
CREATE OR REPLACE VIEW view AS SELECT id, a, 1 AS one FROM plain
ALTER VIEW view RENAME TO looks
ALTER FOREIGN TABLE far ADD x int
ALTER INDEX p_id ATTACH PARTITION p1_id
ALTER INDEX t_a SET TABLESPACE panel
ALTER TYPE pair ADD ATTRIBUTE z int CASCADE
REINDEX TABLE wide
TRUNCATE u CASCADE
CREATE TABLE x (id int REFERENCES u)
CREATE TABLE x PARTITION OF p FOR VALUES FROM (20) TO (30)
ALTER TABLE base ADD x int
ALTER TABLE ONLY base DROP a
ALTER TABLE p ALTER ref TYPE bigint
ALTER TABLE p DETACH PARTITION p2
DROP TABLE u CASCADE
DROP TABLE p1
DROP INDEX p_a
DROP TYPE mood CASCADE
LOCK TABLE view IN EXCLUSIVE MODE
ALTER DOMAIN positive SET NOT NULL
"""
# PostgreSQL 15 locks less here than later ones, whose locks lint knows.
LESS_ON_15 = {
    "ALTER TABLE base ADD UNIQUE (a)",
    "ALTER TABLE base ADD FOREIGN KEY (a) REFERENCES u",
    "ALTER TABLE p ADD UNIQUE (id, a)",
}


Judged = Callable[[str, list[str]], list[tuple[str, object, object]]]


@contextlib.contextmanager
def furnished(url: str) -> Iterator[str]:
    """A database of this server with the panel's schema; its address."""
    name = "lock_panel"
    target = psycopg.conninfo.make_conninfo(url, dbname=name)
    with psycopg.connect(url, dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        admin.execute("SET allow_in_place_tablespaces = on")
        admin.execute("CREATE TABLESPACE panel LOCATION ''")
        try:
            with psycopg.connect(target, autocommit=True) as connection:
                connection.execute(SCHEMA.encode())
            yield target
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            admin.execute("DROP TABLESPACE panel")


@pytest.fixture(scope="module")
def panel(server: EmbeddedServer) -> Iterator[str]:
    with furnished(server.url()) as url:
        yield url


def traced(
    connection: psycopg.Connection, others: psycopg.Connection, sql: str
) -> tuple[Lock, ...]:
    """The locks that the trace reports of a statement, which is rolled back."""
    runnable = prepare(Script("sql/0001_one.sql", sql, ""))
    assert runnable.statements
    send(connection, "BEGIN")
    try:
        return Tracer(connection, None, others).run(runnable, runnable.statements[0]).locks
    finally:
        send(connection, "ROLLBACK")


def differing(url: str, every: list[str]) -> list[tuple[str, object, object]]:
    """The statements of which the trace reports other locks than pg_locks shows, with both."""
    found = []
    with (
        Psql(url) as judge,
        psycopg.connect(url, autocommit=True) as connection,
        psycopg.connect(url, autocommit=True) as others,
    ):
        for sql in every:
            seen = judge.locks(sql)
            reported = {(lock.relation, lock.mode) for lock in traced(connection, others, sql)}
            if reported != seen:
                found.append((sql, reported - seen, seen - reported))
    return found


def differing_in_lint(url: str, every: list[str]) -> list[tuple[str, object, object]]:
    """The statements that lock tables against readers or writers otherwise than lint says.

    A lock on an index is one on its table. Views and temporary tables are left out.
    """
    _, schema, unreadable = steps(Script("sql/0001_t.sql", SCHEMA, ""), Schema(), fresh=frozenset())
    assert unreadable is None
    found = []
    with Psql(url) as judge, psycopg.connect(url, autocommit=True) as connection:
        # The name of a table without its quotes, for it and its indexes.
        of = dict(connection.execute(WITH_ROWS.encode()).fetchall())
        for sql in every:
            seen = strongest(
                (of[name], NUMBERS[mode]) for name, mode in judge.locks(sql) if name in of
            )
            [step], *_ = steps(Script("sql/0002_s.sql", sql, ""), schema, fresh=frozenset())
            said = strongest(lock for lock in locks(step).items() if lock[0] in of.values())
            if said != seen:
                found.append((sql, said, seen))
    return found


WITH_ROWS = """
SELECT c.oid::regclass::text, replace(coalesce(i.indrelid, c.oid)::regclass::text, '"', '')
FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm', 'f', 'i', 'I')
"""
# Of STRONG, as PostgreSQL and lint number them.
NUMBERS = {mode: number for number, mode in enumerate(STRONG, start=4)}


def strongest(found: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The strongest lock on each table, without those that let readers and writers go on."""
    return {name: level for name, level in sorted(found) if level >= NUMBERS["ShareLock"]}


@pytest.mark.parametrize("judged", [differing, differing_in_lint])
def test_the_locks_of_a_statement_are_those_that_another_session_sees(
    judged: Judged, panel: str
) -> None:
    some = GATE.strip().splitlines()
    assert set(some) <= set(statements(18))
    assert judged(panel, some) == []


@pytest.mark.slow
@pytest.mark.parametrize("judged", [differing, differing_in_lint])
def test_the_locks_of_every_statement_are_those_that_another_session_sees(
    judged: Judged, panel: str
) -> None:
    every = statements(18)
    assert len(every) > 250
    assert judged(panel, every) == []


@pytest.mark.slow
def test_the_locks_of_every_statement_are_those_that_are_seen_on_postgres_15() -> None:
    with postgres(15) as base, furnished(f"{base}/postgres") as url:
        every = statements(15)
        assert differing(url, every) == []
        assert differing_in_lint(url, [sql for sql in every if sql not in LESS_ON_15]) == []


# What somebody does, and the locks that wait for it.
HELD = {"ACCESS SHARE": STRONG[-1:], "ROW EXCLUSIVE": STRONG[1:]}
# There is no such policy, rule or trigger, so the table is not locked; who reads or writes a table
# locks its indexes too, LOCK TABLE does not; what is behind a view or uses a type is not in the
# tree.
ACCEPTED = {
    "DROP POLICY IF EXISTS nobody ON t",
    "DROP RULE IF EXISTS nobody ON t",
    "DROP TRIGGER IF EXISTS nobody ON t",
    "ALTER INDEX p_id ATTACH PARTITION p1_id",
    "REINDEX INDEX t_a",
    "LOCK TABLE view IN EXCLUSIVE MODE",
    "ALTER TYPE pair RENAME ATTRIBUTE x TO xx CASCADE",
}


def misjudged(url: str, every: list[str]) -> list[tuple[str, str, list[str]]]:
    """The statements of which the tree says something else about who is in their way."""
    found = []
    tables = "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384"
    with (
        Psql(url) as judge,
        psycopg.connect(url) as other,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        names = {name for (name,) in connection.execute(tables.encode())}
        for sql, locks in [(sql, locks_of(split(sql)[0])) for sql in every]:
            taken = judge.locks(sql) if locks else set()
            for held, modes in HELD.items() if locks else ():
                strong = names & {name for name, mode in taken if mode in modes}
                for some in filter(None, (strong, names - strong)):
                    listed = ", ".join(f"ONLY {name}" for name in sorted(some))
                    other.execute(f"LOCK TABLE {listed} IN {held} MODE".encode())
                    if bool(blockers(connection, locks=locks)) != (some == strong):
                        found.append((sql, held, sorted(some)))
                    other.rollback()
    return found


def test_who_is_in_the_way_of_a_statement_is_known_from_its_tree(panel: str) -> None:
    assert misjudged(panel, sorted(set(GATE.strip().splitlines()) - ACCEPTED)) == []


@pytest.mark.slow
def test_who_is_in_the_way_of_every_statement_of_the_panel_is_known_from_its_tree(
    panel: str,
) -> None:
    assert misjudged(panel, sorted(set(statements(18)) - ACCEPTED)) == []


USE = "SELECT (ROW(1, 2)::lonely_pair).x"
# A statement, something that another session does meanwhile, and what the report calls that.
MEANWHILE = [
    ("ALTER SEQUENCE t_s_seq INCREMENT 2", "SELECT nextval('t_s_seq')", "nextval"),
    ("ALTER SEQUENCE t_s_seq INCREMENT 2", "INSERT INTO t (id) VALUES (9)", "INSERT with nextval"),
    ("DROP SEQUENCE sq", "SELECT nextval('sq')", "nextval"),
    ("DROP VIEW above", "SELECT FROM above", "SELECT"),
    ("ALTER FOREIGN TABLE far ADD x int", "SELECT FROM far", "SELECT"),
    ("ALTER INDEX p_id ATTACH PARTITION p1_id", "SELECT FROM p1", "SELECT"),
    ("ALTER INDEX t_a SET TABLESPACE panel", "DELETE FROM t", "DELETE"),
    ("ALTER INDEX t_a RENAME TO t_b", "SELECT FROM t", "SELECT"),
    ("REINDEX INDEX t_a", "SELECT FROM t", "SELECT"),
    ("REINDEX TABLE wide", "SELECT id FROM wide", "SELECT"),
    ("REINDEX TABLE wide", "SELECT length(body || '') FROM wide", "SELECT of long values"),
    ("CREATE INDEX ON t (a, n)", "SELECT FROM t", "SELECT"),
    ("CREATE INDEX ON t (a, n)", "UPDATE t SET a = 1", "UPDATE"),
    ("ALTER TABLE t SET (fillfactor = 50)", "UPDATE t SET a = 1", "UPDATE"),
    ("DROP TABLE line", "SELECT FROM t", "SELECT"),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY m", "SELECT FROM m", "SELECT"),
    ("ALTER TYPE lonely_pair ADD ATTRIBUTE z int", USE, "a query that uses the type"),
]


def test_what_the_report_says_waits_is_what_waits_in_another_session(panel: str) -> None:
    differs = []
    with (
        psycopg.connect(panel, autocommit=True) as connection,
        psycopg.connect(panel, autocommit=True) as others,
    ):
        for sql, other, name in MEANWHILE:
            locks = traced(connection, others, sql)
            reported = {waits for lock in locks for waits in lock.waits}
            with connection.transaction(force_rollback=True):
                connection.execute(sql.encode())
                if waits(panel, other) is not (name in reported):
                    differs.append((sql, other, reported))
    assert differs == []


def waits(url: str, sql: str) -> bool:
    """Whether a statement of a new session has to wait for a lock, however long."""
    with psycopg.connect(url, options="-c lock_timeout=1ms") as session:
        try:
            session.execute(sql.encode())
        except psycopg.errors.LockNotAvailable:
            return True
        except psycopg.errors.ObjectNotInPrerequisiteState:
            # The foreign table has no server to be read from.
            return False
        finally:
            session.rollback()
    return False
