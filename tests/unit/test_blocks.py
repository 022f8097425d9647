"""The SQL inside a PL/pgSQL body: statements, dynamic SQL, calls, and their branches."""

from __future__ import annotations

import pytest
from turnback.sql.blocks import embedded


def read(body: str) -> list[tuple[str, str]]:
    return [(part.kind, part.text) for part in embedded(body)]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("BEGIN DELETE/**/FROM t; END", [("sql", "DELETE/**/FROM t")]),
        ("BEGIN PERFORM f(1), 2; END", [("sql", "SELECT f(1), 2")]),
        ("BEGIN NULL; END; DELETE FROM t", [("sql", "DELETE FROM t")]),
        ("BEGIN EXECUTE 'x' || y USING f(z); END", [("dynamic", "'x' || y"), ("call", "f")]),
        ("BEGIN EXECUTE q INTO STRICT a, b USING c; END", [("dynamic", "q")]),
        ("BEGIN SELECT a, b INTO x, r.y FROM t; END", [("sql", "SELECT a, b FROM t")]),
        ("BEGIN SELECT INTO STRICT x a FROM t; END", [("sql", "SELECT a FROM t")]),
        (
            "BEGIN INSERT INTO t VALUES (1) RETURNING id INTO x[1]; END",
            [("sql", "INSERT INTO t VALUES (1) RETURNING id")],
        ),
        ("BEGIN DELETE FROM t RETURNING a INTO x; END", [("sql", "DELETE FROM t RETURNING a")]),
        (
            "BEGIN WITH d AS (DELETE FROM t RETURNING *) SELECT 1 INTO i FROM d; END",
            [("sql", "WITH d AS (DELETE FROM t RETURNING *) SELECT 1 FROM d")],
        ),
        ("BEGIN FOR r IN SELECT * FROM t LOOP NULL; END LOOP; END", [("sql", "SELECT * FROM t")]),
        ("BEGIN FOR r IN EXECUTE q USING a LOOP NULL; END LOOP; END", [("dynamic", "q")]),
        ("BEGIN FOR i IN REVERSE 1..f(3) LOOP NULL; END LOOP; END", [("call", "f")]),
        ("BEGIN FOREACH x IN ARRAY f() LOOP NULL; END LOOP; END", [("call", "f")]),
        (
            "BEGIN RETURN QUERY DELETE FROM t RETURNING a; END",
            [("sql", "DELETE FROM t RETURNING a")],
        ),
        ("BEGIN RETURN QUERY EXECUTE q; END", [("dynamic", "q")]),
        ("BEGIN RETURN a.f(1); END", [("call", "a.f")]),
        ("BEGIN OPEN c FOR DELETE FROM t; OPEN d(1); END", [("sql", "DELETE FROM t")]),
        ("DECLARE n numeric(10, 2) := f(); BEGIN END", [("call", "f")]),
        ("BEGIN update := 1; copy.a := 2; set[1] = g(); END", [("call", "g")]),
        ('BEGIN "delete" := "F"(1); END', [("call", '"F"')]),
        ("<<a>> BEGIN <<b>> DELETE FROM t; END", [("sql", "DELETE FROM t")]),
        (
            "BEGIN IF CASE WHEN a THEN b END = f() THEN DELETE FROM t; END IF; END",
            [("call", "f"), ("sql", "DELETE FROM t")],
        ),
        (
            "BEGIN CASE f() WHEN 1 THEN DROP TABLE t; END CASE; END",
            [("call", "f"), ("sql", "DROP TABLE t")],
        ),
        (
            "BEGIN SELECT CASE WHEN a THEN b ELSE c END; END",
            [("sql", "SELECT CASE WHEN a THEN b ELSE c END")],
        ),
        ("BEGIN RAISE NOTICE 'DROP TABLE t'; -- DROP TABLE t\nEND", []),
        ("BEGIN IF", []),
        ("DELETE", [("sql", "DELETE")]),
        ("", []),
    ],
)
def test_a_body_is_cut_into_what_it_runs(body: str, found: list[tuple[str, str]]) -> None:
    assert read(body) == found


def branches(body: str) -> list[tuple[int, ...]]:
    return [part.branch for part in embedded(body)]


def test_what_always_runs_is_in_no_branch() -> None:
    body = "BEGIN SELECT 1; BEGIN SELECT 2; END; IF a THEN NULL; END IF; SELECT 3; END"
    assert branches(body) == [(), (), ()]


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN IF a THEN SELECT 1; ELSE SELECT 2; END IF; END",
        "BEGIN IF a THEN SELECT 1; ELSIF b THEN SELECT 2; END IF; END",
        "BEGIN CASE a WHEN 1 THEN SELECT 1; WHEN 2 THEN SELECT 2; END CASE; END",
        "BEGIN FOR i IN 1..2 LOOP SELECT 1; END LOOP; WHILE a LOOP SELECT 2; END LOOP; END",
        "BEGIN IF a THEN IF b THEN SELECT 1; END IF; SELECT 2; END IF; END",
    ],
)
def test_branches_are_told_apart(body: str) -> None:
    first, second = branches(body)
    assert first and second and first != second


def test_a_handler_is_a_branch_and_the_block_before_it_is_none() -> None:
    body = "BEGIN SELECT 1; EXCEPTION WHEN a THEN SELECT 2; WHEN b THEN SELECT 3; END"
    first, second, third = branches(body)
    assert first == ()
    assert second and third and second != third


def test_a_part_says_where_it_begins() -> None:
    body = "BEGIN\n  DELETE FROM t;\n  x := s.f();\nEND"
    assert [body[part.offset :][:3] for part in embedded(body)] == ["DEL", "s.f"]
