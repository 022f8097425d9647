"""The tools that are compared: the commands to apply, to find nothing to do, to roll back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from corpus import backward, forward, write_dbmate_project, write_project, write_script
from turnback.local.programs import binaries

TURNBACK = str(Path(sys.executable).with_name("turnback"))
PSQL = str(binaries() / "psql")
QUIET_PSQL = [PSQL, "-X", "-q", "-v", "ON_ERROR_STOP=1"]
DBMATE = "dbmate@2.36.0"

Command = list[str]


@dataclass(frozen=True, slots=True)
class Way:
    """A tool and its commands; each is given the URL of a database.

    Attributes:
        name: as the tables call it.
        up: applies all migrations.
        again: the same, when all are applied.
        down: takes the last ones back; as many commands as the tool needs for it.
        status: says where each migration stands, where the tool can.
    """

    name: str
    up: Callable[[str], Command]
    again: Callable[[str], Command]
    down: Callable[[str], list[Command]]
    status: Callable[[str], Command] | None = None


def turnback(folder: Path, size: int, back: int) -> Way:
    """``turnback up`` and ``turnback down``."""
    project = str(write_project(folder / "turnback", size))

    def command(*words: str) -> Callable[[str], Command]:
        return lambda url: [TURNBACK, *words, "--dir", project, "--database-url", url]

    up, down = command("up", "--json"), command("down", str(size - back), "--yes", "--json")
    return Way("turnback", up, up, lambda url: [down(url)], command("status"))


def psql(folder: Path, size: int, back: int) -> Way:
    """``psql -f`` of one script, a transaction for each migration, and no record of any of it."""
    up = write_script(folder / "up.sql", [forward(n) for n in range(1, size + 1)])
    down = write_script(folder / "down.sql", [backward(n) for n in range(size, size - back, -1)])
    return Way(
        "psql",
        lambda url: [*QUIET_PSQL, "-f", str(up), url],
        # It knows of no migrations, so this is the least that any client does.
        lambda url: [*QUIET_PSQL, "-c", "SELECT 1", url],
        lambda url: [[*QUIET_PSQL, "-f", str(down), url]],
    )


def dbmate(folder: Path, size: int, back: int) -> Way:
    """dbmate's own binary, without the dump of the schema that it makes after each command.

    Raises:
        NotHere: it cannot be had; the message says why.
    """
    program = install_dbmate(folder / "npm")
    project = str(write_dbmate_project(folder / "dbmate", size))

    def command(word: str) -> Callable[[str], Command]:
        return lambda url: [program, "--url", url, "-d", project, "--no-dump-schema", word]

    up, down = command("migrate"), command("rollback")
    # It takes one migration back a command.
    return Way("dbmate", up, up, lambda url: [down(url)] * back, command("status"))


class NotHere(Exception):
    """A tool that this machine does not have."""


def install_dbmate(folder: Path) -> str:
    """Install dbmate's binary by npm, and return its path.

    Raises:
        NotHere: it cannot be had; the message says why.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NotHere("dbmate is not in the tables: Node and npm, which bring it, are not here.")
    done = subprocess.run(
        [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", DBMATE],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["?"])[-1]
        raise NotHere(f"dbmate is not in the tables: npm cannot install {DBMATE} ({last}).")
    found = next(folder.glob("node_modules/@dbmate/*/bin/dbmate"), None)
    if found is None:
        raise NotHere(f"dbmate is not in the tables: {DBMATE} has no binary for this machine.")
    return str(found)
