"""The output of a command: text for people, or one JSON document."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable
from typing import IO, Any, ParamSpec

import click

from turnback.errors import CheckFailed, ConfigurationError, TurnbackError
from turnback.wording import duration, visible

P = ParamSpec("P")

# The styles that commands print: reset, bold, and colours in which text can be read.
_STYLE = re.compile(r"(\x1b\[(?:0|1|3[1-6])m)")

_VERBOSE = "turnback.verbose"

_STATUS_OF_EXIT = {1: "failed", 2: "refused", 3: "refused", 4: "busy", 5: "unreachable"}


def on_terminal(text: str) -> str:
    """Text for a terminal: nothing from a database or a file is hidden or erases a line."""
    return "".join(
        part if number % 2 else visible(part) for number, part in enumerate(_STYLE.split(text))
    )


class SettingsError(click.ClickException):
    """An error in turnback.toml or .env, found while the options are read."""

    exit_code = ConfigurationError.exit_code

    def __init__(self, error: ConfigurationError) -> None:
        super().__init__(str(error))
        self.error = error

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002
        print_error(self.error)


class Output:
    """Result on stdout, everything else on stderr; with ``--json`` stdout is one document.

    Attributes:
        document: what ``--json`` prints; a command fills it as it goes.
        result_is_aside: whether lines of the result go to stderr, because stdout is for another
            program.
    """

    def __init__(self, command: str, as_json: bool) -> None:
        self.as_json = as_json
        self.result_is_aside = as_json
        self.document: dict[str, Any] = {"command": command}

    def result(self, text: str = "") -> None:
        """A line of the result; on stderr where stdout is for the document."""
        click.echo(on_terminal(text), err=self.result_is_aside)

    def note(self, text: str) -> None:
        """Progress, a warning, a remark."""
        click.echo(on_terminal(text), err=True)

    def fail(self, error: TurnbackError) -> int:
        """Print the error; returns the exit code."""
        self.document.setdefault("status", _STATUS_OF_EXIT.get(error.exit_code, "needs_a_person"))
        self.document["error"] = error.to_dict()
        if isinstance(error, CheckFailed):
            self.document.setdefault("findings", [f.to_dict() for f in error.findings])
        print_error(error)
        return error.exit_code

    def close(self) -> None:
        """Print the document, if one is wanted."""
        if self.as_json:
            click.echo(json.dumps(self.document, indent=2, ensure_ascii=False))


def set_verbose(context: click.Context, _: click.Parameter, verbose: bool) -> None:
    """Callback of ``--verbose``: print with an error what may have values of rows in it."""
    context.meta[_VERBOSE] = verbose


def _detail(detail: str) -> list[str]:
    """What may have values of rows, or how to see it, in a command that can show it."""
    context = click.get_current_context(silent=True)
    known = context.meta.get(_VERBOSE) if context else None
    if known is None:
        return []
    shown = detail if known else "it may have values of rows: --verbose shows it"
    return [f"  {click.style('detail:', bold=True)} {shown}"]


def print_error(error: TurnbackError) -> None:
    """Print an error, with its statement and hint, on stderr."""
    lines = [click.style("error: ", fg="red", bold=True) + str(error)]
    if error.statement:
        lines.append(_indent(error.statement))
    if error.sqlstate:
        lines.append(f"  SQLSTATE {error.sqlstate}")
    if error.hint:
        lines.append(f"  {click.style('hint:', bold=True)} {error.hint}")
    if error.detail:
        lines += _detail(error.detail)
    for line in lines:
        click.echo(on_terminal(line), err=True)


def reported(command: Callable[P, int | None]) -> Callable[P, int]:
    """Give a command its ``Output`` as ``out``, and turn a TurnbackError into an exit code.

    The command is called with the keyword ``out`` in place of ``as_json``.
    """

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> int:
        out = Output(_name(command.__name__), bool(kwargs.pop("as_json", False)))
        kwargs["out"] = out
        try:
            code = command(*args, **kwargs) or 0
        except TurnbackError as error:
            code = out.fail(error)
        out.close()
        return code

    return wrapper


def _name(default: str) -> str:
    """The command as it is typed: ``up``, or ``db create``."""
    context = click.get_current_context(silent=True)
    names = list[str]()
    while context and context.parent:
        names.append(context.info_name or default)
        context = context.parent
    return " ".join(reversed(names)) or default


def may_ask(as_json: bool) -> bool:
    """Whether somebody at a terminal could answer a question."""
    return not as_json and sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> None:
    """Ask, and go on only after a yes.

    Raises:
        ConfigurationError: the answer was no.
    """
    if not click.confirm(question, err=True):
        raise ConfigurationError("the answer was no", hint="nothing was changed")


def human_ms(milliseconds: int | None) -> str:
    """A time for people: ``12 ms``, ``3.4 s``, ``2 min 5 s``."""
    return "" if milliseconds is None else duration(milliseconds / 1000)


def _indent(text: str) -> str:
    lines = text.strip().splitlines()
    shown = lines[:12] + (["…"] if len(lines) > 12 else [])
    return "\n".join(f"    {line}" for line in shown)
