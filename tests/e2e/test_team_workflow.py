"""The migration strategy of a team that uses Prisma and Supabase, step by step.

Each test is a step of docs/prisma.md, *A team's workflow, step by step*, on the same project: the
team's own headings in its files, a server that is set up like Supabase's, the installed command.
The judges are PostgreSQL itself, pg_dump, git and bash. RDS and Kubernetes cannot run here: they
are moto, and a program that keeps the replicas in a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from turnback.local.server import EmbeddedServer

from tests.adopted import FIXTURES
from tests.dumps import pg_dump_schema
from tests.integration.command_line import PROGRAM, Answer, query, turnback
from tests.integration.test_managed_commands import (
    MakeWorld,
    make_world,  # noqa: F401
)
from tests.supabase import Lookalike, lookalike

ROOT = Path(__file__).parents[2]
UP = """\
-- Migration: {name}
-- Version: {version}
-- Date: 2026-11-30
-- Author: the team

-- UP MIGRATION
BEGIN;

{sql}

COMMIT;
"""
DOWN = "-- DOWN MIGRATION\nBEGIN;\n\n{sql}\n\nCOMMIT;\n"
# The version's name, what it does, and what undoes it.
MIGRATIONS = {
    "0001_create_users": (
        "CREATE TABLE users (\n    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),\n"
        "    email text NOT NULL UNIQUE,\n    created_at timestamptz NOT NULL DEFAULT now()\n);",
        "DROP TABLE IF EXISTS users;",
    ),
    "0002_create_posts": (
        "CREATE TABLE posts (\n    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
        "    author uuid NOT NULL REFERENCES users (id),\n    title text NOT NULL\n);",
        "DROP TABLE IF EXISTS posts;",
    ),
    "0003_add_display_name": (
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS display_name text;",
        "ALTER TABLE users DROP COLUMN IF EXISTS display_name;",
    ),
    "0004_rename_title": (
        "-- turnback: waive TB402 because no application reads posts yet\n"
        "ALTER TABLE posts RENAME COLUMN title TO headline;",
        "ALTER TABLE posts RENAME COLUMN headline TO title;",
    ),
    "0005_add_preferences": (
        "ALTER TABLE users ADD COLUMN preferences jsonb NOT NULL DEFAULT '{}';",
        # The safe rollback: what the column holds is saved before it goes.
        "-- turnback: keep users_backup_0005 because the preferences of users are in it\n"
        "CREATE TABLE users_backup_0005 AS SELECT id, preferences FROM users;\n"
        "ALTER TABLE users DROP COLUMN preferences;",
    ),
}
# It cannot run in a transaction, so it has no BEGIN.
INDEX = {
    "sql/0006_index_posts.sql": "-- Migration: index_posts\n-- Date: 2026-11-30\n"
    "-- Version: 0006\n\n-- UP MIGRATION\n"
    "-- turnback: waive TB302 because an interrupted build is dropped and built again\n"
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS posts_author ON posts (author);\n",
    "rollback/0006_rollback.sql": "-- DOWN MIGRATION\n"
    "DROP INDEX CONCURRENTLY IF EXISTS posts_author;\n",
}
ROWS = """
INSERT INTO users (email) SELECT 'user' || n || '@example.com' FROM generate_series(1, 50) n;
INSERT INTO posts (author, headline) SELECT id, 'hello' FROM users;
"""


@dataclass(frozen=True)
class Team:
    """A project of the team, and its database.

    Attributes:
        folder: the migrations.
        url: the database's address.
    """

    folder: Path
    url: str

    def run(self, *command: str) -> Answer:
        return turnback(*command, url=self.url, folder=self.folder)

    def done(self, *command: str) -> str:
        """What a command prints that succeeds."""
        answer = self.run(*command)
        assert answer.code == 0, answer.out + answer.err
        return answer.out

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            (self.folder / path).write_text(text)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        return query(self.url, sql)

    def change(self, sql: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(sql.encode())


def files_of(name: str) -> dict[str, str]:
    up, down = MIGRATIONS[name]
    header, _, body = down.rpartition("because the preferences of users are in it\n")
    return {
        f"sql/{name}.sql": UP.format(name=name[5:], version=name[:4], sql=up),
        f"rollback/{name[:4]}_rollback.sql": (
            f"{header}because the preferences of users are in it\n\n" if header else ""
        )
        + DOWN.format(sql=body),
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The team's first six migrations."""
    folder = tmp_path_factory.mktemp("team") / "migrations"
    assert turnback("init", folder=folder).code == 0
    for path, text in {
        **INDEX,
        **dict(one for name in MIGRATIONS for one in files_of(name).items()),
    }.items():
        (folder / path).write_text(text)
    assert turnback("check", "--fix", folder=folder).code == 0
    return folder


@pytest.fixture(scope="module")
def supabase() -> Iterator[Lookalike]:
    with lookalike() as found:
        yield found


@pytest.fixture
def team(
    project: Path,
    supabase: Lookalike,
    server: EmbeddedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Team]:
    """A copy of the project, with a database of its own; nothing is applied."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TURNBACK_SHADOW_URL", server.url())
    shutil.copytree(project, tmp_path / "app/migrations")
    with supabase.project() as url:
        yield Team(tmp_path / "app/migrations", url)


def test_a_file_is_generated_and_filled_from_the_teams_template(team: Team) -> None:
    made = team.done("generate", "add profiles")
    assert "sql/0007_add_profiles.sql" in made
    assert "rollback/0007_rollback.sql" in made
    team.write(
        {
            "sql/0007_add_profiles.sql": UP.format(
                name="add_profiles", version="0007", sql="CREATE TABLE p ();"
            ),
            "rollback/0007_rollback.sql": DOWN.format(sql="DROP TABLE p;"),
        }
    )
    assert "7 migrations: nothing found" in team.done("check", "--fix")
    # Both halves in one file, as other tools have them, would both run.
    half = team.folder / "sql/0007_add_profiles.sql"
    half.write_text(half.read_text() + DOWN.format(sql="DROP TABLE p;"))
    answer = team.run("check", "--fix")
    assert answer.code == 3
    assert "0007_add_profiles.sql:12" in answer.out


def test_status_up_to_a_version_and_up(team: Team) -> None:
    assert "6 migrations, 6 pending" in team.done("status")
    assert "5 migrations applied" in team.done("up", "0005")
    assert "6 migrations, 1 pending" in team.done("status")
    assert "1 migration applied" in team.done("up")
    assert team.done("up") == "Nothing to do.\n"


def test_a_dry_run_is_tried_on_a_shadow_and_reports_errors(team: Team) -> None:
    team.done("up", "0004")
    before = pg_dump_schema(team.url)
    shown = team.done("up", "--dry-run")
    assert "ADD COLUMN preferences" in shown
    assert re.search(r"exact +0005 add_preferences", shown)
    # It parses, and the plan looks right.
    team.write({"sql/0005_add_preferences.sql": "ALTER TABLE user ADD COLUMN x jsonb;\n"})
    answer = team.run("up", "--dry-run")
    assert answer.code == 3
    assert "sql/0005_add_preferences.sql:1:13" in answer.out
    assert pg_dump_schema(team.url) == before


def test_the_folders_of_prisma_migrate_are_deployed_in_place(database: str, tmp_path: Path) -> None:
    """The project, its history and the answers of ``migrate status`` are the real tool's."""
    with psycopg.connect(database) as connection:
        connection.execute((FIXTURES / "prisma/database.sql").read_bytes())
    project = tmp_path / "app"
    shutil.copytree(FIXTURES / "prisma/project", project)
    folder = project / "prisma/migrations"
    theirs = query(database, "SELECT migration_name FROM _prisma_migrations ORDER BY 1")
    adopted = turnback("adopt", url=database, folder=folder)
    assert adopted.code == 0, adopted.err
    new = folder / "20990101000000_add_tags"
    new.mkdir()
    (new / "migration.sql").write_text('CREATE TABLE "Tag" ("id" SERIAL PRIMARY KEY);\n')
    (new / "down.sql").write_text('DROP TABLE "Tag";\n')
    applied = turnback("up", "--allow-missing-rollback", "--json", url=database, folder=folder)
    assert applied.code == 0, applied.err
    assert applied.document["applied"][-1]["version"] == "20990101000000"
    assert turnback("down", "--yes", url=database, folder=folder).code == 0
    assert query(database, "SELECT migration_name FROM _prisma_migrations ORDER BY 1") == theirs


def test_the_history_says_what_ran_when_how_long_and_from_which_text(team: Team) -> None:
    team.done("up")
    found = team.query(
        "SELECT version, name, checksum, success, error IS NULL, rolled_back_at IS NULL, "
        "execution_time >= 0, now() - applied_at < interval '5 min' FROM migrations ORDER BY 1"
    )
    assert [row[0] for row in found] == [f"000{n}" for n in range(1, 7)]
    for version, name, checksum, *rest in found:
        text = (team.folder / f"sql/{version}_{name}.sql").read_bytes()
        assert checksum == hashlib.sha256(text).hexdigest()
        assert rest == [True] * 5


def test_a_migration_that_fails_is_rolled_back_at_once(team: Team) -> None:
    team.done("up")
    before = pg_dump_schema(team.url)
    team.write(
        {
            "sql/0007_broken.sql": UP.format(
                name="broken",
                version="0007",
                sql="CREATE TABLE half ();\nALTER TABLE nothing ADD x int;",
            ),
            "rollback/0007_rollback.sql": DOWN.format(sql="DROP TABLE half;"),
        }
    )
    answer = team.run("up")
    assert answer.code == 1
    assert "sql/0007_broken.sql:10:1" in answer.err
    assert pg_dump_schema(team.url) == before
    assert "failed" in team.done("status")
    assert team.query("SELECT status, error IS NULL FROM migration_health LIMIT 1") == [
        ("failed", False)
    ]


def test_down_to_a_version_brings_back_the_schema_of_then(team: Team) -> None:
    team.done("up", "0003")
    then = pg_dump_schema(team.url)
    team.done("up")
    team.change(ROWS)
    out = team.done("down", "0003", "--yes")
    assert "3 migrations rolled back" in out
    assert "The schema is as it was before 0004." in out
    # The table with what was saved is there besides, as the script says.
    assert team.query("SELECT count(*) FROM users_backup_0005") == [(50,)]
    team.change("DROP TABLE users_backup_0005")
    assert pg_dump_schema(team.url) == then


POLICIES = """\
-- UP MIGRATION
BEGIN;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY "their own" ON users FOR SELECT TO authenticated USING (id = auth.uid());
CREATE FUNCTION on_sign_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$ BEGIN INSERT INTO public.users (id, email) VALUES (NEW.id, NEW.email); RETURN NEW; END $$;
CREATE TRIGGER on_sign_up AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION on_sign_up();
COMMIT;
"""
POLICIES_BACK = """\
-- DOWN MIGRATION
BEGIN;
DROP TRIGGER on_sign_up ON auth.users;
DROP FUNCTION on_sign_up();
DROP POLICY "their own" ON users;
ALTER TABLE users DISABLE ROW LEVEL SECURITY;
COMMIT;
"""


def test_policies_and_the_trigger_on_sign_up_are_compared_too(
    team: Team, supabase: Lookalike
) -> None:
    team.done("up")
    team.write({"sql/0007_policies.sql": POLICIES, "rollback/0007_rollback.sql": POLICIES_BACK})
    assert "exact        0007 policies" in team.done("up", "--dry-run")
    team.done("up")
    with psycopg.connect(supabase.as_platform(team.url)) as connection:
        connection.execute(
            "INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'new@example.com')"
        )
    assert team.query("SELECT email FROM users") == [("new@example.com",)]
    forgets = POLICIES_BACK.replace("DROP TRIGGER on_sign_up ON auth.users;\n", "").replace(
        "DROP FUNCTION on_sign_up();\n", ""
    )
    team.write({"rollback/0007_rollback.sql": forgets})
    answer = team.run("down", "--yes")
    assert answer.code == 6
    assert "trigger auth.users.on_sign_up: left over" in answer.err


def test_a_rollback_that_forgets_something_is_found_before_and_after(team: Team) -> None:
    team.write({"rollback/0004_rollback.sql": DOWN.format(sql="SELECT 1;")})
    rehearsed = team.run("rehearse", "0004")
    assert rehearsed.code == 3
    assert "column public.posts.title: missing" in rehearsed.out
    team.done("up", "0004")
    answer = team.run("down", "--yes")
    assert answer.code == 6
    assert "posts.headline" in answer.err


def test_the_first_form_of_each_change_is_what_lint_speaks_of(team: Team) -> None:
    """Adding, dropping and renaming a column, and an index, as one writes them at first."""
    team.done("up")
    team.write(
        {
            "sql/0007_first.sql": "ALTER TABLE users ADD COLUMN city text NOT NULL;\n"
            "ALTER TABLE posts RENAME COLUMN headline TO title;\n"
            "ALTER TABLE users DROP COLUMN display_name;\n"
            "CREATE INDEX users_created ON users (created_at);\n",
            "rollback/0007_rollback.sql": "DROP INDEX users_created;\n"
            "ALTER TABLE users ADD COLUMN display_name text;\n"
            "ALTER TABLE posts RENAME COLUMN title TO headline;\n"
            "ALTER TABLE users DROP COLUMN city;\n",
        }
    )
    found = team.run("lint", "--since", "0006", "--json")
    assert found.code == 3
    ids = {one["line"]: one["id"] for one in found.document["findings"] if "0007" in one["file"]}
    assert set(ids) >= {1, 2, 3, 4}
    # The sequence that does not break the application that is running.
    for path in ("sql/0007_first.sql", "rollback/0007_rollback.sql"):
        (team.folder / path).unlink()
    given = ("rename-column", "table=posts", "column=headline", "to=title")
    team.done("generate", "--recipe", *given)
    assert "error" not in team.done("lint", "--since", "0006")
    team.done("up")
    assert team.query("SELECT headline = title FROM posts LIMIT 1") in ([], [(True,)])


def test_a_commit_with_a_migration_that_cannot_be_used_is_refused(team: Team) -> None:
    """The hook of docs/ci.md, run by git."""
    place = team.folder.parent
    environment = dict(os.environ) | {
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
        **{f"GIT_{who}_{what}": "team@example.com" for who in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")},
    }  # fmt: skip

    def git(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *command], cwd=place, env=environment, capture_output=True, text=True
        )

    git("init", "-q")
    hook = place / ".git/hooks/pre-commit"
    [text] = re.findall(
        r"```sh\n(#!/bin/sh\n[^`]*turnback check[^`]*)```", (ROOT / "docs/ci.md").read_text()
    )
    hook.write_text(text)
    hook.chmod(0o755)
    git("add", "-A")
    assert git("commit", "-qm", "Begin").returncode == 0
    applied = team.folder / "sql/0002_create_posts.sql"
    applied.write_text(applied.read_text().replace("title text", "title text;"))
    git("add", "-A")
    refused = git("commit", "-qm", "Edit")
    assert refused.returncode != 0
    assert "0002_create_posts.sql" in refused.stderr + refused.stdout


def test_the_pipeline_tries_and_proves_on_a_service_database_before_it_deploys(
    team: Team,
) -> None:
    """The steps of a job, by bash; the service is the database of this test."""
    job = """
    set -e
    turnback db wait --timeout 30s
    turnback check && turnback lint --strict || test $? = 3
    turnback up --dry-run
    turnback rehearse --all
    turnback up
    turnback down 0 --yes
    turnback up
    turnback health
    """
    done = subprocess.run(
        ["bash", "-c", job],
        cwd=team.folder.parent,
        env=dict(os.environ)
        | {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "DATABASE_URL": team.url, "CI": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 migrations proven: up, down and up again" in done.stdout
    assert "The schema is as it was before 0001." in done.stdout
    assert "6 migrations, 0 pending" in team.done("status")


SWAP = """\
-- UP MIGRATION
BEGIN;
CREATE TABLE posts_new (LIKE posts INCLUDING ALL);
INSERT INTO posts_new OVERRIDING SYSTEM VALUE SELECT * FROM posts;
ALTER TABLE posts RENAME TO posts_old;
ALTER TABLE posts_new RENAME TO posts;
COMMIT;
"""
SWAP_BACK = """\
-- DOWN MIGRATION
BEGIN;
ALTER TABLE posts RENAME TO posts_new;
ALTER TABLE posts_old RENAME TO posts;
DROP TABLE posts_new;
COMMIT;
"""


def test_blue_green_tables_as_the_strategy_writes_them_are_one_transaction(team: Team) -> None:
    team.done("up")
    team.change(ROWS)
    team.write({"sql/0007_swap.sql": SWAP, "rollback/0007_rollback.sql": SWAP_BACK})
    team.done("up")
    assert team.query("SELECT count(*) FROM posts") == [(50,)]
    assert "The schema is as it was before 0007." in team.done("down", "--yes")
    # With a statement that fails after the renames, nothing of it remains.
    before = pg_dump_schema(team.url)
    team.write({"sql/0007_swap.sql": SWAP.replace("COMMIT", "SELECT 1 / 0;\nCOMMIT")})
    assert team.run("up").code == 1
    assert pg_dump_schema(team.url) == before


BATCHES = """\
-- turnback: no-transaction

-- UP MIGRATION
DO $$
DECLARE changed int;
BEGIN
    LOOP
        UPDATE users SET display_name = split_part(email, '@', 1)
        WHERE id IN (SELECT id FROM users WHERE display_name IS NULL LIMIT 20);
        GET DIAGNOSTICS changed = ROW_COUNT;
        COMMIT;
        EXIT WHEN changed = 0;
    END LOOP;
END $$;
"""
BACKFILL = """\
-- turnback: backfill table=users key=id
UPDATE users SET display_name = split_part(email, '@', 1) WHERE display_name IS NULL AND {batch};
"""


def test_progressive_batches_run_as_written_and_as_a_backfill(team: Team) -> None:
    team.done("up")
    team.change(ROWS)
    kept = "-- turnback: keep-rows because the column is new\n"
    for text in (BATCHES, BACKFILL):
        team.change("UPDATE users SET display_name = NULL")
        team.write({"sql/0007_names.sql": text, "rollback/0007_rollback.sql": kept})
        team.done("up")
        assert team.query("SELECT count(*) FROM users WHERE display_name LIKE 'user%'") == [(50,)]
        team.done("down", "--yes")


def test_an_edited_migration_is_a_checksum_mismatch(team: Team) -> None:
    team.done("up")
    applied = team.folder / "sql/0002_create_posts.sql"
    applied.write_text(applied.read_text() + "-- a comment\n")
    assert "changed" in team.run("status").out
    answer = team.run("up")
    assert answer.code == 3
    assert "0002" in answer.err
    applied.write_text(applied.read_text().removesuffix("-- a comment\n"))
    assert team.done("up") == "Nothing to do.\n"


@pytest.fixture
def locked(team: Team) -> Iterator[psycopg.Connection]:
    """Somebody holds ``users`` and does nothing."""
    team.done("up", "0004")
    with psycopg.connect(team.url, application_name="a report") as holder:
        holder.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield holder


def test_who_blocks_a_migration_is_named_and_nothing_queues_behind_it(
    team: Team, locked: psycopg.Connection
) -> None:
    answer = team.run("up", "--lock-timeout", "100ms", "--lock-retry-for", "1s")
    assert answer.code == 4
    assert "a report" in answer.err
    assert "a report" in team.done("locks")
    locked.rollback()
    assert "2 migrations applied" in team.done("up")


def test_the_health_view_is_what_a_dashboard_reads(team: Team) -> None:
    team.done("up")
    found = team.query(
        "SELECT version, status FROM migration_health WHERE status <> 'applied' ORDER BY 1"
    )
    assert found == []
    assert "at 0006" in team.done("health")


def test_a_backup_is_checked_and_restores_the_rows_that_were_deleted(
    team: Team, database: str
) -> None:
    """Not of a project of Supabase, which takes its own: its schemas are not the team's."""
    team = Team(team.folder, database)
    team.done("up")
    team.change(ROWS)
    taken = json.loads(team.done("backup", "--json"))["snapshot"]
    assert taken["schema_version"] == "0006"
    team.change("DELETE FROM posts")
    name = Path(taken["id"]).name.removesuffix(".dump")
    restored = team.run("restore", name, "--yes", "--json")
    assert restored.code == 0, restored.err
    assert team.query("SELECT count(*) FROM posts") == [(50,)]
    with psycopg.connect(team.url, autocommit=True) as connection:
        kept = restored.document["kept"]
        connection.execute(f'DROP DATABASE "{kept}"'.encode())


def test_a_point_in_time_is_restored_where_rds_has_it(make_world: MakeWorld) -> None:  # noqa: F811
    """RDS is moto's: what is asked of it is judged, not what it restores."""
    from tests.integration.test_managed_commands import turnback as of_a_stack

    world = make_world()
    until = (datetime.now(UTC) - timedelta(hours=3)).replace(microsecond=0)
    answer = of_a_stack("restore", "--until", until.isoformat(), "--stack", "prod", "--yes")
    assert answer.code == 0, answer.err
    given = world.rds.arguments("restore_db_instance_to_point_in_time")
    assert given["RestoreTime"] == until


@pytest.fixture
def kubectl(tmp_path: Path) -> Iterator[Callable[[str], dict[str, dict[str, object]]]]:
    """Runs the commands of a part of docs/release.md; returns the deployments afterwards."""
    state, program = tmp_path / "cluster.json", tmp_path / "bin/kubectl"
    deployments = {
        name: {"replicas": replicas, "annotations": {}}
        for name, replicas in (("deployment/orders", 3), ("deployment/mail", 1))
    }
    state.write_text(json.dumps({"deployments": deployments, "undone": []}))
    program.parent.mkdir()
    stand_in = Path(__file__).with_name("kubectl.py")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" "$@"\n')
    program.chmod(0o755)
    blocks = re.findall(r"```\w*\n([^`]*kubectl[^`]*)```", (ROOT / "docs/release.md").read_text())

    def run(word: str) -> dict[str, dict[str, object]]:
        [block] = [one for one in blocks if word in one]
        environment = dict(os.environ) | {
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "KUBECTL_STATE": str(state),
        }
        subprocess.run(["bash", "-e", "-c", block], env=environment, check=True)
        found: dict[str, dict[str, object]] = json.loads(state.read_text())["deployments"]
        return found

    yield run


def test_in_an_emergency_the_application_is_scaled_down_and_up_as_it_was(
    team: Team,
    kubectl: Callable[[str], dict[str, dict[str, object]]],
) -> None:
    team.done("up")
    # Recorded twice, the number is still that of before.
    kubectl("-o jsonpath='{.spec.replicas}'")
    stopped = kubectl("--replicas=0")
    assert {one["replicas"] for one in stopped.values()} == {0}
    team.done("down", "0005", "--yes")
    started = kubectl("rollout undo")
    assert {name: one["replicas"] for name, one in started.items()} == {
        "deployment/orders": 3,
        "deployment/mail": 1,
    }
    assert all(not one["annotations"] for one in started.values())


def test_the_checklist_of_a_deployment_is_answered_with_evidence(team: Team) -> None:
    team.done("up", "0004")
    artifact = team.folder.parent / "1.4.0.zip"
    packed = turnback("package", "--release", "1.4.0", "--out", artifact, folder=team.folder)
    assert packed.code == 0, packed.err
    answers = turnback("checklist", artifact, "--json", url=team.url)
    items = {one["item"]: one["answer"] for one in answers.document["checklist"]}
    assert "no" not in items.values(), answers.out
    assert items["rollback proven"] == items["documentation header present"] == "yes"
