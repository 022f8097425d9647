"""A history that others than its owner can change is not believed: what it stores would be run."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from turnback.engine import Engine, RunContext
from turnback.errors import HistoryConflict
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback

FILES = {
    "sql/0001_t.sql": "CREATE TABLE t (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE t;\n",
}
MORE = FILES | {
    "sql/0002_u.sql": "CREATE TABLE u (id int);\n",
    "rollback/0002_rollback.sql": "DROP TABLE u;\n",
}
FORGED = "UPDATE migration_log SET rollback_sql = 'CREATE TABLE pwned AS SELECT current_user'"


@pytest.fixture
def stranger(database: str, admin: psycopg.Connection) -> Iterator[str]:
    """A role of this test's own, which owns nothing."""
    role = "anon_" + database.rsplit("/", 1)[1]
    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'anon'".encode())
    yield role
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role} CASCADE".encode())
    admin.execute(f"DROP ROLE {role}".encode())


def execute(url: str, sql: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def as_role(url: str, role: str) -> str:
    return psycopg.conninfo.make_conninfo(url, user=role, password="anon")


@pytest.mark.parametrize("grantee", ["a role", "everybody"])
def test_default_privileges_give_nobody_a_way_into_a_new_history(
    database: str, project_factory: ProjectFactory, stranger: str, grantee: str
) -> None:
    to = stranger if grantee == "a role" else "PUBLIC"
    execute(database, f"GRANT USAGE ON SCHEMA public TO {stranger}")
    for kind in ("TABLES", "SEQUENCES"):
        execute(database, f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {kind} TO {to}")
    folder = project_factory(FILES)
    assert turnback("up", url=database, folder=folder).code == 0
    # Its own tables have what the default privileges say.
    assert execute(as_role(database, stranger), "SELECT * FROM t") == []
    for sql in (
        FORGED,
        "SELECT * FROM migrations",
        "SELECT * FROM migration_health",
        "SELECT setval('migration_log_id_seq', 1)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(as_role(database, stranger), sql)
    assert turnback("down", "0", "--yes", url=database, folder=folder).code == 0


# How somebody else could have rows of theirs read, or code of theirs run; {} is a role.
DISTRUST = {
    "a privilege": ("GRANT UPDATE ON migration_log TO {}", "may UPDATE migration_log"),
    "of everybody": (
        "GRANT INSERT, DELETE ON migrations TO PUBLIC",
        "everybody may DELETE, INSERT",
    ),
    "on a column": ("GRANT UPDATE (rollback_sql) ON migration_log TO {}", "may UPDATE"),
    "on the sequence": ("GRANT UPDATE ON SEQUENCE migration_log_id_seq TO {}", "may UPDATE"),
    "another owner": ("ALTER TABLE migration_log OWNER TO {}", "migration_log belongs to anon_"),
    "a trigger": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER planted BEFORE INSERT ON migration_log FOR EACH ROW EXECUTE FUNCTION f()",
        "migration_log has the trigger planted",
    ),
    "a rule": (
        "CREATE RULE planted AS ON INSERT TO migration_log DO ALSO SELECT 1",
        "migration_log has the rule planted",
    ),
    "row-level security": (
        "ALTER TABLE migrations ENABLE ROW LEVEL SECURITY",
        "migrations has row-level security",
    ),
    "a view": (
        "ALTER TABLE migration_log RENAME TO kept;CREATE VIEW migration_log AS SELECT * FROM kept",
        "migration_log is not a table",
    ),
}


@pytest.mark.parametrize("way", DISTRUST)
def test_a_history_that_others_can_change_is_refused_and_reported(
    database: str, project_factory: ProjectFactory, stranger: str, way: str
) -> None:
    sql, reason = DISTRUST[way]
    folder = project_factory(FILES)
    assert turnback("up", url=database, folder=folder).code == 0
    execute(database, sql.format(stranger))
    more = project_factory(MORE)
    for arguments in (("up",), ("down", "0", "--yes"), ("repair", "0001", "--rolled-back")):
        because = ("--because", "a test") if arguments[0] == "repair" else ()
        answer = turnback(*arguments, *because, url=database, folder=more)
        assert answer.code == 2, answer
        assert "the history in public cannot be trusted" in answer.err
        assert reason in answer.err
    # One that must not even be read is refused by the plan.
    with Engine(database, context=RunContext("r-1")) as engine, pytest.raises(HistoryConflict):
        raise engine.run(engine.plan_up(load_project(more))).error or AssertionError
    assert execute(database, "SELECT to_regclass('t')::text, to_regclass('u')::text") == [
        ("t", None)
    ]
    health = turnback("health", "--json", url=database, folder=more)
    assert health.code == 3
    assert any(reason in problem for problem in health.document["problems"])


def test_who_may_only_read_the_history_is_no_danger(
    database: str, project_factory: ProjectFactory, stranger: str
) -> None:
    folder = project_factory(FILES)
    assert turnback("up", url=database, folder=folder).code == 0
    execute(database, f"GRANT SELECT ON migrations, migration_log, migration_health TO {stranger}")
    assert turnback("health", url=database, folder=folder).code == 0
    assert turnback("down", "0", "--yes", url=database, folder=folder).code == 0


def test_a_history_that_somebody_else_has_planted_is_refused(
    database: str, project_factory: ProjectFactory, stranger: str
) -> None:
    folder = project_factory(FILES)
    execute(database, f"GRANT CREATE, USAGE ON SCHEMA public TO {stranger}")
    execute(
        as_role(database, stranger),
        "CREATE TABLE migrations (version varchar(20), name text, checksum text, applied_at "
        "timestamptz, execution_time int, success bool, error text, rolled_back_at timestamptz);"
        "COMMENT ON TABLE migrations IS 'turnback history, format 1';"
        "CREATE TABLE migration_log (id bigint, logged_at timestamptz, run_id text, release text, "
        "version varchar(20), direction text, statement int, statement_checksum text, outcome text,"
        " sqlstate text, error text, execution_ms int, actor text, rollback_path text, "
        "rollback_sql text);"
        "INSERT INTO migrations VALUES ('0001', 't', '', now(), 0, true, NULL, NULL);"
        "INSERT INTO migration_log VALUES (1, now(), 'r', NULL, '0001', 'up', NULL, NULL, 'done', "
        "NULL, NULL, 0, '', 'r.sql', 'CREATE TABLE pwned ()')",
    )
    answer = turnback("down", "0", "--yes", url=database, folder=folder)
    assert answer.code == 2
    assert f"migration_log belongs to {stranger} (and 1 more)" in answer.err
    assert execute(database, "SELECT to_regclass('pwned')") == [(None,)]


def test_two_users_that_a_rotation_alternates_between_share_the_history_of_one_role(
    database: str, project_factory: ProjectFactory, stranger: str, admin: psycopg.Connection
) -> None:
    owner, clone, name = f"{stranger}_owner", f"{stranger}_clone", database.rsplit("/", 1)[1]
    admin.execute(
        f"CREATE ROLE {owner}; CREATE ROLE {clone} LOGIN PASSWORD 'of-the-clone';"
        f"GRANT {owner} TO {stranger}, {clone};"
        f"ALTER DATABASE {name} OWNER TO {owner};".encode()
    )
    execute(database, f"ALTER SCHEMA public OWNER TO {owner}")
    execute(database, f"GRANT CREATE ON SCHEMA public TO {stranger}, {clone}")
    first = as_role(database, stranger)
    second = psycopg.conninfo.make_conninfo(database, user=clone, password="of-the-clone")
    try:
        assert turnback("up", url=first, folder=project_factory(FILES)).code == 0
        refused = turnback("up", url=second, folder=project_factory(MORE))
        assert refused.code == 2
        assert f"migration_log belongs to {stranger}" in refused.err
        assert "docs/reference/database.md#which-rights" in refused.err
        execute(database, f"REASSIGN OWNED BY {stranger} TO {owner}")
        for role in (stranger, clone):
            admin.execute(f"ALTER ROLE {role} SET role = {owner}".encode())
        assert turnback("up", url=second, folder=project_factory(MORE)).code == 0
        assert turnback("down", "0", "--yes", url=first, folder=project_factory(MORE)).code == 0
    finally:
        admin.execute(f"ALTER DATABASE {name} OWNER TO postgres".encode())
        execute(database, f"DROP OWNED BY {owner}, {clone} CASCADE; CREATE SCHEMA IF NOT EXISTS x")
        admin.execute(f"DROP ROLE {owner}; DROP ROLE {clone}".encode())


# Another project's database


OTHER = {
    "sql/0001_orders.sql": "CREATE TABLE orders (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE orders;\n",
}


@pytest.mark.parametrize(
    "command",
    [
        ("down", "0", "--yes"),
        ("down", "--yes"),
        ("redo", "--yes"),
        ("up",),
        ("repair", "0001", "--accept-checksum", "--because", "a test"),
    ],
)
def test_the_database_of_another_project_is_not_touched(
    database: str, project_factory: ProjectFactory, command: tuple[str, ...]
) -> None:
    assert turnback("up", url=database, folder=project_factory(MORE)).code == 0
    answer = turnback(*command, url=database, folder=project_factory(OTHER))
    assert answer.code == 2, answer
    assert "this database's 0001 is t, yours is orders" in answer.err
    assert execute(database, "SELECT version, name, rolled_back_at FROM migrations") == [
        ("0001", "t", None),
        ("0002", "u", None),
    ]


def test_a_folder_of_which_nothing_is_applied_rolls_nothing_back(
    database: str, project_factory: ProjectFactory
) -> None:
    assert turnback("up", url=database, folder=project_factory(MORE)).code == 0
    later = {path.replace("0001", "20261129120000"): sql for path, sql in OTHER.items()}
    answer = turnback("down", "0", "--yes", url=database, folder=project_factory(later))
    assert answer.code == 2, answer
    assert "no migration of this folder is applied in this database; its 0002 is u" in answer.err
    assert execute(database, "SELECT to_regclass('u')::text") == [("u",)]


def test_a_file_that_was_edited_is_not_rolled_back_in_place_of_what_was_applied(
    database: str, project_factory: ProjectFactory
) -> None:
    assert turnback("up", url=database, folder=project_factory(MORE)).code == 0
    edited = project_factory(MORE | {"sql/0002_u.sql": "CREATE TABLE u (id bigint);\n"})
    answer = turnback("down", "--yes", url=database, folder=edited)
    assert answer.code == 3, answer
    assert "0002 was edited after it was applied" in answer.err
    assert turnback("redo", "--yes", url=database, folder=edited).code == 0
    assert turnback("down", "--yes", url=database, folder=edited).code == 0


# Row-level security


def test_rows_that_row_level_security_hides_are_not_taken_for_pending(
    database: str, project_factory: ProjectFactory, stranger: str
) -> None:
    folder = project_factory(FILES)
    assert turnback("up", url=database, folder=folder).code == 0
    execute(
        database,
        f"GRANT USAGE ON SCHEMA public TO {stranger};"
        f"GRANT SELECT ON migrations, migration_log, migration_health TO {stranger};"
        "ALTER TABLE migrations ENABLE ROW LEVEL SECURITY",
    )
    other = as_role(database, stranger)
    for command in ("status", "up"):
        answer = turnback(command, url=other, folder=folder)
        assert answer.code == 2, answer
        assert "row-level security hides rows of the history in public" in answer.err
    health = turnback("health", "--json", url=other, folder=folder)
    assert health.code == 3
    assert any("row-level security" in problem for problem in health.document["problems"])
    # It hides nothing from a superuser.
    assert "1 migration, 0 pending" in turnback("status", url=database, folder=folder).out
