"""A file that uses a value of an enum which it adds: PostgreSQL wants two transactions for it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import Shadow

from tests.conftest import ProjectFactory
from tests.integration.command_line import history, query, turnback

BASE = {
    "sql/0001_jobs.sql": "CREATE TYPE state AS ENUM ('open');\n"
    "CREATE TABLE jobs (id int, state state DEFAULT 'open');\nINSERT INTO jobs VALUES (1);\n",
    "rollback/0001_rollback.sql": "DROP TABLE jobs;\nDROP TYPE state;\n",
}
ADDS = "SET work_mem = '8MB';\nALTER TYPE state ADD VALUE 'it''s paused';\n"
BACK = (
    "ALTER TABLE jobs ALTER state DROP DEFAULT, ALTER state TYPE text;\n"
    "DROP TYPE state;\nCREATE TYPE state AS ENUM ('open');\n"
    "UPDATE jobs SET state = 'open' WHERE state <> 'open';\n"
    "ALTER TABLE jobs ALTER state TYPE state USING state::state, ALTER state SET DEFAULT 'open';\n"
)
# Each needs the value; the server refuses it in the transaction that adds the value.
USES = (
    "ALTER TABLE jobs ALTER state SET DEFAULT 'it''s paused';",
    "UPDATE jobs SET state = 'it''s paused';",
    "COPY jobs FROM stdin;\n7\tit's paused\n\\.",
    "ALTER TABLE jobs ADD CHECK (state <> 'it''s paused');\n"
    "ALTER TABLE jobs DROP CONSTRAINT jobs_state_check;",
    "DO $$ BEGIN PERFORM 'it''s paused'::state; END $$;",
    "CREATE FUNCTION f() RETURNS state LANGUAGE sql AS "
    "$$ SELECT 'it''s paused'::state $$;\nDROP FUNCTION f();",
)


def project(project_factory: ProjectFactory, sql: str) -> Path:
    more = {"sql/0002_paused.sql": sql, "rollback/0002_rollback.sql": BACK}
    return project_factory(BASE | more)


@pytest.mark.every_major(15)
def test_the_statements_behind_the_value_run_in_a_transaction_of_their_own(
    database: str, project_factory: ProjectFactory
) -> None:
    files = dict(BASE)
    for version, use in enumerate(USES, 2):
        value = f"it''s {version}"
        sql = f"{ADDS}{use}\nSET work_mem = '9MB';".replace("it''s paused", value)
        files[f"sql/{version:04}_value.sql"] = sql.replace("it's paused", f"it's {version}")
        files[f"rollback/{version:04}_rollback.sql"] = BACK
    folder = project_factory(files)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(files["sql/0001_jobs.sql"].encode())
        with pytest.raises(psycopg.errors.UnsafeNewEnumValueUsage):
            connection.execute(files["sql/0002_value.sql"].encode())
        connection.execute(files["rollback/0001_rollback.sql"].encode())
    shown = turnback("up", "--dry-run", url=database, folder=folder).out
    assert shown.count("value.sql, in 2 transactions") == len(USES)

    done = turnback("up", url=database, folder=folder)

    assert done.code == 0, done.err
    log = "SELECT array_agg(statement ORDER BY id) FROM migration_log GROUP BY version ORDER BY 1"
    assert query(database, log) == [([None],), *[([None, 2, None],)] * len(USES)]


def test_what_fails_behind_the_value_is_continued_there(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project(project_factory, f"{ADDS}UPDATE jobs SET state = 'it''s paused';\nSELECT 1/0;")
    failed = turnback("up", "--json", url=database, folder=folder)
    assert failed.code == 6
    error = failed.document["error"]
    assert (error["type"], error["line"], error["column"]) == ("MigrationIncomplete", 4, 1)
    assert "statements 1 to 2 are done and kept" in error["hint"]
    assert query(database, "SELECT state::text FROM jobs") == [("open",)]

    file = folder / "sql/0002_paused.sql"
    file.write_text(file.read_text().replace("1/0", "current_setting('work_mem')"))
    assert turnback("check", "--fix", folder=folder).code == 0
    assert turnback("up", url=database, folder=folder).code == 0
    assert query(database, "SELECT state::text FROM jobs") == [("it's paused",)]
    assert history(database) == [("0001", "applied"), ("0002", "applied")]


def test_a_half_done_file_is_rolled_back(database: str, project_factory: ProjectFactory) -> None:
    use = "ALTER TABLE jobs ALTER state SET DEFAULT 'it''s paused';"
    folder = project(project_factory, f"{ADDS}{use}\nSELECT 1/0;")
    assert turnback("up", url=database, folder=folder).code == 6
    answer = turnback("down", "0001", "--yes", url=database, folder=folder)
    assert (answer.code, history(database)[-1]) == (0, ("0002", "rolled_back")), answer.err
    values = "SELECT enumlabel FROM pg_enum WHERE enumtypid = 'state'::regtype"
    assert query(database, values) == [("open",)]


def test_its_rollback_is_proven_by_a_rehearsal(
    project_factory: ProjectFactory, server: EmbeddedServer
) -> None:
    folder = project(project_factory, f"{ADDS}INSERT INTO jobs VALUES (2, 'it''s paused');")
    found = load_project(folder)
    verdicts = rehearse(found, found.migrations, Shadow(server.url())).migrations
    assert [verdict.rollback for verdict in verdicts] == ["exact", "exact"]
