"""The output of a command: text for people, or one JSON document."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any, ParamSpec

import click

from turnback.errors import CheckFailed, ConfigurationError, TurnbackError
from turnback.wording import duration, visible

if TYPE_CHECKING:
    from turnback.cli.status_line import StatusLine

P = ParamSpec("P")

# The styles that commands print: reset, bold, and colours in which text can be read.
_STYLE = re.compile(r"(\x1b\[(?:0|1|3[1-6])m)")

_VERBOSE = "turnback.verbose"
INTERRUPTED = 130
_REPORTS = {
    *("check", "checklist", "config", "db url", "explain", "health", "lint", "locks"),
    *("rehearse", "runs", "snapshots", "status", "watch"),
}
# A disk that is full, a quota that is reached, a disk that fails.
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EIO) if os.name == "posix" else (errno.ENOSPC,)
# The exit code of a command whose result could not be written, if it has no other.
LOST_OUTPUT = ConfigurationError.exit_code

# What a command may have filled in before the error came.
_WITHOUT_ERROR = ("succeeded", "nothing_to_do", "ok")
_STATUS_OF_EXIT = {1: "failed", 2: "refused", 3: "refused", 4: "busy", 5: "unreachable"}


def on_terminal(text: str) -> str:
    """Text for a terminal: nothing from a database or a file is hidden or erases a line."""
    return "".join(
        part if number % 2 else visible(part) for number, part in enumerate(_STYLE.split(text))
    )


_lost: list[OSError] = []


def echo(text: str, *, err: bool = False) -> None:
    """Print a line. Where nothing can be written any more, later lines go nowhere."""
    try:
        click.echo(text, err=err)
    except UnicodeEncodeError as error:
        # A locale that is not UTF-8 does not have the character.
        echo(text.encode(error.encoding, "backslashreplace").decode(error.encoding), err=err)
    except OSError as error:
        stream = sys.stderr if err else sys.stdout
        with contextlib.suppress(OSError, ValueError):
            # What is buffered would be written again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        # A reader who has seen enough has lost nothing (turnback status | head).
        if not err and error.errno != errno.EPIPE:
            _lost.append(error)
            echo(f"error: the output cannot be written: {error.strerror}", err=True)


def output_is_lost() -> bool:
    """Whether a line of the result could not be written, though somebody wanted to have it."""
    return bool(_lost)


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether people look at this stream; it is None where the caller has closed it."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def print_document(document: Mapping[str, Any]) -> None:
    """Print what ``--json`` prints; turnback.cli.documents says what it is of each command."""
    echo(json.dumps(document, indent=2, ensure_ascii=False))


class SettingsError(click.ClickException):
    """An error in turnback.toml or .env, found while the options are read."""

    exit_code = ConfigurationError.exit_code

    def __init__(self, error: ConfigurationError) -> None:
        super().__init__(str(error))
        self.error = error
        self.ctx = click.get_current_context(silent=True)

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002
        with self.ctx.scope(cleanup=False) if self.ctx else contextlib.nullcontext():
            print_error(self.error)


class Output:
    """Result on stdout, everything else on stderr; with ``--json`` the document and nothing else,
    unless ``--verbose`` is given as well.

    A reader who leaves, or a disk that is full, never ends a command in the middle of its work.

    Attributes:
        document: what ``--json`` prints; a command fills it as it goes.
        result_is_aside: whether lines of the result go to stderr, because stdout is for another
            program.
        is_report: whether the command does nothing but report. Its exit code is an error's then
            if the report could not be written; that of others is about what they have changed.
    """

    def __init__(self, command: str, as_json: bool) -> None:
        self.as_json = as_json
        self.result_is_aside = as_json
        self.document: dict[str, Any] = {"command": command}
        self.is_report = command in _REPORTS
        self._status: StatusLine | None = None

    @property
    def status(self) -> StatusLine:
        """Shows what is under way."""
        if self._status is None:
            self._status = self._new_status()
        return self._status

    def _new_status(self) -> StatusLine:
        from turnback.cli.status_line import NoStatus, PipeStatus

        if not self._for_people:
            return NoStatus()
        if is_terminal(sys.stderr):
            # rich comes with the extras.
            with contextlib.suppress(ModuleNotFoundError):
                from turnback.cli.terminal_status import TerminalStatus

                return TerminalStatus()
        return PipeStatus(self.note)

    def result(self, text: str = "") -> None:
        """A line of the result."""
        self._say(text, err=self.result_is_aside)

    def note(self, text: str) -> None:
        """Progress, or a remark."""
        self._say(text, err=True)

    def warn(self, text: str) -> None:
        """What the user should know although it does not stop the command."""
        if self.as_json:
            self.document.setdefault("warnings", []).append(text)
        self._say(f"warning: {text}", err=True)

    def _say(self, text: str, *, err: bool) -> None:
        if self._for_people:
            with self._status.paused() if self._status else contextlib.nullcontext():
                echo(on_terminal(text), err=err or self.as_json)

    @property
    def _for_people(self) -> bool:
        """Whether lines are printed: with ``--json`` only if they are asked for, on stderr."""
        return not self.as_json or is_verbose()

    def fail(self, error: TurnbackError) -> int:
        """Print the error; returns the exit code."""
        if self.document.get("status") in (None, *_WITHOUT_ERROR):
            self.document["status"] = _STATUS_OF_EXIT.get(error.exit_code, "needs_a_person")
        self.document["error"] = error.to_dict()
        if isinstance(error, CheckFailed):
            self.document.setdefault("findings", [f.to_dict() for f in error.findings])
        if self._status:
            self._status.clear()
        if self._for_people:
            print_error(error)
        return error.exit_code

    def interrupted(self) -> int:
        """Say that Ctrl-C or SIGTERM ended the command; returns the exit code."""
        self.document["status"] = "interrupted"
        self.document.setdefault("error", None)
        self.note("interrupted")
        return INTERRUPTED

    def close(self, code: int) -> int:
        """Print the document, if one is wanted; returns the exit code."""
        if self._status:
            self._status.clear()
        if self.as_json:
            print_document(self.document)
        return code or (LOST_OUTPUT if output_is_lost() and self.is_report else 0)


def set_verbose(context: click.Context, _: click.Parameter, verbose: bool) -> None:
    """Callback of ``--verbose``."""
    context.meta[_VERBOSE] = verbose


def is_verbose() -> bool:
    """Whether the running command was called with ``--verbose``."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(_VERBOSE))


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
    # An error is rare, and nothing else needs it.
    from turnback.cli.snippet import located, snippet

    lines = [click.style("error: ", fg="red", bold=True) + located(error)]
    if shown := snippet(error):
        lines += shown
    elif error.statement:
        lines.append(_indent(error.statement))
    if error.sqlstate:
        lines.append(f"  SQLSTATE {error.sqlstate}")
    if error.hint:
        lines.append(f"  {click.style('hint:', bold=True)} {error.hint}")
    if error.detail:
        lines += _detail(error.detail)
    for line in lines:
        echo(on_terminal(line), err=True)


def _of_file(error: OSError) -> ConfigurationError:
    """What the system has against a file or a folder, such as its rights or a full disk."""
    named = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return ConfigurationError(
        f"{named}{error.strerror}",
        hint="check that it is what it should be, its rights, and the room on its disk",
    )


def reported(command: Callable[P, int | None]) -> Callable[P, int]:
    """Give a command its ``Output`` as ``out``, and turn a TurnbackError into an exit code.

    The command is called with the keyword ``out`` in place of ``as_json``.
    """

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> int:
        name = name_of(click.get_current_context(silent=True)) or command.__name__
        out = Output(name, bool(kwargs.pop("as_json", False)))
        kwargs["out"] = out
        try:
            code = command(*args, **kwargs) or 0
        except TurnbackError as error:
            code = out.fail(error)
        except OSError as error:
            if error.filename is None and error.errno not in _OF_DISKS:
                raise
            code = out.fail(_of_file(error))
        except (KeyboardInterrupt, click.Abort):
            code = out.interrupted()
        return out.close(code)

    return wrapper


def name_of(context: click.Context | None) -> str:
    """The command as it is typed: ``up``, or ``db create``; empty outside of one."""
    names = list[str]()
    while context and context.parent:
        names.append(context.info_name or "")
        context = context.parent
    return " ".join(reversed(names))


def may_ask(as_json: bool) -> bool:
    """Whether somebody at a terminal could answer a question."""
    return not as_json and all(one and one.isatty() for one in (sys.stdin, sys.stderr))


def ask(question: str) -> None:
    """Ask, and go on only after a yes.

    Raises:
        ConfigurationError: the answer was no.
    """
    if not click.confirm(question, err=True):
        raise ConfigurationError("the answer was no", hint="nothing was changed")


def confirm(doing: str, *, yes: bool, out: Output, question: str | None = None) -> None:
    """Ask before something that cannot be undone, unless --yes was given.

    Args:
        doing: what would happen, as in "this would …".
        yes: whether --yes was given.
        out: knows whether JSON is printed, which leaves no terminal to ask at.
        question: what is asked where that is not what would happen.

    Raises:
        ConfigurationError: the answer was no, or there is no terminal to ask at.
    """
    if yes:
        return
    if not may_ask(out.as_json):
        raise ConfigurationError(f"this would {doing}", hint="confirm with --yes")
    ask(question or f"{doing[0].upper()}{doing[1:]}?")


def human_ms(milliseconds: int | None) -> str:
    """A time for people: ``12 ms``, ``3.4 s``, ``2 min 5 s``."""
    return "" if milliseconds is None else duration(milliseconds / 1000)


def _indent(text: str) -> str:
    lines = text.strip().splitlines()
    shown = lines[:12] + (["…"] if len(lines) > 12 else [])
    return "\n".join(f"    {line}" for line in shown)
