"""Adopting a project of another tool: the plan, the history, the files that are written."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from turnback.engine.look.other_tools import Comparison, OtherHistory
from turnback.engine.run.adopt import Adopted, Adoption, adopt
from turnback.engine.run.session import Session
from turnback.errors import ConfigurationError, ProjectNotFound, TurnbackError
from turnback.migrations.checksums import FILE, checksums_of, write_sums
from turnback.migrations.discovery import read
from turnback.migrations.files import Files
from turnback.migrations.layouts.convert import MAP, Converted
from turnback.migrations.layouts.layout import Layout
from turnback.migrations.model import Migration, Project
from turnback.settings.layout_section import write_layout
from turnback.settings.project import FILE as SETTINGS
from turnback.settings.project import OWN, ProjectFile


def read_in(files: Files, layout: Layout, settings: ProjectFile) -> Project:
    """The project in a layout.

    Args:
        files: the folder.
        layout: how its files are read.
        settings: what turnback.toml says besides.

    Raises:
        InvalidMigration, DuplicateVersion: the first thing that is wrong with its files.
        ProjectNotFound: it has no migrations of that layout.
    """
    chosen = {**settings.sections.get("layout", {}), "name": layout.name}
    sections = {**settings.sections, "layout": chosen}
    project, findings = read(files, replace(settings, sections=sections))
    if findings:
        first = findings[0]
        if len(findings) > 1:
            first.message += f" (and {len(findings) - 1} more)"
        raise first
    if not project.migrations:
        raise ProjectNotFound(
            f"no migrations of {layout.name} in {files.path}",
            hint="name the folder of the migrations with --dir",
        )
    return project


@dataclass(frozen=True, slots=True)
class Adopting:
    """What is to be adopted: the files of a tool, and its history.

    Attributes:
        project: the files.
        layout: as they are read.
        history: the tool's table; None where the database has none, or none is named.
        compared: the two beside each other.
        asked: whether a database was asked.
    """

    project: Project
    layout: Layout
    history: OtherHistory | None
    compared: Comparison | None
    asked: bool

    @property
    def applied(self) -> list[Migration]:
        """What the tool has applied, and has a file, in the order of the files."""
        rows = self.compared.applied if self.compared else ()
        versions = {migration.version for migration, _ in rows}
        return [one for one in self.project.migrations if one.version in versions]

    @property
    def baseline(self) -> Migration | None:
        """The last migration that needs no rollback script; without a database, the last file.

        What turnback.toml names already remains, where that is later: the project was adopted on a
        database that had more.
        """
        known = self.applied if self.asked else self.project.migrations
        place = (self.project.place(known[-1].version) or 0) if known else -1
        last = max(place, self.project.baseline - 1)
        return self.project.migrations[last] if last >= 0 else None

    def problems(self, *, accept_differences: bool) -> list[TurnbackError]:
        """Why it is not adopted."""
        if self.compared is None:
            return []
        return [
            *self.compared.refused,
            *(() if accept_differences else self.compared.differences),
        ]


def take_over(session: Session, plan: Adopting, converted: Converted | None) -> Adoption | None:
    """Record what the tool has applied, in one transaction; None where that is nothing.

    Args:
        session: with the database.
        plan: what is adopted.
        converted: the files in turnback's own layout, where these are used from now on.

    Raises:
        HistoryConflict, RunnerBusy, DatabaseRefused: as ``run.adopt.adopt``.
    """
    entries = []
    for migration, row in plan.compared.applied if plan.compared else ():
        version, checksum = migration.version, migration.forward.checksum
        if converted:
            version, checksum = converted.versions[version][0], converted.checksum(version)
        entries.append(Adopted(version, migration.name, checksum, row.applied_at, row.execution_ms))
    return adopt(session, entries, str(plan.history)) if entries else None


def write_files(
    plan: Adopting,
    directory: Path,
    target: Path | None,
    converted: Converted | None,
    *,
    write: bool = True,
) -> list[Path]:
    """Write turnback.toml and SHA256SUMS, or the converted files.

    Called with ``write=False`` before the history is taken over: what stops the files then leaves
    the database as it is.

    Args:
        plan: what is adopted.
        directory: the folder of the tool's files.
        target: the folder for the converted files.
        converted: those files.
        write: whether they are written; False only finds out what would stop it.

    Returns:
        The paths that were written, or would be.

    Raises:
        ConfigurationError: a folder has other files, turnback.toml has a form that is not changed,
            or there is no right to write.
    """
    name, folder, baseline = plan.layout.name, directory, plan.baseline
    version = baseline.version if baseline else None
    written: list[Path] = []
    if converted and target:
        name, folder = OWN, target
        version = converted.versions[version][0] if version else None
        if converted.write(target, write=write):
            written += [target, target / MAP]
    elif plan.project.sums != (sums := checksums_of(plan.project)):
        if write:
            write_sums(directory, sums)
        written.append(directory / FILE)
    beside = folder.resolve().parent
    if write_layout(beside, name, version, write=write):
        written.append(beside / SETTINGS)
    if not write:
        for path in written:
            _refuse_unwritable(path)
    return written


def _refuse_unwritable(path: Path) -> None:
    # SHA256SUMS is replaced, for which the rights of its folder count.
    place = path if path.name != FILE and path.exists() else path.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK) or (place != path and not place.is_dir()):
        kind = "file" if place == path else "folder"
        raise ConfigurationError(
            f"{os.path.relpath(path)} cannot be written",
            hint=f"nothing was changed; {os.path.relpath(place)} must be a {kind} that this user "
            "may write to",
        )
