"""Scripts that would make or change a table of the history are found before anything runs."""

from __future__ import annotations

import pytest
from turnback.sql.own_tables import conflicts

from tests.unit.migrations import migration

TABLE = "the table {} is one in which turnback keeps its history"


@pytest.mark.parametrize(
    ("sql", "schema", "name"),
    [
        ("CREATE TABLE migrations (id int)", "public", "migrations"),
        ("CREATE TABLE IF NOT EXISTS public.Migrations (id int)", "public", "migrations"),
        ("CREATE TABLE migrations AS SELECT 1 AS id", "public", "migrations"),
        ("SELECT 1 AS id INTO migration_log", "public", "migration_log"),
        ("CREATE VIEW migration_health AS SELECT 1 AS id", "public", "migration_health"),
        ("CREATE SEQUENCE migration_log", "public", "migration_log"),
        ("CREATE TYPE migrations AS ENUM ('a')", "public", "migrations"),
        ("ALTER TABLE versions RENAME TO migrations", "public", "migrations"),
        ("ALTER TABLE old.migrations SET SCHEMA public", "public", "migrations"),
        ("ALTER TABLE migrations ADD COLUMN batch int", "public", "migrations"),
        ("ALTER TABLE migrations RENAME COLUMN name TO title", "public", "migrations"),
        ("DROP TABLE IF EXISTS migrations", "public", "migrations"),
        ("DO $$ BEGIN CREATE TABLE migrations (id int); END $$", "public", "migrations"),
        ("SET search_path = app; CREATE TABLE migrations (id int)", "app", "app.migrations"),
        ("CREATE TABLE app.migrations (id int)", "app", "app.migrations"),
    ],
)
def test_a_table_of_ours_in_a_script_is_found(sql: str, schema: str, name: str) -> None:
    for one in (migration("0001", f"SELECT 1;\n  {sql};"), migration("0001", back=f"\n{sql};")):
        [found] = conflicts([one], schema)
        assert found.message == TABLE.format(name)
        assert "--history-schema turnback" in (found.hint or "")
        assert (found.line, found.version) == (2, "0001")


@pytest.mark.parametrize(
    ("sql", "schema"),
    [
        ("CREATE TABLE migrations (id int)", "turnback"),
        ("CREATE TABLE app.migrations (id int)", "public"),
        ("SET search_path = app; CREATE TABLE migrations (id int)", "public"),
        ("CREATE TEMP TABLE migrations (id int)", "public"),
        ("CREATE TABLE migrations_of_birds (id int)", "public"),
        ("CREATE FUNCTION migrations() RETURNS int LANGUAGE sql AS 'SELECT 1'", "public"),
        ("CREATE SCHEMA migrations", "public"),
        ("CREATE VIEW version AS SELECT max(version) FROM migrations", "public"),
        ("GRANT SELECT ON migrations TO reader", "public"),
        ("ALTER ROLE migrations RENAME TO migration_log", "public"),
        ("CREATE TABLE migrations (", "public"),
    ],
)
def test_what_only_reads_or_is_elsewhere_is_no_conflict(sql: str, schema: str) -> None:
    assert list(conflicts([migration("0001", f"{sql};")], schema)) == []
