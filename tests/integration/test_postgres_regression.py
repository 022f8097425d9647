"""PostgreSQL's own regression suite: it is split, read, linted and run as by PostgreSQL's tools.

The judges: pglast, which says where statements begin and end; psql, which runs the same files.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from turnback.errors import InvalidMigration
from turnback.local.programs import binaries, clean_environment
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import Shadow
from turnback.sql.check import check_migration
from turnback.sql.destroys import Judge
from turnback.sql.lint.linter import lint
from turnback.sql.own_tables import conflicts
from turnback.sql.script import prepare
from turnback.sql.statements import split
from turnback.sql.waits import locks_by_statement

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.integration.regression_suite import files, slices, valid_statements
from tests.unit import migrations
from tests.unit.migrations import migration, script

pytestmark = pytest.mark.slow
# They make much, and need little that the suite's own preparation makes.
RUN = """
    alter_generic alter_operator alter_table arrays bit case char cluster collate constraints
    create_aggregate create_am create_cast create_function_sql create_procedure create_table
    create_type create_view date dependency domain drop_if_exists enum fast_default foreign_key
    generated hash_func identity indexing inherit insert insert_conflict json jsonb merge
    namespace numeric partition_info plpgsql privileges rangefuncs rangetypes
    returning rowsecurity rowtypes rules sequence stats_ext subselect temp text triggers
    truncate updatable_views update uuid with xml
""".split()  # noqa: SIM905
COMPARED = 40
# The longest of them that a rehearsal must go through: of more than a thousand statements.
REHEARSED = ["alter_table", "foreign_key"]
# Everything of a file in the end: its schemas and roles.
BACK = """
DO $$
DECLARE it record;
BEGIN
    FOR it IN SELECT nspname FROM pg_namespace
        WHERE nspname !~ '^pg_|^turnback$|^information_schema$'
    LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', it.nspname);
    END LOOP;
    FOR it IN SELECT rolname FROM pg_roles WHERE rolname ~ '^regress' LOOP
        EXECUTE format('DROP OWNED BY %1$I; DROP ROLE %1$I', it.rolname);
    END LOOP;
END $$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
COMMENT ON SCHEMA public IS 'standard public schema';
"""


@pytest.fixture(scope="module")
def suite() -> dict[str, list[str]]:
    """The statements of each file, without those that are no SQL on purpose."""
    found = files()
    texts = [text.replace("\ufeff", "") for text in found.values()]
    return dict(zip(found, valid_statements(texts), strict=True))


@pytest.mark.parametrize("form", ["LF", "CRLF", "BOM", "not ASCII"])
def test_every_file_is_split_as_pglast_splits_it(
    form: str, suite: dict[str, list[str]], project_factory: ProjectFactory
) -> None:
    between = ";\n" if form != "not ASCII" else "; /* ü€😀 */\n"
    texts = [f"{between.join(statements)};\n" for statements in suite.values()]
    if form == "CRLF":
        texts = [text.replace("\r\n", "\n").replace("\n", "\r\n") for text in texts]
    mark = b"\xef\xbb\xbf" if form == "BOM" else b""
    folder = project_factory(
        {f"sql/{n:04}_{n}.sql": mark + text.encode() for n, text in enumerate(texts, 1)}
    )
    read = [one.forward.sql for one in load_project(folder).migrations]
    assert read == texts
    different, count = [], 0
    for name, text, expected in zip(suite, read, slices(texts), strict=True):
        ours = [(one.offset, one.end) for one in split(text)]
        count += len(ours)
        if ours != expected:
            different.append((name, sorted({*ours} ^ {*expected})[:4]))
    assert different == []
    assert count > 30_000


def readers(text: str) -> None:
    """Everything that reads SQL before it is run."""
    forward, back = migration("0001", text, text), migration("0002", "SELECT 1;\n", text)
    for one in (forward, back):
        check_migration(one)
        for each in (one.forward, one.rollback):
            assert each is not None
            try:
                locks_by_statement(prepare(each))
            except InvalidMigration:
                continue
    for finding in lint(migrations.project(forward, back), server=14).findings:
        _ = finding.safer
    list(conflicts([forward, back], "public"))
    judge = Judge()
    judge.fork().learn(forward.forward)
    judge.losses(forward.forward)
    judge.losses(script("rollback/0001_rollback.sql", text))


def crashes(texts: Iterator[tuple[str, str]]) -> list[str]:
    found = []
    for name, text in texts:
        try:
            readers(text)
        except Exception as error:
            found.append(f"{name}: {error!r} of {text[:300]}")
    return found


def test_no_reader_of_sql_crashes_at_a_statement(suite: dict[str, list[str]]) -> None:
    every = {text: name for name, statements in suite.items() for text in statements}
    assert crashes((name, f"{text};\n") for text, name in every.items()) == []


def test_no_reader_of_sql_crashes_at_a_file(suite: dict[str, list[str]]) -> None:
    # They forget and rename what the statements before have made.
    whole = ((name, ";\n".join(statements) + ";\n") for name, statements in suite.items())
    assert crashes(whole) == []


def kept(statements: list[str], url: str) -> list[str]:
    """The statements that run one after another in one transaction, as psql's -1 has them."""
    found = []
    with psycopg.connect(url) as connection:
        for text in statements:
            [only] = split(text)
            if only.kind in ("TransactionStmt", "CopyStmt") or only.outside_transaction:
                continue
            try:
                prepare(script("sql/0001_one.sql", text))
                with connection.transaction():
                    connection.execute(text.encode())
                found.append(text)
            except (psycopg.Error, InvalidMigration):
                continue
        connection.rollback()
    return found


def dump(url: str) -> str:
    """Schema and rows, without turnback's own."""
    done = subprocess.run(
        [binaries() / "pg_dump", "--exclude-schema", "turnback", url],
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    # Each dump has a key of its own for psql.
    lines = (line for line in done.stdout.splitlines() if not line.startswith("\\"))
    return "\n".join(lines) + done.stderr


@contextmanager
def throw_away(admin: psycopg.Connection, server: EmbeddedServer) -> Iterator[str]:
    """An empty database, and a server without the roles of the suite afterwards."""
    admin.execute("CREATE DATABASE regression")
    try:
        yield server.url("regression")
    finally:
        admin.execute("DROP DATABASE regression WITH (FORCE)")
        roles = admin.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'regress%'")
        for (role,) in roles.fetchall():
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def all_kept(statements: list[str], admin: psycopg.Connection, server: EmbeddedServer) -> list[str]:
    """The statements that run where nothing else of their file does."""
    before = list[str]()
    # Without those that failed, sequences are elsewhere, and others may fail.
    while statements != before:
        before = statements
        with throw_away(admin, server) as url:
            statements = kept(before, url)
    return statements


def test_up_leaves_what_psql_leaves(
    suite: dict[str, list[str]],
    server: EmbeddedServer,
    admin: psycopg.Connection,
    project_factory: ProjectFactory,
) -> None:
    different = []
    compared = 0
    for name in RUN:
        statements = all_kept(suite[name], admin, server)
        if len(statements) < 10:
            continue
        text = ";\n".join(statements) + ";\n"
        folder = project_factory(
            {"sql/0001_file.sql": text, "rollback/0001_rollback.sql": "SELECT 1;\n"}
        )
        with throw_away(admin, server) as url:
            psql = [binaries() / "psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f"]
            ran = subprocess.run(
                [*psql, folder / "sql/0001_file.sql", url], capture_output=True, text=True
            )
            expected = dump(url)
        if ran.returncode:
            # Such as a deferred trigger, which each statement's savepoint had run before.
            continue
        with throw_away(admin, server) as url:
            up = turnback("up", "--history-schema", "turnback", url=url, folder=folder)
            if up.code or dump(url) != expected:
                different.append((name, up.code, up.err[:500]))
        compared += 1
    assert different == []
    assert compared >= COMPARED


@pytest.mark.parametrize("name", REHEARSED)
def test_a_rehearsal_goes_through_a_file_of_a_thousand_statements(
    name: str,
    suite: dict[str, list[str]],
    server: EmbeddedServer,
    admin: psycopg.Connection,
    project_factory: ProjectFactory,
) -> None:
    # A savepoint runs no deferred trigger, and a DROP in the same transaction fails before them.
    checked = [text for one in suite[name] for text in (one, "SET CONSTRAINTS ALL IMMEDIATE")]
    statements = all_kept(checked, admin, server)
    assert len(statements) > 1000
    folder = project_factory(
        {"sql/0001_file.sql": ";\n".join(statements) + ";\n", "rollback/0001_rollback.sql": BACK}
    )
    project = load_project(folder)
    shadow = Shadow(server.url())
    [verdict] = rehearse(project, project.migrations, shadow, history_schema="turnback").migrations
    assert (verdict.rollback, verdict.error) == ("exact", None)
    assert len(verdict.statements) == len(statements)
