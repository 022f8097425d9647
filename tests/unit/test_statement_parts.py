"""What a statement makes and takes away, and how one that drops several things is divided."""

from __future__ import annotations

import pytest
from turnback.sql.parts import parts
from turnback.sql.statements import Statement, split
from turnback.sql.tree import makes, takes_away, writes_rows


def one(sql: str) -> Statement:
    (statement,) = split(sql)
    return statement


@pytest.mark.parametrize(
    ("sql", "pieces"),
    [
        ("DROP TABLE a, s.b", ["DROP TABLE a", "DROP TABLE s.b"]),
        ("DROP TABLE a, b CASCADE", ["DROP TABLE a CASCADE", "DROP TABLE b CASCADE"]),
        ('DROP INDEX IF EXISTS "a,b", c', ['DROP INDEX IF EXISTS "a,b"', "DROP INDEX IF EXISTS c"]),
        ("DROP FUNCTION f(int, int), g()", ["DROP FUNCTION f(int, int)", "DROP FUNCTION g()"]),
        (
            "ALTER TABLE ONLY s.t DROP COLUMN a, ALTER COLUMN b TYPE numeric(1, 2) USING f(b, 1)",
            [
                "ALTER TABLE ONLY s.t DROP a",
                "ALTER TABLE ONLY s.t ALTER COLUMN b TYPE numeric(1, 2) USING f(b, 1)",
            ],
        ),
        (
            "ALTER TABLE t ADD a text DEFAULT 'x,y', ADD CONSTRAINT k CHECK (a IN ('x', 'y'))",
            [
                "ALTER TABLE t ADD COLUMN a text DEFAULT 'x,y'",
                "ALTER TABLE t ADD CONSTRAINT k CHECK (a IN ('x', 'y'))",
            ],
        ),
        (
            "DROP TABLE a /* one, */, b -- two, three",
            ["DROP TABLE a", "DROP TABLE b"],
        ),
        (
            'ALTER TABLE t DROP "constraint", DROP b',
            ['ALTER TABLE t DROP "constraint"', "ALTER TABLE t DROP b"],
        ),
        ("DROP TABLE a", None),
        ("INSERT INTO t VALUES (1), (2)", None),
    ],
)
def test_a_statement_is_divided_into_one_for_each_thing(sql: str, pieces: list[str] | None) -> None:
    found = parts(one(sql))
    assert (found and [piece.sql for piece in found]) == pieces


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("CREATE TABLE s.t (id int)", {"s.t"}),
        ("CREATE TABLE t AS SELECT 1", {"t"}),
        ("CREATE VIEW v AS SELECT 1", {"v"}),
        ("CREATE INDEX i ON t (id)", {"i"}),
        ("CREATE INDEX ON t (id)", set()),
        ("ALTER TABLE t ADD COLUMN c int, ADD CONSTRAINT k CHECK (c > 0)", {"t.c", "t.k"}),
        ("ALTER TABLE t RENAME TO u", {"u"}),
        ("ALTER TABLE t RENAME a TO b", {"t.b"}),
        ("CREATE TRIGGER x AFTER INSERT ON t EXECUTE FUNCTION f()", {"t.x"}),
        ("CREATE FUNCTION s.f() RETURNS int LANGUAGE sql RETURN 1", {"s.f"}),
        ("CREATE TYPE s.y AS ENUM ()", {"s.y"}),
        ("CREATE DOMAIN d AS int", {"d"}),
        ("CREATE SEQUENCE q", {"q"}),
        ("CREATE SCHEMA s", {"s"}),
        ("CREATE INDEX i ON s.t (id)", {"s.i"}),
        ("ALTER TYPE s.y RENAME TO z", {"s.z"}),
        ("ALTER SCHEMA s RENAME TO r", {"r"}),
        ("DROP TABLE t", set()),
    ],
)
def test_what_a_statement_makes(sql: str, names: set[str]) -> None:
    assert makes(one(sql)) == names


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("DROP TABLE s.t, public.u", ["s.t", "u"]),
        ("DROP TRIGGER x ON s.t", ["s.t.x"]),
        ("DROP FUNCTION s.f(int)", ["s.f"]),
        ("DROP TYPE s.y", ["s.y"]),
        ("DROP SCHEMA s", ["s"]),
        ("ALTER TABLE t DROP COLUMN c, DROP CONSTRAINT k, ADD d int", ["t.c", "t.k", ""]),
        ("ALTER TABLE u RENAME TO t", ["u"]),
        ("ALTER TABLE t RENAME b TO a", ["t.b"]),
        ("ALTER TABLE s.t RENAME TO u", ["s.t"]),
        ("ALTER TYPE s.y RENAME TO z", ["s.y"]),
        ("ALTER SCHEMA s RENAME TO r", ["s"]),
        ("ALTER FUNCTION s.f() RENAME TO g", ["s.f"]),
        ("CREATE TABLE t ()", []),
    ],
)
def test_what_a_statement_takes_away(sql: str, names: list[str]) -> None:
    assert takes_away(one(sql)) == names


def test_blocks_and_functions_may_write_rows_and_definitions_do_not() -> None:
    assert writes_rows(one("DO $$ BEGIN END $$"))
    assert writes_rows(one("SELECT setval('q', 1)"))
    assert writes_rows(one("UPDATE t SET a = 1"))
    assert not writes_rows(one("SELECT 1"))
    assert not writes_rows(one("ALTER TABLE t ADD a int"))
