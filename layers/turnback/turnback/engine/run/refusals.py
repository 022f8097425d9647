"""What of a history does not fit the files of a project, and so keeps a run from beginning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from turnback.engine.backfill.seccomp import filters
from turnback.engine.look.history import Entry
from turnback.engine.look.status import MigrationStatus
from turnback.errors import (
    ChecksumMismatch,
    CodeNotAllowed,
    HistoryConflict,
    MigrationMissing,
    RollbackMissing,
    TurnbackError,
)
from turnback.migrations.checksums import differs_in_line_ends
from turnback.migrations.model import Migration, Project, Script
from turnback.migrations.python import is_python
from turnback.settings.environment import CodeRule

MORE = "turnback status shows every migration"


def refuse_other_name(migration: Migration, entry: Entry) -> None:
    """Refuse a row that has neither the name nor the checksum of the file with its version.

    Raises:
        HistoryConflict: it is a migration of another project.
    """
    if migration.name == entry.name or migration.forward.checksum == entry.checksum:
        return
    raise HistoryConflict(
        f"this database's {entry.version} is {entry.name}, yours is {migration.name}",
        file=migration.forward.path,
        version=entry.version,
        hint="the database is another project's, or the folder is: check DATABASE_URL and "
        "--dir; nothing was changed",
    )


def refuse_other_names(project: Project, applied: Iterable[Entry]) -> None:
    """As ``refuse_other_name``, for each of them that has a file."""
    for entry in applied:
        if migration := project.find(entry.version):
            refuse_other_name(migration, entry)


def refuse_other_project(project: Project, applied: Sequence[Entry]) -> None:
    """Refuse a database of which no applied migration has a file here.

    Raises:
        HistoryConflict: it is another project's.
    """
    refuse_other_names(project, applied)
    if not applied or not project.migrations:
        return
    if not any(project.find(entry.version) for entry in applied):
        newest = applied[-1]
        raise HistoryConflict(
            f"no migration of this folder is applied in this database; its {newest.version} is "
            f"{newest.name}",
            version=newest.version,
            hint="the database is another project's, or the folder is: check DATABASE_URL and "
            "--dir; if the files are gone, restore them from version control",
        )


def refuse_baseline(project: Project, applied: Iterable[Entry]) -> None:
    """Refuse to roll back what was applied before turnback was used: nothing has proven that.

    Raises:
        RollbackMissing: it is among these.
    """
    known = [one for one in applied if one.kind == "adopted" or project.in_baseline(one.version)]
    if known:
        version = known[-1].version
        raise RollbackMissing(
            f"{version} belongs to the baseline, which is not rolled back",
            version=version,
            hint=f"turnback down {version} rolls back what came after it; to go further, restore a "
            "snapshot, or undo it by hand and record that: "
            f"turnback repair {version} --rolled-back --because REASON",
        )


def refuse_edited(project: Project, applied: Sequence[Entry]) -> None:
    """Refuse to roll back by a script whose migration was edited after it was applied.

    Raises:
        ChecksumMismatch: one was.
    """
    for entry in applied:
        migration = project.find(entry.version)
        if migration is not None and migration.forward.checksum != entry.checksum:
            raise _edited(
                migration,
                entry.checksum,
                "its rollback may not fit what was applied: undo the edit; or apply the "
                "edited file in its place: turnback redo; or, if the file is right: "
                f"turnback repair {entry.version} --accept-checksum --because REASON",
            )


def _edited(migration: Migration, checksum: str, hint: str) -> ChecksumMismatch:
    """The error for a file that is not what was applied with this checksum."""
    what = f"{migration.version} was edited after it was applied"
    if differs_in_line_ends(migration.forward, checksum):
        what = (
            f"{migration.version} has other line ends than when it was applied, and is the same "
            "otherwise"
        )
        hint = (
            "keep git from changing them: write '*.sql -text' into .gitattributes and check the "
            f"file out again; or, if these are right: turnback repair {migration.version} "
            "--accept-checksum --because REASON"
        )
    return ChecksumMismatch(what, file=migration.forward.path, version=migration.version, hint=hint)


def refuse_drift(
    project: Project, found: Iterable[MigrationStatus], recorded: Mapping[str, str]
) -> None:
    """Refuse to apply anything where applied files were edited, or are gone.

    Args:
        project: the files.
        found: the status of each migration.
        recorded: version → the checksum in the history.

    Raises:
        ChecksumMismatch, MigrationMissing: the first, with the number of the others.
    """
    problems: list[TurnbackError] = []
    for version, name, status in ((item.version, item.name, item.status) for item in found):
        if status == "changed":
            migration = project.find(version)
            assert migration is not None
            problems.append(
                _edited(
                    migration,
                    recorded[migration.key],
                    "undo the edit and write a new migration; or, if it is the last one and the "
                    "database is your own, apply the edited file in its place: turnback redo; or, "
                    "if the file is right: "
                    f"turnback repair {version} --accept-checksum --because REASON",
                )
            )
        elif status == "missing":
            problems.append(
                MigrationMissing(
                    f"{version} ({name}) is applied, but its file is gone",
                    version=version,
                    hint="restore the file from version control; or roll it back with its stored "
                    "script: turnback down to the version before it",
                )
            )
    if problems:
        first = problems[0]
        if len(problems) > 1:
            first.message += f" (and {len(problems) - 1} more; {MORE})"
        raise first


def refuse_code(script: Script, rule: CodeRule) -> None:
    """Refuse to run a script in Python where that is not allowed.

    Raises:
        CodeNotAllowed: it is not, or this system cannot keep it from the network.
    """
    if not is_python(script.path):
        return
    if rule is CodeRule.REFUSED:
        raise CodeNotAllowed(
            "this migration is in Python, and Python is not allowed to run here",
            file=script.path,
            hint="allow it: --allow-code, allow-code = true in [environments.NAME] of "
            "turnback.toml, on AWS the parameter AllowCode; or write it in SQL",
        )
    if rule is CodeRule.CLOSED and filters() is None:
        raise CodeNotAllowed(
            "this migration is in Python, and on this system its process cannot be kept from the "
            "network: that needs Linux on x86-64 or ARM64",
            file=script.path,
            hint="run it there, or write the migration in SQL",
        )
