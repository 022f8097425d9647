"""What the log says of migrations that began outside a transaction and did not finish."""

from __future__ import annotations

from turnback.engine.look.half_done import (
    HalfDone,
    LogRow,
    ScriptEffects,
    of_run,
    read_half_done,
)
from turnback.engine.look.history import StoredScript
from turnback.sql.statements import split

EFFECTS = ScriptEffects.of(
    split("CREATE TABLE a (); INSERT INTO a VALUES (1); SELECT 1; CREATE TABLE b (); DELETE FROM a")
)
NOTE = EFFECTS.to_json("second")


def row(
    outcome: str,
    statement: int | None = None,
    *,
    version: str = "0002",
    run: str = "r-1",
    text: str | None = None,
    rollback: tuple[str, str] | None = None,
) -> LogRow:
    path, sql = rollback or (None, None)
    return LogRow(version, run, statement, outcome, "c0ffee", text, path, sql)


BEGIN = row("started", text=NOTE, rollback=("rollback/0002.sql", "DROP TABLE a"))


def read(*rows: LogRow) -> HalfDone:
    (half,) = read_half_done(rows)
    return half


def test_effects_are_the_names_and_the_rows_of_each_statement() -> None:
    assert EFFECTS.makes == {1: frozenset({"a"}), 4: frozenset({"b"})}
    assert EFFECTS.writes == {2: "InsertStmt", 5: "DeleteStmt"}


def test_the_note_at_the_beginning_is_read_back() -> None:
    half = read(BEGIN, row("done", 1))
    assert half == HalfDone(
        version="0002",
        name="second",
        checksum="c0ffee",
        done=frozenset({1}),
        runs=frozenset({"r-1"}),
        effects=EFFECTS,
        rollback=StoredScript("rollback/0002.sql", "DROP TABLE a"),
    )
    assert half.key == "2"


def test_a_migration_that_was_only_begun_has_changed_nothing() -> None:
    assert read_half_done([BEGIN]) == []
    assert read_half_done([BEGIN, row("failed")]) == []
    assert read_half_done([]) == []


def test_a_statement_whose_end_is_not_recorded_counts() -> None:
    half = read(BEGIN, row("started", 1, run="r-2", text="on a"))
    assert (half.done, half.runs, half.notes) == (frozenset(), frozenset({"r-2"}), ("on a",))


def test_a_statement_that_ended_leaves_no_note() -> None:
    half = read(BEGIN, row("started", 1, text="on a"), row("done", 1))
    assert (half.done, half.notes) == (frozenset({1}), ())


def test_a_failure_of_the_whole_ends_what_was_begun() -> None:
    assert read_half_done([BEGIN, row("started", 1, text="on a"), row("failed")]) == []
    half = read(BEGIN, row("done", 1), row("started", 2, text="on a"), row("failed"))
    assert (half.done, half.notes) == (frozenset({1}), ())


def test_a_statement_that_failed_and_left_something_counts() -> None:
    half = read(BEGIN, row("failed", 1, run="r-3"))
    assert (half.done, half.runs) == (frozenset(), frozenset({"r-3"}))


def test_a_note_without_text_is_no_note() -> None:
    assert read(BEGIN, row("started", 1)).notes == ()


def test_the_log_of_an_older_turnback_has_no_beginning() -> None:
    half = read(row("done", 1))
    assert (half.name, half.checksum, half.effects, half.rollback) == ("", "", None, None)
    assert (half.made(), half.never_made(), half.not_written()) == (frozenset(), frozenset(), [])


def test_a_rollback_script_may_be_empty_and_may_be_missing() -> None:
    empty = read(row("started", text=NOTE, rollback=("r.sql", "")), row("done", 1))
    assert empty.rollback == StoredScript("r.sql", "")
    assert read(row("started", text=NOTE), row("done", 1)).rollback is None


def test_the_last_beginning_counts() -> None:
    later = ScriptEffects.of(split("CREATE TABLE c ()")).to_json("renamed")
    half = read(BEGIN, row("done", 1), row("started", text=later))
    assert (half.name, half.made(), half.rollback) == ("renamed", {"c"}, None)


def test_versions_are_read_apart_and_keep_their_order() -> None:
    rows = [
        row("done", 1, version="0003"),
        row("started", text=NOTE),
        row("done", 2, run="r-2"),
        row("done", 1, version="0001"),
    ]
    found = read_half_done(rows)
    assert [half.version for half in found] == ["0003", "0002", "0001"]
    assert of_run(found, "r-2") == [found[1]]


def test_what_was_made_what_never_was_and_which_rows_were_not_written() -> None:
    half = read(BEGIN, row("done", 1), row("done", 2))
    assert half.made() == {"a"}
    assert half.never_made() == {"b"}
    assert half.not_written() == [(5, "DeleteStmt")]


def test_a_name_that_a_done_statement_makes_was_made() -> None:
    note = ScriptEffects.of(split("CREATE TABLE a (); DROP TABLE a; CREATE TABLE a ()"))
    half = read(row("started", text=note.to_json("x")), row("done", 1))
    assert (half.made(), half.never_made()) == ({"a"}, frozenset())
