"""Repeatables on a real server: applied when they change, and back to the text before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
from turnback.engine.run.repeatables import changed, in_force
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.migrations.large import LARGE_BYTES
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.verdict import Rehearsed

from tests.conftest import ProjectFactory
from tests.dumps import pg_dump_schema
from tests.integration.command_line import Answer, turnback

USERS = {
    "sql/0001_users.sql": "CREATE TABLE users (id int PRIMARY KEY, name text, email text);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
}
pytestmark = pytest.mark.every_major

ACTIVE = "CREATE OR REPLACE VIEW active AS SELECT id FROM users;\n"
ACTIVE_WITH_NAME = "CREATE OR REPLACE VIEW active AS SELECT id, name FROM users;\n"
ON_ACTIVE = "CREATE OR REPLACE VIEW count_active AS SELECT count(*) FROM active;\n"


def schema(url: str) -> str:
    """What pg_dump says, without turnback's own tables."""
    with psycopg.connect(url) as session:
        own = "SELECT count(*) FROM pg_tables WHERE tablename = 'migrations'"
        assert session.execute(own).fetchone() == (1,)
    kept = []
    for part in pg_dump_schema(url).split("\n--\n-- Name: "):
        if not re.match(r"migration(s|_)", part) and "migrations migrations" not in part[:80]:
            kept.append(part)
    return "\n-- Name: ".join(kept)


class Folder:
    """A project, whose files are changed, and the command line on it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, *arguments: str) -> Answer:
        return turnback(*arguments, url=self.url, folder=self.folder)

    def up(self) -> list[str]:
        """What `turnback up` has applied."""
        answer = self.run("up", "--json")
        assert answer.code == 0, answer
        return [one["version"] for one in answer.document["applied"]]

    def down(self, version: str) -> list[str]:
        answer = self.run("down", version, "--yes", "--json")
        assert answer.code == 0, answer
        return [one["version"] for one in answer.document["rolled_back"]]

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as session:
            cursor = session.execute(sql)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def project(project_factory: ProjectFactory, database: str) -> Folder:
    return Folder(project_factory(USERS, sums=False), database)


def test_a_repeatable_is_applied_when_its_text_changes_and_only_then(project: Folder) -> None:
    functions = {
        f"repeatable/functions/f{number}.sql": f"CREATE OR REPLACE FUNCTION f{number}() RETURNS "
        f"int LANGUAGE sql AS 'SELECT {number}';\n"
        for number in range(500)
    }
    project.write({**functions, "repeatable/active.sql": ACTIVE})
    assert len(project.up()) == 502
    assert project.up() == []
    project.write({"repeatable/functions/f7.sql": functions["repeatable/functions/f7.sql"] + "--"})
    shown = project.run("status", "--json").document
    assert shown["pending"] == 1
    assert [one["version"] for one in shown["repeatables"] if one["status"] != "applied"] == [
        "repeatable/functions/f7.sql"
    ]
    assert project.up() == ["repeatable/functions/f7.sql"]
    assert project.ask(
        "SELECT kind, name, success FROM migrations WHERE version = 'repeatable/active.sql'"
    ) == [("repeatable", "active", True)]


@pytest.mark.parametrize("characters", [10, LARGE_BYTES // 100])
def test_one_file_may_have_many_functions_or_only_a_comment(
    project: Folder, characters: int
) -> None:
    functions = (
        f"CREATE OR REPLACE FUNCTION f{number}() RETURNS int LANGUAGE sql AS 'SELECT 1 "
        f"/* {'x' * characters} */';\n"
        for number in range(120)
    )
    many = {"repeatable/many.sql": "".join(functions), "repeatable/none.sql": "-- For later.\n"}
    project.write(many)
    assert set(project.up()) >= set(many)
    count = "SELECT count(*) FROM pg_proc WHERE proname ~ '^f[0-9]+$'"
    assert project.ask(count) == [(120,)]
    assert set(project.down("0")) >= set(many)
    assert project.ask(count) == [(0,)]


def test_down_goes_back_through_the_texts_in_the_reverse_order_of_everything(
    project: Folder,
) -> None:
    project.write({"repeatable/active.sql": ACTIVE, "repeatable/on.sql": ON_ACTIVE})
    assert project.up() == ["0001", "repeatable/active.sql", "repeatable/on.sql"]
    project.ask("CREATE ROLE reader_of_views; GRANT SELECT ON active TO reader_of_views")
    project.ask("COMMENT ON VIEW count_active IS 'how many'")
    first = schema(project.url)
    project.write(
        {
            "sql/0002_city.sql": "ALTER TABLE users ADD COLUMN city text;\n",
            "rollback/0002_rollback.sql": "ALTER TABLE users DROP COLUMN city;\n",
            "repeatable/active.sql": "CREATE OR REPLACE VIEW active AS SELECT id, city FROM users",
        }
    )
    assert project.up() == ["0002", "repeatable/active.sql"]
    second = schema(project.url)
    project.write(
        {
            "sql/0003_no_email.sql": "ALTER TABLE users DROP COLUMN email;\n",
            "rollback/0003_rollback.sql": "ALTER TABLE users ADD COLUMN email text;\n",
            # Other columns in front, which CREATE OR REPLACE refuses.
            "repeatable/active.sql": "CREATE OR REPLACE VIEW active AS SELECT city, id FROM users",
            "repeatable/new.sql": "CREATE OR REPLACE VIEW cities AS SELECT city FROM active",
        }
    )
    assert project.up() == ["0003", "repeatable/active.sql", "repeatable/new.sql"]
    assert project.down("0002") == ["repeatable/new.sql", "repeatable/active.sql", "0003"]
    # The order of columns of a table is the one difference.
    assert _sorted(schema(project.url)) == _sorted(second)
    assert project.down("0001") == ["repeatable/active.sql", "0002"]
    assert _sorted(schema(project.url)) == _sorted(first)
    assert project.up() == [
        "0002",
        "0003",
        "repeatable/active.sql",
        "repeatable/new.sql",
    ]
    assert project.down("0") == [
        "repeatable/new.sql",
        "repeatable/active.sql",
        "0003",
        "0002",
        "repeatable/on.sql",
        "repeatable/active.sql",
        "0001",
    ]
    assert "VIEW" not in schema(project.url)
    project.ask("DROP ROLE reader_of_views")


def _sorted(dump: str) -> list[str]:
    return sorted(line.rstrip(",") for line in dump.splitlines())


def test_what_a_view_had_besides_its_text_is_there_again_when_it_is_made_anew(
    project: Folder,
) -> None:
    project.write({"repeatable/active.sql": ACTIVE_WITH_NAME, "repeatable/on.sql": ON_ACTIVE})
    project.up()
    project.ask(
        """
        CREATE ROLE "owner of views";
        GRANT CREATE ON SCHEMA public TO "owner of views";
        GRANT ALL ON active TO "owner of views" WITH GRANT OPTION;
        GRANT SELECT (id) ON active TO public;
        GRANT UPDATE ON count_active TO public;
        COMMENT ON VIEW active IS 'the active ones';
        COMMENT ON COLUMN active.id IS 'theirs';
        CREATE FUNCTION write() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER written INSTEAD OF INSERT ON active FOR EACH ROW EXECUTE FUNCTION write();
        ALTER VIEW active ALTER COLUMN name SET DEFAULT 'nobody';
        ALTER VIEW count_active SET (security_barrier = true);
        CREATE VIEW "On Top" WITH (check_option = local) AS SELECT id FROM active WHERE id > 0;
        ALTER VIEW "On Top" OWNER TO "owner of views";
        ALTER DEFAULT PRIVILEGES GRANT DELETE ON TABLES TO public;
        """
    )
    before = schema(project.url)
    project.write(
        {"repeatable/active.sql": ACTIVE_WITH_NAME.replace("id, name", "id, name, email")}
    )
    project.up()
    answer = project.run("down", "0", "--dry-run", "--json")
    assert answer.document["plan"][0]["version"] == "repeatable/active.sql"
    # A second text with fewer columns: the way that a rollback goes.
    project.write({"repeatable/active.sql": ACTIVE_WITH_NAME + "-- again\n"})
    answer = project.run("up")
    assert 'dropped and made again, for what they read: public."On Top", public.count_active' in (
        answer.out + answer.err
    )
    now = schema(project.url)
    assert [line for line in now.splitlines() if line not in before.splitlines()] == [
        "GRANT DELETE ON TABLE public.active TO PUBLIC;"
    ]
    project.ask('DROP OWNED BY "owner of views" CASCADE; DROP ROLE "owner of views"')


def test_what_is_no_view_and_is_in_the_way_is_named(project: Folder) -> None:
    project.write({"repeatable/active.sql": ACTIVE_WITH_NAME})
    project.up()
    project.ask("CREATE MATERIALIZED VIEW kept AS SELECT * FROM active")
    before = schema(project.url)
    project.write({"repeatable/active.sql": ACTIVE})
    answer = project.run("up", "--json")
    error = answer.document["error"]
    assert answer.code == 1
    assert error["message"].startswith("cannot drop columns from view")
    assert "materialized view public.kept; drop that in a migration" in error["hint"]
    assert schema(project.url) == before
    [row] = project.run("status", "--json").document["repeatables"]
    assert row["status"] == "changed"


def test_a_text_that_fails_leaves_nothing_and_no_record(project: Folder) -> None:
    sql = "CREATE OR REPLACE VIEW a AS SELECT 1;\nCREATE OR REPLACE VIEW b AS SELECT missing;\n"
    project.write({"repeatable/a.sql": sql})
    answer = project.run("up", "--json")
    assert (answer.code, answer.document["error"]["file"]) == (1, "repeatable/a.sql")
    assert (answer.document["error"]["line"], answer.document["remaining"]) == (
        2,
        ["repeatable/a.sql"],
    )
    assert project.ask("SELECT to_regclass('a') IS NULL") == [(True,)]
    [row] = project.run("status", "--json").document["repeatables"]
    assert row["status"] == "failed"
    assert project.down("0") == ["0001"]


def test_what_a_migration_had_made_is_there_again_after_the_first_text_is_undone(
    project: Folder,
) -> None:
    old = """
        CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql STABLE AS 'SELECT a';
        CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE VIEW active WITH (security_barrier = true) AS SELECT id FROM users;
        GRANT SELECT ON active TO PUBLIC;
        CREATE MATERIALIZED VIEW m AS SELECT id FROM users;
        CREATE UNIQUE INDEX m_id ON m (id);
        CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION g();
        CREATE POLICY p ON users AS RESTRICTIVE FOR SELECT TO PUBLIC USING (id > 0);
        CREATE RULE r AS ON DELETE TO users DO ALSO NOTHING;
    """
    project.write(
        {
            "sql/0002_old.sql": old,
            "rollback/0002_rollback.sql": "DROP RULE r ON users; DROP POLICY p ON users;"
            "DROP TRIGGER t ON users; DROP MATERIALIZED VIEW m; DROP VIEW active;"
            "DROP FUNCTION g(); DROP FUNCTION f(int);",
        }
    )
    project.up()
    before = schema(project.url)
    project.write(
        {
            "repeatable/all.sql": """
        CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 1';
        CREATE OR REPLACE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
        CREATE OR REPLACE VIEW active AS SELECT id, name FROM users;
        CREATE OR REPLACE VIEW new AS SELECT id FROM users;
        DROP MATERIALIZED VIEW IF EXISTS m;
        CREATE MATERIALIZED VIEW m AS SELECT id, name FROM users;
        CREATE OR REPLACE TRIGGER t AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION g();
        DROP POLICY IF EXISTS p ON users;
        CREATE POLICY p ON users FOR INSERT TO PUBLIC WITH CHECK (id > 1);
        CREATE OR REPLACE RULE r AS ON DELETE TO users DO ALSO SELECT 1;
    """
        }
    )
    project.write({"sql/0003_c.sql": "SELECT 1;\n", "rollback/0003_rollback.sql": "SELECT 1;\n"})
    assert project.up() == ["0003", "repeatable/all.sql"]
    after = schema(project.url)
    assert project.down("0002") == ["repeatable/all.sql", "0003"]
    assert schema(project.url) == before
    assert project.down("0001") == ["0002"]
    # The same where one run applies both, and finds it only on the way.
    assert project.up() == ["0002", "0003", "repeatable/all.sql"]
    assert schema(project.url) == after
    assert project.down("0001") == ["repeatable/all.sql", "0003", "0002"]


def proven(project: Folder, server: EmbeddedServer) -> Rehearsed:
    """The release rehearsed: what is pending, on what the target has."""
    from turnback.engine import Engine
    from turnback.engine.session.events import RunContext

    loaded = load_project(project.folder)
    with Engine(project.url, context=RunContext("r")) as engine:
        waiting = {one.version for one in engine.status(loaded) if one.pending}
        standing = in_force(engine.history)
    chosen = [one for one in loaded.migrations if one.version in waiting]
    shadow = Shadow(server.url())
    shadow.repeatables = standing
    return rehearse(loaded, chosen, shadow, repeatables=changed(loaded, chosen, standing))


def test_a_release_with_repeatables_is_rehearsed_with_them(
    project: Folder, server: EmbeddedServer
) -> None:
    project.write({"repeatable/active.sql": ACTIVE, "repeatable/on.sql": ON_ACTIVE})
    project.up()
    project.write(
        {
            "sql/0002_city.sql": "ALTER TABLE users ADD COLUMN city text;\n",
            "rollback/0002_rollback.sql": "ALTER TABLE users DROP COLUMN city;\n",
            "repeatable/active.sql": "CREATE OR REPLACE VIEW active AS SELECT id, city FROM users",
            "repeatable/cities.sql": "CREATE OR REPLACE VIEW cities AS SELECT city FROM active",
        }
    )
    found = proven(project, server)
    assert found.proven, found.to_dict()
    assert [(one.version, one.rollback, one.reapply) for one in found.migrations] == [
        ("0002", "exact", "exact"),
        ("repeatable/active.sql", "exact", "exact"),
        ("repeatable/cities.sql", "exact", "exact"),
    ]
    assert found.release == "exact"
    # Only repeatables.
    (project.folder / "sql/0002_city.sql").unlink()
    (project.folder / "rollback/0002_rollback.sql").unlink()
    project.write({"repeatable/active.sql": ACTIVE_WITH_NAME})
    (project.folder / "repeatable/cities.sql").unlink()
    found = proven(project, server)
    assert (found.proven, [one.version for one in found.migrations]) == (
        True,
        ["repeatable/active.sql"],
    )


def test_a_repeatable_and_a_migration_that_do_not_fit_are_named_by_the_rehearsal(
    project: Folder, server: EmbeddedServer
) -> None:
    project.write({"repeatable/active.sql": ACTIVE_WITH_NAME})
    project.up()
    project.write(
        {
            "sql/0002_drop.sql": "ALTER TABLE users DROP COLUMN name;\n",
            "rollback/0002_rollback.sql": "ALTER TABLE users ADD COLUMN name text;\n",
        }
    )
    [found] = proven(project, server).migrations
    assert found.error
    assert (found.error.hint or "").startswith(
        "repeatable/active.sql makes active: release its new text before this migration, or drop "
        "it in sql/0002_drop.sql, and the same run makes it again from its file"
    )
    project.write(
        {
            "sql/0002_drop.sql": "DROP VIEW active; ALTER TABLE users DROP COLUMN name;\n",
            "rollback/0002_rollback.sql": "ALTER TABLE users ADD COLUMN name text;\n"
            f"{ACTIVE_WITH_NAME}",
        }
    )
    drop, view = proven(project, server).migrations
    assert drop.proven
    assert view.error
    assert (view.error.hint or "").startswith(
        "sql/0002_drop.sql drops users.name, and repeatable/active.sql still uses it: change both "
        "in this release"
    )
    project.write({"repeatable/active.sql": ACTIVE})
    found_all = proven(project, server)
    assert found_all.proven, found_all.to_dict()
    before = schema(project.url)
    assert project.up() == ["0002", "repeatable/active.sql"]
    assert project.down("0001") == ["repeatable/active.sql", "0002"]
    assert _sorted(schema(project.url)) == _sorted(before)


def test_a_stored_text_that_somebody_has_changed_is_not_run(project: Folder) -> None:
    project.write({"repeatable/active.sql": ACTIVE})
    project.up()
    project.ask(
        "UPDATE migration_log SET script = 'CREATE OR REPLACE VIEW active AS SELECT 1' "
        "WHERE script IS NOT NULL"
    )
    for command in (("down", "0", "--yes"), ("up",)):
        project.write({"repeatable/active.sql": ACTIVE_WITH_NAME})
        answer = project.run(*command)
        assert (answer.code, "is not the one of its checksum" in answer.err) == (2, True), answer


def test_a_file_that_is_renamed_or_gone_is_shown_and_drops_nothing(project: Folder) -> None:
    project.write({"repeatable/active.sql": ACTIVE, "repeatable/on.sql": ON_ACTIVE})
    project.up()
    (project.folder / "repeatable/active.sql").rename(project.folder / "repeatable/users.sql")
    (project.folder / "repeatable/on.sql").unlink()
    shown = project.run("status")
    assert "its file is repeatable/users.sql now" in shown.out
    assert "what it made remains" in shown.out
    before = schema(project.url)
    assert project.up() == ["repeatable/users.sql"]
    assert schema(project.url) == before
    assert project.down("0") == [
        "repeatable/users.sql",
        "repeatable/on.sql",
        "repeatable/active.sql",
        "0001",
    ]


def test_repeatables_wait_for_migrations_that_are_pending(project: Folder) -> None:
    project.write(
        {
            "sql/0002_city.sql": "ALTER TABLE users ADD COLUMN city text;\n",
            "rollback/0002_rollback.sql": "ALTER TABLE users DROP COLUMN city;\n",
            "repeatable/city.sql": "CREATE OR REPLACE VIEW cities AS SELECT city FROM users;\n",
        }
    )
    answer = project.run("up", "0001", "--json")
    assert [one["version"] for one in answer.document["applied"]] == ["0001"]
    assert project.up() == ["0002", "repeatable/city.sql"]
    answer = project.run("redo", "--yes", "--json")
    assert [one["version"] for one in answer.document["rolled_back"]] == [
        "repeatable/city.sql",
        "0002",
    ]
    assert [one["version"] for one in answer.document["applied"]] == ["0002", "repeatable/city.sql"]


def test_generate_writes_a_file_that_is_applied_once_it_has_sql(project: Folder) -> None:
    folder = project.folder
    made = turnback("generate", "--repeatable", "Active users", "--json", folder=folder).document
    assert made["files"] == ["repeatable/active_users.sql"]
    answer = project.run("up", "--json")
    assert answer.document["error"]["file"] == "repeatable/active_users.sql"
    assert "empty file of turnback generate" in answer.document["error"]["message"]
    project.write({"repeatable/active_users.sql": ACTIVE})
    assert project.run("check", "--fix").code == 0
    assert project.up() == ["0001", "repeatable/active_users.sql"]
    assert project.run("up").out.strip() == "Nothing to do."
