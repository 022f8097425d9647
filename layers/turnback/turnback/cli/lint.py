"""``lint``: what the migrations will block, and for how long, before they run anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli.output import Output, reported
from turnback.errors import CheckFailed
from turnback.migrations.discovery import load_project
from turnback.sql.lint import formats
from turnback.sql.lint.linter import lint as run
from turnback.sql.lint.model import Report

_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}
_HEAD = re.compile(r"^(\S+: )(error|warning|info)( TB\d+)( .*)$")


@click.command(epilog="Example: turnback lint --since 0009 --format github")
@click.argument("versions", nargs=-1, type=opt.Version())
@opt.directory
@click.option(
    "--since",
    type=opt.Version(),
    help="Only the migrations after this version, as one release; 0 is all of them.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["human", "json", "github", "markdown"]),
    default="human",
    show_default=True,
    help="For a terminal, a machine, GitHub's annotations, or a comment on a pull request.",
)
@click.option("--strict", is_flag=True, help="Remarks fail the check as well.")
@opt.as_json
@reported
def lint(
    *,
    versions: tuple[str, ...],
    directory: Path,
    since: str | None,
    form: str,
    strict: bool,
    out: Output,
) -> int:
    """Say what the migrations will block, for how long, and what to write instead.

    Needs no database: every script is read, oldest first, so that a table that is in use is told
    from a new one. VERSION names the migrations to look at; without one, all of them. A rule is
    switched off for a statement by the line before it: -- turnback: waive RULE because REASON
    """
    if form == "json":
        out.as_json = True
    report = run(load_project(directory), versions, since=since)
    out.document |= formats.document(report)
    _tell(report, "json" if out.as_json else form, directory, out)
    return CheckFailed.exit_code if report.fails(strict=strict) else 0


def _tell(report: Report, form: str, directory: Path, out: Output) -> None:
    match form:
        case "github":
            for line in formats.github(report, _folder(directory)):
                out.result(line)
            out.note(formats.summary(report) + ".")
        case "markdown":
            out.result(formats.markdown(report, _folder(directory)))
        case "json":
            out.note(formats.summary(report) + ".")
        case _:
            for line in formats.human(report):
                out.result(_coloured(line))


def _folder(directory: Path) -> str:
    """The project's folder as the repository knows it, where it lies below this one."""
    full = directory.resolve()
    here = Path.cwd().resolve()
    return (full.relative_to(here) if full.is_relative_to(here) else directory).as_posix()


def _coloured(line: str) -> str:
    head = _HEAD.match(line)
    if head is None:
        return line
    place, level, rule, message = head.groups()
    return place + click.style(level + rule, fg=_COLOURS[level], bold=True) + message
