"""`turnback leave`: the migrations and the history as another tool has them.

The judge of dbmate's is dbmate itself (2.36.0, by npm).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.adopted import ALL
from tests.conftest import ProjectFactory
from tests.fixtures.adopt.make.install import npm
from tests.integration.terminal import Answer, turnback

FILES = {
    "sql/1_users.sql": "CREATE TABLE users (id bigint PRIMARY KEY, email text);\r\n",
    "rollback/1_rollback.sql": "DROP TABLE users;\n",
    "sql/2_email.sql": "-- turnback: no-transaction\n-- turnback: lock-timeout 2s\n"
    "CREATE INDEX CONCURRENTLY users_email ON users (email);",
    "rollback/2_rollback.sql": "-- turnback: no-transaction\n"
    "DROP INDEX CONCURRENTLY users_email;\n",
    "verify/2_verify.sql": "SELECT 1 FROM users;\n",
    "sql/10_city.sql": "ALTER TABLE users ADD COLUMN city text DEFAULT '${none}';\n",
    "rollback/10_rollback.sql": "ALTER TABLE users DROP COLUMN city;\n",
}


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    return project_factory(FILES)


def leave(folder: Path, database: str, target: Path, tool: str, *more: str) -> Answer:
    place = ["--dir", folder, "--database-url", database]
    return turnback("leave", target, "--to", tool, *place, *more)


def apply(folder: Path, database: str, *version: str) -> None:
    done = turnback("up", *version, "--dir", folder, "--database-url", database)
    assert done.code == 0, done.err


def rows(database: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.slow
def test_dbmate_goes_on_where_turnback_stopped_and_back_by_its_rollbacks(
    folder: Path, database: str, tmp_path: Path
) -> None:
    apply(folder, database)
    target = tmp_path / "db" / "migrations"
    done = leave(folder, database, target, "dbmate", "--history")
    assert done.code == 0, done.err
    assert "sql/2_email.sql: only turnback obeys 'lock-timeout'" in done.err
    assert "verify/2_verify.sql is not taken along" in done.err

    # Its driver refuses the few iterations that the server of the tests hashes passwords with.
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET scram_iterations = 4096")
        connection.execute("CREATE ROLE dbmate SUPERUSER LOGIN PASSWORD 'dbmate'")
    host = database.rpartition("@")[2]

    def dbmate(*words: str) -> str:
        program = npm("dbmate@2.36.0") / "dbmate"
        options = [
            "--url",
            f"postgresql://dbmate:dbmate@{host}?sslmode=disable",
            "--no-dump-schema",
        ]
        command = [program, *options, "--migrations-dir", target, *words]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Applied: 3\nPending: 0" in dbmate("status")
    assert dbmate("up") == ""
    for _ in range(3):
        dbmate("rollback")
    assert rows(database, "SELECT to_regclass('users')") == [(None,)]
    dbmate("up")
    assert rows(database, "SELECT version FROM schema_migrations ORDER BY 1") == [
        *(("01",), ("02",), ("10",))
    ]
    # And back again, into a history beside the first one.
    place = ["--dir", target, "--database-url", database, "--history-schema", "again"]
    done = turnback("adopt", *place, "--json")
    assert (done.code, done.document["applied"], done.document["pending"]) == (0, 3, [])


def test_a_project_of_dbmate_leaves_as_it_came(database: str, tmp_path: Path) -> None:
    [fixture] = [one for one in ALL if one.tool == "dbmate"]
    folder = fixture.copy(tmp_path, settings=False)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute((fixture.path / "database.sql").read_bytes())
    place = ["--dir", folder, "--database-url", database]
    assert turnback("adopt", *place).code == 0
    assert turnback("up", *place).code == 0
    target = tmp_path / "back"
    assert leave(folder, database, target, "dbmate", "--history").code == 0
    for path in folder.glob("*.sql"):
        came, left = (where / path.name for where in (folder, target))
        assert left.read_text().split() == came.read_text().split()
    assert len(rows(database, "SELECT version FROM schema_migrations")) == 6


def test_golang_migrate_gets_one_version_unless_one_before_it_is_missing(
    folder: Path, database: str, tmp_path: Path
) -> None:
    apply(folder, database, "2")
    # The history says 1, as the file was called then.
    (folder / "sql/1_users.sql").rename(folder / "sql/001_users.sql")
    (folder / "rollback/1_rollback.sql").rename(folder / "rollback/001_rollback.sql")
    (folder / "repeatable").mkdir()
    (folder / "repeatable/v.sql").write_text("CREATE OR REPLACE VIEW v AS SELECT 1 AS a;\n")
    assert turnback("check", "--fix", "--dir", folder).code == 0
    target = tmp_path / "go"
    assert leave(folder, database, target, "golang-migrate", "--history").code == 0
    done = leave(folder, database, target, "golang-migrate", "--dry-run")
    assert "2_email.sql runs outside a transaction: golang-migrate can do that only" in done.err
    assert sorted(path.name for path in target.iterdir()) == [
        *("001_users.down.sql", "001_users.up.sql", "002_email.down.sql"),
        *("002_email.up.sql", "010_city.down.sql", "010_city.up.sql"),
    ]
    assert "repeatable/v.sql is not taken along" in done.err
    assert (target / "001_users.up.sql").read_bytes() == FILES["sql/1_users.sql"].encode()
    assert rows(database, "SELECT version, dirty FROM schema_migrations") == [(2, False)]
    (folder / "sql/3_late.sql").write_text("SELECT 1;\n")
    (folder / "rollback/3_rollback.sql").write_text("SELECT 1;\n")
    turnback("check", "--fix", "--dir", folder)
    apply(folder, database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE migrations SET rolled_back_at = now() WHERE version = '3'")
    done = leave(folder, database, tmp_path / "go2", "golang-migrate", "--history")
    assert done.code == 3
    assert "3 is not applied, and a later one is" in done.err


def test_flyway_gets_its_files_its_options_and_its_checksums(
    folder: Path, database: str, tmp_path: Path
) -> None:
    apply(folder, database)
    target = tmp_path / "sql"
    assert leave(folder, database, target, "flyway", "--history").code == 0
    assert (target / "V02__email.sql.conf").read_text() == "executeInTransaction=false\n"
    assert (target / "V10__city.sql.conf").read_text() == "placeholderReplacement=false\n"
    found = rows(database, "SELECT installed_rank, script FROM flyway_schema_history ORDER BY 1")
    assert found == [(1, "V01__users.sql"), (2, "V02__email.sql"), (3, "V10__city.sql")]
    # turnback reads them as those of a project of Flyway, each with the checksum of its file.
    place = ["--dir", target, "--database-url", database, "--history-schema", "again"]
    done = turnback("adopt", *place, "--json")
    assert done.document["layout"] == "flyway"
    assert (done.code, done.document["applied"], done.document["compared"]) == (0, 3, 3)


def test_what_the_other_tool_would_misread_is_refused(
    folder: Path, database: str, tmp_path: Path
) -> None:
    apply(folder, database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE schema_migrations (number bigint)")
    done = leave(folder, database, tmp_path / "a", "dbmate", "--history")
    assert (done.code, "is there already, and is not a table of dbmate" in done.err) == (2, True)
    other = leave(folder, database, tmp_path / "b", "dbmate", "--history", "--dry-run")
    assert other.code == 0 and not (tmp_path / "b").exists()
    # The folder of the project's own scripts, which the other tool would read beside its own.
    done = leave(folder, database, folder / "rollback", "dbmate")
    assert (done.code, "which dbmate would read as well" in done.err) == (2, True)
    (folder / "sql/1_users.sql").write_text("SELECT 1;\n-- migrate:down\n")
    assert turnback("check", "--dir", folder).code == 3
    done = leave(folder, database, tmp_path / "c", "dbmate")
    assert (done.code, "sql/1_users.sql:2" in done.err) == (3, True)
