"""``rebase``: new versions for the migrations of this branch, above those of the base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import has_own_database, open_engine
from turnback.cli.output import Output, reported
from turnback.errors import OutOfOrder
from turnback.migrations.checksums import FILE
from turnback.migrations.discovery import PENDING_REBASE, scan
from turnback.migrations.merges import (
    Branch,
    Renumbering,
    finish_rebase,
    renumber,
)
from turnback.migrations.versions import key
from turnback.wording import counted


@click.command(epilog="Example: turnback rebase --base origin/main --dry-run")
@click.option(
    "--base",
    metavar="REF",
    type=types.Given(),
    help="The branch that this one is merged into; origin's main branch if not given.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be renumbered; change nothing.")
@opt.directory
@opt.database
@opt.as_json
@reported
def rebase(
    *,
    base: str | None,
    dry_run: bool,
    directory: Path,
    database_url: str | None,
    history_schema: str,
    out: Output,
) -> None:
    """Renumber the new migrations of this branch above those of the base.

    Their files are renamed, forward, rollback and verify scripts, with the versions in their
    headers and in SHA256SUMS. Nothing is committed. If a database is named, or the project has
    its own, a migration that is applied there is not renumbered: roll it back first.
    """
    if not dry_run and finish_rebase(directory):
        out.note("A rebase that was interrupted is finished.")
    project, findings = scan(directory)
    for finding in findings:
        if finding.file == PENDING_REBASE:
            raise finding
    ignore = project.settings.ignore
    branch = Branch(directory, base, project.settings)
    renumbered = branch.renumbered()
    if renumbered and (database_url or has_own_database(directory)):
        with open_engine(database_url, directory, history_schema, out) as engine:
            _refuse_applied(
                renumbered,
                {(entry.key, entry.name) for entry in engine.entries() if entry.applied},
            )
    written = [] if dry_run else renumber(directory, renumbered, ignore)
    out.document |= {
        "status": "dry_run" if dry_run else "succeeded",
        "base": branch.base,
        "renumbered": [
            {"from": one.old, "to": one.new, "name": one.name, "files": dict(one.files)}
            for one in renumbered
        ],
    }
    for one in renumbered:
        out.result(f"{one.old} {one.name} {'would become' if dry_run else 'is now'} {one.new}")
        for old, new in one.files.items():
            out.result(f"    {old} -> {new}")
    if FILE in written:
        out.result(f"{FILE} is rewritten.")
    number = counted(len(renumbered), "migration")
    if not renumbered:
        out.result(f"Every new migration is above those of {branch.base} already.")
    elif dry_run:
        out.result(f"{number} would be renumbered; nothing was changed.")
    else:
        out.result(
            f"{number} renumbered. Next: turnback check --base {branch.base}, git add, commit"
        )


def _refuse_applied(renumbered: Sequence[Renumbering], applied: set[tuple[str, str]]) -> None:
    """Raises OutOfOrder if the database has one of them."""
    for one in renumbered:
        if (key(one.old), one.name) in applied:
            raise OutOfOrder(
                f"{one.old} {one.name} is applied to the database, and cannot be renumbered",
                file=next(iter(one.files)),
                version=one.old,
                hint="roll it back first: turnback down; then turnback rebase, turnback up",
            )
