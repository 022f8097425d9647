"""``init``, ``generate`` and ``package``: the files of a project."""

from __future__ import annotations

from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli.output import Output, reported
from turnback.cli.prisma_options import FromPrisma, prisma_options
from turnback.cli.recipes import list_recipes, write_recipe
from turnback.errors import ConfigurationError
from turnback.migrations.checksums import digest
from turnback.migrations.discovery import load_project
from turnback.migrations.files import Folder
from turnback.migrations.layouts.recognition import recognise
from turnback.migrations.scaffold import make_folders, new_migration, new_repeatable, source_of
from turnback.settings.project import FILE as SETTINGS
from turnback.wording import counted, listed

_SHOWN = 3


@click.command(epilog="Example: turnback init --dir db/migrations")
@opt.directory
@opt.as_json
@reported
def init(*, directory: Path, out: Output) -> None:
    """Make the folders of a project. What is there already is left as it is."""
    if (found := recognise(Folder(directory))) and not (directory / "sql").is_dir():
        raise ConfigurationError(
            f"{directory} has migrations of another tool: {found[0].evidence.text}",
            hint=f"use them as they are: turnback adopt --dir {directory}; or name another folder "
            "with --dir",
        )
    made = make_folders(directory)
    out.document |= {"status": "succeeded", "made": made}
    for path in made:
        out.result(f"  made {path}")
    out.result("Next: turnback generate NAME" if made else "Nothing to do.")


@click.command(
    epilog="Example: turnback generate add_users, or "
    "turnback generate --recipe set-not-null table=users column=city, or "
    "turnback generate full_name --from-prisma --rename User.name=full_name"
)
@click.argument("names", metavar="NAME | WORD=VALUE ...", nargs=-1)
@click.option("--timestamp", is_flag=True, help="Number it by the time (UTC), as 14 digits.")
@click.option(
    "--repeatable", is_flag=True, help="Write a file that is applied whenever its text changes."
)
@click.option(
    "--recipe",
    metavar="NAME",
    help="Write the safe sequence of migrations for a change; see --list.",
)
@click.option(
    "--release",
    type=click.IntRange(1),
    metavar="N",
    default=1,
    show_default=True,
    help="Of a recipe in two releases, the one to write: 2 is for when the application of the "
    "first is deployed.",
)
@click.option("--list", "listing", is_flag=True, help="List the recipes, and what each needs.")
@prisma_options
@opt.directory
@opt.as_json
@reported
def generate(
    *,
    names: tuple[str, ...],
    timestamp: bool,
    repeatable: bool,
    recipe: str | None,
    release: int,
    listing: bool,
    prisma: FromPrisma,
    directory: Path,
    out: Output,
) -> int:
    """Write the next numbered pair of files, forward and rollback, and record them.

    With --repeatable, one file for a view, a function, a trigger or a policy. With --recipe, the
    pairs of a change that would block, break or fail as one, each with its SQL; its values follow
    as WORD=VALUE. With --from-prisma, the pair that leads from what the migrations make to Prisma's
    schema, rehearsed.
    """
    if repeatable and timestamp:
        raise ConfigurationError("a repeatable has no number", hint="leave --timestamp out")
    if listing and (names or recipe or repeatable):
        raise click.UsageError("--list shows all recipes: leave the rest out")
    if recipe and repeatable:
        raise click.UsageError("--recipe writes migrations: leave --repeatable out")
    prisma.refuse_others(names)
    if prisma.from_prisma and (recipe or repeatable):
        raise click.UsageError("--from-prisma writes one migration: leave the others out")
    if listing:
        list_recipes(out)
        return 0
    if recipe:
        write_recipe(directory, recipe, names, release, out, timestamp=timestamp)
        return 0
    if release != 1:
        raise click.UsageError("--release is a part of a recipe: name it with --recipe")
    if len(names) != (not prisma.checks) or "=" in "".join(names):
        raise click.UsageError("give one NAME, or --recipe with its values")
    if prisma.from_prisma:
        # It needs much that the others do not.
        from turnback.cli.from_prisma import write_from_prisma

        return write_from_prisma(directory, names, prisma, out, timestamp=timestamp)
    if repeatable:
        version, files = new_repeatable(directory, names[0])
    else:
        version, files = new_migration(directory, names[0], timestamp=timestamp)
    for path in files:
        out.result(f"  made {directory / path}")
    out.document |= {"status": "succeeded", "version": version, "files": files}
    out.result(f"Next: write {'its' if repeatable else 'their'} SQL, then turnback up")
    return 0


@click.command(epilog="Example: turnback package --release 1.4.0")
@click.option(
    "--release", metavar="RELEASE", required=True, help="The release's number, a semantic version."
)
@click.option(
    "--out",
    "target",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The zip; RELEASE.zip if not given.",
)
@opt.directory
@opt.as_json
@reported
def package(*, release: str, target: Path | None, directory: Path, out: Output) -> None:
    """Make the artifact of a release: a zip of all migrations with their checksums."""
    from turnback.migrations.artifact import pack

    project = load_project(directory)
    path = target or Path(f"{release}.zip")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"there is no folder {path.parent}", hint="make it, or use --out")
    pack(directory, release, path, source=source_of(directory))
    data = path.read_bytes()
    out.document |= {
        "status": "succeeded",
        "artifact": str(path),
        "release": release,
        "sha256": digest(data),
        "migrations": len(project.migrations),
    }
    if project.settings.addresses:
        removed = listed(project.settings.addresses, _SHOWN)
        out.note(f"The artifact has {SETTINGS} without {removed}.")
    number = counted(len(project.migrations), "migration")
    out.result(f"{path}: release {release}, {number}, {len(data):,} bytes")
    out.result(f"sha256 {digest(data)}")
    key = f"artifacts/TARGET/{release}.zip"
    out.result(f"Next: turnback release {path} --watch, or upload it as {key}")
