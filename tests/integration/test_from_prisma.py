"""``turnback generate --from-prisma``: judged by pg_dump, and by Prisma itself.

The answers of the real Prisma are played in the gate, and made anew by ``make slow``: see
tests/prisma_project.py.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.cli import from_prisma
from turnback.local.server import EmbeddedServer

from tests.dumps import pg_dump_schema
from tests.integration.terminal import Answer, turnback
from tests.prisma_project import DATASOURCE, PrismaProject, compare, install

MODELS = """\
enum Role {
  ADMIN
  USER
  GUEST
}

model User {
  id    Int    @id @default(autoincrement())
  email String @unique
  role  Role   @default(USER)
  posts Post[]
  age   Int?
}

model Post {
  id       Int    @id @default(autoincrement())
  title    String @map("the_title")
  author   User   @relation(fields: [authorId], references: [id])
  authorId Int

  @@index([authorId])
  @@map("posts")
}
"""
# What the first migration of these is, as Prisma writes it.
START = """\
CREATE TYPE "Role" AS ENUM ('ADMIN', 'USER', 'GUEST');
CREATE TABLE "User" (
    "id" SERIAL NOT NULL,
    "email" TEXT NOT NULL,
    "role" "Role" NOT NULL DEFAULT 'USER',
    "age" INTEGER,
    CONSTRAINT "User_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "posts" (
    "id" SERIAL NOT NULL,
    "the_title" TEXT NOT NULL,
    "authorId" INTEGER NOT NULL,
    CONSTRAINT "posts_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
CREATE INDEX "posts_authorId_idx" ON "posts"("authorId");
ALTER TABLE "posts" ADD CONSTRAINT "posts_authorId_fkey" FOREIGN KEY ("authorId")
    REFERENCES "User"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
"""
BACK = 'DROP TABLE "posts"; DROP TABLE "User"; DROP TYPE "Role";\n'
USER = """INSERT INTO "User" (email, role, age) VALUES ('a@x', 'GUEST', 3);"""
POST = """INSERT INTO posts (the_title, "authorId") VALUES ('first', 1);"""
CONFIGURATION = """\
import { defineConfig, env } from 'prisma/config';
export default defineConfig({ schema: 'prisma', datasource: { url: env('DATABASE_URL') } });
"""
NewProject = Callable[..., PrismaProject]


@pytest.fixture(params=["recorded", pytest.param("real", marks=pytest.mark.slow)])
def project(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server: EmbeddedServer,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[NewProject]:
    """Makes a project with these models, and by default with the migration that makes them."""
    real = request.param == "real"
    tape = re.sub(r"\W+", "_", request.node.originalname.removeprefix("test_"))
    made = list[str]()

    def new_database() -> str:
        name = f"{tape[:40]}_{len(made)}"
        made.append(name)
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return server.url(name)

    def make(models: str = MODELS, start: str = START, version: str = "6.19.0") -> PrismaProject:
        for name, value in install(tmp_path, version, tape, real=real).items():
            monkeypatch.setenv(name, value)
        found = PrismaProject(tmp_path, server.url(), new_database)
        for folder in ("sql", "rollback"):
            (found.migrations / folder).mkdir(parents=True)
        if start:
            (found.migrations / "sql" / "0001_start.sql").write_text(start)
            (found.migrations / "rollback" / "0001_rollback.sql").write_text(BACK)
        found.write(DATASOURCE + models)
        return found

    yield make
    for name in made:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    if real:
        compare(tmp_path, tape)


def test_the_first_migration_makes_what_prisma_makes(project: NewProject) -> None:
    team = project(start="")
    made = team.generate("start", "--json")
    assert made.code == 0
    [verdict] = made.document["rehearsal"]["migrations"]
    assert (verdict["rollback"], verdict["reapply"]) == ("exact", "exact")
    assert pg_dump_schema(team.proven()) == team.made_by_prisma()


def test_a_required_column_is_written_and_lint_says_that_rows_are_in_its_way(
    project: NewProject,
) -> None:
    team = project()
    team.edit(("  age   Int?\n", "  age Int?\n  at DateTime @default(now())\n  city String\n"))
    made = team.generate("city", "--json")
    assert made.code == 0
    assert [one["id"] for one in made.document["lint"]] == ["TB112"]
    assert pg_dump_schema(team.proven()) == team.made_by_prisma()
    assert 'ADD COLUMN     "city" TEXT NOT NULL' in team.scripts("sql")[-1]


def test_a_column_that_may_have_been_renamed_is_not_dropped_before_somebody_says_so(
    project: NewProject,
) -> None:
    team = project()
    team.edit(("  age   Int?", "  years Int?"))
    checked = team.check("--json")
    assert (checked.code, checked.document["status"]) == (3, "findings")
    asked = team.generate("years")
    assert asked.code == 2
    assert "--rename 'User.age=years'; or, if none is, --no-renames" in asked.err
    refused = team.generate("years", "--no-renames")
    assert refused.code == 2
    assert 'column User.age, with its values (ALTER TABLE "User" DROP COLUMN "age")' in refused.err
    assert len(team.scripts("sql")) == 1
    made = team.generate("years", "--no-renames", "--allow-destroy", "--json")
    assert (made.code, made.document["renamed"]) == (0, [])
    assert made.document["destroys"] == [
        'column User.age, with its values (ALTER TABLE "User" DROP COLUMN "age")'
    ]


def test_a_renamed_column_keeps_its_values(project: NewProject) -> None:
    team = project()
    team.edit(("  age   Int?", "  years Int?"))
    made = team.generate("years", "--rename", "User.age=years", "--json")
    assert (made.code, made.document["renamed"]) == (0, ["User.age=years"])
    with psycopg.connect(team.proven(USER)) as connection:
        assert connection.execute('SELECT years FROM "User"').fetchall() == [(3,)]
    # Nothing is written where the migrations make the schema.
    again = team.check("--json")
    assert (again.code, again.document["status"]) == (0, "nothing_to_do")
    assert len(team.scripts("sql")) == 2


def test_a_renamed_table_keeps_its_rows_and_its_columns_can_be_renamed_with_it(
    project: NewProject,
) -> None:
    team = project()
    team.edit(('@@map("posts")', '@@map("articles")'), ('@map("the_title")', '@map("heading")'))
    both = ("--rename", "posts=articles", "--rename", "posts.the_title=heading")
    made = team.generate("articles", *both, "--json")
    assert made.document["renamed"] == ["posts=articles", "articles.the_title=heading"]
    assert made.code == 0
    with psycopg.connect(team.proven(USER, POST)) as connection:
        assert connection.execute("SELECT heading FROM articles").fetchall() == [("first",)]
    assert team.generate("again", "--json").document["status"] == "nothing_to_do"


def test_a_renamed_enum_and_its_renamed_value_keep_what_columns_have(project: NewProject) -> None:
    team = project()
    team.edit(("enum Role", "enum Kind"), ("role  Role ", "role  Kind "), ("GUEST", "OTHER"))
    asked = team.generate("kind", "--rename", "Role=Kind")
    assert asked.code == 2
    assert "--rename 'Kind.GUEST=OTHER'" in asked.err
    made = team.generate("kind", "--rename", "Role=Kind", "--rename", "Role.GUEST=OTHER", "--json")
    assert (made.code, made.document["renamed"]) == (0, ["Role=Kind", "Kind.GUEST=OTHER"])
    with psycopg.connect(team.proven(USER)) as connection:
        assert connection.execute('SELECT role::text FROM "User"').fetchall() == [("OTHER",)]


def test_an_enum_value_is_added_and_its_rollback_makes_the_type_anew(project: NewProject) -> None:
    team = project()
    team.edit(("  GUEST\n", "  GUEST\n  ROBOT\n"))
    made = team.generate("robot", "--json")
    assert (made.code, made.document["destroys"]) == (0, [])
    assert "COMMIT" not in team.scripts("rollback")[-1]
    team.proven()


def test_a_dropped_table_and_a_dropped_enum_value_are_written_only_with_leave(
    project: NewProject,
) -> None:
    team = project()
    before, _, _ = team.schema.read_text().partition("model Post")
    team.write(before.replace("  posts Post[]\n", "").replace("  GUEST\n", ""))
    refused = team.generate("less")
    assert refused.code == 2
    assert "table posts, with its rows" in refused.err
    assert "enum value 'GUEST' of \"Role\"" in refused.err
    assert len(team.scripts("sql")) == 1
    made = team.generate("less", "--allow-destroy", "--json")
    assert made.code == 0
    team.proven()


def test_a_type_that_becomes_wider_is_changed_in_place(project: NewProject) -> None:
    team = project()
    team.edit(("  age   Int?", "  age   BigInt?"))
    made = team.generate("age", "--json")
    assert made.code == 0
    assert made.document["rehearsal"]["migrations"][0]["loses_data"] == [
        'values of column public."User".age that fit bigint and not integer'
    ]
    team.proven(USER)


def test_several_schemas_in_several_files_are_compared_by_prisma_7(project: NewProject) -> None:
    team = project("", "", version="7.10.1")
    (team.folder / "prisma.config.ts").write_text(CONFIGURATION)
    team.write('datasource db {\n  provider = "postgresql"\n  schemas  = ["public", "shop"]\n}\n')
    at = {"Post": "shop"}
    models = re.sub(
        r"(?ms)^(enum|model) (\w+) (.*?)^\}",
        lambda found: f'{found[0][:-1]}  @@schema("{at.get(found[2], "public")}")\n}}',
        MODELS,
    )
    (team.schema.parent / "models.prisma").write_text(models)
    made = team.generate("start", "--schema", str(team.schema.parent), "--json")
    assert made.code == 0
    assert team.scripts("rollback")[-1].endswith('DROP SCHEMA "shop";\n')
    team.proven()


def test_prisma_says_what_is_wrong_with_the_schema(project: NewProject) -> None:
    team = project()
    team.edit(("model Post {", "model Post {\n  nonsense"))
    refused = team.generate("x")
    assert refused.code == 2
    assert "prisma migrate diff fails: P1012" in refused.err
    assert "-->  prisma/schema.prisma:" in refused.err
    assert "hint: correct the schema" in refused.err


def test_the_layout_of_prisma_has_both_scripts_in_the_folder_of_the_migration(
    project: NewProject,
) -> None:
    team = project()
    folder = team.folder / "prisma" / "migrations"
    first = folder / "20250101000000_start" / "migration.sql"
    first.parent.mkdir(parents=True)
    first.write_text(START)
    (folder / "migration_lock.toml").write_text('provider = "postgresql"\n')
    (folder.parent / "turnback.toml").write_text('[layout]\nname = "prisma"\n')
    team.edit(("  age   Int?\n", "  age   Int?\n  city  String?\n"))
    made = team.generate("city", "--dir", str(folder), "--json")
    assert made.code == 0
    forward, rollback = made.document["files"]
    assert forward.endswith("_city/migration.sql")
    assert 'ADD COLUMN     "city" TEXT' in (folder / forward).read_text()
    assert 'DROP COLUMN "city"' in (folder / rollback).read_text()
    assert rollback == f"{Path(forward).parent}/down.sql"


def test_a_question_is_asked_at_a_terminal(
    project: NewProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = project()
    team.edit(("  age   Int?", "  years Int?"))
    # The tests have no terminal.
    monkeypatch.setattr(from_prisma, "may_ask", lambda _: True)
    asked = list[str]()

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr("click.confirm", confirm)
    assert team.generate("years").code == 0
    assert asked == ["Was the column User.age renamed to years? If not, it is dropped"]
    assert 'RENAME COLUMN "age" TO "years"' in team.scripts("sql")[-1]


def test_check_lets_prisma_validate_its_schema_and_look_at_its_format(
    project: NewProject,
) -> None:
    team = project()

    def check(*options: str) -> Answer:
        return turnback("check", "--dir", team.migrations, *options)

    assert check("--fix").code == 0
    assert check("--prisma").out == "1 migration: nothing found."
    team.edit(("  age   Int?", "  age Int?"))
    unformatted = check("--prisma")
    assert unformatted.code == 3
    assert "prisma format --check: ! There are unformatted files." in unformatted.out
    assert "prisma format, and add the schema to the commit again" in unformatted.out
    team.edit(("model Post {", "model Post {\n  nonsense"))
    assert check().code == 0
    invalid = check("--prisma", "--json")
    assert invalid.code == 3
    [finding] = invalid.document["findings"]
    assert finding["message"].startswith("prisma validate: ")
    assert "-->  prisma/schema.prisma:" in finding["message"]
    shutil.rmtree(team.folder / "node_modules")
    without = check("--prisma")
    assert (without.code, without.out, without.err) == (0, "1 migration: nothing found.", "")


def test_without_prisma_or_node_it_says_what_to_install(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    team = PrismaProject(tmp_path, server.url(), str)
    (team.migrations / "sql").mkdir(parents=True)
    missing = team.generate("x")
    assert missing.code == 2
    assert "schema.prisma" in missing.err
    team.write(DATASOURCE + MODELS)
    missing = team.generate("x")
    assert (missing.code, missing.out) == (2, "")
    assert "Prisma is not installed" in missing.err
    assert "npm install" in missing.err
    program = tmp_path / "node_modules" / ".bin" / "prisma"
    program.parent.mkdir(parents=True)
    program.write_text("#!/usr/bin/env no-such-node\n")
    program.chmod(0o755)
    missing = team.generate("x")
    assert missing.code == 2
    assert "install Node.js" in missing.err
    unknown = team.generate("x", "--prisma", f"{sys.executable} -c exit(3)")
    assert unknown.code == 2
    assert "fails: exit code 3" in unknown.err
