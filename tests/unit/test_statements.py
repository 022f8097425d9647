"""Reading SQL: splitting, telling statements apart, what runs outside a transaction, refusals."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from turnback.errors import InvalidMigration
from turnback.migrations.headers import read_directives
from turnback.migrations.model import Script
from turnback.sql.parser import SqlSyntaxError, parse_tree
from turnback.sql.script import Runnable, prepare, syntax_error
from turnback.sql.statements import json_value, split


def script(sql: str) -> Script:
    return Script("sql/0001_a.sql", sql, "", read_directives("sql/0001_a.sql", sql))


def ready(sql: str) -> Runnable:
    return prepare(script(sql))


def refusal(sql: str) -> InvalidMigration:
    with pytest.raises(InvalidMigration) as caught:
        ready(sql)
    assert caught.value.file == "sql/0001_a.sql"
    return caught.value


def texts(sql: str) -> list[str]:
    return [statement.sql for statement in split(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("", []),
        ("-- only a comment", []),
        (";;  ;", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' ; SELECT 2;", ["SELECT ';'", "SELECT 2"]),
        ("SELECT $a$;$b$;$a$; SELECT 2;", ["SELECT $a$;$b$;$a$", "SELECT 2"]),
        ('SELECT ";" FROM t;', ['SELECT ";" FROM t']),
        ("SELECT 1 /* ; /* ; */ ; */ ; SELECT 2;", ["SELECT 1 /* ; /* ; */ ; */", "SELECT 2"]),
        ("SELECT 1; -- ;\nSELECT 2;", ["SELECT 1", "SELECT 2"]),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3;",
            ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "SELECT 3"],
        ),
        (
            "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2); SELECT 3;",
            ["CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)", "SELECT 3"],
        ),
        ("SELECT '🐘;é';\r\nSELECT 'ñ'", ["SELECT '🐘;é'", "SELECT 'ñ'"]),
    ],
)
def test_a_script_is_split_where_the_server_splits_it(sql: str, expected: list[str]) -> None:
    assert texts(sql) == expected


@pytest.mark.parametrize("lead", ["", "-- 🐘 é\n", "\r\n\t", "/* ñ */ "])
def test_every_statement_knows_where_it_stands_in_characters(lead: str) -> None:
    sql = f"{lead}SELECT '🐘é';\n\n  SELECT 'ñ🐘' ;{lead}SELECT 3"
    statements = split(sql)
    assert len(statements) == 3
    for statement in statements:
        assert sql[statement.offset : statement.end] == statement.sql


def test_the_server_counts_the_statements_as_we_do(admin: psycopg.Connection) -> None:
    sql = ";; SELECT 1; ; /* ; */ SELECT ';'; DO $$ BEGIN NULL; END $$; -- ;\n SELECT 2; ;"
    cursor = admin.execute(sql.encode())
    results = 1
    while cursor.nextset():
        results += 1
    assert results == len(split(sql)) == 4


def test_a_syntax_error_has_its_offset_in_characters() -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        parse_tree("SELECT '🐘é';\nCREATE TABEL t ();")
    assert caught.value.offset == len("SELECT '🐘é';\nCREATE ")
    assert caught.value.message == 'syntax error at or near "TABEL"'


def test_a_syntax_error_is_reported_with_line_and_column_and_left_to_the_server() -> None:
    sql = "SELECT '🐘é';\n  SELEC 1;"
    error = syntax_error(script(sql))
    assert error is not None
    assert (error.line, error.column) == (2, 3)
    assert ready(sql).statements is None
    assert syntax_error(script("SELECT 1;")) is None


# What is known by its text alone.
OUTSIDE = [
    "CREATE INDEX CONCURRENTLY i ON t (a)",
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
    "DROP INDEX CONCURRENTLY i",
    "DROP INDEX CONCURRENTLY IF EXISTS i CASCADE",
    "REINDEX INDEX CONCURRENTLY i",
    "REINDEX TABLE CONCURRENTLY t",
    "REINDEX (CONCURRENTLY) TABLE t",
    "REINDEX (VERBOSE, CONCURRENTLY TRUE) INDEX i",
    "REINDEX SCHEMA public",
    "REINDEX DATABASE postgres",
    "REINDEX SYSTEM postgres",
    "VACUUM",
    "VACUUM t",
    "VACUUM (ANALYZE, VERBOSE) t",
    "VACUUM FULL t",
    "CLUSTER",
    "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
    "CREATE DATABASE d",
    "DROP DATABASE IF EXISTS d",
    "DROP DATABASE IF EXISTS d WITH (FORCE)",
    "ALTER DATABASE postgres SET TABLESPACE pg_default",
    "CREATE TABLESPACE s LOCATION '/no/such/folder'",
    "DROP TABLESPACE s",
    "ALTER SYSTEM SET work_mem = '4MB'",
    "ALTER SYSTEM RESET work_mem",
    "CREATE SUBSCRIPTION s CONNECTION 'host=localhost' PUBLICATION p",
    "DROP SUBSCRIPTION sub",
    "ALTER SUBSCRIPTION sub REFRESH PUBLICATION",
    "ALTER SUBSCRIPTION sub SET PUBLICATION p",
    "ALTER SUBSCRIPTION sub ADD PUBLICATION p9",
    "ALTER SUBSCRIPTION sub DROP PUBLICATION p2 WITH (refresh = true)",
    "ALTER SUBSCRIPTION sub SET (failover = true)",
    "ALTER SUBSCRIPTION sub SET (two_phase = false)",
]
INSIDE = [
    "CREATE INDEX i2 ON t (a)",
    "DROP INDEX i",
    "DROP TABLE t",
    "REINDEX TABLE t",
    "REINDEX (CONCURRENTLY off) TABLE t",
    "REINDEX (CONCURRENTLY false, VERBOSE) INDEX i",
    "ANALYZE",
    "ANALYZE t",
    "CLUSTER t USING i",
    "ALTER TABLE p DETACH PARTITION p1",
    "ALTER TABLE p DETACH PARTITION p1 FINALIZE",
    "ALTER DATABASE postgres CONNECTION LIMIT -1",
    "ALTER DATABASE postgres SET work_mem = '4MB'",
    "ALTER TYPE e ADD VALUE 'b'",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
    "CREATE SUBSCRIPTION s CONNECTION 'host=localhost' PUBLICATION p WITH (connect = false)",
    "CREATE SUBSCRIPTION s CONNECTION 'host=localhost' PUBLICATION p "
    "WITH (connect = false, create_slot = false, enabled = false)",
    "DISCARD TEMP",
    "DISCARD PLANS",
    "CHECKPOINT",
    "LOCK TABLE t",
    "TRUNCATE t",
]


@pytest.fixture(scope="module")
def furnished(admin: psycopg.Connection, server) -> Iterator[psycopg.Connection]:
    """A database that has what the statements name."""
    admin.execute("CREATE DATABASE furnished")
    with psycopg.connect(server.url("furnished"), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE t (a int);"
            "CREATE INDEX i ON t (a);"
            "CREATE TABLE p (a int) PARTITION BY LIST (a);"
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
            "CREATE TYPE e AS ENUM ('a');"
            "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a;"
            "CREATE UNIQUE INDEX mi ON m (a);"
            "SET client_min_messages = error;"
            "CREATE SUBSCRIPTION sub CONNECTION 'host=localhost' PUBLICATION p, p2"
            " WITH (connect = false);"
        )
        yield connection
        connection.execute("ALTER SUBSCRIPTION sub SET (slot_name = NONE); DROP SUBSCRIPTION sub")
    admin.execute("DROP DATABASE furnished")


def refused_in_a_transaction(connection: psycopg.Connection, sql: str) -> bool:
    """Whether the server says that it is for being in a transaction block."""
    # Some are looked at so closely only for a subscription that is enabled, others for one that is
    # not; rolled back, it never starts a worker.
    for before in ("", "ALTER SUBSCRIPTION sub ENABLE;"):
        connection.execute(f"BEGIN; {before}".encode())
        try:
            connection.execute(sql.encode())
        except psycopg.errors.ActiveSqlTransaction:
            return True
        except psycopg.Error:
            continue
        finally:
            connection.execute("ROLLBACK")
    return False


@pytest.mark.parametrize("sql", OUTSIDE)
def test_a_statement_that_the_server_refuses_in_a_transaction_runs_outside_one(
    sql: str, furnished: psycopg.Connection
) -> None:
    assert refused_in_a_transaction(furnished, sql)
    runnable = ready(f"-- a comment\n{sql};")
    assert runnable.one_by_one
    assert not runnable.needs_begin


def test_discard_all_is_outside_a_transaction_and_no_file_may_have_it(
    furnished: psycopg.Connection,
) -> None:
    assert refused_in_a_transaction(furnished, "DISCARD ALL")
    (statement,) = split("DISCARD ALL;")
    assert statement.outside_transaction
    with pytest.raises(InvalidMigration, match="releases the lock of the run"):
        ready("DISCARD ALL;")


@pytest.mark.parametrize("sql", INSIDE)
def test_a_statement_that_the_server_takes_in_a_transaction_runs_inside_one(
    sql: str, furnished: psycopg.Connection
) -> None:
    assert not refused_in_a_transaction(furnished, sql)
    assert not ready(f"{sql};").one_by_one


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER SUBSCRIPTION sub SET PUBLICATION p WITH (refresh = false)",
        "ALTER SUBSCRIPTION sub ADD PUBLICATION p3 WITH (refresh = false)",
    ],
)
def test_a_statement_that_would_be_taken_inside_too_may_run_outside(
    sql: str, furnished: psycopg.Connection
) -> None:
    assert not refused_in_a_transaction(furnished, sql)
    assert ready(sql).one_by_one


def test_one_such_statement_makes_the_whole_file_run_one_by_one() -> None:
    runnable = ready("CREATE TABLE t (a int);\nCREATE INDEX CONCURRENTLY i ON t (a);\n")
    assert runnable.one_by_one
    assert runnable.statements is not None
    assert [s.outside_transaction for s in runnable.statements] == [False, True]


def test_the_directive_forces_it_where_parsing_cannot_know() -> None:
    assert ready("-- turnback: no-transaction\nCALL long_work();").one_by_one
    assert not ready("CALL long_work();").one_by_one


@pytest.mark.parametrize(
    "opening", ["BEGIN", "BEGIN WORK", "begin transaction", "START TRANSACTION"]
)
@pytest.mark.parametrize(
    "closing", ["COMMIT", "COMMIT WORK", "commit transaction", "END", "END WORK"]
)
def test_an_outer_pair_is_peeled_off(opening: str, closing: str) -> None:
    sql = f"-- 🐘 head\n{opening};\nSELECT 'é';\n{closing};\n-- tail"
    runnable = ready(sql)
    assert runnable.statements is not None
    assert [s.sql for s in runnable.statements] == ["SELECT 'é'"]
    assert opening not in runnable.text
    assert closing not in runnable.text


def test_peeling_moves_nothing_so_that_every_offset_is_one_of_the_file() -> None:
    sql = "-- 🐘 head\r\nBEGIN;\r\nSELECT 'é', nope;\r\nCOMMIT"
    text = ready(sql).text
    assert len(text) == len(sql)
    assert text.index("nope") == sql.index("nope")
    assert text.count("\n") == sql.count("\n")
    assert ready(sql).position(sql.index("nope")) == (3, 13)


def test_a_pair_with_a_comment_before_its_semicolon_is_peeled_off() -> None:
    sql = "BEGIN /* all of it */ ;\nSELECT 1;\n/* done */ COMMIT -- now\n;"
    runnable = ready(sql)
    assert [s.sql for s in split(runnable.text)] == ["SELECT 1"]


def test_a_script_without_a_pair_is_not_touched() -> None:
    sql = "SELECT 'BEGIN; COMMIT;';"
    assert ready(sql).text == sql


@pytest.mark.parametrize(
    ("sql", "line", "word"),
    [
        ("SELECT 1;\nCOMMIT;\nSELECT 2;", 2, "COMMIT"),
        ("SELECT 1;\nEND;", 2, "END"),
        ("SELECT 1;\nROLLBACK;\nSELECT 2;", 2, "ROLLBACK"),
        ("SELECT 1;\nABORT;", 2, "ABORT"),
        ("BEGIN;\nSELECT 1;", 1, "BEGIN"),
        ("SELECT 1;\nSTART TRANSACTION;", 2, "START"),
        ("BEGIN;\nSELECT 1;\nROLLBACK;", 1, "BEGIN"),
        ("BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2;", 3, "COMMIT"),
        ("SELECT 1;\nBEGIN;\nSELECT 2;\nCOMMIT;", 2, "BEGIN"),
        ("BEGIN;\nSELECT 1;\nCOMMIT;\nBEGIN;\nSELECT 2;\nCOMMIT;", 3, "COMMIT"),
        ("BEGIN;\nBEGIN;\nSELECT 1;\nCOMMIT;\nCOMMIT;", 2, "BEGIN"),
        ("BEGIN;\nSELECT 1;\nCOMMIT AND CHAIN;", 1, "BEGIN"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT;", 1, "BEGIN"),
        ("BEGIN READ ONLY;\nSELECT 1;\nCOMMIT;", 1, "BEGIN"),
        ("SELECT 1;\nPREPARE TRANSACTION 'x';", 2, "PREPARE"),
        ("COMMIT PREPARED 'x';\nSELECT 1;", 1, "COMMIT"),
        ("COMMIT;", 1, "COMMIT"),
    ],
)
def test_any_other_word_that_ends_or_begins_a_transaction_is_refused_with_its_line(
    sql: str, line: int, word: str
) -> None:
    error = refusal(sql)
    assert (error.line, error.column) == (line, 1)
    assert error.message.startswith(f"{word} in the file")
    assert "split the file" in (error.hint or "")


def test_a_commit_inside_a_body_is_not_the_files() -> None:
    sql = "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;"
    assert ready(sql).text == sql


def test_savepoints_need_a_begin_of_their_own() -> None:
    runnable = ready("SELECT 1; SAVEPOINT s; SELECT 2; ROLLBACK TO s; RELEASE s;")
    assert runnable.needs_begin
    assert not runnable.one_by_one
    assert not ready("SELECT 1;").needs_begin


_ADD = "ALTER TYPE e ADD VALUE 'x'"


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        (f"{_ADD}; SELECT enum_range(NULL::e)", [[_ADD], ["SELECT enum_range(NULL::e)"]]),
        (f"{_ADD}; SELECT 1; SELECT 'x'::e", [[_ADD], ["SELECT 1", "SELECT 'x'::e"]]),
        (
            f"SET a.b = 1; {_ADD}; SELECT 'x'",
            [["SET a.b = 1", _ADD], ["SET a.b = 1", "SELECT 'x'"]],
        ),
        (
            f"{_ADD}; SELECT 'x'; ALTER TYPE e ADD VALUE 'y'; SELECT 'y', 'x'",
            [[_ADD], ["SELECT 'x'", "ALTER TYPE e ADD VALUE 'y'"], ["SELECT 'y', 'x'"]],
        ),
        (
            f"{_ADD}; ALTER TYPE f ADD VALUE 'y'; SELECT 'y'",
            [[_ADD, "ALTER TYPE f ADD VALUE 'y'"], ["SELECT 'y'"]],
        ),
    ],
)
def test_a_new_transaction_begins_behind_the_value_of_an_enum_that_is_used(
    sql: str, parts: list[list[str]]
) -> None:
    runnable = ready(sql)
    found = runnable.transactions()
    assert [[one.sql for one in part.statements or ()] for part in found] == parts
    # What is sent has everything at its place in the file, and nothing else.
    for part, statements in zip(found, parts, strict=True):
        assert [one.strip() for one in part.text.split(";") if one.strip()] == statements
        assert len(part.text) == len(sql)
        assert all(sql[one.offset :].startswith(one.sql) for one in part.statements or ())
    # One that is continued has what is left.
    assert [one.sql for one in runnable.transactions(len(parts[0]))[0].statements or ()] == parts[1]


@pytest.mark.parametrize(
    "sql",
    [
        f"{_ADD}; SELECT 'y'",
        f"{_ADD}; COMMENT ON TYPE e IS 'x'; ALTER TYPE e RENAME VALUE 'x' TO 'y'",
        f"CREATE TYPE e AS ENUM ('a'); {_ADD}; SELECT 'x'",
        f"CREATE TYPE d AS ENUM ('a'); ALTER TYPE d RENAME TO e; {_ADD}; SELECT 'x'",
        "CREATE TYPE e AS ENUM ('a'); ALTER TYPE e SET SCHEMA s; "
        "ALTER TYPE s.e ADD VALUE 'x'; SELECT 'x'",
        f"{_ADD}; CREATE FUNCTION f() RETURNS e LANGUAGE plpgsql AS $$ BEGIN RETURN 'x'; END $$",
        f"{_ADD}; SAVEPOINT s; SELECT 'x'",
        f"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; {_ADD}; SELECT 'x'",
        f"CREATE TEMP TABLE t (a int); {_ADD}; SELECT 'x'",
        f"CREATE TEMP TABLE t AS SELECT 1; {_ADD}; SELECT 'x'",
        f"PREPARE p AS SELECT 1; {_ADD}; SELECT 'x'",
    ],
)
def test_a_file_that_uses_no_new_value_or_cannot_be_divided_is_one_transaction(sql: str) -> None:
    assert ready(sql).in_one_transaction


def test_savepoints_cannot_run_outside_a_transaction() -> None:
    error = refusal("SAVEPOINT s;\nVACUUM;")
    assert "savepoints" in error.message
    assert error.hint


def test_a_pair_around_what_cannot_run_in_a_transaction_is_refused() -> None:
    error = refusal("BEGIN;\nCREATE INDEX CONCURRENTLY i ON t (a);\nCOMMIT;")
    assert "cannot run in a transaction" in error.message
    assert error.hint == "remove BEGIN and COMMIT"


@pytest.mark.parametrize(
    ("sql", "place", "command"),
    [
        ("\\connect other", (1, 1), r"\connect"),
        ("SELECT 1;\n\\i 'other file.sql'", (2, 1), r"\i"),
        ("SELECT 'é' AS a \\gset\nSELECT 2;", (1, 17), r"\gset"),
        ("SELECT 1 \\gexec", (1, 10), r"\gexec"),
        ("SELECT 1;\n\\if :x\nSELECT 2;\n\\endif", (2, 1), r"\if"),
        ("SELECT 1;\n\\.\n", (2, 1), r"\."),
    ],
)
def test_commands_of_psql_are_called_so(sql: str, place: tuple[int, int], command: str) -> None:
    error = refusal(sql)
    assert (error.line, error.column) == place
    assert error.message == f"'{command}' is a command of psql, not SQL"


@pytest.mark.parametrize(
    "sql", ["SELECT E'\\n';", "SELECT '\\d';", "SELECT 1; -- \\d\n", "/* \\d */"]
)
def test_a_backslash_in_a_string_or_a_comment_is_none(sql: str) -> None:
    assert ready(sql).statements is not None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1;\nCOPY t FROM stdin",
        "SELECT 1;\nCOPY t FROM stdin;",
        "SELECT 1;\nCOPY t FROM stdin;\n1\n\\.x\n",
        "SELECT 1;\nCOPY t FROM stdin WITH (FORMAT csv);\n1\n \\.\n",
    ],
)
def test_rows_without_an_end_are_refused_at_their_statement(sql: str) -> None:
    error = refusal(sql)
    assert (error.line, error.column) == (2, 1)
    assert error.message == "the rows of this COPY have no end"
    assert "a line with only \\." in (error.hint or "")


def test_what_follows_a_copy_in_its_line_is_refused() -> None:
    error = refusal("SELECT 1;\nCOPY t FROM stdin; SELECT 2;\n1\n\\.\n")
    assert (error.line, error.message) == (2, "something follows COPY … FROM stdin in its line")


def test_a_row_that_ends_with_the_mark_of_the_end_is_refused_at_its_line() -> None:
    """PostgreSQL 15 to 17 leave out the rows behind it, and say nothing."""
    error = refusal("COPY t FROM stdin;\nx\na\\\\b\ny\\.\nz\n\\.\n")
    assert (error.line, error.column) == (4, 1)
    assert "leaves out all rows behind it" in error.message
    for rows in ("y\\\\.\n", "y\\.b\n", ""):
        assert ready(f"COPY t FROM stdin;\n{rows}\\.\n").rows
    assert ready("COPY t FROM stdin (FORMAT csv);\ny\\.\nz\n\\.\n").rows


def test_copy_of_binary_rows_is_refused() -> None:
    error = refusal("COPY t FROM stdin WITH (FORMAT binary);\nx\n\\.\n")
    assert "the binary format" in error.message


def test_copy_to_stdout_is_refused() -> None:
    assert refusal("COPY t TO STDOUT;").message.startswith("COPY TO stdout sends rows")


@pytest.mark.parametrize(
    "sql", ["COPY t FROM '/a.csv';", "COPY t FROM PROGRAM 'x';", "SELECT 'COPY t FROM stdin';"]
)
def test_copy_from_a_place_of_the_server_is_its_business(sql: str) -> None:
    assert ready(sql).statements is not None


@pytest.mark.parametrize(
    "sql",
    [
        "-- do not copy anything from stdin\nCREATE TABEL t ();",
        "-- copy t from stdin\nSELECT 1;\n\\d t",
        "INSERT INTO t VALUES ('copy it from stdin') RETURN 1;",
    ],
)
def test_words_about_copy_are_not_taken_for_one(sql: str) -> None:
    try:
        ready(sql)
    except InvalidMigration as error:
        assert "COPY" not in error.message


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("SET a.b = 0", 0),
        ("SET a.b = ''", ""),
        ("SET a.b = '0'", "0"),
        ("SET a.b = 1", 1),
    ],
)
def test_a_value_is_read_that_the_parser_leaves_out(sql: str, value: object) -> None:
    (statement,) = split(sql)
    assert json_value(statement.tree["args"][0]) == value


def test_what_is_nested_too_deeply_is_left_to_the_server() -> None:
    rows = " UNION ALL ".join(f"SELECT {number}" for number in range(2000))
    assert ready(f"INSERT INTO t {rows};").statements is None
