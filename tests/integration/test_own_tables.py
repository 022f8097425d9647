"""Projects and databases that have something of the name of one of turnback's own tables."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from turnback.local.server import EmbeddedServer

from tests.conftest import ProjectFactory
from tests.integration.command_line import fingerprint, query, turnback

FIRST = {
    "sql/0001_t.sql": "CREATE TABLE t (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE t;\n",
}
# As TypeORM, Laravel and authelia have one.
OF_APPLICATION = {
    "sql/0001_x.sql": "CREATE TABLE IF NOT EXISTS migrations (id serial PRIMARY KEY, note text);"
    "INSERT INTO migrations (note) VALUES ('first');\n",
    "rollback/0001_rollback.sql": "DROP TABLE migrations;\n",
}
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "database.md"
COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relname IN ('migrations', 'migration_log') AND c.relkind = 'r' AND a.attnum > 0
ORDER BY c.relname, a.attname"""
# What the page calls as PostgreSQL's manual does.
ALIASES = {
    "timestamp with time zone": "timestamptz",
    "character varying": "varchar",
    "character(": "char(",
}
SETTING = '[history]\nschema = "turnback"\n'


def described(page: str) -> list[tuple[str, str, str]]:
    """Table, column and type of the history, as the page has them."""
    found = []
    for table in ("migration_log", "migrations"):
        rows = page.partition(f"\n## {table}\n")[2].partition("\n## ")[0]
        for names, kind in re.findall(r"^\| (`[^|]+`) \| `([^`]+)`", rows, re.MULTILINE):
            for whole, short in ALIASES.items():
                kind = re.sub(rf"^{re.escape(short)}", whole, kind)
            found += [(table, name, kind) for name in re.findall(r"`(\w+)`", names)]
    return sorted(found)


def execute(url: str, sql: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(sql.encode())


def sums(folder: Path) -> None:
    assert turnback("check", "--fix", "--history-schema", "elsewhere", folder=folder).code == 0


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    made = project_factory(OF_APPLICATION)
    sums(made)
    return made


def test_a_project_with_a_table_migrations_is_refused_before_anything_is_made(
    folder: Path, database: str, server: EmbeddedServer
) -> None:
    before = fingerprint(database)
    shadow = ("rehearse", "--all", "--shadow-url", server.url())
    for command, code in ((("check",), 3), (("up",), 2), (("up", "--dry-run"), 2), (shadow, 2)):
        answer = turnback(*command, url=database, folder=folder)
        assert answer.code == code, (command, answer)
        assert "sql/0001_x.sql:1:1" in answer.out + answer.err
        assert "--history-schema turnback" in answer.out + answer.err
    assert fingerprint(database) == before


def test_the_setting_in_turnback_toml_is_all_that_it_needs(
    folder: Path, database: str, server: EmbeddedServer
) -> None:
    (folder.parent / "turnback.toml").write_text(SETTING)
    assert turnback("check", folder=folder).code == 0
    shadow = turnback("rehearse", "--all", "--shadow-url", server.url(), folder=folder)
    assert shadow.code == 0, shadow
    assert "exact        0001" in shadow.out
    assert turnback("up", url=database, folder=folder).code == 0
    assert query(database, "SELECT version FROM turnback.migrations") == [("0001",)]
    assert query(database, "SELECT note FROM migrations") == [("first",)]


@pytest.mark.parametrize(
    ("sql", "reasons"),
    [
        (
            "CREATE TABLE migration_log (msg text)",
            (2, '"migration_log" already exists', "--history-schema turnback"),
        ),
        (
            "CREATE TYPE migrations AS ENUM ('a')",
            (2, '"migrations" already exists', "--history-schema turnback"),
        ),
        ("DROP SCHEMA public CASCADE", (5, "create the schema public", "--history-schema")),
    ],
)
def test_a_history_that_cannot_be_made_names_what_is_in_the_way(
    sql: str, reasons: tuple[int, str, str], database: str, project_factory: ProjectFactory
) -> None:
    execute(database, sql)
    answer = turnback("up", url=database, folder=project_factory(FIRST))
    code, *words = reasons
    assert answer.code == code
    for text in words:
        assert text in answer.err
    assert "grant CREATE" not in answer.err


def test_a_schema_that_exists_is_used_without_the_right_to_make_one(
    database: str, project_factory: ProjectFactory, admin: psycopg.Connection
) -> None:
    role = "low_" + database.rsplit("/", 1)[1]
    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'low'".encode())
    execute(database, f"CREATE SCHEMA app AUTHORIZATION {role}")
    url = psycopg.conninfo.make_conninfo(database, user=role, password="low")
    files = {path: sql.replace("TABLE t", "TABLE app.t") for path, sql in FIRST.items()}
    answer = turnback("up", "--history-schema", "app", url=url, folder=project_factory(files))
    assert answer.code == 0, answer.err
    assert query(database, "SELECT version FROM app.migrations") == [("0001",)]
    execute(database, f"DROP OWNED BY {role} CASCADE")
    admin.execute(f"DROP ROLE {role}".encode())


def test_a_history_is_moved_as_the_documentation_says(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(FIRST)
    assert turnback("up", url=database, folder=folder).code == 0
    page = PAGE.read_text()
    assert described(page) == query(database, COLUMNS)
    _, _, below = page.partition("How do I move the history")
    sql = below.partition("```sql\n")[2].partition("```")[0]
    execute(database, sql)
    moved = ("--history-schema", "turnback")
    assert "applied" in turnback("status", *moved, url=database, folder=folder).out
    assert turnback("down", "0", "--yes", *moved, url=database, folder=folder).code == 0
    assert turnback("up", *moved, url=database, folder=folder).code == 0
    assert query(database, "SELECT count(*) FROM turnback.migration_log") == [(3,)]
