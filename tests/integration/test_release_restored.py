"""Runs that end half rolled back, then restored by policy or by a person, never silently."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import TARGET, Stack
from tests.integration.releases import (
    FIRST,
    GOOD,
    LEFT_HALF_DONE,
    Deploy,
    health,
    tables,
)

# Two migrations that run, and a third that fails half way outside a transaction. The rollback of
# the first does not run on the rows that are there: the rehearsal's database was empty.
STUCK = {
    **FIRST,
    "sql/0003_phone.sql": "ALTER TABLE users DROP COLUMN email;\n",
    "rollback/0003_rollback.sql": "ALTER TABLE users ADD COLUMN email text NOT NULL;\n",
    "sql/0004_tags.sql": "CREATE TABLE tags (id bigint);\n",
    "rollback/0004_rollback.sql": "DROP TABLE tags;\n",
    "sql/0005_index.sql": "CREATE INDEX CONCURRENTLY nodes_id ON nodes (id);\n"
    "CREATE UNIQUE INDEX CONCURRENTLY nodes_kind ON nodes ((id % 2));\n",
    "rollback/0005_rollback.sql": "DROP INDEX CONCURRENTLY nodes_kind;\n"
    "DROP INDEX CONCURRENTLY nodes_id;\n",
}
DUMP = {"SnapshotKind": "dump"}


def write_rows(database: str) -> None:
    """What the application wrote before the release."""
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users SELECT n, 'mail ' || n FROM generate_series(1, 50) n")
        connection.execute("INSERT INTO nodes SELECT n FROM generate_series(1, 50) n")


def rows(database: str) -> dict[str, str]:
    """A checksum of each table's rows."""
    found = {}
    with psycopg.connect(database) as connection:
        for name in sorted(tables(database)):
            query = sql.SQL("SELECT t::text FROM {} t ORDER BY 1").format(sql.Identifier(name))
            text = "\n".join(row for (row,) in connection.execute(query))
            found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found


def databases(database: str) -> list[str]:
    with psycopg.connect(database) as connection:
        name = connection.info.dbname
        query = "SELECT datname FROM pg_database WHERE datname LIKE %s ORDER BY 1"
        return [found for (found,) in connection.execute(query, [f"{name}%"])]


def drop_kept(database: str) -> None:
    """The old database, which turnback keeps; this server is shared by all tests."""
    with psycopg.connect(database, autocommit=True) as connection:
        own = connection.info.dbname
        for name in databases(database):
            if name != own:
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
                connection.execute(drop.format(sql.Identifier(name)))


def stuck(
    stack: Stack, database: str, project_factory: ProjectFactory, tmp: Path
) -> tuple[Any, dict[str, str]]:
    """A first release, rows, and a second one that fails and whose rollback fails."""
    stack.release(project_factory(FIRST), "1.0.0", tmp)
    write_rows(database)
    before = rows(database)
    return stack.release(project_factory(STUCK), "1.1.0", tmp), before


def test_half_a_file_outside_a_transaction_is_rolled_back_with_the_rest(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    run = stack.release(project_factory(LEFT_HALF_DONE), "1.1.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "MigrationIncomplete")
    assert run.statuses[-1] == "rolled_back"
    assert tables(database) == {"users", "nodes"}
    assert health(database)["0004"] == "rolled_back"
    assert stack.record(run.messages[-1]["run"], "report")["verified"] == "exact"


def test_where_the_rollback_fails_the_policy_automatic_restores_the_rows(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(**DUMP, RestorePolicy="automatic", RestorePollSeconds="1")
    run, before = stuck(stack, database, project_factory, tmp_path)
    try:
        assert (run.status, run.error) == ("FAILED", "MigrationIncomplete")
        last = run.messages[-1]
        assert last["status"] == "restored"
        assert rows(database) == before
        assert health(database) == {"0001": "applied", "0002": "applied"}
        kept = last["restore"]["kept"]
        assert kept in databases(database)
        assert last["rollback_error"]["type"] == "RollbackFailed"
        assert last["rollback_error"]["file"] == "rollback/0003_rollback.sql"
        assert last["loss"]["since"] and last["loss"]["approximate"] is True
        assert kept in last["summary"]
    finally:
        drop_kept(database)


def test_after_a_restore_the_fixed_release_can_be_released(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(**DUMP, RestorePolicy="automatic", RestorePollSeconds="1")
    stuck(stack, database, project_factory, tmp_path)
    try:
        run = stack.release(project_factory(GOOD), "1.2.0", tmp_path)
        assert run.status == "SUCCEEDED"
        assert tables(database) == {"users", "nodes", "edges"}
    finally:
        drop_kept(database)


def test_without_a_snapshot_or_with_the_policy_never_a_person_is_needed_and_learns_why(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(**DUMP, RestorePolicy="never")
    run, _ = stuck(stack, database, project_factory, tmp_path)

    assert run.error == "NeedsAPerson"
    last = run.messages[-1]
    assert last["status"] == "needs_a_person"
    assert "RestorePolicy is never" in last["restore_error"]["message"]
    # The report is exact: 0005 and 0004 are rolled back, 0003 is not.
    assert {row["version"]: row["status"] for row in last["migrations"]} == {
        "0003": "applied",
        "0004": "rolled_back",
        "0005": "rolled_back",
    }


def test_what_is_rolled_back_but_not_as_before_is_not_called_rolled_back(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    forgetful = {
        **GOOD,
        "sql/0003_edges.sql": "CREATE TABLE edges (a bigint);\n"
        "CREATE TABLE forgotten (a bigint);\n",
        "sql/0004_tags.sql": "SELECT 1/0;\n",
        "rollback/0004_rollback.sql": "SELECT 1;\n",
    }
    stack = deploy()
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    run = stack.release(project_factory(forgetful), "1.1.0", tmp_path)

    assert run.error == "NeedsAPerson"
    last = run.messages[-1]
    assert last["rollback_error"]["type"] == "VerificationFailed"
    assert "forgotten" in last["rollback_error"]["message"]


FAILING = {
    "sql/0004_tags.sql": "CREATE TABLE tags (id bigint);\nSELECT 1/(SELECT 0 FROM users);\n",
    "rollback/0004_rollback.sql": "DROP TABLE tags;\n",
}
PEOPLE = "CREATE SCHEMA app;\nCREATE TABLE app.people (id bigint PRIMARY KEY);\n"


@pytest.mark.parametrize(
    ("forward", "rollback", "lost"),
    [
        (
            "ALTER TABLE users DROP COLUMN email;\n",
            "ALTER TABLE users ADD COLUMN email text NOT NULL DEFAULT '';\n"
            "ALTER TABLE users ALTER COLUMN email DROP DEFAULT;\n",
            ["column users.email, with its values"],
        ),
        ("UPDATE users SET email = 'gone';\n", "SELECT 1;\n", ["values of users.email"]),
        (
            "DO $$ BEGIN DELETE/**/FROM users WHERE id = 1; END $$;\n",
            "SELECT 1;\n",
            ["rows of users"],
        ),
        ("DROP SCHEMA app CASCADE;\n", PEOPLE, ["schema app", "table app.people, with its rows"]),
        # The rollback script is what destroys.
        ("SELECT 1;\n", "UPDATE users SET email = 'gone';\n", ["values of users.email"]),
    ],
    ids=["column", "update", "block", "schema", "rollback"],
)
def test_data_that_no_rollback_script_brings_back_is_named_and_not_called_as_before(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    forward: str,
    rollback: str,
    lost: list[str],
) -> None:
    base = {**FIRST, "sql/0002_nodes.sql": FIRST["sql/0002_nodes.sql"] + PEOPLE}
    third = {"sql/0003_change.sql": forward, "rollback/0003_rollback.sql": rollback}
    stack = deploy()
    stack.release(project_factory(base), "1.0.0", tmp_path)
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users VALUES (1, 'a mail'), (2, 'another')")
        connection.execute("INSERT INTO app.people VALUES (1)")
    run = stack.release(project_factory({**base, **third, **FAILING}), "1.1.0", tmp_path)

    assert run.statuses[-1] == "rolled_back"
    summary = run.messages[-1]["summary"]
    assert "the database is as before" not in summary and "no data was destroyed" not in summary
    assert [words for words in lost if words not in summary] == []


def test_a_release_that_destroyed_nothing_says_so(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    third = {
        "sql/0003_change.sql": "ALTER TABLE users ADD plan text;\nUPDATE users SET plan = 'x';\n"
        "INSERT INTO nodes VALUES (7);\n",
        "rollback/0003_rollback.sql": "DELETE FROM nodes WHERE id = 7;\n"
        "ALTER TABLE users DROP plan;\n",
    }
    stack = deploy()
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users VALUES (1, 'a mail'), (2, 'another')")
    run = stack.release(project_factory({**FIRST, **third, **FAILING}), "1.1.0", tmp_path)

    assert run.statuses[-1] == "rolled_back"
    assert "no data was destroyed" in run.messages[-1]["summary"]


def test_a_run_downwards_takes_the_database_back_to_a_release(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    stack.release(project_factory(GOOD), "1.1.0", tmp_path)
    started = stack.start({"artifact": None, "rollback_to": "1.0.0"})
    run = stack.ended(started)

    assert run.status == "SUCCEEDED", run.cause
    assert tables(database) == {"users", "nodes"}
    assert health(database)["0003"] == "rolled_back"
    last = run.messages[-1]
    assert last["release"] == "1.0.0" and "1 migration rolled back" in last["summary"]


def test_a_redriven_step_of_a_run_that_ended_changes_nothing(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(**DUMP, RestorePolicy="automatic", RestorePollSeconds="1")
    run, before = stuck(stack, database, project_factory, tmp_path)
    try:
        name = run.messages[-1]["run"]
        plan = stack.record(name, "plan")
        state = {
            "run": name,
            "target": TARGET,
            "artifact": plan["artifact"],
            "trigger": "test",
            "dry_run": False,
            "plan": {"release": plan["release"], "direction": "up", "restore": "automatic"},
            "snapshot": {
                "kind": "dump",
                "id": run.messages[-1]["snapshot"]["id"],
                "state": "available",
                "taken_at": run.messages[-1]["loss"]["since"],
            },
        }
        payload = {"state": state, "execution": "arn", "started_at": "2026-11-22T09:15:43.402Z"}
        assert stack.invoke("restore", payload)["state"] == "restored"
        assert stack.invoke("roll_back", payload)["done"] is True
        assert stack.invoke("restore", {**payload, "only": "assess"})["decision"] == "as_before"
        assert rows(database) == before
    finally:
        drop_kept(database)
    assert json.dumps(state)
