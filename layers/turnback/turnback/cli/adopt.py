"""``adopt``: take over the files and the history of another migration tool."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import has_own_database, open_engine
from turnback.cli.output import Output, reported
from turnback.cli.snippet import located
from turnback.engine.adoption import Adopting, read_in, take_over, write_files
from turnback.engine.look.other_tools import (
    OtherHistory,
    chosen,
    compare,
    histories,
)
from turnback.errors import CheckFailed, ProjectNotFound, TurnbackError
from turnback.migrations.files import Folder
from turnback.migrations.layouts.convert import convert
from turnback.migrations.layouts.recognition import Recognised, choose, recognise
from turnback.settings.project import FILE as SETTINGS
from turnback.settings.project import LAYOUTS, OWN, ProjectFile
from turnback.wording import counted, one_line


@click.command(
    epilog="Example: turnback adopt --dir db/migrations --database-url postgresql://… --dry-run"
)
@opt.directory
@click.option(
    "--layout",
    "name",
    type=click.Choice([one for one in LAYOUTS if one != OWN]),
    help="The tool whose files these are; found out if not given.",
)
@click.option(
    "--table",
    metavar="SCHEMA.NAME",
    type=types.Given(),
    help="The table with its history, where the database has several.",
)
@click.option(
    "--convert",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the migrations to this folder in turnback's own layout, with a map of the old "
    "paths, instead of using the files where they are.",
)
@click.option(
    "--accept-differences",
    is_flag=True,
    help="Adopt although files were edited since they were applied, or are gone.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done; change nothing.")
@opt.database
@opt.as_json
@reported
def adopt(
    *,
    directory: Path,
    name: str | None,
    table: str | None,
    target: Path | None,
    accept_differences: bool,
    dry_run: bool,
    database_url: str | None,
    history_schema: str,
    out: Output,
) -> int:
    """Take over the migrations of another tool: its files where they are, and its history.

    The tool is recognised by the content of its files, its history by the columns of its table.
    Each file is compared with what the tool has kept of it. The history is taken over in one
    transaction; turnback.toml beside the folder names the layout, and SHA256SUMS is written. No
    other file is changed, and no migration is run. What the tool left half done is refused, with
    what to do. Run again, it changes nothing.
    """
    files = Folder(directory)
    if not files.is_folder(""):
        raise ProjectNotFound(f"no folder {directory}", hint="name the folder with --dir")
    settings = ProjectFile.read(directory.resolve().parent)
    name = name or (settings.layout if settings.layout != OWN else None)
    with contextlib.ExitStack() as stack:
        engine = None
        if database_url or has_own_database(directory):
            opened = open_engine(database_url, directory, history_schema, out)
            engine = stack.enter_context(opened)
        found = recognise(files)
        recorded = histories(engine.connection) if engine else []
        _show_found(found, recorded, out)
        layout = choose(files, found, {one.layout.name for one in recorded}, name)
        project = read_in(files, layout, settings)
        history = chosen(recorded, layout, table)
        compared = None
        if engine and history:
            compared = compare(engine.connection, history, project, files)
        plan = Adopting(project, layout, history, compared, engine is not None)
        converted = convert(project, files) if target else None
        problems = plan.problems(accept_differences=accept_differences)
        _show(plan, problems, out)
        if problems:
            out.document["status"] = "findings"
            return CheckFailed.exit_code
        write_files(plan, directory, target, converted, write=False)
        if dry_run:
            out.document["status"] = "dry_run"
            out.result("Nothing was changed.")
            return 0
        done = take_over(engine.session, plan, converted) if engine else None
        if done:
            number = counted(len(done.versions), "migration")
            out.result(f"{number} taken over{' before' if done.again else ', as applied'}.")
        written = [
            os.path.relpath(path) for path in write_files(plan, directory, target, converted)
        ]
    changed = written or (done and not done.again)
    out.document |= {
        "status": "succeeded" if changed else "nothing_to_do",
        "written": written,
    }
    for path in written:
        out.result(f"  wrote {path}")
    beside = (target or directory).resolve()
    if (beside / ".git").exists():
        out.warn(
            f"{beside.parent / SETTINGS} is outside of the repository, and is not committed with "
            "it: keep the migrations in a folder of the repository (with sqitch: top_dir)"
        )
    _next(plan, target or directory, out)
    return 0


def _show_found(found: Sequence[Recognised], recorded: Sequence[OtherHistory], out: Output) -> None:
    out.document |= {
        "recognised": [
            {"layout": one.layout.name, "why": one.evidence.text, "certain": one.evidence.certain}
            for one in found
        ],
        "histories": [{"layout": one.layout.name, "table": one.name} for one in recorded],
    }
    for one in found:
        can = "are" if one.evidence.certain else "can be"
        out.note(one_line(f"The files {can} of {one.layout.name}: {one.evidence.text}."))
    for history in recorded:
        text = f"The database has a history of {history.layout.name}: {history.name}."
        out.note(one_line(text))


def _show(plan: Adopting, problems: Sequence[TurnbackError], out: Output) -> None:
    compared, total = plan.compared, len(plan.project.migrations)
    pending = compared.pending if compared else plan.project.migrations
    differences = compared.differences if compared else ()
    out.document |= {
        "layout": plan.layout.name,
        "table": plan.history.name if plan.history else None,
        "migrations": total,
        "applied": len(plan.applied),
        "pending": [one.version for one in pending] if plan.asked else None,
        "compared": compared.compared if compared else 0,
        "differences": [one.to_dict() for one in differences],
        "findings": [one.to_dict() for one in problems],
        "baseline": plan.baseline.version if plan.baseline else None,
    }
    text = f"{plan.layout.name}: {counted(total, 'migration')}"
    if compared:
        text += f", {len(plan.applied)} applied, {len(pending)} pending; " + (
            f"{counted(compared.compared, 'file')} compared with what {plan.layout.name} kept"
            if compared.compared
            else f"{plan.layout.name} keeps nothing to compare the files with"
        )
    out.result(f"{text}.")
    if plan.asked and plan.history is None:
        out.warn(
            f"the database has no history of {plan.layout.name}: nothing counts as applied"
            if plan.layout.history
            else f"{plan.layout.name} keeps no history: nothing counts as applied"
        )
    if not plan.asked:
        out.warn(
            "no database is named: the last file ends the baseline, and the history is taken over "
            "when adopt is run with one"
        )
    for problem in [*problems, *(one for one in differences if one not in problems)]:
        # They name what the tool's table has, where anything can be.
        out.result(one_line(located(problem)))
        if problem in problems and problem.hint:
            out.result(f"    {one_line(problem.hint)}")


def _next(plan: Adopting, folder: Path, out: Output) -> None:
    where = "" if folder == Path("migrations") else f" --dir {shlex.quote(str(folder))}"
    out.result(f"Next: turnback status{where}, turnback check{where}, turnback rehearse{where}")
    if plan.history:
        out.result(
            f"Stop using {plan.layout.name} on this database: it does not know what turnback does. "
            f"Its table {plan.history.name} is left as it is."
        )
