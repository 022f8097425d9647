"""Whoever may create in a schema of the search path has no operator of theirs run by turnback."""

from __future__ import annotations

import itertools

import psycopg
import pytest
from turnback.engine import Engine, RunContext
from turnback.engine.look import other_runs
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback

# The types of what our queries compare, join and add.
TYPES = (
    "varchar",
    "text",
    "name",
    "bpchar",
    "oid",
    "regclass",
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "real",
    "double precision",
    "boolean",
    "timestamptz",
)
OPERATORS = ("=", "<>", "<", "<=", ">", ">=", "||", "+", "-", "*")
FILES = {
    "sql/0001_t.sql": "CREATE TABLE t (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE t;\n",
    "sql/0002_i.sql": "CREATE INDEX CONCURRENTLY t_id ON t (id);\n",
    "rollback/0002_rollback.sql": "DROP INDEX CONCURRENTLY t_id;\n",
    "sql/0003_half.sql": "-- turnback: no-transaction\nCREATE TABLE a ();\nSELECT never();\n",
    "rollback/0003_rollback.sql": "DROP TABLE a;\n",
}


def plant(url: str) -> None:
    """An operator for every pair of types, wherever the server has none of exactly that pair."""
    body = "BEGIN RAISE EXCEPTION 'planted'; END"
    statements = []
    for number, (left, right) in enumerate(itertools.product(TYPES, TYPES)):
        for result, symbols in (("boolean", OPERATORS[:6]), ("text", OPERATORS[6:])):
            name = f"planted_{number}_{result}"
            statements.append(
                f"CREATE FUNCTION {name}({left}, {right}) RETURNS {result} "
                f"LANGUAGE plpgsql AS $${body}$$;"
            )
            statements += [
                f"CREATE OPERATOR {symbol} "
                f"(FUNCTION = {name}, LEFTARG = {left}, RIGHTARG = {right});"
                for symbol in symbols
            ]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("".join(statements).encode())


@pytest.fixture
def planted(database: str) -> str:
    plant(database)
    return database


def test_the_operators_are_met_by_who_does_not_look_out(planted: str) -> None:
    with psycopg.connect(planted, autocommit=True) as connection:
        connection.execute("CREATE TABLE v (version varchar)")
        connection.execute("INSERT INTO v VALUES ('0001')")
        with pytest.raises(psycopg.errors.RaiseException, match="planted"):
            connection.execute("SELECT FROM v WHERE version = '0001'")


def test_no_command_of_the_engine_runs_a_planted_operator(
    planted: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(FILES)

    def run(*arguments: str) -> tuple[int, str]:
        answer = turnback(*arguments, url=planted, folder=folder)
        assert "planted" not in answer.out + answer.err
        return answer.code, answer.err

    assert run("up", "0002") == (0, "")
    code, error = run("up")
    assert (code, "never() does not exist" in error) == (6, True)
    for command in ("status", "health", "locks"):
        assert run(command)[0] in (0, 3)
    assert run("down", "0002", "--yes")[0] == 0
    assert run("repair", "0002", "--rolled-back", "--because", "a test")[0] == 0
    assert run("repair", "0002", "--applied", "--because", "a test")[0] == 0
    assert run("down", "0", "--yes")[0] == 0
    with Engine(planted, context=RunContext("r-1")) as engine:
        project = load_project(folder)
        assert engine.run(engine.plan_up(project, target="0002")).error is None
        engine.verify(project, ["0001", "0002"])
        assert engine.last_release() is None
        assert engine.releases() == {}
        assert engine.has_worked()
        assert [done.version for done in engine.done_by_run(project.migrations)] == ["0001", "0002"]
        assert other_runs.applied_on_top(engine.connection, "public", "r-1", ["0001"]) == []
        since = "2026-01-01T00:00:00Z"
        assert other_runs.changes_since(engine.connection, "public", "r-1", since, ["0001"])
        assert other_runs.rolled_back_by(engine.connection, "public", "r-1") == []
        assert engine.run(engine.plan_down_run("r-1")).error is None
        engine.verify_rolled_back(["0001", "0002"])
