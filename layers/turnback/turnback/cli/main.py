"""The entry point: finds the command, and turns every error into a message and an exit code."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import signal
import sys
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from turnback import __version__
from turnback.cli.output import (
    INTERRUPTED,
    LOST_OUTPUT,
    SettingsError,
    echo,
    name_of,
    print_document,
)
from turnback.errors import ConfigurationError

# Command → its module and summary. A module is imported only when its command runs, and none by
# `turnback --help`: `turnback status` must not pay for what `turnback demo` needs.
COMMANDS = {
    "init": ("turnback.cli.project", "Create the folders of a project."),
    "adopt": ("turnback.cli.adopt", "Take over the migrations of another tool."),
    "leave": ("turnback.cli.leave", "Write the migrations as files of another tool."),
    "generate": ("turnback.cli.project", "Write the next numbered pair of files."),
    "check": ("turnback.cli.check", "Check files and checksums, without a database."),
    "rebase": ("turnback.cli.rebase", "Renumber new migrations above those of another branch."),
    "lint": ("turnback.cli.lint", "Find what the migrations will block, and for how long."),
    "explain": ("turnback.cli.explain", "Print the page of a rule of lint, or of an error."),
    "package": ("turnback.cli.project", "Make the artifact of a release."),
    "status": ("turnback.cli.history", "Show the status of each migration."),
    "health": ("turnback.cli.history", "Show what happened last, and what is wrong."),
    "repair": ("turnback.cli.history", "Correct the history after a change by hand."),
    "db": ("turnback.cli.db", "Create, drop, reach or wait for the database."),
    "config": ("turnback.cli.config", "Show the settings, and where each comes from."),
    "locks": ("turnback.cli.locks", "Show who holds locks and who waits for whom."),
    "rehearse": ("turnback.cli.rehearse", "Prove each rollback on a shadow database."),
    "checklist": ("turnback.cli.rehearse", "Answer the checklist of a release, with evidence."),
    "up": ("turnback.cli.run", "Apply the pending migrations."),
    "down": ("turnback.cli.down", "Roll back the last migration, or several."),
    "redo": ("turnback.cli.down", "Roll back the last migration and apply it again."),
    "backfill": ("turnback.cli.backfill", "Show, pause, speed up or give up backfills."),
    "release": ("turnback.cli.release", "Release an artifact to the database of a stack."),
    "runs": ("turnback.cli.runs", "Show the runs of a stack, newest first."),
    "resume": ("turnback.cli.runs", "Let the runs go on that wait for a person."),
    "watch": ("turnback.cli.watch", "Follow a run until it ends."),
    "approve": ("turnback.cli.approve", "Approve or deny a run that waits for people."),
    "emergency": ("turnback.cli.emergency", "Start an application that was left stopped."),
    "cancel": ("turnback.cli.cancel", "Stop a run, and report the result."),
    "backup": ("turnback.cli.backup", "Take a dump or a snapshot, and verify it."),
    "snapshots": ("turnback.cli.backup", "List the snapshots that can be restored."),
    "restore": ("turnback.cli.restore", "Restore a snapshot, and keep the old database."),
    "demo": ("turnback.demo.command", "Show three releases on this machine."),
}


# What other tools call it: dbmate, Flyway, Liquibase, Alembic, Django, Rails, sqitch, yoyo, ….
OTHER_WORDS = {
    **dict.fromkeys(("migrate", "apply", "upgrade", "latest", "update"), "up"),
    **dict.fromkeys(("rollback", "revert", "undo", "downgrade"), "down"),
    **dict.fromkeys(
        ("new", "create", "make", "revision", "add", "makemigrations"), "generate NAME"
    ),
    **dict.fromkeys(("info", "current", "history", "list", "showmigrations"), "status"),
    **dict.fromkeys(("validate", "verify"), "check"),
    **dict.fromkeys(("reset", "clean"), "down 0"),
    **dict.fromkeys(("plan", "dry-run"), "up --dry-run"),
    **dict.fromkeys(("sql", "sqlmigrate", "script"), "up --sql"),
    **dict.fromkeys(("test",), "rehearse"),
    **dict.fromkeys(("dump",), "backup"),
    **{word: f"db {word}" for word in ("drop", "wait", "psql", "start", "stop", "url")},
    "createdb": "db create",
    "dropdb": "db drop",
    "console": "db psql",
    "dbshell": "db psql",
    **dict.fromkeys(("deploy",), "up, or on AWS: turnback release ARTIFACT"),
    **dict.fromkeys(("baseline", "stamp", "mark", "fake"), "repair VERSION --applied"),
    **dict.fromkeys(("log", "logs"), "health, or on AWS: turnback runs"),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands with their summaries, and the options; no command is imported for it."""
        commands = [
            CompletionItem(name, help=summary)
            for name, (_, summary) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.BadParameter as exc:
            from turnback.cli.options import name_source

            name_source(exc)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as exc:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1) if args else []
            advice = f" Did you mean '{near[0]}'?" if near else ""
            if args and args[0] in OTHER_WORDS:
                advice = f" turnback calls it: turnback {OTHER_WORDS[args[0]]}"
            raise click.UsageError(exc.message + advice, ctx) from exc


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: turnback init && turnback generate add_users && turnback up",
)
@click.version_option(__version__, message="turnback %(version)s")
def cli() -> None:
    """PostgreSQL migrations on AWS, with rollbacks proven before you need them.

    The database is named by --database-url or DATABASE_URL; without either, it is an embedded
    Postgres in .turnback/.

    \b
    Exit codes: 0 done, 1 failed and rolled back, 2 wrong usage, 3 a check found something,
    4 busy or locked, 5 unreachable or refused, 6 failed and a person is needed.
    """


def _terminated(number: int, frame: object) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def _say_as_json(exc: click.ClickException) -> None:
    error = (
        exc.error
        if isinstance(exc, SettingsError)
        else ConfigurationError(exc.format_message(), hint="see turnback COMMAND --help")
    )
    command = name_of(getattr(exc, "ctx", None)) or None
    print_document({"command": command, "status": "refused", "error": error.to_dict()})


def _leave(code: int) -> NoReturn:
    """End the process now: unloading psycopg and its libraries would take 40 ms of CPU.

    Everything that was started has stopped by then, and nothing is registered with atexit.
    """
    for stream in (sys.stdout, sys.stderr):
        # It is None where the caller has closed it (turnback up >&-).
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _run(*, color: bool | None) -> object:
    try:
        return cli.main(standalone_mode=False, color=color)
    except ModuleNotFoundError as exc:
        from turnback.cli.extras import not_installed

        raise SettingsError(not_installed(exc)) from exc
    except ConfigurationError as exc:
        # A command's module that cannot be imported here.
        raise SettingsError(exc) from exc


def _open_streams() -> None:
    """Give what the caller has closed to nobody: a connection would get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def main() -> None:
    """Run the command line and leave with its exit code.

    SIGTERM ends it as Ctrl-C does: statements on the server are cancelled, what we started stops.
    """
    signal.signal(signal.SIGTERM, _terminated)
    # The garbage collector would search thousands of syntax trees, which have no cycles.
    gc.set_threshold(100_000, 50, 1000)
    _open_streams()
    # https://no-color.org: set, and not empty.
    color = False if os.environ.get("NO_COLOR") else None
    try:
        code = _run(color=color)
    except click.ClickException as exc:
        if "--json" in sys.argv:
            _say_as_json(exc)
        # In the middle of a line that somebody types, an extra that is missing is no news.
        elif "_TURNBACK_COMPLETE" not in os.environ:
            with contextlib.suppress(OSError):
                exc.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        # Before the command has begun: from then on it reports by itself.
        if "--json" in sys.argv:
            print_document({"command": None, "status": "interrupted", "error": None})
        else:
            echo("interrupted", err=True)
        code = INTERRUPTED
    except OSError as error:
        # --help, --version and completion print by themselves.
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO):
            raise
        code = 0 if error.errno == errno.EPIPE else LOST_OUTPUT
    _leave(code if isinstance(code, int) else 0)
