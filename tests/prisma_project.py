"""A project with Prisma: its schema, and Prisma itself or what the real one has answered.

In the gate the answers of the real Prisma are played; ``make slow`` installs it from npm, runs the
same tests with it, and compares its answers with the recorded ones. RECORD_PRISMA=1 with
``-m slow`` records them anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from turnback.local.prisma import Prisma

from tests.dumps import pg_dump_schema
from tests.fixtures.adopt.make.install import npm
from tests.integration.terminal import Answer, turnback

HERE = Path(__file__).parent / "fixtures" / "prisma"
# Prisma's version → the engine of it that npm has, and the driver. That of 7.10.1 itself is not in
# npm: the next one is.
ENGINES = {
    "6.19.0": ("6.19.0-26.2ba551f319ab1df4bc874a89965d8b3641056773", "6.19.0"),
    "7.10.1": ("8.1.0-2.59be4fda12412a79eeb9c2ae727b6aa723593323", "7.10.1"),
}
DATASOURCE = """\
datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}

"""
NewDatabase = Callable[[], str]


@dataclass(frozen=True, slots=True)
class PrismaProject:
    """A folder with ``prisma/schema.prisma`` and ``migrations``.

    Attributes:
        folder: of ``package.json``.
        shadow: the server of the shadow database.
        new_database: makes an empty database; its address.
    """

    folder: Path
    shadow: str
    new_database: NewDatabase

    @property
    def migrations(self) -> Path:
        return self.folder / "migrations"

    @property
    def schema(self) -> Path:
        return self.folder / "prisma" / "schema.prisma"

    def write(self, text: str) -> None:
        self.schema.parent.mkdir(exist_ok=True)
        self.schema.write_text(text)

    def edit(self, *changes: tuple[str, str]) -> None:
        """Replace texts of the schema, each of which it has."""
        text = self.schema.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.schema.write_text(text)

    def generate(self, *options: str) -> Answer:
        return turnback(
            *("generate", "--from-prisma", "--dir", self.migrations),
            *("--schema", self.schema, "--shadow-url", self.shadow, *options),
        )

    def check(self, *options: str) -> Answer:
        return self.generate("--check", *options)

    def scripts(self, folder: str) -> list[str]:
        """The texts of the forward or the rollback scripts, in order."""
        return [path.read_text() for path in sorted((self.migrations / folder).glob("*.sql"))]

    def proven(self, *rows: str) -> str:
        """Let pg_dump judge the last migration: both ways, and both ways again.

        Args:
            rows: what is inserted before it.

        Returns:
            The address of the database, with the migration applied.
        """
        url = self.new_database()
        *earlier, last = self.scripts("sql")
        rollback = self.scripts("rollback")[-1]
        with psycopg.connect(url, autocommit=True) as connection:
            for script in (*earlier, *rows):
                connection.execute(script.encode())
            before = pg_dump_schema(url)
            connection.execute(last.encode())
            after = pg_dump_schema(url)
            connection.execute(rollback.encode())
            assert pg_dump_schema(url) == before
            connection.execute(last.encode())
            assert pg_dump_schema(url) == after
        return url

    def made_by_prisma(self) -> str:
        """The schema of a database that Prisma makes from nothing, as pg_dump says it."""
        url = self.new_database()
        sql = Prisma.find(self.schema).forward(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.encode())
        return pg_dump_schema(url)


def install(folder: Path, version: str, tape: str, *, real: bool) -> dict[str, str]:
    """Put Prisma into a project; returns the variables that it needs.

    Args:
        folder: of the project.
        version: of Prisma.
        tape: the name of the recorded answers.
        real: whether it is the real one, from npm.
    """
    (folder / "package.json").write_text("{}\n")
    programs = folder / "node_modules" / ".bin"
    programs.mkdir(parents=True)
    program = programs / "prisma"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "prisma.py"}" "$@"\n')
    program.chmod(0o755)
    if not real:
        shutil.copy(HERE / "recorded" / f"{tape}.json", folder / "tape.json")
        return {}
    engine, driver = ENGINES[version]
    home = npm(f"@prisma/schema-engine-wasm@{engine}", f"@prisma/adapter-pg@{driver}").parents[1]
    command = npm(f"prisma@{version}", f"@prisma/adapter-pg@{driver}") / "prisma"
    # Where prisma.config.ts imports it from.
    (folder / "node_modules" / "prisma").symlink_to(command.parents[1] / "prisma")
    return {
        "REAL_PRISMA": str(command),
        "PRISMA_ENGINE_HOME": str(home),
        "PRISMA_SCHEMA_ENGINE_BINARY": str(HERE / "schema_engine.mjs"),
        # Named, so that nothing is fetched; it is never started.
        "PRISMA_QUERY_ENGINE_LIBRARY": "/bin/true",
    }


def compare(folder: Path, tape: str) -> None:
    """Assert that the real Prisma has answered what is recorded, or record it."""
    said = (folder / "tape.json").read_text()
    recorded = HERE / "recorded" / f"{tape}.json"
    if os.environ.get("RECORD_PRISMA"):
        recorded.write_text(said)
    assert json.loads(said) == json.loads(recorded.read_text())
