"""COPY … FROM stdin with its rows in the file, as pg_dump writes it: judged by psql and pg_dump."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.engine import Engine, RunContext
from turnback.engine.session.events import RunControl
from turnback.errors import (
    DatabaseUnreachable,
    InvalidMigration,
    MigrationFailed,
    MigrationIncomplete,
)
from turnback.local.programs import binaries, clean_environment
from turnback.local.server import EmbeddedServer
from turnback.migrations import large
from turnback.migrations.discovery import load_project
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import Shadow
from turnback.sql import bulk, bulk_reader

from tests.conftest import ProjectFactory
from tests.dumps import EVERYTHING
from tests.faults.proxy import Fault, Link, Proxy, When
from tests.integration.test_big_files import awake
from tests.integration.test_engine import apply, engine_for, query

MAKE = "CREATE TABLE t (id int PRIMARY KEY, name text);\n"
FORMS = """\
CREATE TABLE a (id int, name text); CREATE TABLE b (LIKE a);
COPY a (name, id) FROM stdin;
Zwölf\\tTab\\n	1
\\N	2
it's; -- not SQL	3
\\.
COPY b FROM stdin WITH (FORMAT csv, HEADER, DELIMITER ';', NULL 'nothing');
id;name
1;"two
lines ""quoted"" in quotes"
2;nothing
3;
\\.
copy a from STDIN where id > 4;
4	left out
5	kept
\\.
COPY a FROM stdin;
\\.
INSERT INTO a SELECT id + 10, name FROM b;
COPY b FROM stdin;\r
6	line ends\r
\\.\r
"""


@pytest.fixture(params=["in one message", "in parts"])
def _sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few lines are large, and are then sent in parts of one transaction."""
    if request.param == "in parts":
        monkeypatch.setattr(large, "LARGE_BYTES", 60)
        monkeypatch.setattr(large, "BLOCK_BYTES", 300)
        monkeypatch.setattr(bulk, "BLOCK_BYTES", 300)
        monkeypatch.setattr(bulk_reader, "_PIECE_BYTES", 100)


@pytest.fixture
def other(server: EmbeddedServer, admin: psycopg.Connection) -> Iterator[str]:
    """Another empty database."""
    admin.execute("CREATE DATABASE other_copy")
    yield server.url("other_copy")
    admin.execute("DROP DATABASE other_copy WITH (FORCE)")


def run_psql(url: str, sql: str) -> None:
    command = [binaries() / "psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", url]
    subprocess.run(command, input=sql.encode(), check=True, env=clean_environment())


def dump(url: str) -> str:
    options = ["--exclude-schema=turnback", "--restrict-key=same", "--no-large-objects"]
    command = [binaries() / "pg_dump", *options, url]
    return subprocess.check_output(command, text=True, env=clean_environment())


def project(factory: ProjectFactory, sql: str, back: str = "DROP TABLE t;") -> Path:
    return factory({"sql/0001_t.sql": sql, "rollback/0001_rollback.sql": back})


def test_rows_of_csv_end_in_a_quoted_value_where_psql_ends_them(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = f'{MAKE}COPY t FROM stdin WITH (FORMAT csv);\n1,"x\n\\.\ny"\n\\.\n'
    with pytest.raises(subprocess.CalledProcessError):
        run_psql(database, sql)
    with pytest.raises(InvalidMigration, match="rows of this COPY end here, in a quoted") as caught:
        apply(database, project(project_factory, sql))
    assert (caught.value.line, caught.value.column) == (4, 1)


def nothing_is_kept(url: str) -> bool:
    return query(url, "SELECT to_regclass('t'), count(*) FROM migrations WHERE success") == [
        (None, 0)
    ]


@pytest.mark.usefixtures("_sizes")
def test_a_dump_of_pg_dump_is_a_migration(
    database: str, other: str, project_factory: ProjectFactory
) -> None:
    query(other, EVERYTHING)
    text = dump(other)
    assert "COPY " in text
    assert "\\restrict" in text
    drops = "DROP SCHEMA sales CASCADE; DROP TABLE customers CASCADE; DROP EXTENSION hstore;"
    folder = project(project_factory, text, drops)
    with Engine(
        database, context=RunContext(run="r", release="1", actor="a"), history_schema="turnback"
    ) as engine:
        report = engine.run(engine.plan_up(load_project(folder)))
    assert report.error is None
    assert dump(database) == text


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("header", ["", "-- turnback: no-transaction\n"])
def test_every_form_of_rows_is_read_as_psql_reads_it(
    database: str, other: str, project_factory: ProjectFactory, header: str
) -> None:
    folder = project(project_factory, header + FORMS, "DROP TABLE a, b;")
    assert apply(database, folder).error is None
    run_psql(other, FORMS)
    rows = "SELECT * FROM {} ORDER BY 1, 2"
    for table in ("a", "b"):
        assert query(database, rows.format(table)) == query(other, rows.format(table))


BAD = f"{MAKE}COPY t FROM stdin;\n1\tone\n2\ttwo\nx\tthree\n\\.\nSELECT 1;\n"
ONCE = f"{MAKE}-- ä\nCOPY t FROM stdin;\n1\tone\n\\.\n\n"
TWICE = f"{ONCE}COPY t FROM stdin;\n2\ttwo\n1\tagain\n\\.\n"
AFTER = f"{MAKE}COPY t FROM stdin;\n1\tone\n\\.\nSELECT\n  nothing;\n"


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize(
    ("sql", "place"), [(BAD, (5, 1)), (TWICE, (9, 1)), (AFTER, (6, 3))], ids=["x", "1 twice", "SQL"]
)
def test_an_error_has_the_line_of_the_file(
    database: str, project_factory: ProjectFactory, sql: str, place: tuple[int, int]
) -> None:
    error = apply(database, project(project_factory, sql)).error
    assert isinstance(error, MigrationFailed)
    assert (error.line, error.column) == place
    assert "three" not in str(error)
    assert nothing_is_kept(database)


def test_outside_a_transaction_a_copy_is_one_statement_with_its_record(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project(project_factory, f"-- turnback: no-transaction\n{BAD}")
    error = apply(database, folder).error
    assert isinstance(error, MigrationIncomplete)
    assert error.line == 6
    text = (folder / "sql/0001_t.sql").read_text()
    (folder / "sql/0001_t.sql").write_text(text.replace("\nx\t", "\n3\t"))
    assert apply(database, folder).error is None
    assert query(database, "SELECT count(*) FROM t") == [(3,)]


# More than the buffers between the client and the server have room for.
MUCH = "".join(f"{n}\t{'x' * 500}\n" for n in range(20_000))


class CutInRows(Proxy):
    """Cuts a connection behind the second message with rows."""

    def counted(self, kind: str) -> Fault | None:
        super().counted(kind)
        return Fault(0, When.AFTER, Link.cut) if self.seen.count("d") == 2 else None


def test_a_connection_cut_in_the_middle_of_the_rows_leaves_nothing(
    server: EmbeddedServer, database: str, project_factory: ProjectFactory
) -> None:
    folder = project(project_factory, f"{MAKE}COPY t FROM stdin;\n{MUCH}\\.\n")
    with CutInRows(server.url()) as proxy:
        report = apply(proxy.url(database.rpartition("/")[2].partition("?")[0]), folder)
    assert isinstance(report.error, DatabaseUnreachable)
    assert nothing_is_kept(database)
    assert apply(database, folder).error is None
    assert query(database, "SELECT count(*) FROM t") == [(20_000,)]


def test_a_run_that_has_to_leave_while_it_sends_rows_keeps_nothing_and_says_so(
    database: str, project_factory: ProjectFactory
) -> None:
    wait = (
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN PERFORM pg_sleep(60); RETURN NEW; END$$;\n"
        "CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION wait();\n"
    )
    folder = project(project_factory, f"{MAKE}{wait}COPY t FROM stdin;\n{MUCH}\\.\n")
    with engine_for(database) as engine:
        plan = engine.plan_up(load_project(folder))
        report = engine.run(plan, RunControl(keep_going=lambda: awake(database)))
    assert isinstance(report.error, MigrationFailed)
    assert "could not be sent in the time" in report.error.message
    assert report.running is None
    assert nothing_is_kept(database)
    assert awake(database)


def test_a_rehearsal_sends_the_rows_and_proves_the_rollback(
    server: EmbeddedServer, project_factory: ProjectFactory
) -> None:
    files = {
        "sql/0001_t.sql": f"{MAKE}COPY t FROM stdin;\n1\tCREATE ROLE nobody;\n\\.\n",
        "rollback/0001_rollback.sql": "DROP TABLE t;",
        "sql/0002_t.sql": "DELETE FROM t;",
        "rollback/0002_rollback.sql": "COPY t FROM stdin;\n1\tCREATE ROLE nobody;\n\\.\n",
        "sql/0003_t.sql": f"{MAKE.replace(' t ', ' u ')}COPY u FROM stdin;\nx\t1\n\\.\n",
        "rollback/0003_rollback.sql": "DROP TABLE u;",
    }
    loaded = load_project(project_factory(files))
    found = rehearse(loaded, loaded.migrations, Shadow(server.url()))
    first, second, third = found.migrations
    assert [first.rollback, second.rollback, third.error and third.error.line] == [
        *("exact", "exact", 3),
    ]
