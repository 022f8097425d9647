"""What is run, skipped or refused of the rollback script of a migration that is half done."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from turnback.engine.look.half_done import HalfDone, ScriptEffects
from turnback.engine.outside.decide import (
    Facts,
    FailureFacts,
    Refuse,
    Run,
    Skip,
    decide,
    decide_after_failure,
)
from turnback.engine.session.message import ServerError
from turnback.sql.statements import Statement, split
from turnback.sql.tree import makes


def one(sql: str) -> Statement:
    (statement,) = split(sql)
    return statement


def half_of(forward: str, done: int) -> HalfDone:
    """A migration of which the first statements are done."""
    effects = ScriptEffects.of(split(forward))
    numbers = frozenset(range(1, done + 1))
    return HalfDone("0002", "second", "", numbers, frozenset({"r"}), effects)


@dataclass(frozen=True)
class Case:
    """A statement of the rollback script, and what is known when it is decided."""

    forward: str
    done: int
    statement: str
    decision: Run | Skip | Refuse
    script: str = ""
    never_dropped: frozenset[str] = field(default=frozenset())
    exists: bool = True
    plannable: bool = True


CASES = {
    "what was created is dropped": Case("CREATE TABLE a ()", 1, "DROP TABLE a", Run()),
    "what was never created is skipped": Case(
        "CREATE TABLE a (); CREATE TABLE b ()",
        1,
        "DROP TABLE b",
        Skip("b was never created"),
    ),
    "even where something older has its name": Case(
        "CREATE TABLE a (); ALTER TABLE t RENAME TO old; CREATE TABLE t ()",
        1,
        "DROP TABLE t",
        Skip("t was never created"),
    ),
    "a name that a done statement makes as well was created": Case(
        "CREATE TABLE a (); DROP TABLE a; CREATE TABLE a ()", 1, "DROP TABLE a", Run()
    ),
    "one column that was never created is skipped": Case(
        "ALTER TABLE t ADD x int; ALTER TABLE t ADD y int",
        1,
        "ALTER TABLE t DROP COLUMN y",
        Skip("t.y was never created"),
    ),
    "a rename that was never made is skipped": Case(
        "CREATE TABLE a (); ALTER TABLE t RENAME TO old",
        1,
        "ALTER TABLE old RENAME TO t",
        Skip("old was never created"),
    ),
    "an index is dropped that the log knows nothing of": Case(
        "CREATE TABLE a ()", 1, "DROP INDEX elsewhere", Run()
    ),
    "an update whose forward update is not done is refused": Case(
        "CREATE TABLE a (); UPDATE t SET id = 2",
        1,
        "UPDATE t SET id = 1",
        Refuse("statement 2 of the forward script, which writes rows, is not done"),
    ),
    "an update whose forward update is done runs": Case(
        "CREATE TABLE a (); UPDATE t SET id = 2; CREATE TABLE b ()", 2, "UPDATE t SET id = 1", Run()
    ),
    "an update of something that was never created is skipped": Case(
        "CREATE TABLE a (); UPDATE t SET id = 2",
        1,
        "UPDATE t SET never = 1",
        Skip("what it reads or writes was never created"),
        plannable=False,
    ),
    "rows of a table of its own are deleted though the insert is not done": Case(
        "CREATE TABLE a (); INSERT INTO a VALUES (1)", 1, "DELETE FROM a", Run()
    ),
    "rows of another table are not": Case(
        "CREATE TABLE a (); INSERT INTO t VALUES (1)",
        1,
        "DELETE FROM t",
        Refuse("statement 2 of the forward script, which writes rows, is not done"),
    ),
    "rows of a table of its own are not deleted where an update is not done": Case(
        "CREATE TABLE a (); UPDATE a SET id = 1",
        1,
        "DELETE FROM a",
        Refuse("statement 2 of the forward script, which writes rows, is not done"),
    ),
    "a truncate of a table of its own and another one is refused": Case(
        "CREATE TABLE a (); INSERT INTO t VALUES (1)",
        1,
        "TRUNCATE a, t",
        Refuse("statement 2 of the forward script, which writes rows, is not done"),
    ),
    "rows are not restored into a table that still has them": Case(
        "CREATE TABLE a (); DROP TABLE t",
        1,
        "INSERT INTO t SELECT * FROM a",
        Refuse("t was never dropped, and still has its rows"),
        never_dropped=frozenset({"t"}),
    ),
    "rows are restored into a table that was dropped": Case(
        "CREATE TABLE a (); DROP TABLE t", 2, "INSERT INTO t SELECT * FROM a", Run()
    ),
    "a block is refused where rows are not written": Case(
        "CREATE TABLE a (); UPDATE t SET id = 2",
        1,
        "DO $$ BEGIN END $$",
        Refuse("statement 2 of the forward script, which writes rows, is not done"),
    ),
    "a table that nothing makes is not dropped": Case(
        "CREATE TABLE a ()",
        1,
        "DROP TABLE IF EXISTS t",
        Refuse("nothing in the forward script makes t"),
    ),
    "a table that nothing makes and that does not exist is": Case(
        "CREATE TABLE a ()", 1, "DROP TABLE IF EXISTS t", Run(), exists=False
    ),
    "a table that a block may have made is": Case(
        "DO $$ BEGIN END $$; CREATE TABLE a ()", 1, "DROP TABLE t", Run()
    ),
    "a table that the rollback script makes is": Case(
        "CREATE TABLE a ()", 1, "DROP TABLE kept", Run(), script="CREATE TABLE kept AS SELECT 1"
    ),
    "a column that nothing makes is not dropped": Case(
        "CREATE TABLE a ()",
        1,
        "ALTER TABLE t DROP COLUMN body",
        Refuse("nothing in the forward script makes t.body"),
    ),
    "a column of a table that was renamed since is": Case(
        "ALTER TABLE t2 ADD y int; CREATE TABLE b ()", 1, "ALTER TABLE t DROP COLUMN y", Run()
    ),
    "a column of a table of its own is": Case(
        "CREATE TABLE a (x int)", 1, "ALTER TABLE a DROP COLUMN x", Run()
    ),
    "a column of a table with a schema that was renamed since is": Case(
        "ALTER TABLE s.t2 ADD y int; CREATE TABLE b ()", 1, "ALTER TABLE s.t DROP COLUMN y", Run()
    ),
    "a table of a schema of its own is": Case("CREATE SCHEMA s", 1, "DROP TABLE s.t", Run()),
    "a table is no column because it has a schema": Case(
        "ALTER TABLE a ADD y int",
        1,
        "DROP TABLE s.y",
        Refuse("nothing in the forward script makes s.y"),
    ),
    "a schema that nothing makes is not dropped": Case(
        "CREATE TABLE a ()", 1, "DROP SCHEMA s", Refuse("nothing in the forward script makes s")
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_statement_is_decided_by_what_was_done(name: str) -> None:
    case = CASES[name]
    facts = Facts(
        half_of(case.forward, case.done),
        frozenset().union(*map(makes, split(case.script))),
        case.never_dropped,
        case.exists,
        case.plannable,
    )
    assert decide(one(case.statement), facts) == case.decision


def test_of_several_things_each_is_decided_by_itself() -> None:
    facts = Facts(half_of("CREATE TABLE a (); CREATE TABLE b ()", 1), exists=True)
    decision = decide(one("DROP TABLE b, a CASCADE"), facts)
    assert isinstance(decision, Run)
    assert [part.sql for part in decision.parts] == ["DROP TABLE b CASCADE", "DROP TABLE a CASCADE"]
    assert [decide(part, facts) for part in decision.parts] == [Skip("b was never created"), Run()]


def test_a_log_of_an_older_turnback_knows_nothing_so_everything_runs() -> None:
    facts = Facts(HalfDone("0002", "", "", frozenset({1}), frozenset({"r"})), exists=True)
    assert decide(one("DROP TABLE t"), facts) == Run()
    assert decide(one("UPDATE t SET id = 1"), facts) == Run()


@pytest.mark.parametrize(
    ("sql", "sqlstate", "facts", "reason"),
    [
        ("DROP TABLE a", "42P01", FailureFacts(), "never created: it"),
        ("DROP FUNCTION f()", "42883", FailureFacts(), "never created: it"),
        ("ALTER TABLE a DROP COLUMN b", "42703", FailureFacts(True), "never created: it"),
        ("ALTER TABLE a ADD b int", "42P01", FailureFacts(), "never created: it"),
        # The table exists: the type, or what is referred to, is missing.
        ("ALTER TABLE a ADD b nothing", "42704", FailureFacts(True), None),
        ("CREATE INDEX i ON a (b)", "42703", FailureFacts(), None),
        ("CREATE INDEX i ON a (b)", "42P07", FailureFacts(), "still exists: it"),
        ("ALTER TABLE a ADD b int", "42701", FailureFacts(True), "still exists: it"),
        ("ALTER TABLE a RENAME TO b", "42P07", FailureFacts(True), None),
        ("DO $$ BEGIN END $$", "42P01", FailureFacts(), None),
        ("SELECT f()", "42883", FailureFacts(), None),
        ("CALL p()", "42P07", FailureFacts(), None),
        (
            "ALTER TABLE a ATTACH PARTITION b DEFAULT",
            "42809",
            FailureFacts(True, True),
            "still attached: it",
        ),
        ("ALTER TABLE a ATTACH PARTITION b DEFAULT", "42809", FailureFacts(True), None),
        ("DROP TABLE a", "42809", FailureFacts(), None),
        ("DROP TABLE a", "23505", FailureFacts(), None),
    ],
)
def test_a_failure_is_forgiven_only_where_there_was_nothing_to_undo(
    sql: str, sqlstate: str, facts: FailureFacts, reason: str | None
) -> None:
    decision = decide_after_failure(one(sql), ServerError(0, sqlstate, "it"), facts)
    assert decision == (None if reason is None else Skip(reason, sqlstate))


def test_after_a_failure_several_things_are_tried_one_by_one() -> None:
    error = ServerError(0, "42P01", "it")
    decision = decide_after_failure(one("DROP TABLE a, b"), error, FailureFacts())
    assert isinstance(decision, Run)
    assert [part.sql for part in decision.parts] == ["DROP TABLE a", "DROP TABLE b"]
