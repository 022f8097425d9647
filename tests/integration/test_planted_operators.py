"""Whoever may create in a schema of the search path has no operator of theirs run by turnback."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from turnback.engine import Engine, RunContext
from turnback.engine.look import other_runs
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.dumps import others
from tests.integration.command_line import Answer, turnback

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
# Of what backups and restores compare; and functions that match their arguments better than ours.
FEWER_TYPES = ("varchar", "text", "name", '"char"', "oid", "bigint", "boolean", "jsonb")
FUNCTIONS = (
    "to_jsonb(pg_catalog.pg_database) RETURNS jsonb",
    "format(text, name) RETURNS text",
    "format(text, name, text) RETURNS text",
    "to_char(timestamp, text) RETURNS text",
)
FILES = {
    "sql/0001_t.sql": "CREATE TABLE t (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE t;\n",
    "sql/0002_i.sql": "CREATE INDEX CONCURRENTLY t_id ON t (id);\n",
    "rollback/0002_rollback.sql": "DROP INDEX CONCURRENTLY t_id;\n",
    "sql/0003_half.sql": "-- turnback: no-transaction\nCREATE TABLE a ();\nSELECT never();\n",
    "rollback/0003_rollback.sql": "DROP TABLE a;\n",
}


def plant(url: str, schema: str = "public", types: Sequence[str] = TYPES) -> None:
    """An operator for every pair of types, wherever the server has none of exactly that pair."""
    body = "BEGIN RAISE EXCEPTION 'planted'; END"
    statements = [f"CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path = {schema};"]
    for number, (left, right) in enumerate(itertools.product(types, types)):
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
    statements += [
        f"CREATE FUNCTION {function} LANGUAGE plpgsql AS $${body}$$;" for function in FUNCTIONS
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
        assert engine.has_changed()
        assert [done.version for done in engine.done_by_run(project.migrations)] == ["0001", "0002"]
        assert other_runs.applied_on_top(engine.connection, "public", "r-1", ["0001"]) == []
        since = "2026-01-01T00:00:00Z"
        assert other_runs.changes_since(engine.connection, "public", "r-1", since, ["0001"])
        assert other_runs.rolled_back_by(engine.connection, "public", "r-1") == []
        assert engine.run(engine.plan_down_run("r-1")).error is None
        engine.verify_rolled_back(["0001", "0002"])


@pytest.fixture
def attacked(database: str, admin: psycopg.Connection) -> Iterator[str]:
    """The address of a superuser whose search_path has planted operators, in ``postgres`` too."""
    name = conninfo_to_dict(database)["dbname"]
    role = f"r_attacked_{name}"
    admin.execute(f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'secret'".encode())
    admin.execute(f"ALTER ROLE {role} SET search_path = planted, public".encode())
    beside = make_conninfo(database, dbname="postgres")
    for url in (database, beside):
        plant(url, "planted", FEWER_TYPES)
    yield make_conninfo(database, user=role, password="secret")
    with psycopg.connect(beside, autocommit=True) as connection:
        connection.execute("DROP SCHEMA planted CASCADE")
    for other, _ in others(admin, f"/{name}"):
        admin.execute(f'DROP DATABASE "{other}" WITH (FORCE)'.encode())
    admin.execute(f"ALTER DATABASE {name} OWNER TO postgres".encode())
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"REASSIGN OWNED BY {role} TO postgres".encode())
    admin.execute(f"DROP ROLE {role}".encode())


def test_no_backup_restore_or_rehearsal_runs_what_was_planted(
    attacked: str, project_factory: ProjectFactory
) -> None:
    files = {path: text for path, text in FILES.items() if "0003" not in path}
    folder = project_factory(files)

    def run(*arguments: str) -> Answer:
        answer = turnback(*arguments, url=attacked, folder=folder)
        assert answer.code == 0, answer
        return answer

    run("rehearse", "--all", "--shadow-url", attacked)
    run("up", "0001")
    run("backup", "--dry-run")
    taken = run("backup", "--json").document["run"]
    run("up")
    run("snapshots")
    name = conninfo_to_dict(attacked)["dbname"]
    run("restore", taken, "--into", f"{name}_beside", "--dry-run")
    run("restore", taken, "--into", f"{name}_beside")
    run("restore", taken, "--dry-run")
    run("restore", taken, "--yes")
    # Again, with the database that the first one kept beside it.
    run("restore", taken, "--yes")
    assert "kept by a restore" in turnback("health", url=attacked, folder=folder).err
    run("status")
    new = make_conninfo(attacked, dbname=f"{name}_new")
    for command in ("create", "wait", "drop"):
        more = ("--yes",) if command == "drop" else ()
        assert turnback("db", command, *more, url=new, folder=folder).code == 0


@pytest.mark.parametrize("kind", ["a view", "a table"])
def test_a_planted_history_runs_nothing_when_it_is_read(
    database: str, admin: psycopg.Connection, project_factory: ProjectFactory, kind: str
) -> None:
    """A view's functions, and casts, run with the rights of whoever reads."""
    name = conninfo_to_dict(database)["dbname"]
    role = f"r_planter_{name}"
    admin.execute(f"CREATE ROLE {role}".encode())
    columns = (
        "'t'::text AS name, ''::text AS checksum, now() AS applied_at, 0 AS execution_time, "
        "true AS success, NULL::text AS error, NULL::timestamptz AS rolled_back_at"
    )
    raising = "LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'planted'; END$$"
    made = (
        f"CREATE FUNCTION version() RETURNS text {raising};"
        f"CREATE VIEW migrations AS SELECT public.version() AS version, {columns};"
        if kind == "a view"
        else "CREATE TYPE number AS (n int);"
        f"CREATE FUNCTION to_n(number) RETURNS numeric {raising};"
        "CREATE CAST (number AS numeric) WITH FUNCTION to_n(number);"
        f"CREATE TABLE migrations AS SELECT ROW(1)::number AS version, {columns};"
    )
    word = kind.removeprefix("a ").upper()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {role}; SET ROLE {role}".encode())
        connection.execute(
            f"{made} COMMENT ON {word} migrations IS 'turnback history, format 1'".encode()
        )
    folder = project_factory(FILES)
    try:
        for command in ("status", "health", "up", "down", "backup"):
            answer = turnback(command, url=database, folder=folder)
            assert "planted" not in answer.out + answer.err
            assert "cannot be trusted" in answer.out + answer.err
            assert answer.code == (3 if command == "health" else 2), answer
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role} CASCADE".encode())
        admin.execute(f"DROP ROLE {role}".encode())
