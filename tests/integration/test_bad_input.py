"""Bad input: a clear error with its place, its exit code, and a database that is as it was."""

from __future__ import annotations

import re
import socket
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from turnback.errors import InvalidArtifact
from turnback.migrations.artifact import open_artifact

from tests.conftest import ProjectFactory
from tests.integration.command_line import (
    Answer,
    fingerprint,
    history,
    query,
    tables,
    turnback,
)

FIRST = {
    "sql/0001_first.sql": "CREATE TABLE first (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE first;\n",
}
THIRD = {
    "sql/0003_third.sql": "CREATE TABLE third (id int);\n",
    "rollback/0003_rollback.sql": "DROP TABLE third;\n",
}
REMOVE_IT = "remove it"


def second(sql: str | bytes) -> dict[str, str | bytes]:
    """A good migration, and one with this content after it."""
    back = {"rollback/0002_rollback.sql": "DROP TABLE second;\n"}
    return FIRST | back | {"sql/0002_second.sql": sql}


def refused(answer: Answer, code: int, *said: str) -> None:
    """It left with this code, said all of this on stderr, and nothing on stdout."""
    assert answer.code == code, answer.err
    for words in said:
        assert words in answer.err
    assert "hint: " in answer.err
    assert answer.out == ""


# Content of the file → line and column, words of the message, words of the hint.
REFUSED_FILES: dict[str, tuple[str | bytes, str, str, str]] = {
    "latin 1": (b"SELECT 1;\n-- caf\xe9\n", "2:7", "byte 0xe9 is not UTF-8", "iconv"),
    "UTF-16": ("SELECT 1;".encode("utf-16"), "1:1", "UTF-16, not UTF-8", "save the file as UTF-8"),
    "UTF-16 without its mark": ("SELECT 1;".encode("utf-16-le"), "1:2", "NUL byte", REMOVE_IT),
    "NUL": ("SELECT 1;\nSEL\0ECT 2;", "2:4", "NUL byte", "PostgreSQL would read nothing after"),
    "connect": (
        "SELECT 1;\n\\connect other\n",
        "2:1",
        r"'\connect' is a command of psql",
        REMOVE_IT,
    ),
    "include": ("\\i other.sql\n", "1:1", r"'\i' is a command of psql", REMOVE_IT),
    "gset": ("SELECT 1 AS a \\gset\n", "1:15", r"'\gset' is a command of psql", REMOVE_IT),
    "set": ("\\set ON_ERROR_STOP on\n", "1:1", r"'\set' is a command of psql", REMOVE_IT),
    "echo": ("SELECT 1;\n  \\echo it's\n", "2:3", r"'\echo' is a command of psql", REMOVE_IT),
    "copy of psql": (
        "\\copy t FROM 'x.csv'\n",
        "1:1",
        r"'\copy' is a command of psql",
        "COPY … FROM stdin",
    ),
    "COPY without the end of its rows": (
        "CREATE TABLE t ();\nCOPY t FROM stdin;\n1\n",
        "2:1",
        "the rows of this COPY have no end",
        "end before a line with only \\.",
    ),
    "COPY to stdout": ("COPY (SELECT 1) TO STDOUT;\n", "1:1", "COPY TO stdout sends rows", "psql"),
    "COMMIT in the middle": (
        "CREATE TABLE second ();\nCOMMIT;\nSELECT 1/0;\n",
        "2:1",
        "COMMIT in the file would end the transaction",
        "split the file where the transaction must end",
    ),
    "END in the middle": ("SELECT 1;\n  end;\nSELECT 2;\n", "2:3", "END in the file", REMOVE_IT),
    "COMMIT at the end": ("SELECT 1;\nCOMMIT;\n", "2:1", "COMMIT in the file", REMOVE_IT),
    "ROLLBACK": ("SELECT 1;\nROLLBACK;\nSELECT 2;\n", "2:1", "ROLLBACK in the file", REMOVE_IT),
    "BEGIN without COMMIT": ("BEGIN;\nSELECT 1;\n", "1:1", "BEGIN in the file", REMOVE_IT),
    "BEGIN twice": (
        "BEGIN;\nSELECT 1;\nCOMMIT;\nBEGIN;\nSELECT 2;\nCOMMIT;\n",
        "3:1",
        "COMMIT in the file",
        REMOVE_IT,
    ),
    "PREPARE TRANSACTION": (
        "SELECT 1;\nPREPARE TRANSACTION 'x';\nSELECT 2;\n",
        "2:1",
        "PREPARE in the file",
        REMOVE_IT,
    ),
    "dbmate": (
        "-- migrate:up\nCREATE TABLE second ();\n\n-- migrate:down\nDROP TABLE second;\n",
        "4",
        "a file for dbmate: turnback would run both",
        "to rollback/",
    ),
    "goose": (
        "-- +goose Up\nCREATE TABLE second ();\n-- +goose Down\nDROP TABLE second;\n",
        "3",
        "a file for goose: turnback would run both",
        "to rollback/",
    ),
    "sql-migrate": (
        "-- +migrate Up\nCREATE TABLE second ();\n-- +migrate Down notransaction\n"
        "DROP TABLE second;\n",
        "3",
        "a file for sql-migrate: turnback would run both",
        "to rollback/",
    ),
    "node-pg-migrate": (
        "-- Up Migration\r\nCREATE TABLE second ();\r\n-- Down Migration\r\nDROP TABLE second;\r\n",
        "3",
        "a file for node-pg-migrate: turnback would run both",
        "to rollback/",
    ),
    "directive unknown": (
        "-- Migration: x\n-- turnback: lock-timout 2s\nSELECT 1;\n",
        "2",
        "unknown directive 'lock-timout'",
        "known directives: lock-timeout",
    ),
    "directive below the header": (
        "SELECT 1;\n-- turnback: lock-timeout 2s\n",
        "2",
        "stands after the first statement",
        "move it to the header",
    ),
    "directive without its reason": (
        "-- turnback: irreversible\nSELECT 1;\n",
        "1",
        "needs a reason",
        "irreversible because REASON",
    ),
}


@pytest.mark.parametrize("case", REFUSED_FILES)
def test_a_file_that_cannot_be_run_is_refused_with_its_place_before_anything_is_written(
    case: str, database: str, project_factory: ProjectFactory
) -> None:
    content, place, message, hint = REFUSED_FILES[case]
    before = fingerprint(database)

    answer = turnback("up", url=database, folder=project_factory(second(content)))

    refused(answer, 3, f"sql/0002_second.sql:{place}: ", message, hint)
    assert fingerprint(database) == before


def test_check_finds_all_of_them_at_once_and_without_a_database(
    project_factory: ProjectFactory,
) -> None:
    files: dict[str, str | bytes] = {}
    wanted = []
    for number, (content, place, message, _) in enumerate(REFUSED_FILES.values(), 1):
        files[f"sql/{number:04}_bad.sql"] = content
        wanted.append((f"migrations/sql/{number:04}_bad.sql:{place}: ", message))

    answer = turnback("check", folder=project_factory(files))

    assert answer.code == 3
    lines = answer.out.splitlines()
    for place, message in wanted:
        assert [line for line in lines if line.startswith(place) and message in line], place


def test_a_comment_about_copy_is_not_taken_for_one(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = "-- We do not copy anything from stdin here.\nCREATE TABEL second ();\n"
    answer = turnback("up", url=database, folder=project_factory(second(sql)))
    assert "sql/0002_second.sql:2:8: " in answer.err
    assert "COPY" not in answer.err


# What works although it looks odd.
@pytest.mark.parametrize(
    "sql",
    [
        b"\xef\xbb\xbfCREATE TABLE second (id int);\n",
        b"CREATE TABLE second (\r\n  id int\r\n);\r\n-- the end\r\n",
        b"\xef\xbb\xbf\r\n\r\nCREATE TABLE second (id int)",
        b"-- head\nBEGIN;\nCREATE TABLE second (id int);\nCOMMIT;\n-- tail\n",
        b"START TRANSACTION; CREATE TABLE second (id int); END WORK",
        b"CREATE TABLE second (id int); -- the end",
        b"CREATE TABLE second (id int);\n/* the end */",
        b"SELECT '\\connect';\n/* \\i x.sql */\nCREATE TABLE second (id int);\n",
    ],
    ids=[
        "byte order mark",
        "CRLF",
        "byte order mark, CRLF, no semicolon",
        "BEGIN and COMMIT around it",
        "START TRANSACTION and END",
        "comment in the last line",
        "comment at the end",
        "psql's commands inside a string and a comment",
    ],
)
def test_it_works(sql: bytes, database: str, project_factory: ProjectFactory) -> None:
    answer = turnback("up", url=database, folder=project_factory(second(sql)))
    assert answer.code == 0, answer.err
    assert tables(database) == {"first", "second"}
    assert history(database) == [("0001", "applied"), ("0002", "applied")]


# What only the server can find → line and column, SQLSTATE, words of the message.
FAILING_FILES = {
    "BEGIN and COMMIT around it": (
        "BEGIN;\nCREATE TABLE second ();\nSELECT nope;\nCOMMIT;\n",
        "3:8",
        "42703",
        'column "nope" does not exist',
    ),
    "CRLF": (
        "CREATE TABLE second ();\r\n\r\nSELECT nope;\r\n",
        "3:8",
        "42703",
        'column "nope" does not exist',
    ),
    "byte order mark": ("\ufeffSELECT nope;\n", "1:8", "42703", 'column "nope" does not exist'),
    "emoji and accents before it": (
        "CREATE TABLE second (); -- ñ 🐘\nSELECT '🐘é🐘', nope;\n",
        "2:15",
        "42703",
        'column "nope" does not exist',
    ),
    "syntax": ("SELECT 1;\nCREATE TABEL second ();\n", "2:8", "42601", 'at or near "TABEL"'),
    "in the body of an SQL function": (
        "CREATE TABLE second ();\n"
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n  SELECT no_such\n$$;\n",
        "3:10",
        "42703",
        'column "no_such" does not exist',
    ),
    "in the body of a PL/pgSQL function": (
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETRUN 1;\nEND $$;\n",
        "3:3",
        "42601",
        'at or near "RETRUN"',
    ),
    "in a DO block": (
        "CREATE TABLE second ();\n\nDO $$\nBEGIN\n  PERFORM 1 / 0;\nEND $$;\n",
        "5:3",
        "22012",
        "division by zero",
    ),
    "at run time": (
        "CREATE TABLE second (id int);\nINSERT INTO second\nSELECT 1 / 0;\nSELECT 1;\n",
        "2:1",
        "22012",
        "division by zero",
    ),
    "a table that is there already": (
        "CREATE TABLE second (id int);\n  CREATE TABLE second (id int);\n",
        "2:3",
        "42P07",
        'relation "second" already exists',
    ),
    "in the last statement, without a semicolon": (
        "CREATE TABLE second (id int);\nINSERT INTO second VALUES (1);\nDROP TABLE nope",
        "3:1",
        "42P01",
        'table "nope" does not exist',
    ),
    "a procedure that commits": (
        "CREATE TABLE second (id int);\nDO $$ BEGIN COMMIT; END $$;\n",
        "2:1",
        "2D000",
        "no-transaction",
    ),
    "a variable of psql": (
        "CREATE TABLE second (id int);\nCREATE TABLE :name ();\n",
        "2:14",
        "42601",
        'at or near ":"',
    ),
}


@pytest.mark.parametrize("case", FAILING_FILES)
def test_an_error_of_the_server_points_into_the_file_and_nothing_of_it_is_kept(
    case: str, database: str, project_factory: ProjectFactory
) -> None:
    sql, place, sqlstate, message = FAILING_FILES[case]

    answer = turnback("up", url=database, folder=project_factory(second(sql)))

    assert answer.code == 1, answer.err
    assert f"sql/0002_second.sql:{place}: " in answer.err
    assert f"SQLSTATE {sqlstate}" in answer.err
    assert message in answer.err
    assert "nothing of 0002 was kept; fix the file and run turnback up again" in answer.err
    assert tables(database) == {"first"}
    assert history(database) == [("0001", "applied"), ("0002", "failed")]


def test_a_constraint_that_is_checked_at_the_commit_fails_its_migration(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = (
        "CREATE TABLE second (id int PRIMARY KEY);\n"
        "CREATE TABLE child (id int REFERENCES second DEFERRABLE INITIALLY DEFERRED);\n"
        "INSERT INTO child VALUES (1);\n"
    )
    answer = turnback("up", "--json", url=database, folder=project_factory(second(sql)))

    error = answer.document["error"]
    assert (answer.code, error["type"]) == (1, "MigrationFailed")
    assert (error["file"], error["sqlstate"]) == ("sql/0002_second.sql", "23503")
    assert "fix the file" in error["hint"]
    assert tables(database) == {"first"}


OPEN_ENDED = {
    "quote": ("CREATE TABLE second ();\nINSERT INTO second VALUES ('it);\n\n", "2:28"),
    "quoted name": ('CREATE TABLE second ();\nCREATE TABLE "third (id int);\n', "2:14"),
    "comment": ("CREATE TABLE second ();\n\n/* to be gone on with\n", "3:1"),
    "dollar quote": ("CREATE TABLE second ();\nDO $$ BEGIN NULL; END $;\n", "2:4"),
    "bracket": ("CREATE TABLE second (\n  id int\n", r"[23]:\d+"),
}


@pytest.mark.parametrize("case", OPEN_ENDED)
def test_what_is_opened_and_never_closed_is_pointed_at_and_nothing_is_recorded_as_applied(
    case: str, database: str, project_factory: ProjectFactory
) -> None:
    sql, place = OPEN_ENDED[case]
    folder = project_factory(second(sql) | {"rollback/0002_rollback.sql": "DO $$ BEGIN END $$;"})

    answer = turnback("up", url=database, folder=folder)

    assert answer.code in (1, 3), answer.err
    assert tables(database) <= {"first"}
    assert ("0002", "applied") not in history(database)
    assert re.search(rf"error: migrations/sql/0002_second\.sql:{place}: ", answer.err), answer.err
    # The error shows the user's SQL, never the record that travels with it.
    assert "migration_log" not in answer.err


@pytest.mark.parametrize(
    ("opened", "closed"),
    [
        ("CREATE TABLE second ();\n/* never closed", "CREATE TABLE third (); -- */\n"),
        ("CREATE TABLE second ();\n/* never closed", "*/ CREATE TABLE third ();\n"),
        ("CREATE TABLE second ();\nSELECT $a$ open", "SELECT 1 AS a$a$; CREATE TABLE third ();\n"),
    ],
)
def test_what_one_file_opens_the_next_one_cannot_close(
    opened: str, closed: str, database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(second(opened) | THIRD | {"sql/0003_third.sql": closed})

    answer = turnback("up", url=database, folder=folder)

    assert tables(database) <= {"first"}
    assert answer.code in (1, 3)
    assert "sql/0002_second.sql" in answer.err


def test_an_empty_folder_is_no_project(database: str, tmp_path: Path) -> None:
    before = fingerprint(database)
    (tmp_path / "migrations").mkdir()
    answer = turnback("up", url=database, folder=tmp_path / "migrations")
    refused(answer, 2, "no folder 'sql' in", "turnback init")

    (tmp_path / "migrations/sql").mkdir()
    answer = turnback("up", url=database, folder=tmp_path / "migrations")
    refused(answer, 2, "no migrations in", "turnback generate NAME")
    assert fingerprint(database) == before


@pytest.mark.parametrize("command", ["up", "status", "check"])
def test_a_missing_folder_is_named(command: str, database: str, tmp_path: Path) -> None:
    before = fingerprint(database)
    answer = turnback(command, url=database, folder=tmp_path / "no-such-folder")
    refused(answer, 2, "no-such-folder", "name the folder with --dir")
    assert fingerprint(database) == before


@pytest.mark.parametrize("twin", ["sql/0001_other.sql", "sql/1_other.sql", "sql/00001_other.sql"])
def test_two_files_with_one_version_are_refused(
    twin: str, database: str, project_factory: ProjectFactory
) -> None:
    before = fingerprint(database)
    folder = project_factory(FIRST | {twin: "CREATE TABLE other ();\n"})
    answer = turnback("up", url=database, folder=folder)
    refused(answer, 3, "is taken by sql/", twin.removeprefix("sql/"), "renumber the younger one")
    assert fingerprint(database) == before


def test_a_migration_without_its_rollback_is_refused_unless_that_is_meant(
    database: str, project_factory: ProjectFactory
) -> None:
    before = fingerprint(database)
    files = {"sql/0001_first.sql": FIRST["sql/0001_first.sql"]}
    folder = project_factory(files)

    answer = turnback("up", url=database, folder=folder)
    refused(answer, 3, "sql/0001_first.sql: 0001 has no rollback script", "irreversible because")
    assert fingerprint(database) == before

    assert turnback("up", "--allow-missing-rollback", url=database, folder=folder).code == 0
    assert tables(database) == {"first"}
    answer = turnback("down", "--yes", "0", url=database, folder=folder)
    refused(answer, 3, "0001 (first) has no rollback script", "write rollback/0001_rollback.sql")
    assert tables(database) == {"first"}


def test_a_migration_that_says_why_it_is_irreversible_needs_no_rollback(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = "-- turnback: irreversible because the rows are gone\nCREATE TABLE first ();\n"
    folder = project_factory({"sql/0001_first.sql": sql})
    assert turnback("up", url=database, folder=folder).code == 0
    answer = turnback("down", "--yes", "0", url=database, folder=folder)
    refused(answer, 3, "irreversible because the rows are gone")


def test_a_rollback_without_its_migration_is_refused(
    database: str, project_factory: ProjectFactory
) -> None:
    before = fingerprint(database)
    folder = project_factory(FIRST | {"rollback/0002_rollback.sql": "DROP TABLE second;\n"})
    answer = turnback("up", url=database, folder=folder)
    refused(answer, 3, "rollback/0002_rollback.sql: there is no migration 0002", "rename it")
    assert fingerprint(database) == before


def test_a_gap_in_the_numbers_is_allowed_and_said(
    database: str, project_factory: ProjectFactory
) -> None:
    answer = turnback("up", url=database, folder=project_factory(FIRST | THIRD))
    assert answer.code == 0
    assert "the numbers jump from 1 to 3" in answer.err
    assert tables(database) == {"first", "third"}


@pytest.fixture
def applied(database: str, project_factory: ProjectFactory) -> Callable[..., Answer]:
    """The migrations 1 and 3 are applied; runs a command on other files, which change nothing."""
    assert turnback("up", url=database, folder=project_factory(FIRST | THIRD)).code == 0
    before = fingerprint(database)

    def then(files: Mapping[str, str | bytes], *command: str, changes: bool = False) -> Answer:
        answer = turnback(*command, url=database, folder=project_factory(files))
        assert changes or fingerprint(database) == before
        return answer

    return then


def test_an_applied_file_that_vanished_is_refused(applied: Callable[..., Answer]) -> None:
    answer = applied(THIRD, "up")
    refused(answer, 3, "0001 (first) is applied, but its file is gone", "restore the file")


def test_a_version_lower_than_the_last_applied_runs_only_out_of_order(
    applied: Callable[..., Answer], database: str
) -> None:
    files = second("CREATE TABLE second (id int);\n") | THIRD

    answer = applied(files, "up")
    refused(answer, 3, "sql/0002_second.sql: 0002 is pending", "--out-of-order")

    assert applied(files, "up", "--out-of-order", changes=True).code == 0
    assert tables(database) == {"first", "second", "third"}


def test_a_version_that_does_not_exist_is_refused(applied: Callable[..., Answer]) -> None:
    refused(applied(FIRST | THIRD, "up", "7"), 2, "there is no migration 7", "turnback status")
    refused(
        applied(FIRST | THIRD, "down", "--yes", "2"),
        2,
        "there is no migration 2",
        "turnback status",
    )
    refused(
        applied(FIRST | THIRD, "down", "--yes", "first"),
        2,
        "there is no migration first",
        "turnback status",
    )
    answer = applied(FIRST | THIRD, "down", "--yes", "two\nlines")
    assert (answer.code, answer.out) == (2, "")
    assert "'two\\nlines' is not a version" in answer.err


SECRET = "s3cret-word"


def test_a_wrong_password_is_refused_and_never_shown(
    database: str, project_factory: ProjectFactory
) -> None:
    before = fingerprint(database)
    url = re.sub(r":[^:/@]+@", f":{SECRET}@", database)
    for options in ([], ["--json"]):
        answer = turnback("up", *options, url=url, folder=project_factory(FIRST))
        assert answer.code == 5
        assert "password authentication failed" in answer.err + answer.out
        assert "check user and password" in answer.err + answer.out
    assert fingerprint(database) == before


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://someone:{SECRET}@localhost/app",
        f"postgresql+psycopg://someone:{SECRET}@localhost/app",
        f"postgresql://someone:{SECRET}@local host/app",
        f"postgresql://someone:{SECRET}@localhost/app?no_such_option=1",
        SECRET,
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_its_password(
    url: str, project_factory: ProjectFactory
) -> None:
    answer = turnback("up", url=url, folder=project_factory(FIRST))
    refused(answer, 2, "postgresql://user:password@host:5432/database")
    assert SECRET not in answer.err


@pytest.fixture
def visitor(database: str, admin: psycopg.Connection) -> Iterator[str]:
    """The address of the database for a role that may connect, and nothing else."""
    admin.execute(f"CREATE ROLE visitor LOGIN PASSWORD '{SECRET}'".encode())
    yield re.sub(r"//[^@]+@", f"//visitor:{SECRET}@", database)
    admin.execute("DROP ROLE visitor")


@pytest.mark.parametrize("options", [[], ["--history-schema", "elsewhere"]])
def test_a_user_who_may_not_create_the_tables_learns_which_right_is_missing(
    options: list[str], visitor: str, database: str, project_factory: ProjectFactory
) -> None:
    before = fingerprint(database)
    answer = turnback("up", *options, url=visitor, folder=project_factory(FIRST))
    assert answer.code == 5
    assert "the history tables cannot be created: permission denied" in answer.err
    assert "grant CREATE on" in answer.err
    assert fingerprint(database) == before


def test_a_full_disk_under_the_history_is_a_full_disk_and_no_missing_right(
    database: str, project_factory: ProjectFactory
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        # In the server's words; no disk is filled for a test.
        connection.execute(
            "CREATE FUNCTION full() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$;"
            "CREATE EVENT TRIGGER full_disk ON ddl_command_end EXECUTE FUNCTION full();"
        )
    answer = turnback("up", url=database, folder=project_factory(FIRST))
    assert (answer.code, "SQLSTATE 53100" in answer.err) == (5, True)
    assert "the server's disk is full" in answer.err
    assert "grant" not in answer.err


@pytest.mark.parametrize("command", [["up"], ["status"], ["down", "0"], ["health"]])
def test_a_table_migrations_of_another_tool_is_left_alone(
    command: list[str], database: str, project_factory: ProjectFactory
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE migrations (version text)")
        connection.execute("INSERT INTO migrations VALUES ('20240101')")
    before = fingerprint(database)

    answer = turnback(*command, url=database, folder=project_factory(FIRST))

    refused(answer, 2, "public.migrations belongs to another tool", "--history-schema turnback")
    assert fingerprint(database) == before


def test_beside_the_table_of_another_tool_ours_live_in_a_schema_of_their_own(
    database: str, project_factory: ProjectFactory
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE migrations (version text)")
    options = ["--history-schema", 'odd "name"']
    answer = turnback("up", *options, url=database, folder=project_factory(FIRST))
    assert answer.code == 0, answer.err
    assert query(database, 'SELECT version FROM "odd ""name""".migrations') == [("0001",)]
    assert query(database, "SELECT * FROM migrations") == []


def test_a_history_of_a_newer_turnback_is_left_alone(applied: Callable[..., Answer], database: str):
    with psycopg.connect(database) as connection:
        connection.execute("COMMENT ON TABLE migrations IS 'turnback history, format 99'")
    before = fingerprint(database)
    answer = applied(second("SELECT 1;") | THIRD, "up", changes=True)
    refused(answer, 2, "written by a newer turnback", "pip install --upgrade turnback")
    assert fingerprint(database) == before


@pytest.mark.parametrize(
    ("sums", "place", "message", "hint"),
    [
        ("no checksum at all\n", "1", "not a checksum line", "turnback check --fix"),
        (f"{'0' * 64}  sql/x.sql\n" * 2, "2", "sql/x.sql is named twice", ""),
        (
            f"{'0' * 64}  sql/0000_x.sql\n<<<<<<< HEAD\n",
            "2",
            "unresolved merge conflict",
            "renumber the other",
        ),
    ],
)
def test_sums_that_cannot_be_read_are_refused_with_their_line(
    sums: str,
    place: str,
    message: str,
    hint: str,
    database: str,
    project_factory: ProjectFactory,
) -> None:
    before = fingerprint(database)
    folder = project_factory(FIRST)
    (folder / "SHA256SUMS").write_text(sums)

    answer = turnback("up", url=database, folder=folder)

    refused(answer, 3, f"SHA256SUMS:{place}: {message}", hint)
    assert fingerprint(database) == before


def test_a_migration_of_100_megabytes_works(database: str, project_factory: ProjectFactory) -> None:
    filling = "x" * 100 * 1024 * 1024
    sql = f"CREATE TABLE second AS SELECT length('{filling}') AS characters;\n"
    answer = turnback("up", url=database, folder=project_factory(second(sql)))
    assert answer.code == 0, answer.err
    assert query(database, "SELECT characters FROM second") == [(len(filling),)]


CONTRACT = {"command", "run", "database", "status", "applied", "error"}
ERROR = {"type", "message", "file", "line", "column", "sqlstate", "hint"}


@pytest.mark.parametrize(
    ("sql", "code", "status", "error"),
    [
        (
            "CREATE TABLE second ();\nSELECT nope;\n",
            1,
            "failed",
            ("MigrationFailed", "sql/0002_second.sql", 2, 8, "42703"),
        ),
        (
            "SELECT 1;\n\\connect other\n",
            3,
            "refused",
            ("InvalidMigration", "sql/0002_second.sql", 2, 1, None),
        ),
        (
            "CREATE TABLE second ();\nVACUUM second;\nSELECT nope;\n",
            6,
            "needs_a_person",
            ("MigrationIncomplete", "sql/0002_second.sql", 3, 8, "42703"),
        ),
    ],
)
def test_up_as_json_is_one_document_with_the_whole_error(
    sql: str,
    code: int,
    status: str,
    error: tuple[str, ...],
    database: str,
    project_factory: ProjectFactory,
) -> None:
    answer = turnback("up", "--json", url=database, folder=project_factory(second(sql)))

    assert answer.code == code
    document = answer.document
    assert document.keys() >= CONTRACT
    assert document["error"].keys() >= ERROR
    assert (document["command"], document["status"]) == ("up", status)
    places = ("type", "file", "line", "column", "sqlstate")
    assert tuple(document["error"][key] for key in places) == error
    assert document["error"]["message"] and document["error"]["hint"]
    applied = [done["version"] for done in document["applied"]]
    assert applied == [version for version, word in history(database) if word == "applied"]


def test_up_as_json_is_one_document_when_there_is_no_database(
    project_factory: ProjectFactory,
) -> None:
    url = f"postgresql://someone:{SECRET}@127.0.0.1:{closed_port()}/app"
    answer = turnback("up", "--json", url=url, folder=project_factory(FIRST))
    assert answer.code == 5
    assert answer.document.keys() >= CONTRACT
    assert answer.document["error"]["type"] == "DatabaseUnreachable"
    assert answer.document["applied"] == []
    assert SECRET not in answer.out


def test_up_as_json_is_one_document_when_there_is_no_folder(tmp_path: Path) -> None:
    answer = turnback("up", "--json", folder=tmp_path / "nowhere")
    assert answer.code == 2
    assert answer.document.keys() >= CONTRACT
    assert answer.document["error"]["type"] == "ProjectNotFound"


def test_a_zip_that_is_none_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "1.0.0.zip"
    archive.write_text("CREATE TABLE first ();\n")
    with pytest.raises(InvalidArtifact, match="not a sound zip") as caught:
        open_artifact(archive)
    assert "turnback package" in (caught.value.hint or "")


def test_a_zip_that_climbs_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "1.0.0.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("migrations/sql/0001_first.sql", "SELECT 1;")
        opened.writestr("../outside.sql", "SELECT 1;")
    with pytest.raises(InvalidArtifact, match=r"\.\./outside\.sql"):
        open_artifact(archive)
    assert not (tmp_path / "outside.sql").exists()


@pytest.mark.parametrize("command", ["check", "generate new", "up", "lint", "init"])
def test_a_folder_in_the_place_of_a_file_is_an_error_and_no_traceback(
    command: str, database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(FIRST, sums=False)
    (folder / "SHA256SUMS").mkdir()
    answer = turnback(*command.split(), url=database, folder=folder)
    if command != "init":
        refused(answer, 2, "SHA256SUMS: Is a directory", "check that it is what it should be")
        document = turnback(*command.split(), "--json", url=database, folder=folder).document
        assert document["error"]["type"] == "ConfigurationError"
