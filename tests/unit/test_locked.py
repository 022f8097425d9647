"""Which tables lint takes to be locked, after the tables have changed."""

from __future__ import annotations

import pytest
from turnback.migrations.model import Script
from turnback.sql.lint.locked import locks
from turnback.sql.lint.step import steps
from turnback.sql.tables import Schema

PARTITIONED = """
CREATE TABLE old (id int) PARTITION BY LIST (id);
CREATE TABLE one PARTITION OF old FOR VALUES IN (1);
CREATE TABLE rest PARTITION OF old DEFAULT;
CREATE TABLE two (id int);
CREATE TABLE base (id int);
CREATE TABLE heir () INHERITS (base);
CREATE TABLE other (id int);
"""


@pytest.mark.parametrize(
    ("before", "sql", "locked"),
    [
        ("ALTER TABLE old RENAME TO new", "ALTER TABLE new ADD a int", {"new", "one", "rest"}),
        ("ALTER TABLE old DETACH PARTITION one", "ALTER TABLE old ADD a int", {"old", "rest"}),
        ("ALTER TABLE old DETACH PARTITION rest", "DROP TABLE one", {"old", "one"}),
        (
            "ALTER TABLE old ATTACH PARTITION two FOR VALUES IN (2)",
            "ALTER TABLE old ADD a int",
            {"old", "one", "two", "rest"},
        ),
        ("ALTER TABLE heir NO INHERIT base", "ALTER TABLE base ADD a int", {"base"}),
        (
            "ALTER TABLE other INHERIT base",
            "ALTER TABLE base ADD a int",
            {"base", "heir", "other"},
        ),
    ],
)
def test_children_are_those_that_a_table_has_by_then(
    before: str, sql: str, locked: set[str]
) -> None:
    _, schema, _ = steps(
        Script("sql/0001_t.sql", f"{PARTITIONED}{before};", ""), Schema(), fresh=frozenset()
    )
    [step], *_ = steps(Script("sql/0002_s.sql", sql, ""), schema, fresh=frozenset())
    assert set(locks(step)) == locked


def test_what_the_release_makes_itself_is_in_nobodys_way() -> None:
    script = f"{PARTITIONED}ALTER TABLE old ADD a int"
    *_, last = steps(Script("sql/0001_t.sql", script, ""), Schema(), fresh=frozenset())[0]
    assert locks(last) == {}
