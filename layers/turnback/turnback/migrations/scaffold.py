"""New folders and files of a project, and where its commits come from."""

from __future__ import annotations

import re
import subprocess
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from turnback.errors import ConfigurationError
from turnback.migrations.checksums import FILE, checksums_of, digest, write_sums
from turnback.migrations.discovery import scan
from turnback.migrations.files import Folder
from turnback.migrations.layouts import layout
from turnback.migrations.layouts.layout import New, Scripts
from turnback.migrations.layouts.names import next_version
from turnback.migrations.layouts.pairs import verify_path
from turnback.migrations.layouts.turnback import REPEATABLE
from turnback.migrations.model import Project
from turnback.settings.project import OWN

# A checksum is of the file's bytes, which git changes on Windows unless it is kept from it.
_ATTRIBUTES = f"*.sql -text\n{FILE} -text\n"
_LONGEST_SLUG = 200


def make_folders(folder: Path) -> list[str]:
    """Make the folders of a project and its ``SHA256SUMS``; existing ones are left as they are.

    Args:
        folder: the project's folder.

    Returns:
        The paths that were made.

    Raises:
        ConfigurationError: a folder cannot be made.
    """
    made = []
    for name in ("sql", "rollback", "verify"):
        part = folder / name
        if not part.is_dir():
            try:
                part.mkdir(parents=True)
            except OSError as exc:
                raise ConfigurationError(
                    f"{part} cannot be made: {exc.strerror}", hint="choose another with --dir"
                ) from exc
            (part / ".gitkeep").touch()
            made.append(str(part))
    if not (folder / FILE).exists():
        write_sums(folder, {})
        made.append(str(folder / FILE))
    attributes = folder / ".gitattributes"
    if not attributes.exists():
        attributes.write_text(_ATTRIBUTES, encoding="utf-8")
        made.append(str(attributes))
    return made


def new_migration(
    folder: Path, name: str, *, timestamp: bool = False, scripts: Scripts | None = None
) -> tuple[str, list[str]]:
    """Write the files of the next migration, and add them to ``SHA256SUMS``.

    Args:
        folder: the project's folder.
        name: of the migration; letters and digits are kept.
        timestamp: whether the version is the time (UTC) as 14 digits.
        scripts: its SQL; without, it is to be written by hand.

    Returns:
        The version, and the paths of its files, relative to the folder.

    Raises:
        ConfigurationError: the name has neither letters nor digits, or is too long.
        ProjectNotFound: there is no such folder, or it has no folder ``sql``.
        InvalidMigration, DuplicateVersion: the project has an error already.
    """
    slug, project = file_name(name), _sound(folder)
    used = layout(project.settings.layout)
    versions = [migration.version for migration in project.migrations]
    # A first migration, or one after 0_init: a name with a small number may sort before it.
    by_time = timestamp or (used.by_time and not any(one.strip("0") for one in versions))
    version = next_version(versions, datetime.now(UTC) if by_time else None)
    found = used.new(New(version, slug, project.migrations, Folder(folder), scripts))
    files = {path: text for path, text in found.items() if text}
    _write(project, files)
    [made] = [one for one in scan(folder)[0].migrations if one.forward.path in files]
    if scripts and scripts.verify:
        path = verify_path(used, made)
        files[path] = scripts.verify
        _write(_sound(folder), {path: scripts.verify})
    return made.version, list(files)


def new_repeatable(folder: Path, name: str) -> tuple[str, list[str]]:
    """Write the file of a repeatable, and add it to ``SHA256SUMS``; returns its path, twice.

    Args:
        folder: the project's folder.
        name: of the file; letters and digits are kept.

    Raises:
        ConfigurationError: as ``new_migration``; or the file exists, or the layout has none.
        ProjectNotFound, InvalidMigration, DuplicateVersion: as ``new_migration``.
    """
    slug, project = file_name(name), _sound(folder)
    if project.settings.layout != OWN:
        raise ConfigurationError(
            f"the layout {project.settings.layout} has no repeatables",
            hint="write CREATE OR REPLACE in a migration",
        )
    path = f"{REPEATABLE}/{slug}.sql"
    if project.find(path):
        raise ConfigurationError(f"{path} exists already", hint="edit it")
    date = datetime.now(UTC).date().isoformat()
    _write(project, {path: f"-- Migration: {slug}\n-- Date: {date}\n\n"})
    return path, [path]


def file_name(name: str) -> str:
    """A migration's name as it is in the names of its files.

    Raises:
        ConfigurationError: it has neither letters nor digits, or is too long.
    """
    # A letter with an accent is kept without it.
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    if len(slug) > _LONGEST_SLUG:
        raise ConfigurationError(
            f"the name '{name[:20]}…' has {len(slug)} characters",
            hint=f"a file's name has at most {_LONGEST_SLUG} of them",
        )
    if not slug:
        raise ConfigurationError(
            f"'{name}' gives no name for a file", hint="use letters and digits, such as add_users"
        )
    return slug


def _sound(folder: Path) -> Project:
    project, findings = scan(folder)
    if findings:
        raise findings[0]
    return project


def _write(project: Project, files: Mapping[str, str]) -> None:
    sums = dict(project.sums or checksums_of(project))
    for path, text in files.items():
        file = project.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        # A list of the migrations is written anew.
        mode = "w" if path in project.besides else "x"
        with file.open(mode, encoding="utf-8", newline="\n") as opened:
            opened.write(text)
        sums[path] = digest(text.encode())
    write_sums(project.folder, sums)


def source_of(folder: Path) -> dict[str, str]:
    """``commit`` and ``repository`` of the checkout that the folder is in, as far as git knows."""
    commands = {
        "commit": ["git", "-C", str(folder), "rev-parse", "HEAD"],
        "repository": ["git", "-C", str(folder), "config", "--get", "remote.origin.url"],
    }
    source = {}
    for key, command in commands.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            return {}
        if done.returncode == 0 and done.stdout.strip():
            # A token in the origin's address is kept out of the artifact.
            source[key] = re.sub(r"://[^/@]*@", "://", done.stdout.strip())
    return source
