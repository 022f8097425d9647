"""The ``-- turnback:`` lines and the documentation header of a file."""

from __future__ import annotations

import pytest
from turnback.errors import InvalidMigration
from turnback.migrations.headers import KNOWN, read_directives, read_fields
from turnback.migrations.model import Directives, Keep, Waiver


def read(sql: str) -> Directives:
    return read_directives("sql/0001_a.sql", sql)


def refusal(sql: str) -> InvalidMigration:
    with pytest.raises(InvalidMigration) as caught:
        read(sql)
    assert caught.value.file == "sql/0001_a.sql"
    return caught.value


def test_a_file_without_directives_asks_for_nothing() -> None:
    assert read("-- Migration: a\nSELECT 1;\n") == Directives()


def test_every_directive_of_the_header_is_read() -> None:
    sql = (
        "-- Migration: a\n\n"
        "-- turnback: lock-timeout 2s\n"
        "--turnback:statement-timeout 10min\r\n"
        "  --  turnback:  no-transaction  \n"
        "-- turnback: irreversible because the rows are gone\n"
        "SELECT 1;\n"
    )
    assert read(sql) == Directives(
        lock_timeout_ms=2000,
        statement_timeout_ms=600_000,
        no_transaction=True,
        irreversible="the rows are gone",
    )


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("1ms", 1), ("500 ms", 500), ("2s", 2000), ("10min", 600_000), ("1h", 3_600_000)],
)
def test_a_time_has_a_unit(text: str, milliseconds: int) -> None:
    assert read(f"-- turnback: lock-timeout {text}\n").lock_timeout_ms == milliseconds


@pytest.mark.parametrize("text", ["", "2", "2 sec", "-2s", "0s", "1.5s", "600h", "s", "2s 3s"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    error = refusal(f"\n-- turnback: statement-timeout {text}\nSELECT 1;")
    assert error.line == 2
    assert f"'statement-timeout' needs a time, not '{text}'" in error.message
    assert "ms, s, min or h" in (error.hint or "")


@pytest.mark.parametrize(
    "line", ["lock_timeout 2s", "lock-timout 2s", "backfil t", "", "Irreversible because x"]
)
def test_an_unknown_directive_is_refused_and_the_known_ones_are_named(line: str) -> None:
    error = refusal(f"-- Migration: a\n-- turnback: {line}\n")
    assert error.line == 2
    assert "unknown directive" in error.message
    assert KNOWN in (error.hint or "")


def test_a_directive_given_twice_is_refused() -> None:
    error = refusal("-- turnback: lock-timeout 2s\n-- turnback: lock-timeout 3s\n")
    assert (error.line, error.message) == (2, "the directive 'lock-timeout' is given twice")


def test_no_transaction_takes_no_value() -> None:
    assert "takes no value: 'true'" in refusal("-- turnback: no-transaction true\n").message


@pytest.mark.parametrize(
    "line", ["irreversible", "irreversible because", "irreversible because  ", "irreversible x"]
)
def test_irreversible_needs_a_reason(line: str) -> None:
    error = refusal(f"-- turnback: {line}\n")
    assert error.message == "'irreversible' needs a reason"
    assert error.hint == "write: -- turnback: irreversible because REASON"


@pytest.mark.parametrize("line", ["waive", "waive R1", "waive because x", "waive R1 R2 because x"])
def test_a_waiver_names_one_rule_and_a_reason(line: str) -> None:
    error = refusal(f"-- turnback: {line}\n")
    assert error.hint == "write: -- turnback: waive RULE because REASON"


def test_a_waiver_may_stand_before_any_statement_and_more_than_once() -> None:
    sql = (
        "-- turnback: waive R1 because it is small\nSELECT 1;\n"
        "-- turnback: waive R1 because it is small because it is new\nSELECT 2;\n"
    )
    assert read(sql).waivers == (
        Waiver("R1", "it is small", 1),
        Waiver("R1", "it is small because it is new", 3),
    )


def test_every_other_directive_belongs_before_the_first_statement() -> None:
    error = refusal("SELECT 1;\n\n-- turnback: no-transaction\n")
    assert error.line == 3
    assert "stands after the first statement" in error.message
    assert "move it to the header" in (error.hint or "")


def test_text_that_only_mentions_turnback_is_no_directive() -> None:
    assert read("-- see turnback: the tool\n/* turnback: */ SELECT 'turnback: x';") == Directives()


def test_the_documentation_header_is_read_with_its_lines() -> None:
    sql = "-- Migration: users\r\n-- version:  0007 \n--Date: 2024-01-15\n\n-- Version: not this\n"
    fields = read_fields(sql.replace("-- Version: not this\n", "SELECT 1;\n-- Version: not this\n"))
    assert fields == {
        "migration": ("users", 1),
        "version": ("0007", 2),
        "date": ("2024-01-15", 3),
    }


@pytest.mark.parametrize(
    ("mark", "outside"),
    [
        # As the documentation of each tool writes it.
        ("-- +goose NO TRANSACTION", True),
        ("-- +goose Up", False),
        ("-- +migrate Up notransaction", True),
        ("-- +migrate Down", False),
        ("-- migrate:up transaction:false", True),
        ("-- migrate:up", False),
        ("-- atlas:txmode none", True),
        ("-- atlas:txmode file", False),
        ("SELECT 1;\n-- +goose NO TRANSACTION", False),
    ],
)
def test_the_marks_of_other_tools_for_no_transaction_are_obeyed(mark: str, outside: bool) -> None:
    assert read(f"{mark}\nSELECT 1;\n").no_transaction is outside


def test_the_tables_that_a_rollback_keeps_are_read() -> None:
    text = (
        "-- turnback: keep users_backup because of its rows\n"
        '-- turnback: keep App."Old Users" because somebody may ask\nSELECT 1;\n'
    )
    assert read_directives("rollback/0001_rollback.sql", text, rollback=True).keeps == (
        Keep("public.users_backup", "of its rows"),
        Keep('app."Old Users"', "somebody may ask"),
    )
    assert "is for the rollback script" in refusal("-- turnback: keep a because b\n").message


@pytest.mark.parametrize(
    "wrong",
    [
        "keep a",
        "keep because b",
        "keep a b because c",
        "keep a.b.c because d",
        "keep a;b because c",
    ],
)
def test_a_table_to_keep_has_one_name_and_a_reason(wrong: str) -> None:
    with pytest.raises(InvalidMigration) as caught:
        read_directives("rollback/0001_rollback.sql", f"-- turnback: {wrong}\n", rollback=True)
    assert caught.value.hint == "write: -- turnback: keep TABLE because REASON"


@pytest.mark.parametrize(
    "before",
    [
        "/* Copyright 2026 */\n",
        "/* Copyright\n   /* nested */\n-- turnback: no-transaction\n   2026 */\n\n",
        "\ufeff-- a line\n  /* another */ -- and more\n",
    ],
)
def test_a_block_comment_belongs_to_the_header(before: str) -> None:
    sql = f"{before.lstrip(chr(0xFEFF))}-- turnback: lock-timeout 5s\nCREATE TABLE t (id int);\n"
    assert read(sql) == Directives(lock_timeout_ms=5000)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$\n", "\nSELECT 1\n$body$;"),
        ("DO $$\n", "\nBEGIN END $$;"),
        ("SELECT 'it''s\n", "\n';"),
        ("SELECT E'it\\'s\n", "\n';"),
        ('SELECT 1 AS "a\n', '\n";'),
        ("SELECT 1 /* $$ ' \n", "\n*/;"),
        ("SELECT a$b$ -- ' it\n, '\n", "\n';"),
    ],
)
def test_what_stands_in_a_string_a_body_or_a_comment_is_no_directive(left: str, right: str) -> None:
    assert read(f"{left}-- turnback: no-transaction{right}") == Directives()
    assert read(f"{left}-- turnback: waive TB101{right}") == Directives()


def test_a_directive_after_a_string_is_still_refused() -> None:
    error = refusal("SELECT 'a''b', $x$ ' $x$; -- it's\n-- turnback: no-transaction\n")
    assert error.line == 2


def test_an_isolation_level_is_one_that_postgres_has() -> None:
    assert read("-- turnback: isolation Repeatable  Read\n").isolation == "repeatable read"
    assert "needs a level" in refusal("-- turnback: isolation snapshot\n").message


def test_a_line_of_copied_rows_is_no_directive_and_its_quotes_open_nothing() -> None:
    rows = "COPY t FROM stdin;\n-- turnback: no-transaction\nit's\n\\.\n"
    waiver = "-- turnback: waive TB101 because it is small\nDROP TABLE t;\n"
    blocks = ["COPY t FROM stdin;\n1\n", "-- turnback: lock-timeout 1s\nit's\n", f"\\.\n{waiver}"]
    assert read(rows + waiver) == Directives(waivers=(Waiver("TB101", "it is small", 5),))
    found = read_directives("sql/0001_a.sql", blocks)
    assert found == Directives(waivers=(Waiver("TB101", "it is small", 6),))


@pytest.mark.parametrize(
    ("options", "table", "key"),
    [
        ("table=users key=id", ("users",), ("id",)),
        ("table=app.Users key=ID,tenant parallel=16", ("app", "users"), ("id", "tenant")),
        (
            'key="Id ""Nr""",b table="my.app"."Users, old"',
            ("my.app", "Users, old"),
            ('Id "Nr"', "b"),
        ),
    ],
)
def test_a_backfill_names_its_table_and_its_key_as_sql_does(
    options: str, table: tuple[str, ...], key: tuple[str, ...]
) -> None:
    found = read_directives("sql/0001_a.sql", f"-- turnback: backfill {options}\nUPDATE x").backfill
    assert found and (found.table, found.key) == (table, key)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "needs table="),
        ("table=users", "needs key="),
        ("table=users key=id,", "key= needs the columns of a unique index, not 'id,'"),
        ("table=a.b.c key=id", "table= needs a table, not 'a.b.c'"),
        ("table=t key=id parallel=17", "parallel= needs a number from 1 to 16"),
        ("table=t key=id vacuum=1", "vacuum= needs a size"),
        ("table=t key=id sweep=maybe", "sweep= needs yes or no"),
        ("table=t key=id key=b", "has key= twice"),
        ("table=t key=id speed=9", "has no option speed=: it has table, key, alias"),
        ('table="t key=id', "cannot be read from"),
    ],
)
def test_a_backfill_that_is_not_clear_is_refused(options: str, said: str) -> None:
    error = refusal(f"-- Migration: a\n-- turnback: backfill {options}\n")
    assert said in error.message and error.line == 2


def test_why_rows_stay_changed_is_read_in_a_rollback_script_alone() -> None:
    text = "-- turnback: keep-rows because 0001 drops the column\n"
    found = read_directives("rollback/0002_rollback.sql", text, rollback=True)
    assert found.keep_rows == "0001 drops the column"
    assert "for the rollback script" in refusal(f"-- Migration: a\n{text}").message
