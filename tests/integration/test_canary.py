"""A value of a row is in nothing that a failed run publishes or keeps, however it failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.errors import RestoreFailed

from tests.conftest import ProjectFactory
from tests.dumps import Memory, dump, others, request, restore
from tests.integration.command_line import turnback
from tests.integration.releases import Deploy

CANARY = "canary-7f3a"
ROWS = f"""
CREATE TABLE people (id int PRIMARY KEY, name text);
INSERT INTO people VALUES (1, '{CANARY}'), (2, '{CANARY}');
CREATE FUNCTION whose(id int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'whose is %', (SELECT name FROM people p WHERE p.id = whose.id)
    USING HINT = (SELECT name FROM people LIMIT 1);
END $$;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE unique_violation USING MESSAGE = OLD.name || ' must not change', DETAIL = OLD.name;
END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION refuse();
"""
WAYS = {
    "a constraint": "CREATE UNIQUE INDEX ON people (name);",
    "a check": "ALTER TABLE people ADD CHECK (id > 1);",
    "a cast": "ALTER TABLE people ALTER name TYPE int USING name::int;",
    "a name": "SELECT name::regclass FROM people;",
    "a search": "SELECT to_tsquery('<-> ' || name) FROM people;",
    "a raise": "DO $$ BEGIN RAISE EXCEPTION 'of %', (SELECT name FROM people LIMIT 1); END $$;",
    "an assertion": "DO $$ BEGIN ASSERT false, (SELECT name FROM people LIMIT 1); END $$;",
    "a function": "SELECT whose(1);",
    "a trigger": "UPDATE people SET id = 3 WHERE id = 2;",
    "a statement made of a row": "DO $$ BEGIN EXECUTE (SELECT name FROM people LIMIT 1); END $$;",
    "a table made of a row": "DO $$ BEGIN EXECUTE format('CREATE TABLE %I ()', (SELECT name "
    "FROM people LIMIT 1)); EXECUTE format('CREATE TABLE %I ()', (SELECT name FROM people "
    "LIMIT 1)); END $$;",
    "without a transaction": "-- turnback: no-transaction\nSELECT whose(1);",
    "a notice": "DO $$ BEGIN RAISE NOTICE 'of %', (SELECT name FROM people LIMIT 1); END $$;\n"
    "SELECT 1/0;",
}


@pytest.fixture
def with_rows(database: str) -> str:
    with psycopg.connect(database) as connection:
        connection.execute(ROWS.encode())
    return database


def everything_of_the_history(url: str) -> str:
    with psycopg.connect(url) as connection:
        rows = connection.execute("TABLE migrations").fetchall()
        return str(rows + connection.execute("TABLE migration_log").fetchall())


@pytest.mark.parametrize("way", WAYS)
def test_a_failed_migration_shows_values_of_rows_in_a_terminal_only(
    with_rows: str, project_factory: ProjectFactory, way: str
) -> None:
    folder = project_factory(
        {"sql/0001_fails.sql": WAYS[way] + "\n", "rollback/0001_rollback.sql": "SELECT 1;\n"}
    )
    answer = turnback("up", "--json", url=with_rows, folder=folder)
    assert answer.code in (1, 6), answer
    assert CANARY not in answer.out
    assert way == "a notice" or CANARY not in answer.err
    assert CANARY not in everything_of_the_history(with_rows)
    assert CANARY not in turnback("health", url=with_rows, folder=folder).err
    if way not in ("a notice", "a check", "a statement made of a row"):
        assert CANARY in turnback("up", "--verbose", url=with_rows, folder=folder).err


def test_a_failed_run_publishes_and_keeps_no_value_of_a_row(
    with_rows: str,
    deploy: Deploy,
    project_factory: ProjectFactory,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    stack = deploy(SnapshotKind="dump")
    files = {}
    for number, way in enumerate(("a notice", "a function", "a trigger"), 1):
        # Each is a release of its own: the first that fails ends its run.
        files = {
            f"sql/000{number}_fails.sql": WAYS[way] + "\n",
            f"rollback/000{number}_rollback.sql": "SELECT 1;\n",
        }
        run = stack.release(project_factory(files), f"1.0.{number}", tmp_path)
        assert run.statuses[-1] == "rolled_back"
        assert CANARY not in str(run.messages)
    bucket = stack.client("s3")
    listed = bucket.list_objects_v2(Bucket=stack.bucket)["Contents"]
    kept = [one["Key"] for one in listed if not one["Key"].endswith((".dump", ".zip"))]
    assert any(key.startswith("runs/") for key in kept)
    for key in kept:
        body = bucket.get_object(Bucket=stack.bucket, Key=key)["Body"].read()
        assert CANARY.encode() not in body, key
    logged = "".join(capfd.readouterr()) + caplog.text
    assert "fails" in logged
    assert CANARY not in logged
    assert CANARY not in everything_of_the_history(with_rows)


CHECKS = {
    "a table": "ALTER TABLE people ADD CHECK (is_fine(name))",
    "a domain": "CREATE DOMAIN fine AS text CHECK (is_fine(VALUE)); "
    "ALTER TABLE people ALTER name TYPE fine",
}


@pytest.fixture
def checked(
    with_rows: str, admin: psycopg.Connection, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A database whose rows are refused by what has changed since they were written."""
    with psycopg.connect(with_rows) as connection:
        connection.execute(
            "CREATE FUNCTION is_fine(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ "
            f"BEGIN RETURN true; END $$; {CHECKS[request.param]};"
            "CREATE OR REPLACE FUNCTION is_fine(t text) RETURNS boolean LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION '% is not fine', t; END $$;".encode()
        )
    yield with_rows
    for name, _ in others(admin, with_rows):
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.mark.parametrize("checked", ["a domain"], indirect=True)
def test_a_failed_restore_publishes_no_value_of_a_row(checked: str) -> None:
    store = Memory()
    record = dump(checked, store)
    with pytest.raises(RestoreFailed) as caught:
        restore(checked, store, request(record))
    error = caught.value
    assert "is_fine" in str(error.detail)
    assert CANARY in str(error.detail)
    assert CANARY not in str(error.to_dict()) + str(error.machine_readable())


@pytest.mark.parametrize("checked", ["a table"], indirect=True)
def test_a_restore_whose_rows_a_check_refuses_keeps_them_and_publishes_no_value(
    checked: str,
) -> None:
    store = Memory()
    restored = restore(checked, store, request(dump(checked, store)))
    assert "people_name_check" in restored.detail
    assert CANARY not in restored.detail
    with psycopg.connect(checked) as connection:
        assert connection.execute("SELECT count(*) FROM people").fetchone() == (2,)
        assert connection.execute(
            "SELECT convalidated FROM pg_constraint WHERE conname = 'people_name_check'"
        ).fetchone() == (False,)
