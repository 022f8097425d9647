"""The staged rollback of a run: what it did is undone, and the schema is as before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from turnback.errors import (
    ChecksumMismatch,
    DatabaseRefused,
    MigrationFailed,
    MigrationIncomplete,
    RollbackFailed,
    RollbackMissing,
    VerificationFailed,
)
from turnback.migrations.artifact import pack
from turnback.runs.state import RunProgress

from tests.conftest import ProjectFactory
from tests.dumps import pg_dump_schema
from tests.integration.bucket import MemoryBucket, Release, release_of, run_back_to
from tests.integration.releases import health, tables

BASE = {
    "sql/0001_users.sql": "CREATE TABLE users (id int, email text);\n"
    "INSERT INTO users SELECT n, n || '@example.org' FROM generate_series(1, 100) n;\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
}
SECOND = {
    "sql/0002_theme.sql": "ALTER TABLE users ADD COLUMN theme text;\n",
    "rollback/0002_rollback.sql": "ALTER TABLE users DROP COLUMN theme;\n",
}
HALF = {
    "sql/0003_half.sql": "CREATE TABLE tags (id int);\n"
    "CREATE INDEX CONCURRENTLY users_email ON users (email);\n"
    "CREATE INDEX CONCURRENTLY tags_x ON tags (x);\n",
    "rollback/0003_rollback.sql": "DROP INDEX CONCURRENTLY tags_x;\n"
    "DROP INDEX CONCURRENTLY users_email;\nDROP TABLE tags;\n",
}
FAILS = {"sql/0003_bad.sql": "SELECT 1/0;\n", "rollback/0003_rollback.sql": "SELECT 1;\n"}


@pytest.fixture
def begun(database: str, project_factory: ProjectFactory, tmp_path: Path) -> MemoryBucket:
    """Release 1.0.0 stands."""
    bucket = MemoryBucket()
    run = release_of(database, bucket, "r-base", project_factory(BASE), "1.0.0", tmp_path)
    run.validate()
    run.apply()
    return bucket


def execute(database: str, sql: str) -> list[tuple]:
    with psycopg.connect(database, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def failed(run: Release, error: type[Exception]) -> Release:
    """The run, after its apply failed."""
    run.validate()
    with pytest.raises(error):
        run.apply()
    return run


@pytest.fixture
def make(database: str, begun: MemoryBucket, project_factory: ProjectFactory, tmp_path: Path):
    def made(files: dict[str, str], run: str = "r-next", release: str = "1.1.0") -> Release:
        return release_of(database, begun, run, project_factory(BASE | files), release, tmp_path)

    return made


def test_a_release_that_stopped_half_way_is_taken_back_and_proven_to_be(
    database: str, make
) -> None:
    run = failed(make(SECOND | HALF), MigrationIncomplete)
    answer = run.roll_back()

    assert answer == RunProgress(done=True, rolled_back=2, verified="exact")
    report = run.record("report")
    assert [row["version"] for row in report["rolled_back"]] == ["0003", "0002"]
    assert (report["verified"], report["notes"]) == ("exact", [])
    assert tables(database) == {"users"}
    assert health(database) == {"0001": "applied", "0002": "rolled_back", "0003": "rolled_back"}
    assert execute(database, "SELECT count(*) FROM users") == [(100,)]
    assert run.roll_back().verified == "exact"


@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE migration_log SET rollback_sql = 'DROP TABLE users CASCADE'",
        "UPDATE migration_log SET rollback_sql = NULL",
    ],
)
def test_the_scripts_of_the_release_are_run_and_not_what_somebody_stored(
    database: str, make, forged: str
) -> None:
    run = failed(make(SECOND | HALF), MigrationIncomplete)
    execute(database, forged)
    assert run.roll_back() == RunProgress(done=True, rolled_back=2, verified="exact")
    assert execute(database, "SELECT count(*) FROM users") == [(100,)]
    notes = run.record("report")["notes"]
    assert [note.split(" that is")[0] for note in notes] == [
        "the rollback script of 0003",
        "the rollback script of 0002",
    ]
    assert "rollback/0003_rollback.sql of the release" in notes[0]


def test_a_migration_that_the_release_does_not_have_is_not_rolled_back(database: str, make) -> None:
    run = failed(make(SECOND | FAILS), MigrationFailed)
    execute(
        database,
        "UPDATE migration_log SET version = '0009', rollback_sql = 'DROP TABLE users' "
        "WHERE version = '0002'; UPDATE migrations SET version = '0009' WHERE version = '0002'",
    )
    with pytest.raises(RollbackMissing, match="0009"):
        run.roll_back()
    assert tables(database) == {"users"}


def test_a_rollback_that_leaves_something_over_is_found_out(make) -> None:
    second = SECOND | {"rollback/0002_rollback.sql": "SELECT 1;\n"}
    run = failed(make(second | FAILS), MigrationFailed)
    with pytest.raises(VerificationFailed, match=r"column public.users.theme: left over") as caught:
        run.roll_back()
    assert caught.value.hint
    report = run.record("report")
    assert report["verified"] == "differs"
    assert [row["version"] for row in report["rolled_back"]] == ["0002"]
    assert report["errors"][-1]["type"] == "VerificationFailed"


def test_what_the_release_leaves_out_is_not_compared_and_is_named(make, tmp_path: Path) -> None:
    (tmp_path / "turnback.toml").write_text('[ignore]\nobjects = ["public.users"]\n')
    second = SECOND | {"rollback/0002_rollback.sql": "SELECT 1;\n"}
    run = failed(make(second | FAILS), MigrationFailed)
    assert run.roll_back().verified == "exact"
    notes = run.record("report")["notes"]
    assert "not compared, by [ignore] in turnback.toml: table public.users" in notes


def test_columns_that_come_back_in_another_order_are_as_before_and_reported(make) -> None:
    second = {
        "sql/0002_drop.sql": "ALTER TABLE users DROP COLUMN id;\n",
        "rollback/0002_rollback.sql": "ALTER TABLE users ADD COLUMN id int;\n",
    }
    run = failed(make(second | FAILS), MigrationFailed)
    assert run.roll_back().verified == "column_order"
    (note,) = run.record("report")["notes"]
    assert "as before the run, but for the order of columns" in note and "users" in note


def test_names_that_came_back_otherwise_are_as_before_and_reported(database: str, make) -> None:
    execute(database, "ALTER TABLE users ADD CONSTRAINT positive CHECK (id > 0)")
    second = {
        "sql/0002_drop.sql": "ALTER TABLE users DROP CONSTRAINT positive;\n",
        "rollback/0002_rollback.sql": "ALTER TABLE users ADD CHECK (id > 0);\n",
    }
    run = failed(make(second | FAILS), MigrationFailed)
    assert run.roll_back().verified == "names"
    (note,) = run.record("report")["notes"]
    assert "positive" in note


def test_a_rollback_with_the_text_that_the_server_wrote_is_as_before(
    database: str, make: Callable[..., Release]
) -> None:
    execute(database, "ALTER TABLE users ADD v varchar(9), ADD CONSTRAINT c CHECK (v IN ('a','b'))")
    written = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'c'"
    [[text]] = execute(database, written)
    files = {
        "sql/0002_c.sql": "ALTER TABLE users DROP CONSTRAINT c;",
        "rollback/0002_rollback.sql": f"ALTER TABLE users ADD CONSTRAINT c {text};",
    }
    run = make(files)
    run.validate()
    run.apply()
    assert run.roll_back().verified == "exact"
    assert execute(database, written) != [(text,)]


def test_a_table_that_the_rollback_keeps_is_as_before_and_is_named(
    database: str, make: Callable[..., Release]
) -> None:
    files = {
        "sql/0002_a.sql": "CREATE TABLE a (id int); INSERT INTO a VALUES (7);",
        "rollback/0002_rollback.sql": "-- turnback: keep A_backup because of its rows\n"
        "CREATE TABLE a_backup AS SELECT * FROM a; DROP TABLE a;",
    }
    run = make(files)
    run.validate()
    run.apply()
    assert run.roll_back().verified == "exact"
    assert "table public.a_backup: left over" in run.record("report")["notes"][0]
    assert execute(database, "SELECT id FROM a_backup") == [(7,)]


def test_the_text_of_a_record_is_not_run_where_it_is_more_than_a_part_of_a_statement(
    database: str, make: Callable[..., Release]
) -> None:
    execute(database, "ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0)")
    run = make(SECOND)
    run.validate()
    run.apply()
    kept = run.record("fingerprint")
    forged = "CHECK (id > 0); COMMIT; DROP TABLE users"
    kept["objects"]["constraint public.users.c"]["definition"] = forged
    run.bucket.write("runs/r-next/fingerprint.json", json.dumps(kept).encode())
    with pytest.raises(VerificationFailed, match="DROP TABLE"):
        run.roll_back()
    assert "users" in tables(database)


def test_without_a_fingerprint_the_report_says_so_and_claims_nothing(make) -> None:
    run = make(SECOND)
    run.validate()
    assert run.roll_back().verified == "unknown"
    assert "changed nothing" in run.record("report")["notes"][0]


def test_the_fingerprint_is_of_the_schema_before_the_run_and_is_kept_once(make) -> None:
    run = make(SECOND)
    run.validate()
    calls = iter([False])
    run.apply(keep_going=lambda: next(calls, True))
    kept = run.record("fingerprint")
    assert "column public.users.theme" not in kept["objects"]
    # The first call changed nothing, so the schema is read again before the first change.
    run.apply()
    before = run.record("fingerprint")
    assert before["objects"] == kept["objects"]
    run.apply()
    assert run.record("fingerprint") == before

    del run.bucket.objects["runs/r-next/fingerprint.json"]
    run.apply()
    assert run.record("fingerprint") == {}


def test_after_the_first_change_no_fingerprint_is_taken_for_the_schema_before(make) -> None:
    third = {
        "sql/0003_index.sql": "CREATE INDEX CONCURRENTLY users_email ON users (email);\n",
        "rollback/0003_rollback.sql": "DROP INDEX CONCURRENTLY users_email;\n",
    }
    run = make(SECOND | third)
    run.validate()
    calls = iter([True])
    assert run.apply(keep_going=lambda: next(calls, False)).remaining == 1
    del run.bucket.objects["runs/r-next/fingerprint.json"]
    assert run.apply().done
    assert run.record("fingerprint") == {}
    assert run.roll_back().verified == "unknown"


def test_an_artifact_that_was_replaced_after_validate_is_not_applied(
    database: str, make, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = make(SECOND)
    run.validate()
    other = pack(project_factory(BASE | FAILS), "1.1.0", tmp_path / "other.zip")
    run.bucket.write(run.order.location.key, other.read_bytes())
    with pytest.raises(ChecksumMismatch, match="the artifact's SHA-256 is"):
        run.apply()
    assert health(database) == {"0001": "applied"}


def test_a_schema_that_cannot_be_read_stops_the_run_before_its_first_change(
    database: str, make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnback.runs.schema_before._PAUSE_S", 0.01)
    run = make(SECOND)
    run.validate()
    with psycopg.connect(database) as other:
        other.execute("CREATE VIEW v AS SELECT id FROM users")
        other.commit()
        other.execute("LOCK TABLE v, users IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseRefused, match="schema cannot be read"):
            run.apply()
    assert health(database) == {"0001": "applied"}
    run.apply()
    assert health(database)["0002"] == "applied"


def test_what_an_earlier_run_left_half_done_is_not_called_as_before(make) -> None:
    failed(make(HALF, "r-first"), MigrationIncomplete)
    more = HALF["sql/0003_half.sql"].replace(
        "CREATE INDEX CONCURRENTLY tags_x", "CREATE TABLE more ();\nCREATE INDEX CONCURRENTLY x"
    )
    rollback = "DROP TABLE more;\n" + HALF["rollback/0003_rollback.sql"]
    second = {"sql/0003_half.sql": more, "rollback/0003_rollback.sql": rollback}
    run = failed(make(HALF | second, "r-second", "1.1.1"), MigrationIncomplete)
    assert run.record("fingerprint")["half_done"] == ["0003"]

    assert run.roll_back().verified == "unknown"
    (note,) = run.record("report")["notes"]
    assert "0003 was half done before the run" in note and "tags" in note


def test_a_run_that_did_nothing_in_what_was_half_done_before_leaves_it_so(
    database: str, make
) -> None:
    failed(make(HALF, "r-first"), MigrationIncomplete)
    run = failed(make(HALF, "r-second", "1.1.1"), MigrationIncomplete)
    answer = run.roll_back()
    assert (answer.rolled_back, answer.verified) == (0, "exact")
    assert tables(database) == {"users", "tags"}


VIEWS = {
    "repeatable/names.sql": "CREATE OR REPLACE VIEW names AS SELECT id FROM users;\n"
    "GRANT SELECT ON names TO PUBLIC;\n",
    "repeatable/old.sql": "CREATE OR REPLACE FUNCTION old() RETURNS int LANGUAGE sql "
    "AS 'SELECT 2';\n",
}
CHANGED_VIEWS = VIEWS | {
    "repeatable/names.sql": "CREATE OR REPLACE VIEW names AS SELECT id, theme FROM users;\n",
    "repeatable/z.sql": "CREATE OR REPLACE VIEW z AS SELECT missing FROM names;\n",
}


def own_schema(database: str) -> str:
    """What pg_dump says, up to turnback's own tables and behind the key that it makes each time."""
    dump = pg_dump_schema(database).partition("SET statement_timeout")[2]
    return dump.partition("migration_log")[0]


@pytest.fixture
def with_views(database: str, make) -> None:
    """A release with repeatables, one of which replaces what was there."""
    execute(database, "CREATE FUNCTION old() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    run = make(VIEWS, "r-views", "1.0.1")
    assert run.validate().migration_count == 2
    run.apply()
    assert run.verify() == 2


@pytest.mark.usefixtures("with_views")
def test_repeatables_go_back_to_the_text_before_the_release(database: str, make) -> None:
    before = own_schema(database)
    run = failed(make(SECOND | CHANGED_VIEWS), MigrationFailed)
    plan = run.record("plan")
    assert [row["version"] for row in plan["migrations"]] == [
        "0002",
        "repeatable/names.sql",
        "repeatable/z.sql",
    ]
    assert run.roll_back() == RunProgress(done=True, rolled_back=2, verified="exact")
    report = run.record("report")
    assert [row["version"] for row in report["rolled_back"]] == ["repeatable/names.sql", "0002"]
    assert report["notes"] == []
    assert own_schema(database) == before


@pytest.mark.usefixtures("with_views")
@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE migration_log SET rollback_sql = 'DROP TABLE users CASCADE'",
        "UPDATE migration_log SET rollback_sql = NULL",
    ],
)
def test_what_undoes_a_repeatable_is_what_follows_from_its_file(
    database: str, make, forged: str
) -> None:
    run = failed(make(SECOND | CHANGED_VIEWS), MigrationFailed)
    execute(database, forged)
    assert run.roll_back() == RunProgress(done=True, rolled_back=2, verified="exact")
    notes = run.record("report")["notes"]
    assert any(note.startswith("what undoes repeatable/names.sql is stored") for note in notes)


@pytest.mark.usefixtures("with_views")
def test_a_stored_text_that_is_not_the_one_before_the_run_is_not_run(database: str, make) -> None:
    run = failed(make(SECOND | CHANGED_VIEWS), MigrationFailed)
    execute(
        database,
        "UPDATE migration_log SET script = 'DROP TABLE users CASCADE' WHERE run_id = 'r-views'",
    )
    with pytest.raises(RollbackFailed, match="not the one that was applied before the run"):
        run.roll_back()
    assert tables(database) == {"users"}


@pytest.mark.usefixtures("with_views")
def test_a_run_downwards_goes_back_to_the_texts_of_the_release(
    database: str, begun: MemoryBucket, make
) -> None:
    changed = VIEWS | {"repeatable/names.sql": CHANGED_VIEWS["repeatable/names.sql"]}
    run = make(SECOND | changed)
    run.validate()
    run.apply()
    # Of the release in between, which has only repeatables.
    down = run_back_to(database, begun, "r-down", "1.0.1")
    down.validate()
    assert [row["version"] for row in down.record("plan")["migrations"]] == [
        "repeatable/names.sql",
        "0002",
    ]
    assert down.apply().done
    assert down.verify() == 2
    assert "theme" not in str(execute(database, "SELECT pg_get_viewdef('names'), old()"))
    down = run_back_to(database, begun, "r-first", "1.0.0")
    down.validate()
    assert down.apply().rolled_back == 2
    assert execute(database, "SELECT to_regclass('names'), old()") == [(None, 1)]
