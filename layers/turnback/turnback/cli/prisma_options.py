"""The options of ``generate --from-prisma``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from turnback.cli import options as opt


@dataclass(frozen=True, slots=True)
class FromPrisma:
    """The options of ``--from-prisma``.

    Attributes:
        given: the renames that ``--rename`` names.
        allow_destroy: whether the migration may destroy data.
        checks: whether it only says if there is something to write.
    """

    from_prisma: bool
    schema: Path | None
    prisma: str | None
    given: tuple[str, ...]
    no_renames: bool
    allow_destroy: bool
    checks: bool
    shadow_url: str | None

    def refuse_others(self, names: Sequence[str]) -> None:
        """Refuse these options without ``--from-prisma``, and ``--check`` with a name."""
        if self.checks and names:
            raise click.UsageError("--check writes nothing: leave NAME out")
        given = (self.schema, self.prisma, self.given, self.no_renames, self.allow_destroy)
        if not self.from_prisma and (any(given) or self.checks):
            raise click.UsageError(
                "--schema, --prisma, --rename, --no-renames, --allow-destroy and --check are parts "
                "of --from-prisma"
            )


_OPTIONS = opt.together(
    click.option(
        "--from-prisma",
        is_flag=True,
        help="Write the SQL from Prisma's schema, by the project's own prisma migrate diff.",
    ),
    click.option(
        "--schema",
        type=click.Path(path_type=Path),
        help="Prisma's schema, a file or a folder; prisma/schema.prisma if not given.",
    ),
    click.option(
        "--prisma",
        metavar="COMMAND",
        help="What runs Prisma, such as 'yarn prisma'; the one in node_modules if not given.",
    ),
    click.option(
        "--rename",
        "given",
        metavar="OLD=NEW",
        multiple=True,
        help="What was renamed: table.column=new, table=new; an enum or a value in the same way.",
    ),
    click.option(
        "--no-renames", is_flag=True, help="What --rename does not name is dropped and added."
    ),
    click.option(
        "--allow-destroy", is_flag=True, help="Write a migration that destroys data as well."
    ),
    click.option(
        "--check",
        "checks",
        is_flag=True,
        help="Write nothing; exit with 3 if Prisma's schema has what no migration makes.",
    ),
    opt.shadow_url,
)


def prisma_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of ``--from-prisma``, as one argument ``prisma``."""

    @functools.wraps(command)
    def wrapper(**kwargs: Any) -> Any:
        asked = FromPrisma(**{one.name: kwargs.pop(one.name) for one in fields(FromPrisma)})
        return command(**kwargs, prisma=asked)

    return _OPTIONS(wrapper)
