"""What PostgreSQL does with each release of tests/lint_panel.sql: the judge of what lint finds.

Read are the locks that a transaction holds, the rows that each statement reads and changes, the
files of tables and indexes, and what the application says afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import psycopg
import pytest
from turnback.sql.statements import split

from tests.lint_panel import CASES, COMMON, Case

pytestmark = pytest.mark.slow

MANY = 15_000
# Modes that keep writers out of a table, and one that keeps all out of an index.
STRONG = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
OUTSIDE = re.compile(
    r"(?im)\bconcurrently\b(?! false)|^\s*vacuum|no-transaction|^reindex|^cluster|alter system"
)
FILES = """
SELECT oid::bigint, relkind::text, relfilenode::bigint FROM pg_class
 WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
   AND relkind = ANY ('{r,p,m,i,I}')
"""
WORK = """
SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint,
       coalesce(sum(n_tup_ins), 0)::bigint, coalesce(sum(n_tup_upd + n_tup_del), 0)::bigint
  FROM pg_stat_xact_user_tables
"""
LOCKS = """
SELECT relation::bigint, mode FROM pg_locks
 WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation IS NOT NULL
"""
SERVER = Callable[[int], tuple[str, psycopg.Connection]]


@pytest.fixture(scope="module", params=[18, 15], ids=lambda major: f"PostgreSQL {major}")
def filled(request: pytest.FixtureRequest, server_of: SERVER) -> Iterator[SERVER]:
    """A server with a template that has the tables and rows of all cases."""
    base, admin = server_of(request.param)
    admin.execute("DROP DATABASE IF EXISTS lint_panel")
    admin.execute("CREATE DATABASE lint_panel")
    admin.execute("SET allow_in_place_tablespaces = on")
    admin.execute("CREATE TABLESPACE fast LOCATION ''")
    with psycopg.connect(f"{base}/lint_panel", autocommit=True) as connection:
        for part in ("tables", "rows"):
            connection.execute(COMMON[part].encode())
        connection.execute("ANALYZE")
    yield lambda _: (base, admin)
    admin.execute("DROP DATABASE lint_panel WITH (FORCE)")
    admin.execute("DROP TABLESPACE fast")


@pytest.mark.parametrize("case", [case for case in CASES if not case.by_hand], ids=lambda c: c.name)
def test_the_server_does_what_the_panel_says(case: Case, filled: SERVER) -> None:
    base, admin = filled(0)
    if admin.info.server_version // 10_000 < case.since:
        pytest.skip(f"syntax of PostgreSQL {case.since}")
    admin.execute("DROP DATABASE IF EXISTS lint_panel_case WITH (FORCE)")
    for (role,) in admin.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^lint_panel_'"):
        admin.execute(f'DROP ROLE "{role}"')
    admin.execute("CREATE DATABASE lint_panel_case TEMPLATE lint_panel")
    harm = set(case.harm.split(",")) - {"none"}
    # Values of an enum that the same transaction made: PostgreSQL 17 is the first that takes them.
    if case.name == "enum-new-use" and admin.info.server_version < 170_000:
        harm = {"fail"}
    assert set(harms(case, f"{base}/lint_panel_case")) == harm


def harms(case: Case, url: str) -> Iterator[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        if case.given:
            connection.execute(case.given.encode())
        before = {row[0]: row[1:] for row in connection.execute(FILES)}
    steps = list[tuple[int, int, bool]]()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            for text in case.ups:
                steps += run(connection, text, before)
    except psycopg.Error:
        yield "fail"
        yield from found(steps)
        return
    with psycopg.connect(url, autocommit=True) as connection:
        after = {row[0]: row[2] for row in connection.execute(FILES)}
        written = any(oid in after and after[oid] != number for oid, (_, number) in before.items())
        said = list(found(steps))
        yield from said
        if written and "block" not in said and "concurrently" not in "".join(case.ups).lower():
            yield "rewrite"
        for statement in split(COMMON["application"] + case.application):
            try:
                connection.execute(statement.sql.encode())
            except psycopg.Error:
                yield "break"
                return


def found(steps: list[tuple[int, int, bool]]) -> Iterator[str]:
    if any(locked and seen >= MANY for seen, _, locked in steps):
        yield "block"
    if any(changed >= MANY for _, changed, _ in steps):
        yield "rows"


def run(
    connection: psycopg.Connection, text: str, before: dict[int, tuple[str, int]]
) -> Iterator[tuple[int, int, bool]]:
    """Of each statement: the rows it reads or changes, those it changes, and whether it blocks."""
    statements = [statement.sql.encode() for statement in split(text)]
    if OUTSIDE.search(text):
        for statement in statements:
            connection.execute(statement)
        return
    with connection.transaction():
        last = connection.execute(WORK).fetchone() or (0, 0, 0)
        for statement in statements:
            connection.execute(statement)
            now = connection.execute(WORK).fetchone() or (0, 0, 0)
            read, inserted, changed = (a - b for a, b in zip(now, last, strict=True))
            last = now
            locked = any(
                mode in STRONG[3 if before[oid][0] in "iI" else 0 :]
                for oid, mode in connection.execute(LOCKS).fetchall()
                if oid in before
            )
            yield read + inserted + changed, changed, locked
