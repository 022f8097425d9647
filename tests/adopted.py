"""The projects of other tools in tests/fixtures/adopt, and how to read what the tools said."""

from __future__ import annotations

import hashlib
import re
import shutil
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
        outside: whether the tool can run a migration outside a transaction.
    """

    tool: str
    folder: str = "migrations"
    applied: str = ""
    pending: str = ""
    outside: bool = True

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
        folder = project / self.folder
        if settings:
            (folder.parent / SETTINGS).write_text(f'[layout]\nname = "{self.tool}"\n')
        return folder


def names_in(pattern: str, text: str) -> list[str]:
    """What a pattern finds in the words of a tool, as the names are written here."""
    found = re.findall(pattern, text, re.MULTILINE) if pattern else []
    return [name.replace("-", "_").replace(" ", "_") for name in found]


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file below a folder, but for those that turnback writes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("SHA256SUMS", "turnback.toml")
    }


ALL = [
    Fixture("atlas"),
    Fixture("dbmate", "db/migrations", r"^\[X\] \d+_(\w+)\.sql", r"^\[ \] \d+_(\w+)\.sql"),
    Fixture("diesel"),
    Fixture("drizzle", "drizzle", outside=False),
    Fixture("golang-migrate", outside=False),
    Fixture("goose"),
    Fixture("graphile-migrate"),
    Fixture("node-pg-migrate", pending=r"^> - \d+_(\S+)", outside=False),
    Fixture("prisma", "prisma/migrations", pending=r"^\d{14}_(\w+)$", outside=False),
    Fixture("sqlx", applied=r"^\d+/installed (.+)$", pending=r"^\d+/pending (.+)$"),
    Fixture("supabase", "supabase/migrations", outside=False),
]
