"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

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
    """A migration's version: digits."""

    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[0-9]{1,20}", str(value)):
            self.fail(f"'{value}' is not a version; write digits, for example 0004", param, ctx)
        return str(value)


class SchemaName(click.ParamType[str]):
    """The name of a schema, not longer than PostgreSQL keeps it."""

    name = "schema"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value or "\0" in value or len(value.encode()) > 63:
            self.fail("a schema's name has 1 to 63 bytes", param, ctx)
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


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def together(*decorators: Decorator) -> Decorator:
    """Several options as one decorator, shown in this order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")

directory = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    default=Path("migrations"),
    envvar="TURNBACK_DIR",
    show_default=True,
    show_envvar=True,
    help="Folder of the migrations.",
)

database = together(
    click.option(
        "--database-url",
        type=Given(),
        envvar="DATABASE_URL",
        show_envvar=True,
        help="The database; the project's embedded Postgres if not given.",
    ),
    click.option(
        "--history-schema",
        envvar="TURNBACK_HISTORY_SCHEMA",
        default="public",
        show_default=True,
        type=SchemaName(),
        help="Schema of the history tables.",
    ),
)

patience = together(
    click.option(
        "--lock-timeout",
        type=Duration(),
        default="2s",
        show_default=True,
        help="How long a statement may wait for a lock; other sessions queue behind it.",
    ),
    click.option(
        "--lock-retry-for",
        type=Duration(),
        default="1min",
        show_default=True,
        help="How long to retry when a lock is not available.",
    ),
    click.option(
        "--wait",
        type=Duration(),
        default="1min",
        show_default=True,
        help="How long to wait for another run to end.",
    ),
)

yes = click.option("--yes", is_flag=True, help="Do not ask.")

# For scripts that pass --yes to every command.
never_asks = click.option(
    "--yes", is_flag=True, expose_value=False, help="Do not ask (it never does)."
)

stack = click.option(
    "--stack",
    "stack",
    envvar="TURNBACK_STACK",
    default="turnback",
    show_default=True,
    show_envvar=True,
    help="The CloudFormation stack; its Region is AWS_REGION, or that of the AWS profile.",
)
