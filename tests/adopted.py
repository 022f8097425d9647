"""The projects of other tools in tests/fixtures/adopt, and how to read what the tools said."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turnback.settings.project import FILE as SETTINGS

FIXTURES = Path(__file__).with_name("fixtures") / "adopt"
# The names of the migrations of every fixture, in order; the last one is not applied.
NAMES = ["accounts", "audit", "email_index", "notes", "active_accounts", "archived"]


@dataclass(frozen=True, slots=True)
class Fixture:
    """A project of another tool.

    Attributes:
        tool: its name, which is that of the layout and of the folder.
        folder: where the migrations are in the project.
        applied, pending: what finds the names of the migrations in ``status.txt``; empty where
            the tool does not list them.
        outside: whether the files say that a migration runs outside a transaction.
        rollbacks: whether the tool has rollback scripts.
        compared: whether the tool keeps what its files can be compared with.
        names: of the migrations, in order.
    """

    tool: str
    folder: str = "migrations"
    applied: str = ""
    pending: str = ""
    outside: bool = True
    rollbacks: bool = True
    compared: bool = False
    names: Sequence[str] = tuple(NAMES)

    def __str__(self) -> str:
        return self.tool

    @property
    def path(self) -> Path:
        """The folder of the fixture."""
        return FIXTURES / self.tool

    def status(self) -> str:
        """What the tool said of the project; empty where there is no tool."""
        said = self.path / "status.txt"
        return said.read_text() if said.is_file() else ""

    def copy(self, into: Path, *, settings: bool = True) -> Path:
        """The folder of migrations in a copy of the project, with a turnback.toml beside it.

        Args:
            into: where the copy goes; a new folder is made in it.
            settings: whether the turnback.toml is written.
        """
        project = into / "project"
        shutil.copytree(self.path / "project", project)
        folder = (project / self.folder).resolve()
        if settings:
            (folder.parent / SETTINGS).write_text(f'[layout]\nname = "{self.tool}"\n')
        return folder

    def said(self, pattern: str, text: str) -> list[str]:
        """The names that a pattern finds in what the tool said; some tools say only numbers."""
        found = re.findall(pattern, text, re.MULTILINE) if pattern else []
        named = dict(enumerate(NAMES, 1))
        return [
            named.get(int(name[-2:]), name) if name.isdecimal() else plain(name) for name in found
        ]

    def write(self, folder: Path, files: Sequence[str], up: str, down: str) -> None:
        """Write statements into the files of a new migration, as a person would."""
        for path in map(folder.joinpath, files):
            if path.suffix != ".sql":
                continue
            text = path.read_text()
            if self.tool == "liquibase":
                text += f"{up}\n--rollback {down}\n"
            elif mark := _SECTIONS.search(text):
                text = f"{text[: mark.end()]}{up}\n{text[mark.end() :]}{down}\n"
            else:
                name = path.relative_to(folder).as_posix()
                sql = down if _ROLLBACK.search(name) else up
                text = (
                    text.replace("BEGIN;\n", f"BEGIN;\n{sql}\n") if "BEGIN;" in text else text + sql
                )
            path.write_text(text)


# The line under which the migration begins, in files that have its rollback at their end.
_SECTIONS = re.compile(r"^-- (?:migrate:up|\+goose Up|\+migrate Up|Up Migration)\n", re.MULTILINE)
_ROLLBACK = re.compile(r"^(?:rollback|revert)/|[./](?:down|rollback)\.sql$|^U[0-9]")


def plain(name: str) -> str:
    """A name as it is in NAMES: tools write it with other marks between the words."""
    return name.replace("-", "_").replace(" ", "_")


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file below a folder, but for those that turnback writes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("SHA256SUMS", "turnback.toml")
    }


ALL = [
    Fixture(
        "atlas",
        applied=r"^applied (\d+)$",
        pending=r"^pending (\d+)$",
        rollbacks=False,
        compared=True,
    ),
    Fixture("dbmate", "db/migrations", r"^\[X\] \d+_(\w+)\.sql", r"^\[ \] \d+_(\w+)\.sql"),
    Fixture("diesel", applied=r"^  \[X\] [\d-]+_(\w+)$", pending=r"^  \[ \] [\d-]+_(\w+)$"),
    Fixture(
        "drizzle",
        "drizzle",
        r"^applied \d+_(\w+)$",
        r"^pending \d+_(\w+)$",
        outside=False,
        rollbacks=False,
        compared=True,
    ),
    Fixture("flyway", "sql", compared=True),
    Fixture("golang-migrate", outside=False),
    Fixture("goose"),
    Fixture("graphile-migrate", pending=r"^  (\d+)\.sql$", rollbacks=False, compared=True),
    Fixture("liquibase", "changelog", pending=r"^ +changelog/\d+-\S+::(\w+)::ada$", compared=True),
    Fixture("node-pg-migrate", pending=r"^> - \d+_(\S+)", outside=False),
    Fixture(
        "prisma",
        "prisma/migrations",
        pending=r"^\d{14}_(\w+)$",
        outside=False,
        rollbacks=False,
        compared=True,
    ),
    Fixture(
        "sql-migrate",
        applied=r"^\| \d+-(\w+)\.sql +\| \d{4}-",
        pending=r"^\| \d+-(\w+)\.sql +\| no ",
    ),
    Fixture(
        "sqitch",
        ".",
        r"^#   (\w+) +- ",
        r"^  \* (\w+)$",
        outside=False,
        compared=True,
        names=[*NAMES[:-1], "active_accounts", "archived"],
    ),
    Fixture("sqlx", applied=r"^\d+/installed (.+)$", pending=r"^\d+/pending (.+)$", compared=True),
    Fixture(
        "supabase",
        "supabase/migrations",
        r"^ +`\d+` +\| `(\d+)`",
        r"^ +`(\d+)` +\| ` `",
        outside=False,
        rollbacks=False,
        compared=True,
    ),
    Fixture("yoyo", applied=r"^A +\d+\.(\S+)", pending=r"^U +\d+\.(\S+)"),
]
BY_TOOL = {fixture.tool: fixture for fixture in ALL}
