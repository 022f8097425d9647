"""The entry point: finds the command, and turns every error into words and an exit code."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
from typing import NoReturn

import click

from turnback import __version__
from turnback.errors import ConfigurationError

# Command → module. A module is imported only when its command runs: `turnback status` must not
# pay for what `turnback demo` needs.
COMMANDS = {
    "init": "project",
    "generate": "project",
    "check": "check",
    "lint": "lint",
    "package": "project",
    "status": "history",
    "health": "history",
    "repair": "history",
    "locks": "locks",
    "rehearse": "rehearse",
    "checklist": "rehearse",
    "up": "run",
    "down": "run",
    "release": "release",
    "runs": "runs",
    "watch": "watch",
    "approve": "approve",
    "cancel": "cancel",
    "backup": "backup",
    "snapshots": "backup",
    "restore": "restore",
    "demo": "turnback.demo.command",
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports them on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        name = COMMANDS[cmd_name]
        module = importlib.import_module(name if "." in name else f"turnback.cli.{name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as exc:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1) if args else []
            advice = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(exc.message + advice, ctx) from exc


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: turnback init && turnback generate add_users && turnback up",
)
@click.version_option(__version__, message="turnback %(version)s")
def cli() -> None:
    """PostgreSQL migrations on AWS, with rollbacks proven before you need them.

    The database is named by --database-url or DATABASE_URL; without either, it is the project's
    own embedded Postgres in .turnback/.

    \b
    Exit codes: 0 done, 1 failed and rolled back, 2 wrong usage, 3 a check found something,
    4 busy or locked, 5 unreachable or refused, 6 failed and a person is needed.
    """


def _terminated(number: int, frame: object) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def _say_as_json(exc: click.ClickException) -> None:
    import json

    error = ConfigurationError(exc.format_message(), hint="see turnback COMMAND --help")
    context = getattr(exc, "ctx", None)
    command = context.info_name if context else None
    document = {"command": command, "status": "refused", "error": error.to_dict()}
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _leave(code: int) -> NoReturn:
    """End the process now: taking psycopg and its libraries apart again takes 40 ms of CPU.

    Everything that was started has been stopped by then, and nothing is registered with atexit.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError, ValueError):
            stream.flush()
    os._exit(code)


def main() -> None:
    """Run the command line and leave with its exit code.

    SIGTERM ends it as Ctrl-C does: what runs in the server is cancelled, what we started stops.
    """
    signal.signal(signal.SIGTERM, _terminated)
    # Thousands of syntax trees without a cycle among them are not worth looking through.
    gc.set_threshold(100_000, 50, 1000)
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        if "--json" in sys.argv:
            _say_as_json(exc)
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone (turnback status | head): nothing left to say to it.
        sys.stderr.close()
        code = 0
    _leave(code if isinstance(code, int) else 0)
