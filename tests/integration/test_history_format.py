"""A history of format 1 is read as it is, and brought to format 2 by what writes it.

The history is pg_dump's of a database that a turnback of format 1 has worked on; pg_dump is also
the judge of what the upgrade makes of it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest
from turnback.engine import Engine, RunContext
from turnback.errors import DatabaseUnreachable, HistoryConflict, LockTimeout
from turnback.local.programs import binaries, clean_environment
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.command_line import history, query, turnback

DUMP = Path(__file__).parents[1] / "earlier_histories" / "format_1.sql"
# What the history has applied of them: 0002 after 0009; 0010 is rolled back, 0011 failed.
FILES = {
    "sql/0001_users.sql": "CREATE TABLE users (id int PRIMARY KEY);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
    "sql/0002_name.sql": "ALTER TABLE users ADD COLUMN name text;\n",
    "rollback/0002_rollback.sql": "ALTER TABLE users DROP COLUMN name;\n",
    "sql/0009_items.sql": "CREATE TABLE items (id int);\n",
    "rollback/0009_rollback.sql": "DROP TABLE items;\n",
    "sql/0010_more.sql": "ALTER TABLE items ADD COLUMN more int;\n",
    "rollback/0010_rollback.sql": "ALTER TABLE items DROP COLUMN more;\n",
    "sql/0011_fails.sql": "ALTER TABLE nothing ADD COLUMN more int;\n",
    "rollback/0011_rollback.sql": "ALTER TABLE nothing DROP COLUMN more;\n",
}
BEFORE = [
    ("0001", "applied"),
    ("0002", "applied"),
    ("0009", "applied"),
    ("0010", "rolled_back"),
    ("0011", "failed"),
]
OWN = [f"--table=public.{name}" for name in ("migrations", "migration_log", "migration_health")]


@pytest.fixture
def earlier(database: str) -> str:
    """A database whose history is of format 1."""
    execute(database, DUMP.read_text())
    return database


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    return project_factory(FILES)


def execute(url: str, sql: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.encode())


def own_tables(url: str, *options: str) -> str:
    """What pg_dump says of turnback's own tables and of their rows."""
    done = subprocess.run(
        [binaries() / "pg_dump", "--restrict-key=k", *options, *OWN, url],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def up(url: str, folder: Path) -> None:
    """Apply 0010; raises what stopped it."""
    with Engine(url, context=RunContext("r-1")) as engine:
        if error := engine.run(engine.plan_up(load_project(folder), target="0010")).error:
            raise error


def structure(url: str) -> str:
    return own_tables(url, "--schema-only")


def test_a_history_of_format_1_is_read_and_left_as_it_is(earlier: str, folder: Path) -> None:
    before = own_tables(earlier)
    status = turnback("status", "--json", url=earlier, folder=folder)
    found = [(row["version"], row["status"]) for row in status.document["migrations"]]
    assert found == BEFORE
    health = turnback("health", "--json", url=earlier, folder=folder)
    assert (health.code, health.document["schema_version"]) == (3, "0009")
    for command in (
        ["up", "0010", "--dry-run"],
        ["down", "0", "--dry-run"],
        ["up", "0010", "--sql"],
    ):
        answer = turnback(*command, url=earlier, folder=folder)
        assert answer.code == 0, answer
    assert own_tables(earlier) == before


@pytest.mark.every_major(15)
def test_up_brings_a_history_of_format_1_to_format_2(earlier: str, folder: Path) -> None:
    health = "ALTER VIEW migration_health"
    execute(earlier, f"{health} SET (security_barrier); {health} OWNER TO pg_monitor")
    execute(earlier, "GRANT SELECT ON migrations TO pg_monitor")
    execute(earlier, "GRANT SELECT ON migration_health TO pg_read_all_stats WITH GRANT OPTION")
    kept = "SELECT id, version, name, checksum, applied_at, success, error FROM migrations"
    kept += " WHERE version < '0010' ORDER BY version"
    before = query(earlier, kept)
    assert turnback("up", "0010", url=earlier, folder=folder).code == 0
    assert query(earlier, kept) == before
    assert history(earlier) == [*BEFORE[:3], ("0010", "applied"), BEFORE[4]]
    # In the order of their numbers, as they were shown until now; what is applied now comes last.
    assert query(earlier, "SELECT version, position, kind FROM migrations ORDER BY position") == [
        (version, place, "migration")
        for place, version in [(1, "0001"), (2, "0002"), (3, "0009"), (5, "0011"), (6, "0010")]
    ]
    now = structure(earlier)
    assert "ALTER VIEW public.migration_health OWNER TO pg_monitor" in now
    assert "public.migration_health WITH (security_barrier='true')" in now
    assert "public.migration_health TO pg_read_all_stats WITH GRANT OPTION" in now
    # The scripts that were stored in format 1 are those that it is rolled back with.
    for path in folder.glob("rollback/*"):
        path.unlink()
    assert turnback("down", "0", "--yes", url=earlier, folder=folder).code == 0
    # A longer varchar needs no new file for the table or its index.
    wide = "author@example.com:1.2.3:" + "x" * 900
    execute(earlier, f"UPDATE migrations SET version = '{wide}' WHERE version = '0011'")
    execute(earlier, f"UPDATE migration_log SET version = '{wide}' WHERE version = '0011'")


@pytest.mark.every_major(15)
@pytest.mark.parametrize("by", ["a run", "psql"])
def test_an_upgraded_history_is_the_same_as_a_new_one(
    earlier: str, folder: Path, tmp_path: Path, by: str
) -> None:
    if by == "psql":
        script = tmp_path / "up.sql"
        script.write_text(turnback("up", "0010", "--sql", url=earlier, folder=folder).out)
        command = [binaries() / "psql", "--no-psqlrc", f"--file={script}", earlier]
        subprocess.run(command, check=True, capture_output=True, env=clean_environment())
    else:
        up(earlier, folder)
    upgraded = structure(earlier)
    execute(earlier, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    up(earlier, folder)
    assert structure(earlier) == upgraded
    assert "turnback history, format 2" in upgraded


# What keeps the tables from being changed → the error, what it says, and how it is removed.
OBSTACLES = {
    "a view on the health": (
        "CREATE VIEW board AS SELECT * FROM migration_health",
        (HistoryConflict, "view public.board depends on view"),
        "DROP VIEW board",
    ),
    "a view on the versions": (
        "CREATE VIEW board AS SELECT version FROM migrations",
        (HistoryConflict, "on view public.board"),
        "DROP VIEW board",
    ),
    "the end of the session": (
        "CREATE FUNCTION kill() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
        "pg_terminate_backend(pg_backend_pid()); END $$; CREATE EVENT TRIGGER killer ON "
        "ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION kill()",
        (DatabaseUnreachable, "terminating connection"),
        "DROP EVENT TRIGGER killer",
    ),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_an_upgrade_that_cannot_end_changes_nothing(
    earlier: str, folder: Path, obstacle: str
) -> None:
    make, (kind, said), remove = OBSTACLES[obstacle]
    execute(earlier, make)
    before = own_tables(earlier)
    with pytest.raises(kind, match=said):
        up(earlier, folder)
    assert own_tables(earlier) == before
    execute(earlier, remove)
    up(earlier, folder)
    assert "turnback history, format 2" in structure(earlier)


def test_whoever_reads_the_history_does_not_wait_for_its_upgrade(
    earlier: str, folder: Path
) -> None:
    with psycopg.connect(earlier) as reader:
        reader.execute("SELECT count(*) FROM migration_health")
        with pytest.raises(LockTimeout, match="cannot be brought to format 2"):
            up(earlier, folder)
    up(earlier, folder)


def test_the_second_of_two_runs_finds_the_history_upgraded(earlier: str, folder: Path) -> None:
    project = load_project(folder)
    with (
        Engine(earlier, context=RunContext("r-1")) as first,
        Engine(earlier, context=RunContext("r-2")) as second,
    ):
        plans = [engine.plan_up(project, target="0010") for engine in (first, second)]
        assert first.run(plans[0]).error is None
        done = second.run(plans[1])
    assert (done.error, done.applied) == (None, [])
