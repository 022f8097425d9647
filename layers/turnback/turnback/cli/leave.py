"""``leave``: the migrations as files and history of another tool."""

from __future__ import annotations

from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import open_engine
from turnback.cli.output import Output, reported
from turnback.engine.leaving import applied, write_history
from turnback.errors import ConfigurationError
from turnback.migrations.checksums import scripts_of
from turnback.migrations.discovery import load_project
from turnback.migrations.leaving import TARGETS, notes, versions
from turnback.wording import counted


@click.command(epilog="Example: turnback leave --to dbmate db/migrations --history")
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", "tool", type=click.Choice(list(TARGETS)), required=True, help="The new tool.")
@click.option(
    "--history", "with_history", is_flag=True, help="Write its table in the database as well."
)
@click.option(
    "--table-schema",
    type=types.SchemaName(),
    default="public",
    show_default=True,
    help="Schema of its table.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written; change nothing.")
@opt.directory
@opt.database
@opt.as_json
@reported
def leave(
    *,
    target: Path,
    tool: str,
    with_history: bool,
    table_schema: str,
    dry_run: bool,
    directory: Path,
    database_url: str | None,
    history_schema: str,
    out: Output,
) -> None:
    """Write the migrations to the folder TARGET as files of another tool.

    With --history, the table in which that tool looks for what is applied is written as well, in
    one transaction; what it had before is replaced. Nothing of turnback's is changed or removed.
    """
    new = TARGETS[tool]
    project = load_project(directory)
    numbered = versions(project.migrations)
    files = {
        path: text
        for migration, version in zip(project.migrations, numbered, strict=True)
        for path, text in new.files(migration, version).items()
    }
    for path, text in files.items():
        place = target / path
        if place.exists() and place.read_bytes() != text.encode():
            raise ConfigurationError(
                f"{place} is there already, with other contents",
                hint="name an empty folder, or one that does not exist",
            )
    for script in scripts_of(project):
        place = (directory / script.path).resolve()
        if place.parent == target.resolve() and place.name not in files:
            raise ConfigurationError(
                f"{target} has the files of this project, which {tool} would read as well",
                file=script.path,
                hint="name an empty folder, or one that does not exist",
            )
    for text in notes(project, new):
        out.note(f"note: {text}")
    if not dry_run:
        target.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            (target / path).write_bytes(text.encode())
    rows = None
    if with_history:
        with open_engine(database_url, directory, history_schema, out) as engine:
            found = applied(project, engine.entries(), new, numbered)
            rows = len(found)
            if not dry_run:
                write_history(engine.session, new, found, table_schema)
    out.document |= {
        "status": "dry_run" if dry_run else "succeeded",
        "to": tool,
        "files": list(files),
        "applied": rows,
    }
    done = "would be written" if dry_run else "written"
    out.result(f"{counted(len(files), 'file')} {done} to {target}, for {tool}.")
    if rows is not None:
        table = f"{table_schema}.{new.table}"
        out.result(f"{counted(rows, 'migration')} {done} to {table}, as applied.")
