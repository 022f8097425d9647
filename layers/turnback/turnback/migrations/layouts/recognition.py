"""Whose files are in a folder: which layout they are read in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from turnback.errors import ConfigurationError, ProjectNotFound
from turnback.migrations.files import Files
from turnback.migrations.layouts import layout, others
from turnback.migrations.layouts.layout import Evidence, Layout
from turnback.settings.project import OWN


@dataclass(frozen=True, slots=True)
class Recognised:
    """A layout that the files may have, and why."""

    layout: Layout
    evidence: Evidence


def recognise(files: Files) -> list[Recognised]:
    """Every layout of another tool that the files may have; what is certain excludes the rest."""
    if not files.is_folder(""):
        return []
    found = [
        Recognised(other, evidence) for other in others() if (evidence := other.recognise(files))
    ]
    certain = [one for one in found if one.evidence.certain]
    return certain or found


def choose(
    files: Files, found: Sequence[Recognised], recorded: Collection[str], name: str | None
) -> Layout:
    """The layout of the files.

    Args:
        files: the folder.
        found: what its files may be.
        recorded: the layouts whose history the database has.
        name: the one that was asked for; None to find it out.

    Raises:
        ProjectNotFound: the files are of no tool.
        ConfigurationError: they may be of several, or are turnback's own already.
    """
    if name:
        return layout(name)
    if files.is_folder("sql") and layout(OWN).recognise(files):
        raise ConfigurationError(
            f"{files.path} has turnback's own layout already",
            hint="apply what is pending: turnback up; or name another with --layout",
        )
    if not found:
        raise ProjectNotFound(
            f"no files of a migration tool in {files.path}",
            hint="name the folder of the migrations with --dir, and the tool with --layout; "
            "docs/adopt.md#the-layouts says what is read of each",
        )
    if len(found) > 1:
        found = [one for one in found if one.layout.name in recorded] or found
    if len(found) > 1:
        names = [one.layout.name for one in found]
        raise ConfigurationError(
            f"the files of {files.path} can be of {', '.join(names)}",
            hint=f"name the tool: turnback adopt --layout {names[0]}"
            + ("" if recorded else ", or the database, whose history tells them apart"),
        )
    return found[0].layout
