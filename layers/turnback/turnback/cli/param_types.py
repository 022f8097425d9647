"""Types of what is given to a command: a time, a version, the name of a schema."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from turnback.errors import TurnbackError
from turnback.migrations.versions import LONGEST, number
from turnback.settings.project import OWN, ProjectFile
from turnback.wording import one_line

_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """A time with a unit, converted to seconds: ``500ms``, ``2s``, ``10min``, ``1h``."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)", str(value))
        if not match:
            self.fail(f"'{value}' is not a time; write 500ms, 2s, 10min or 1h", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


class Version(click.ParamType[str]):
    """A migration's version, as its file or the history has it."""

    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not 0 < len(text) <= LONGEST or one_line(text) != text or text != text.strip():
            self.fail(f"'{one_line(text[:60])}' is not a version", param, ctx)
        return text

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The versions in the folder of the migrations, newest first."""
        folder = Path(ctx.params.get("directory") or os.environ.get("TURNBACK_DIR") or "migrations")
        return [
            CompletionItem(version, help=name)
            for version, name in _newest_first(folder)
            if version.startswith(incomplete)
        ]


def _newest_first(folder: Path) -> list[tuple[str, str | None]]:
    """Version and name of each migration; empty where the folder cannot be read."""
    with contextlib.suppress(TurnbackError):
        if ProjectFile.read(folder.resolve().parent).layout != OWN:
            from turnback.migrations.discovery import scan

            return [(one.version, one.name) for one in reversed(scan(folder)[0].migrations)]
    # No file is read for these: somebody waits at a prompt.
    names = [path.stem.partition("_") for path in (folder / "sql").glob("[0-9]*.[sp][qy]*")]
    names.sort(key=lambda name: number(name[0]) or 0, reverse=True)
    return [(version, name or None) for version, _, name in names]


class PgVersion(click.ParamType[int]):
    """A version of PostgreSQL, as its major number: ``15``, ``15.4``."""

    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d{2})(\.\d+)?", str(value))
        if not match:
            self.fail(
                f"'{value}' is not a version of PostgreSQL; write 15, for example", param, ctx
            )
        return int(match[1])


class SchemaName(click.ParamType[str]):
    """The name of a schema, not longer than PostgreSQL keeps it."""

    name = "schema"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value or "\0" in value or len(value.encode()) > 63:
            self.fail("a schema's name has 1 to 63 bytes", param, ctx)
        if value.startswith("pg_") or value == "information_schema":
            self.fail(
                f"the schema {value} belongs to PostgreSQL; name one of your own: "
                "--history-schema turnback",
                param,
                ctx,
            )
        return str(value)


class Given(click.ParamType[str]):
    """A text that is not empty.

    A shell passes an empty text for a variable that is not set; that must not select the embedded
    Postgres, or replace the database instead of restoring beside it.
    """

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not str(value).strip():
            self.fail("it is empty; is a shell variable not set?", param, ctx)
        return str(value)
