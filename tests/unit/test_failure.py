"""The server's error becomes one with file, line, column, and what to do."""

from __future__ import annotations

import json

import pytest
from turnback.engine.look.half_done import HalfDone
from turnback.engine.run import transaction
from turnback.engine.run.failure import explain, point
from turnback.engine.run.plan import Step, step_down, step_up
from turnback.engine.session.disclosure import public_output
from turnback.engine.session.message import ServerError
from turnback.errors import (
    DatabaseRefused,
    LockTimeout,
    MigrationFailed,
    MigrationIncomplete,
    RollbackFailed,
    TurnbackError,
)

from tests.unit.migrations import migration

UNKNOWN_TEXT = "code of the database raised an error whose text may have values of rows"
SQL = "CREATE TABLE a ();\n  CREATE TABLE b ();\nSELECT é, no;\n"
UP = step_up(migration("0002", SQL, "DROP TABLE b;\nDROP TABLE a;\n"))
BEFORE = 100


def down(half: HalfDone | None = None) -> Step:
    step = step_down(UP.migration)
    assert step is not None
    return Step(step.migration, step.direction, step.runnable, half=half)


def failed(step: Step = UP, *, index: int = 2, sqlstate: str = "42703", **more) -> TurnbackError:
    """The error where the message has 100 characters and two statements before the script."""
    error = ServerError(index + 2, sqlstate, more.pop("message", "it is wrong"), **more)
    return explain(step, error, sent_before=BEFORE, statements_before=2)


def test_the_servers_position_is_a_place_in_the_file() -> None:
    error = failed(position=BEFORE + SQL.index("no") + 1)
    assert isinstance(error, MigrationFailed)
    assert (error.file, error.line, error.column) == ("sql/0002_m2.sql", 3, 11)
    assert (error.version, error.sqlstate) == ("0002", "42703")
    assert error.statement == "SELECT é, no"


@pytest.mark.parametrize("position", [None, 3, BEFORE + len(SQL) + 2])
def test_without_a_position_in_the_script_it_is_the_statement_that_failed(
    position: int | None,
) -> None:
    error = failed(index=1, position=position)
    assert (error.line, error.column) == (2, 3)
    assert error.statement == "CREATE TABLE b ()"


def test_the_first_and_the_last_character_are_in_the_script() -> None:
    first = failed(index=0, position=BEFORE + 1)
    assert (first.line, first.column) == (1, 1)
    end = failed(index=2, position=BEFORE + len(SQL) + 1)
    assert (end.line, end.column) == (4, 1)


@pytest.mark.parametrize(
    "said",
    [
        "PL/pgSQL function inline_code_block line 3 at RAISE",
        "fonction PL/pgSQL inline_code_block, ligne 3 à RAISE",
        "PL/pgSQL関数inline_code_blockの3行目 - RAISE",
    ],
)
def test_an_error_in_a_block_is_at_the_line_that_the_server_names(said: str) -> None:
    step = step_up(migration("0002", "SELECT 1; DO $$\nBEGIN\n  RAISE 'x';\nEND $$;\n"))
    error = failed(step, index=1, context=f"PL/pgSQL function f() line 7 at RAISE\n{said}")
    assert (error.line, error.column) == (3, 3)


@pytest.mark.parametrize("index", [-1, 3])
def test_an_error_outside_the_script_has_no_place(index: int) -> None:
    error = failed(index=index)
    assert (error.line, error.column, error.statement) == (None, None, None)


def test_detail_of_the_schema_and_the_place_in_a_function_are_in_the_message() -> None:
    error = failed(
        message="cannot drop table a because other objects depend on it",
        detail="view b depends on table a",
        context="PL/pgSQL function f() line 3 at SQL statement\nmore",
        sqlstate="2BP01",
    )
    assert error.message == (
        "cannot drop table a because other objects depend on it (view b depends on table a) "
        "[PL/pgSQL function f() line 3 at SQL statement]"
    )
    assert failed(message="wrong").message == "wrong"


@pytest.mark.parametrize(
    ("sqlstate", "message", "detail", "context", "public"),
    [
        (
            "23505",
            'duplicate key value violates unique constraint "users_email_key"',
            "Key (email)=(ada@example.com) already exists.",
            None,
            'duplicate key value violates unique constraint "users_email_key"',
        ),
        (
            "23514",
            'new row for relation "users" violates check constraint "adult"',
            "Failing row contains (2, ada@example.com).",
            None,
            'new row for relation "users" violates check constraint "adult"',
        ),
        (
            "22P02",
            'invalid input syntax for type integer: "ada@example.com"',
            None,
            'COPY users, line 1, column age: "ada@example.com"',
            'invalid input syntax for type integer: "…"',
        ),
        (
            "22P02",
            "invalid input syntax for type json",
            'Token "ada@example.com" is invalid.',
            "JSON data, line 1: ada@example.com",
            "invalid input syntax for type json",
        ),
        (
            "P0001",
            "no age for ada@example.com",
            "ada@example.com",
            "SQL statement \"UPDATE users SET email = 'ada@example.com'\"",
            UNKNOWN_TEXT,
        ),
        (
            "23505",
            "ada@example.com is there",
            None,
            "PL/pgSQL function f() line 3 at RAISE",
            f"{UNKNOWN_TEXT} [PL/pgSQL function f() line 3 at RAISE]",
        ),
        ("MY001", "ada@example.com is there", None, None, UNKNOWN_TEXT),
        (
            "38000",
            "ada@example.com is there",
            None,
            'PL/Perl function "f"',
            f'{UNKNOWN_TEXT} [PL/Perl function "f"]',
        ),
        (
            "42P01",
            'relation "ada@example.com" does not exist',
            None,
            None,
            'relation "…" does not exist',
        ),
        (
            "42P07",
            'relation "ada@example.com" already exists',
            None,
            'SQL statement "CREATE TABLE ..."\nPL/pgSQL function f() line 3 at EXECUTE',
            'relation "…" already exists',
        ),
        ("XX000", 'no point in "ada@example.com"', None, None, 'no point in "…"'),
        (
            "22021",
            'invalid byte sequence for encoding "UTF8": 0xe4 0x6e',
            "ada@example.com",
            None,
            'invalid byte sequence for encoding "…": 0x… 0x…',
        ),
    ],
)
def test_values_of_rows_are_in_the_detail_only(
    sqlstate: str, message: str, detail: str | None, context: str | None, public: str
) -> None:
    error = failed(message=message, detail=detail, context=context, sqlstate=sqlstate)
    assert error.message == public
    assert "ada@example.com" in str(error.detail)
    assert "ada@example.com" not in json.dumps(error.to_dict()) + str(error)
    assert "ada@example.com" not in str(error.machine_readable())


@pytest.mark.parametrize(
    ("text", "message", "public"),
    [
        ("RAISE EXCEPTION 'no age for %, 100%% sure', a;", None, "no age for …, 100% sure"),
        ("raise 'it''s %';", "it's ada@example.com", "it's …"),
        ("ASSERT n = 0, 'rows are left';", "rows are left", "rows are left"),
        ("RAISE EXCEPTION 'another one';", None, UNKNOWN_TEXT),
        ("RAISE EXCEPTION USING MESSAGE = 'no age for ' || a;", None, UNKNOWN_TEXT),
    ],
)
def test_the_text_of_a_raise_is_shown_as_it_stands_in_the_script(
    text: str, message: str | None, public: str
) -> None:
    step = step_up(migration("0002", f"DO $$ BEGIN {text} END $$;\n"))
    said = message or "no age for ada@example.com, 100% sure"
    error = failed(step, index=0, sqlstate="P0001", message=said, hint="ask ada@example.com")
    assert error.message == public
    assert "ada@example.com" not in json.dumps(error.to_dict())
    assert error.detail is None or said in error.detail


def test_a_name_that_stands_in_the_script_is_shown() -> None:
    step = step_up(migration("0002", "DROP TABLE edges;\n"))
    error = failed(step, index=0, sqlstate="42P01", message='table "edges" does not exist')
    assert error.message == 'table "edges" does not exist'


@pytest.mark.parametrize(
    ("said", "public"),
    [
        (
            'COPY failed for table "t": ERROR:  invalid input syntax for type integer: "ada@x"\n'
            'CONTEXT:  COPY t, line 1, column a: "ada@x"',
            'COPY failed for table "t": ERROR:  invalid input syntax for type integer: "…"',
        ),
        (
            'could not execute query: FEHLER:  Wert »ada@x« ist falsch: "ada@x"\n'
            "DETAIL:  ada@x\nCONTEXT:  PL/pgSQL-Funktion f() Zeile 1 bei RAISE",
            None,
        ),
        (
            'could not execute query: ERROR:  could not create unique index "u"\n'
            "DETAIL:  Key (a)=(ada@x) is duplicated.\nCommand was: CREATE UNIQUE INDEX",
            'could not execute query: ERROR:  could not create unique index "u"',
        ),
        (
            "COPY failed: ERROR:  ada@x\nCONTEXT:  PL/pgSQL function f() line 1 at RAISE\nCOPY t",
            f"COPY failed: ERROR:  {UNKNOWN_TEXT}",
        ),
        (
            "COPY failed: ERROR:  ada@x\nCONTEXT:  PL/Perl function f",
            f"COPY failed: ERROR:  {UNKNOWN_TEXT}",
        ),
        ('could not open file "a.dump"', 'could not open file "a.dump"'),
    ],
)
def test_the_output_of_pg_restore_has_no_values_of_rows(said: str, public: str | None) -> None:
    shown = public_output(said)
    assert "ada@x" not in shown
    assert public is None or shown == public


def test_a_long_statement_is_cut() -> None:
    step = step_up(migration("0002", f"SELECT '{'x' * 3000}';\n"))
    assert len(str(failed(step, index=0).statement)) == 2000


@pytest.mark.parametrize("sqlstate", ["55P03", "40P01", "40001"])
@pytest.mark.parametrize("step", [UP, down()], ids=["up", "down"])
def test_a_transient_failure_may_be_tried_again(step: Step, sqlstate: str) -> None:
    error = failed(step, sqlstate=sqlstate)
    assert isinstance(error, LockTimeout)
    assert str(error.hint).endswith(
        "try again when the table is less busy, or for longer: --lock-retry-for 10min"
    )


@pytest.mark.parametrize("sqlstate", ["57014", "40002", "23505", "55006"])
def test_no_other_failure_is_transient(sqlstate: str) -> None:
    assert isinstance(failed(sqlstate=sqlstate), MigrationFailed)
    assert isinstance(failed(down(), sqlstate=sqlstate), RollbackFailed)


def test_what_to_do_is_said_for_each_direction() -> None:
    half = HalfDone("0002", "m2", "", frozenset({1}), frozenset({"r"}))
    assert failed().hint == "nothing of 0002 was kept; fix the file and run turnback up again"
    assert failed(down()).hint == (
        "0002 is still applied; fix the rollback script and run turnback down again"
    )
    assert failed(down(half)).hint == (
        "0002 is still half done; fix the rollback script and run turnback down again"
    )


def test_the_servers_hint_comes_first_and_ours_for_the_sqlstate_after_it() -> None:
    hint = str(failed(sqlstate="57014", hint="Try it.").hint)
    assert hint == (
        "Try it; it was cancelled; give it more time: -- turnback: statement-timeout 10min; "
        "nothing of 0002 was kept; fix the file and run turnback up again"
    )
    assert "-- turnback: no-transaction" in str(failed(sqlstate="25001").hint)
    assert "-- turnback: no-transaction" in str(failed(sqlstate="2D000").hint)


@pytest.mark.parametrize(
    ("sqlstate", "message", "remedy"),
    [
        # As PostgreSQL 18 says it.
        ("42704", 'role "app" does not exist', "create this role first"),
        ("22023", 'role "app" does not exist', "create this role first"),
        ("0A000", 'extension "x" is not available', "install this extension"),
        ("58P01", 'could not open extension control file "x"', "install this extension"),
        ("58P01", 'could not access file "x": No such file or directory', "this library"),
        ("55000", "pg_cron must be loaded via shared_preload_libraries", "this library"),
        ("42501", "permission denied for schema public", "the privilege"),
    ],
)
def test_what_the_server_lacks_is_not_to_be_fixed_in_the_file(
    sqlstate: str, message: str, remedy: str
) -> None:
    for step, again in ((UP, "up"), (down(), "down")):
        hint = str(failed(step, sqlstate=sqlstate, message=message).hint)
        assert hint.startswith((remedy, "the server was", "run as a role")) and remedy in hint
        assert hint.endswith(f"then run turnback {again} again")
        assert "fix" not in hint
    assert "fix the file" in str(failed(sqlstate=sqlstate, message="it is wrong").hint) or (
        sqlstate == "42501"
    )


def test_a_read_only_server_is_not_a_verify_script_that_writes() -> None:
    assert "name the endpoint of the writer" in str(failed(sqlstate="25006").hint)
    step = step_up(migration("0002", verify="DELETE FROM a;\n"))
    assert step.verify is not None
    verification = Step(step.migration, "up", step.verify)
    hint = str(failed(verification, index=0, sqlstate="25006").hint)
    assert "a verify script may read, but not write" in hint


def test_what_was_kept_makes_a_migration_incomplete() -> None:
    error = ServerError(0, "23505", "duplicate")
    found = point(UP, error, 0, None, incomplete="statement 1 was kept")
    assert isinstance(found, MigrationIncomplete)
    assert found.hint == "statement 1 was kept"
    transient = point(UP, ServerError(0, "55P03", "locked"), 0, None, incomplete="kept")
    assert isinstance(transient, LockTimeout)
    assert str(transient.hint).startswith("kept; try again")


def test_a_quote_that_is_left_open_is_shown_where_it_begins() -> None:
    step = step_up(migration("0002", "SELECT 1;\nSELECT 'open;\n"))
    assert step.runnable.statements is None
    error = failed(step, index=0, sqlstate="42601", message="far away", position=BEFORE + 2)
    assert (error.line, error.column) == (2, 8)
    assert "unterminated quoted string" in error.message
    # Another error of the same text is shown as the server says it.
    other = failed(step, index=0, sqlstate="42703", message="far away", position=BEFORE + 2)
    assert (other.message, other.line) == ("far away", 1)


@pytest.mark.parametrize(
    ("sqlstate", "word"),
    [("53100", "disk is full"), ("53200", "memory"), ("53400", "limit"), ("58030", "its log")],
)
def test_trouble_of_the_server_is_not_said_to_be_the_fault_of_the_file(
    sqlstate: str, word: str
) -> None:
    for step, again in ((UP, "run turnback up again"), (down(), "run turnback down again")):
        hint = str(failed(step, sqlstate=sqlstate).hint)
        assert word in hint
        assert again in hint
        assert "fix" not in hint


@pytest.mark.parametrize(("sqlstate", "words"), [("53100", "disk is full"), ("42501", "rights")])
def test_a_record_that_cannot_be_written_says_why(sqlstate: str, words: str) -> None:
    # The first statement of ours behind those of the script.
    error = ServerError(2 + 3 + 1, sqlstate, "could not extend file")
    found = transaction._failure(UP, error, BEFORE, 2, "")
    assert isinstance(found, DatabaseRefused)
    assert words in str(found.hint)
    assert ("rights" in str(found.hint)) == (sqlstate == "42501")


@pytest.mark.parametrize("sqlstate", ["42P01", "42703"])
def test_a_script_that_removes_the_history_is_named_as_that_and_not_as_missing_rights(
    sqlstate: str,
) -> None:
    # The record is the fifth statement of ours behind those of the script.
    error = ServerError(2 + 3 + 4, sqlstate, 'relation "migrations" does not exist')
    found = transaction._failure(UP, error, BEFORE, 2, "")
    assert isinstance(found, MigrationFailed)
    assert found.message.startswith("the script removes what turnback has recorded")
    assert "rights" not in str(found.hint)
