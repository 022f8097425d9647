"""The statement of a backfill: where its range belongs, and what is refused."""

from __future__ import annotations

import pytest
from turnback.errors import InvalidMigration
from turnback.migrations.headers import read_directives
from turnback.migrations.model import Script
from turnback.sql.script import Runnable, prepare


def backfill(sql: str, directive: str = "table=users key=id") -> Runnable:
    text = f"-- turnback: backfill {directive}\n{sql}"
    return prepare(
        Script("sql/0001_a.sql", text, "0" * 64, read_directives("sql/0001_a.sql", text))
    )


@pytest.mark.parametrize(
    ("sql", "alias", "ranged"),
    [
        (
            "UPDATE users SET a = '{batch}' -- {batch}\n WHERE \"{batch}\" AND {batch} ;",
            '"users"',
            "UPDATE users SET a = '{batch}' -- {batch}\n WHERE \"{batch}\" AND (K)",
        ),
        (
            "WITH one AS (SELECT id AS i FROM other) UPDATE users SET a = i FROM one WHERE {batch}",
            '"users"',
            "WITH one AS (SELECT id AS i FROM other) UPDATE users SET a = i FROM one WHERE (K)",
        ),
        ("DELETE FROM app.users AS u WHERE {batch}", '"u"', "DELETE FROM app.users AS u WHERE (K)"),
        (
            "INSERT INTO users SELECT * FROM users WHERE {batch} OR {batch}",
            '"users"',
            "INSERT INTO users SELECT * FROM users WHERE (K) OR (K)",
        ),
        (
            "UPDATE users SET é = 'é' WHERE (a OR b) AND id IN (SELECT id FROM t WHERE {batch})",
            '"users"',
            "UPDATE users SET é = 'é' WHERE (a OR b) AND id IN (SELECT id FROM t WHERE (K))",
        ),
        (
            "INSERT INTO t SELECT * FROM (SELECT * FROM users WHERE {batch}) u LEFT JOIN o ON u.i",
            '"users"',
            "INSERT INTO t SELECT * FROM (SELECT * FROM users WHERE (K)) u LEFT JOIN o ON u.i",
        ),
    ],
)
def test_the_range_is_put_where_it_is_code(sql: str, alias: str, ranged: str) -> None:
    found = backfill(sql).ranged
    assert found and (found.alias, found.over("K")) == (alias, ranged)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE users SET a = 1", "has no {batch}"),
        ("UPDATE users SET a = 1 WHERE '{batch}' = ''", "has no {batch}"),
        ("UPDATE users SET a = 1 WHERE {batch}; SELECT 1", "one statement, in a file of its own"),
        ("", "one statement, in a file of its own"),
        ("SELECT 1 FROM users WHERE {batch}", "an UPDATE, a DELETE or an INSERT … SELECT"),
        ("DELETE FROM users WHERE {batch} RETURNING id", "returns rows"),
        ("UPDATE users SET WHERE {batch}", "syntax error"),
        ("INSERT INTO t SELECT FROM users a, users b WHERE {batch}", "does not say once"),
        ("UPDATE other SET a = 1 WHERE {batch}", "does not say once"),
        ("UPDATE users SET a = 1, id = id + 1 WHERE {batch}", "changes id, which its ranges"),
        ("UPDATE users SET (a, id) = (1, 2) WHERE {batch}", "changes id, which its ranges"),
        ("UPDATE users SET a = 1 WHERE b OR c AND {batch}", "is not a condition of every row"),
        ("UPDATE users SET a = 1 WHERE NOT (b OR {batch})", "is not a condition of every row"),
        ("UPDATE users SET a = {batch} WHERE b", "is not a condition of every row"),
        ("DELETE FROM users WHERE '{batch}' = a OR {batch}", "is not a condition"),
        ("DELETE FROM users WHERE id NOT IN (SELECT i FROM t WHERE {batch})", "is not a condition"),
        (
            "INSERT INTO t SELECT i FROM users LEFT JOIN o ON {batch} AND o.i = id",
            "is not a condition of every row",
        ),
        (
            "INSERT INTO t SELECT i FROM users WHERE {batch} UNION ALL SELECT i FROM o",
            "is not a condition of every row",
        ),
        ("INSERT INTO t SELECT i FROM users WHERE {batch} LIMIT 5", "LIMIT of the statement"),
        (
            "WITH d AS (DELETE FROM old RETURNING id) UPDATE users SET a = 1 WHERE {batch}",
            "a WITH of the statement changes rows",
        ),
    ],
)
def test_what_is_no_backfill_is_refused(sql: str, said: str) -> None:
    with pytest.raises(InvalidMigration, match=said.replace("{", r"\{")):
        backfill(sql)


def test_without_the_directive_a_batch_is_no_sql() -> None:
    script = Script("sql/0001_a.sql", "UPDATE users SET a = 1 WHERE {batch}", "0" * 64)
    assert prepare(script).statements is None


def test_an_error_is_pointed_at_in_the_file_behind_a_range_as_well() -> None:
    sql = "UPDATE users SET a = 1 WHERE {batch} AND b = 2"
    runnable = backfill(sql)
    assert runnable.ranged
    condition = "id > 1 AND id <= 2"
    sent = runnable.ranged.over(condition)
    for word in ("a = 1", "AND b", "= 2"):
        offset = sent.rindex(word)
        assert runnable.position(runnable.ranged.place(offset, condition)) == (
            2,
            sql.rindex(word) + 1,
        )
