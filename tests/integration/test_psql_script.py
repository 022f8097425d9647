"""``up --sql`` and ``down --sql``: psql runs the script, and pg_dump compares what it leaves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from turnback.cli.main import cli
from turnback.local.programs import binaries, clean_environment

from tests.conftest import TEMPLATE, ProjectFactory
from tests.dumps import pg_dump_schema
from tests.integration.command_line import history, query, tables, turnback

FILES = {
    "sql/0001_users.sql": "CREATE TYPE mood AS ENUM ('old');\nCREATE TABLE moods (m mood);\n"
    "CREATE TABLE users (id int PRIMARY KEY, name text);\n-- the end",
    "rollback/0001_rollback.sql": "DROP TABLE users, moods;\nDROP TYPE mood;\n",
    "sql/0002_named.sql": (
        "-- turnback: lock-timeout 5s\n"
        "INSERT INTO users VALUES (1, 'ü '';'' :PORT'), (2, E'a\\\\b');\n"
        "CREATE FUNCTION n() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;\n"
        "COPY users (id) FROM stdin;\n5\n\\.\n"
        "SELECT (ARRAY[1, 2])[1:n()];\nSET role pg_monitor;\n"
    ),
    "rollback/0002_rollback.sql": "DROP FUNCTION n();\nDELETE FROM users;\n",
    "verify/0002_verify.sql": "SELECT 1 / (SELECT count(*) FROM users);\n",
    "sql/0003_alone.sql": (
        "SET maintenance_work_mem = '32MB';\n"
        "CREATE INDEX CONCURRENTLY users_name ON users (name);\n"
        "COPY users FROM stdin;\n3\tit's 9:PORT\\\\n\n\\.\n"
        "-- turnback is not asked here\n"
    ),
    "rollback/0003_rollback.sql": (
        "DROP INDEX CONCURRENTLY users_name;\nDELETE FROM users WHERE id = 3;\n"
    ),
    "sql/0004_more.sql": "BEGIN;\nSAVEPOINT a;\nALTER TABLE users ADD more int;\nCOMMIT;\n",
    "rollback/0004_rollback.sql": "ALTER TABLE users DROP more;\n",
    "sql/0005_mood.sql": (
        "SET work_mem = '8MB';\nALTER TYPE mood ADD VALUE 'new'; -- the end\n"
        "COPY moods FROM stdin;\nnew\n\\.\nALTER TABLE moods ADD c text;"
    ),
    "rollback/0005_rollback.sql": "ALTER TABLE moods DROP c;\nDELETE FROM moods;\n",
}
# Everything but the ids, the times, who ran it, and what only a session can note before a build.
HISTORY = (
    "SELECT version, name, checksum, success, error, rolled_back_at IS NULL FROM migrations "
    "ORDER BY version",
    "SELECT release, version, direction, statement, statement_checksum, outcome, sqlstate, "
    "CASE WHEN statement IS NULL THEN error END, rollback_path, rollback_sql "
    "FROM migration_log ORDER BY id",
)


@pytest.fixture
def pair(database: str) -> Iterator[tuple[str, str]]:
    """Two databases of one server: one for turnback, one for psql."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE for_psql TEMPLATE {TEMPLATE}".encode())
        yield database, f"{database.rsplit('/', 1)[0]}/for_psql"
        connection.execute("DROP DATABASE for_psql WITH (FORCE)")


def psql(url: str, script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """What psql does with a script, under settings of the user that do not suit it."""
    file = tmp_path / "script.sql"
    file.write_text(script, encoding="utf-8")
    settings = "-c standard_conforming_strings=off -c lock_timeout=1"
    environment = {**clean_environment(), "PGCLIENTENCODING": "LATIN1", "PGOPTIONS": settings}
    command = [binaries() / "psql", "-X", "-v", "AUTOCOMMIT=off", "--file", file, url]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def left(url: str) -> list[object]:
    """The schema, the rows, and the history."""
    rows = query(url, "SELECT u.* FROM users u ORDER BY id") if "users" in tables(url) else []
    return [pg_dump_schema(url), rows, *(query(url, sql) for sql in HISTORY)]


def run(url: str, folder: Path, *command: str, code: int = 0) -> str:
    """What a command prints on stdout, in this process."""
    given = ["--dir", str(folder), "--database-url", url]
    done = CliRunner().invoke(cli, [*command, *given], standalone_mode=False)
    assert done.return_value == code, done.output
    return done.stdout


def both(turn: tuple[str, str], folder: Path, tmp_path: Path, *command: str, code: int = 0) -> None:
    """Run a command, which exits with the code, and its script on the other, and compare."""
    ours, psqls = turn
    done = psql(psqls, run(psqls, folder, *command, "--sql"), tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} <= {
        *("applying", "rolling", "done;")
    }
    confirmed = ["--yes"] if command[0] == "down" else []
    run(ours, folder, *command, *confirmed, code=code)
    assert left(psqls) == left(ours)
    run(psqls, folder, "health")


@pytest.mark.every_major(15)
def test_psql_leaves_what_up_and_down_leave(
    pair: tuple[str, str], project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory(FILES)
    both(pair, folder, tmp_path, "up", "1")
    both(pair, folder, tmp_path, "up")
    assert history(pair[1]) == [(f"000{n}", "applied") for n in (1, 2, 3, 4, 5)]
    # The value of the enumerated type remains: the schema is not as it was.
    both(pair, folder, tmp_path, "down", "1", code=6)


def test_psql_leaves_what_up_and_down_leave_of_repeatables(
    pair: tuple[str, str], project_factory: ProjectFactory, tmp_path: Path
) -> None:
    files = {name: FILES[name] for name in ("sql/0001_users.sql", "rollback/0001_rollback.sql")}
    views = {
        "repeatable/it's.sql": "CREATE OR REPLACE VIEW names AS SELECT id FROM users;\n"
        "GRANT SELECT ON names TO PUBLIC;\n",
        "repeatable/on.sql": "CREATE OR REPLACE VIEW counted AS SELECT count(*) FROM names;\n",
    }
    both(pair, project_factory(files | views), tmp_path, "up")
    more = {
        "sql/0002_more.sql": "ALTER TABLE users ADD more int;\n",
        "rollback/0002_rollback.sql": "ALTER TABLE users DROP more;\n",
        "repeatable/it's.sql": "CREATE OR REPLACE VIEW names AS SELECT more, id FROM users;\n",
    }
    folder = project_factory(files | views | more)
    both(pair, folder, tmp_path, "up")
    both(pair, folder, tmp_path, "down", "1")
    both(pair, folder, tmp_path, "down", "0")
    assert [tables(url) for url in pair] == [set(), set()]


def test_a_script_is_refused_by_a_history_that_it_was_not_made_for(
    database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory(FILES)
    first = turnback("up", "1", "--sql", url=database, folder=folder).out
    assert tables(database) == set()
    assert psql(database, first, tmp_path).returncode == 0
    again = psql(database, first, tmp_path)
    assert again.returncode == 3
    assert "the history is not the one that this script was made for" in again.stderr
    second = turnback("up", "2", "--sql", url=database, folder=folder).out
    assert turnback("up", "3", url=database, folder=folder).code == 0
    before = left(database)
    late = psql(database, second, tmp_path)
    assert late.returncode == 3
    assert "the history is not the one that this script was made for" in late.stderr
    assert left(database) == before


def test_what_fails_in_a_script_is_kept_out_of_the_history_and_stops_it(
    database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory(FILES | {"verify/0002_verify.sql": "SELECT 1 / 0;\n"})
    script = turnback("up", "--sql", url=database, folder=folder).out
    done = psql(database, script, tmp_path)
    assert done.returncode == 3
    assert "division by zero" in done.stderr
    assert history(database) == [("0001", "applied")]
    assert query(database, "SELECT count(*) FROM users") == [(0,)]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "sql/0004_more.sql",
            "SELECT (ARRAY[1])[1:PORT] FROM (SELECT 1) AS t(PORT);",
            "1:20: psql takes :PORT for a variable of its own",
        ),
        (
            "sql/0004_more.py",
            "# turnback: backfill table=users key=id\ndef transform(rows): ...\n",
            "1: the rows of a migration in Python go through its code, which psql does not run",
        ),
    ],
)
def test_what_psql_would_read_in_another_way_is_refused_with_its_place(
    database: str, project_factory: ProjectFactory, file: str, text: str, said: str
) -> None:
    files = {path: sql for path, sql in FILES.items() if path != "sql/0004_more.sql"}
    answer = turnback("up", "--sql", url=database, folder=project_factory({**files, file: text}))
    assert (answer.code, answer.out) == (3, "")
    assert f"{file}:{said}" in answer.err


def test_an_index_that_only_a_run_can_build_is_refused_with_its_place(
    database: str, project_factory: ProjectFactory
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE p (id int) PARTITION BY RANGE (id)")
    files = {
        "sql/0001_p.sql": "-- The table is there.\nCREATE INDEX CONCURRENTLY p_id ON p (id);",
        "rollback/0001_rollback.sql": "DROP INDEX p_id;",
    }
    answer = turnback("up", "--sql", url=database, folder=project_factory(files))
    assert (answer.code, answer.out) == (3, "")
    assert "sql/0001_p.sql:2:1: PostgreSQL has no CONCURRENTLY for the index" in answer.err


def test_a_script_is_all_that_is_printed(database: str, project_factory: ProjectFactory) -> None:
    for option in ("--json", "--dry-run"):
        answer = turnback("up", "--sql", option, url=database, folder=project_factory(FILES))
        assert answer.code == 2
    assert tables(database) == set()
