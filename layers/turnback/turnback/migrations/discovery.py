"""Reading a folder of migrations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from turnback.errors import DuplicateVersion, InvalidMigration, ProjectNotFound, TurnbackError
from turnback.migrations.files import Files, Folder
from turnback.migrations.layouts import layout
from turnback.migrations.layouts.pairs import with_verify
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.model import Migration, Project
from turnback.settings.project import FILE as SETTINGS
from turnback.settings.project import OWN, ProjectFile

# What `turnback rebase` has prepared and not yet moved into place.
PENDING_REBASE = ".turnback-rebase"


def load_project(folder: Path | Files, *, left_over: bool = False) -> Project:
    """The migrations of a folder, or of a folder in a zip, in their order.

    Args:
        folder: where they are.
        left_over: whether scripts may be there whose forward script is gone: for who asks the
            database next, which knows whether that migration is applied.

    Raises:
        ProjectNotFound: no such folder, or no migrations in it.
        InvalidMigration, DuplicateVersion: the first thing wrong with its files.
    """
    project, findings = scan(folder)
    if left_over:
        findings = [finding for finding in findings if finding not in project.left_over]
    if findings:
        raise findings[0]
    if not project.migrations:
        own = project.settings.layout == OWN
        raise ProjectNotFound(
            f"no migrations in {project.folder / 'sql' if own else project.folder}",
            hint="write the first one: turnback generate NAME",
        )
    return project


def scan(folder: Path | Files) -> tuple[Project, list[TurnbackError]]:
    """The project as far as it can be read, and everything wrong with its files.

    Raises:
        ProjectNotFound: there is no such folder, or it has no folder ``sql``.
        ConfigurationError: turnback.toml is wrong.
    """
    files = Folder(folder) if isinstance(folder, Path) else folder
    settings = files.settings()
    project_file = ProjectFile.parse(settings, Path(SETTINGS)) if settings else ProjectFile()
    own = project_file.layout == OWN
    if not files.is_folder("sql" if own else ""):
        what = "no folder 'sql' in" if files.is_folder("") else "no folder"
        raise ProjectNotFound(
            f"{what} {files.path}",
            hint="name the folder with --dir, or make one here: turnback init; to take over a "
            "folder of another tool: turnback adopt",
        )
    return read(files, project_file)


def read(files: Files, settings: ProjectFile) -> tuple[Project, list[TurnbackError]]:
    """The project in a folder, read with these settings, and everything wrong with its files."""
    reading = Reading(files, settings)
    if files.is_folder(PENDING_REBASE):
        reading.findings.append(
            InvalidMigration(
                "turnback rebase was interrupted",
                file=PENDING_REBASE,
                hint="finish it: turnback rebase",
            )
        )
    used = layout(settings.layout)
    read_ones = used.read(reading)
    repeatables = tuple(one for one in read_ones if one.kind == "repeatable")
    found: Iterable[Migration] = [one for one in read_ones if one.kind != "repeatable"]
    if not used.verify:
        found = with_verify(reading, found)
    migrations = tuple(_unique(reading, found))
    shadow = reading.shadow()
    sums = reading.sums()
    project = Project(
        files.path,
        migrations,
        sums,
        shadow,
        settings,
        tuple(reading.ignored),
        reading.besides,
        repeatables,
        tuple(reading.left_over),
    )
    if settings.baseline is not None and not project.baseline:
        reading.findings.append(settings.no_baseline())
    return project, reading.findings


def _unique(reading: Reading, found: Iterable[Migration]) -> Iterator[Migration]:
    """The migrations without those whose version another one has, which are refused."""
    taken: dict[str, str] = {}
    for migration in found:
        path = taken.setdefault(migration.key, migration.forward.path)
        if path == migration.forward.path:
            yield migration
            continue
        reading.findings.append(
            DuplicateVersion(
                f"version {migration.version} is taken by {path}",
                file=migration.forward.path,
                version=migration.version,
                hint="renumber the younger one, with its rollback script",
            )
        )
