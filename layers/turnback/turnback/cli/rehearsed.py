"""What a rehearsal found, for a terminal and as annotations."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from turnback.cli.annotations import (
    Annotation,
    Annotations,
)
from turnback.cli.explain import error_address
from turnback.cli.output import Output, human_ms
from turnback.cli.snippet import located, seen, snippet
from turnback.engine.session.events import Event, EventKind
from turnback.errors import RollbackUnproven, TurnbackError
from turnback.migrations.checksums import scripts_of
from turnback.migrations.model import Project
from turnback.rehearsal.impact import Size, describe
from turnback.rehearsal.verdict import UNPROVEN, Rehearsed, Verdict
from turnback.runs.reporting.progress import name_of
from turnback.wording import capped, counted

_COLORS = {"exact": "green", "irreversible": "yellow", "column_order": "green", "names": "green"}
SHOWN_DIFFERENCES = 20
# A statement on a copy that takes so long is shown with its time.
_SHOWN_MS = 50


def annotated(result: Rehearsed, project: Project, folder: str) -> Annotations:
    """What is not proven, beside the lines to change.

    Args:
        result: of the rehearsal.
        project: what was rehearsed.
        folder: of the project, from the root of the repository.
    """
    wrong = [verdict for verdict in result.migrations if not verdict.proven]
    found = [_not_applied(error, project) for error in result.not_applied]
    found += [_annotation(verdict, project) for verdict in wrong]
    if not found and not result.proven and result.migrations:
        last = result.migrations[-1]
        parts = [str(one) for one in (result.release_error, *result.release_differences) if one]
        found.append(
            Annotation(
                level="error",
                rule="rollback",
                name=str(result.release),
                title="the rollback of all of them as one release",
                **_place(result.release_error, last.rollback_file or last.file, project),
                message="Rolled back as one release, the migrations do not restore the schema.",
                why="\n".join(parts),
                sql="",
                page=error_address(RollbackUnproven),
            )
        )
    number = counted(len(result.migrations), "migration")
    summary = f"{number} proven" if result.proven else f"{len(wrong)} of {number} not proven"
    return Annotations("rehearse", summary, folder, found)


def _not_applied(error: TurnbackError, project: Project) -> Annotation:
    migration = project.find(error.version or "")
    return Annotation(
        level="error",
        rule="rollback",
        name="not applied",
        title=f"{error.version}, which is before what is rehearsed",
        **_place(error, migration.forward.path if migration else "", project),
        message=f"{error.version} cannot be applied, and was left out.",
        why=str(error),
        sql="",
        page=error_address(RollbackUnproven),
    )


def _annotation(verdict: Verdict, project: Project) -> Annotation:
    name = f"{verdict.version} {verdict.name}"
    file = verdict.rollback_file or verdict.file
    message = f"The rollback of {name} does not restore the schema."
    if verdict.forward == "failed":
        message, file = f"{name} cannot be applied.", verdict.file
    elif verdict.rollback == "failed":
        message = f"The rollback of {name} fails."
    elif verdict.rollback == "missing":
        message = f"{name} has no rollback script."
    elif verdict.rollback not in UNPROVEN:
        message = f"{name} cannot be applied again after its rollback."
    # With a rollback that differs, the error is what came of it: the second time fails.
    error = None if verdict.rollback == "differs" else verdict.error
    again = [f"the second time: {one}" for one in verdict.reapply_differences]
    parts = [*map(str, filter(None, (verdict.error, *verdict.differences))), *verdict.rows, *again]
    return Annotation(
        level="error",
        rule="rollback",
        name=verdict.rollback if verdict.forward == "applied" else "not rehearsed",
        title=f"the rollback of {name}",
        **_place(error, file, project),
        message=message,
        why="\n".join(parts),
        sql="\n".join(verdict.suggestions),
        page=error_address(RollbackUnproven),
    )


def _place(error: TurnbackError | None, file: str, project: Project) -> dict[str, Any]:
    """Where an error is; else the end of the file, to which something is to be added."""
    if error and error.file and error.line:
        return {"file": error.file, "line": error.line, "column": error.column or 1}
    # Of a file with both sections, the last is the rollback script.
    [*_, script] = [script for script in scripts_of(project) if script.path == file]
    line, column = script.position(max(len(script.sql.rstrip()) - 1, 0))
    return {"file": file, "line": line, "column": column}


class Progress:
    """Shows what is rehearsed, with an estimate, and each verdict as it is found."""

    def __init__(self, out: Output, began: float) -> None:
        self._out = out
        self._began = began

    def event(self, event: Event) -> None:
        """Show what has begun, and how far it is."""
        if event.kind is EventKind.PROGRESS:
            self._out.status.progress(event.text, event.percent)
        elif event.kind is EventKind.STARTED:
            place = ""
            if event.position and event.total:
                done, of = event.position - 1, event.total
                left = (time.monotonic() - self._began) / done * (of - done) if done else None
                place = f" ({event.position:,} of {of:,}"
                place += f", {left:.0f} s to go)" if left else ")"
            self._out.status.show(f"{event.text} {name_of(event)}{place}")

    def verdict(self, verdict: Verdict) -> None:
        """Show a verdict."""
        self._out.status.clear()
        color = _COLORS.get(verdict.rollback, "red") if verdict.proven else "red"
        word = verdict.rollback if verdict.forward == "applied" else "cannot be applied"
        line = f"  {click.style(f'{word:<12}', fg=color)} {verdict.version} {verdict.name}"
        self._out.result(line)
        if verdict.error:
            for text in (located(verdict.error), *snippet(verdict.error)):
                self._out.result(f"      {text}")
        for text in capped([str(one) for one in verdict.differences], SHOWN_DIFFERENCES):
            self._out.result(f"      {text}")
        for text in verdict.rows:
            self._out.result(f"      {text} after rollback")
        for difference in verdict.reapply_differences[:SHOWN_DIFFERENCES]:
            self._out.result(f"      the second time: {difference}")
        if verdict.suggestions:
            self._out.result(f"      add to {seen(verdict.rollback_file or verdict.file)}:")
            for sql in verdict.suggestions:
                self._out.result(click.style(f"        {sql}", fg="cyan"))


def impact(verdict: Verdict, known: Mapping[str, Size], out: Output, *, measured: bool) -> None:
    """Show what the statements of a migration lock, read and rewrite, and what is destroyed."""
    lines = [line for statement in verdict.statements for line in describe(statement, known)]
    if measured:
        slow = (one for one in verdict.statements if one.ms >= _SHOWN_MS)
        lines += [f"{one.line}: {human_ms(int(one.ms))}, measured on the copy" for one in slow]
    if not lines and not verdict.loses_data and not verdict.kept:
        return
    out.result(f"\n{verdict.version} {verdict.name}")
    for line in lines:
        out.result(f"  {seen(verdict.file)}:{line}")
    if verdict.loses_data:
        out.result(f"  its rollback destroys: {'; '.join(verdict.loses_data)}")
    for kept in verdict.kept:
        out.result(f"  its rollback keeps {kept}")


def close(result: Rehearsed, began: float, out: Output) -> int:
    """Show the end of a rehearsal; returns the exit code."""
    took = human_ms(int((time.monotonic() - began) * 1000))
    number = counted(len(result.migrations), "migration")
    for error in result.not_applied:
        out.result(f"\n{error.version} was not chosen, cannot be applied, and was left out:")
        for text in (located(error), *snippet(error)):
            out.result(f"      {text}")
    if result.release_error:
        out.result(f"\nAll of them as one release: {located(result.release_error)}")
    hard = [one for one in result.release_differences if one.softness != "cosmetic"]
    for difference in hard[:SHOWN_DIFFERENCES]:
        out.result(f"\nAll of them as one release: {difference}")
    if result.proven:
        out.result(f"\n{_proven(result)} in {took}.")
    else:
        out.result(f"\n{number} rehearsed in {took}: {'; '.join(_faults(result))}.")
    for name in result.stand_ins:
        out.result(f"{name}: a stand-in; what it computes was not proven")
    return 0 if result.proven else 3


def _proven(result: Rehearsed) -> str:
    """How many were rolled back, and how many cannot be."""
    irreversible = sum(verdict.rollback == "irreversible" for verdict in result.migrations)
    whole = len(result.migrations) - irreversible
    parts = []
    if whole or not irreversible:
        parts.append(f"{counted(whole, 'migration')} proven: up, down and up again")
    if irreversible:
        parts.append(f"{counted(irreversible, 'irreversible migration')} applied")
    return "; ".join(parts)


def _faults(result: Rehearsed) -> list[str]:
    """What is wrong, and with how many."""
    failed = sum(verdict.forward == "failed" for verdict in result.migrations)
    wrong = sum(not verdict.proven for verdict in result.migrations) - failed
    found = []
    if failed:
        found.append(f"{failed} cannot be applied")
    if wrong:
        found.append(f"{wrong} cannot be rolled back as written")
    if result.not_applied:
        found.append(f"{len(result.not_applied)} before them cannot be applied")
    return found or ["all of them together cannot be rolled back as written"]
