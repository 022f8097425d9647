"""What the ``turnback.toml`` of a release means in a run on AWS, beside the stack's parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from turnback.errors import HistoryConflict
from turnback.migrations.model import Project
from turnback.runs.run import Run
from turnback.settings.project import FILE, Setting
from turnback.wording import listed

if TYPE_CHECKING:
    from turnback.engine import Engine

_LISTED = 10
_USUAL = "public"
_HINT = "deploy the stack with its parameter HistorySchema: the schema of this target's history"


@contextmanager
def connected(run: Run, release: str, named: Setting | None) -> Iterator[Engine]:
    """A session that reads the history where it is, in a run that has no plan yet.

    A release that looks for the history in another schema than the one before it would apply
    every migration again. A run downwards has no file; it takes the history that there is.

    Args:
        run: the run.
        release: named by the rows that the session writes into the history.
        named: the schema as the release's turnback.toml names it; None where it does not.

    Raises:
        HistoryConflict: there is no history in the schema that is meant, and one in another.
    """
    from turnback.engine.session.query import own_statements

    wanted = named.get() if named else _USUAL
    with run.database.connect(release, wanted) as engine:
        with own_statements():
            known = run.database.given_history_schema or engine.history.found()
            others = [] if known else engine.history.elsewhere()
        if not others:
            yield engine
            return
    if run.order.artifact is not None or len(others) > 1:
        place = f"{named.where} names" if named else "nothing names another than"
        raise HistoryConflict(
            f"{place} the schema {wanted} for the history, and this database has its history in "
            f"{listed(others, _LISTED)}",
            hint=_HINT,
        )
    with run.database.connect(release, others[0]) as engine:
        yield engine


def settings_notes(run: Run, project: Project, named: Setting | None) -> Iterator[str]:
    """What a person should know of a release's turnback.toml, as sentences.

    Args:
        run: the run.
        project: the release's migrations.
        named: the schema of the history that the file names.
    """
    file, given = project.settings, run.database.given_history_schema
    if named and given and named.get() != given:
        yield (
            f"the parameter HistorySchema of the stack ({given}) takes precedence over "
            f"{named.get()} in {named.where}"
        )
    if file.addresses:
        yield f"not used on AWS: {listed(file.addresses, _LISTED)}"
    if project.ignored:
        yield f"left out by [ignore] in {FILE}: {listed(project.ignored, _LISTED)}"
    if patterns := file.ignore.not_compared:
        yield f"not compared, by [ignore] in {FILE}: {listed(patterns, _LISTED)}"
