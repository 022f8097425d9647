"""What layouts have in common: names of files, new versions, the header of a new file."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from turnback.migrations.files import Files


def header(title: str, version: str) -> str:
    """The header of a new file; directives belong below it, before the first empty line."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return f"-- Migration: {title}\n-- Version: {version}\n-- Date: {today}\n"


def next_version(versions: Sequence[str], now: datetime | None = None) -> str:
    """The version after the last of these, in its form; the time if it is one, or one is given."""
    # A version may be a whole name, which begins with its number.
    number = re.match("[0-9]+", versions[-1]) if versions else None
    last = number[0] if number else "0000"
    if now or len(last) == 14:
        stamp = f"{now or datetime.now(UTC):%Y%m%d%H%M%S}"
        return stamp if int(stamp) > int(last) else str(int(last) + 1)
    return str(int(last) + 1).zfill(len(last))


def listed(files: Files, name: re.Pattern[str], folder: str = "") -> Iterator[tuple[str, str]]:
    """The files of a folder with such a name: path and text, for recognising them."""
    try:
        names = sorted(files.names(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for filename in names:
        if name.fullmatch(filename):
            path = f"{folder}/{filename}" if folder else filename
            try:
                yield path, files.read(path).decode("utf-8-sig", errors="replace")
            except OSError:
                continue


def author() -> tuple[str, str]:
    """Who writes a new migration, as git knows them: name and address."""
    found = []
    for key, default in (("user.name", "turnback"), ("user.email", "turnback@localhost")):
        try:
            command = ["git", "config", key]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
            found.append(done.stdout.strip() or default)
        except (OSError, subprocess.TimeoutExpired):
            found.append(default)
    return found[0], found[1]
