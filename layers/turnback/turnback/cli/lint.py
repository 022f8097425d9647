"""``lint``: what the migrations will block, and for how long, before they run anywhere."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from turnback.cli import options as opt
from turnback.cli.options import project_settings
from turnback.cli.output import Output, reported
from turnback.errors import CheckFailed, ConfigurationError
from turnback.migrations.discovery import load_project
from turnback.settings.project import FILE
from turnback.sql.lint.linter import lint as run
from turnback.sql.lint.model import Finding, Report, Severity, known
from turnback.wording import visible

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

    Needs no database: every script is read, oldest first, so that lint knows which tables are
    new. VERSION names the migrations to look at; without one, all of them. A rule is
    switched off for a statement by the line before it: -- turnback: waive RULE because REASON
    """
    if form == "json":
        out.as_json = True
    off = project_settings(click.get_current_context()).file.lint_off
    for rule in off:
        if (found := known(rule)) is None or not found.waivable:
            raise ConfigurationError(
                f"{rule} in [lint.off] cannot be turned off"
                if found
                else f"there is no rule {rule}",
                file=FILE,
                hint="see the rules: docs/rules/README.md",
            )
    report = run(load_project(directory), versions, since=since).without(off)
    out.document |= document(report)
    _print(report, "json" if out.as_json else form, directory, out)
    return CheckFailed.exit_code if report.fails(strict=strict) else 0


def _print(report: Report, form: str, directory: Path, out: Output) -> None:
    match form:
        case "github":
            for line in github(report, _folder(directory)):
                out.result(line)
            out.note(summary(report) + ".")
        case "markdown":
            out.result(markdown(report, _folder(directory)))
        case "json":
            out.note(summary(report) + ".")
        case _:
            for line in human(report):
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


# What the workflow finds its own comment by, to write it anew.
MARK = "<!-- turnback lint -->"
# GitHub refuses a comment of more than 65,536 characters.
_LONGEST = 60_000
_IN = "    "
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def human(report: Report) -> Iterable[str]:
    """Lines for a terminal; of a remark, no more than one."""
    for finding in report.findings:
        place = f"{finding.file}:{finding.line}:{finding.column}"
        yield f"{place}: {finding.level} {finding.rule.id} {finding.message}"
        if finding.level is not Severity.INFO:
            yield from textwrap.wrap(finding.why, 100, initial_indent=_IN, subsequent_indent=_IN)
            for line in finding.safer.splitlines():
                yield f"{_IN}{_IN}{line}"
            yield f"{_IN}{finding.rule.page}"
    yield summary(report) + "."


def summary(report: Report) -> str:
    """``2 errors, 1 warning in 3 migrations; 1 waived``."""
    counts = [
        _count(report.count(level), noun)
        for level, noun in (
            (Severity.ERROR, "error"),
            (Severity.WARNING, "warning"),
            (Severity.INFO, "remark"),
        )
        if report.count(level)
    ]
    waived = f"; {len(report.waived)} waived" if report.waived else ""
    found = ", ".join(counts) or "nothing found"
    return f"{found} in {_count(report.migrations, 'migration')}{waived}"


def document(report: Report) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "status": "findings" if report.findings else "ok",
        "migrations": report.migrations,
        "counts": {str(level): report.count(level) for level in Severity},
        "findings": [finding.to_dict() for finding in report.findings],
        "waived": [finding.to_dict() for finding in report.waived],
    }


def github(report: Report, folder: str) -> Iterable[str]:
    """Workflow commands, one a finding; GitHub shows them beside the lines of the pull request.

    Args:
        folder: of the project, from the root of the repository.
    """
    for finding in report.findings:
        properties = {
            "file": _path(folder, finding),
            "line": str(finding.line),
            "col": str(finding.column),
            "title": f"{finding.rule.id} {finding.rule.name}",
        }
        shown = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
        parts = [finding.message, finding.why, *finding.safer.splitlines(), finding.rule.page]
        yield f"::{_COMMANDS[finding.level]} {shown}::{_data(chr(10).join(parts))}"


def _data(text: str) -> str:
    return visible(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def markdown(report: Report, folder: str) -> str:
    """A comment for a pull request: a table, and what to write instead, folded.

    Args:
        folder: of the project, from the root of the repository.
    """
    lines = [MARK, f"### turnback lint: {summary(report)}", ""]
    if not report.findings:
        return "\n".join(lines)
    lines += ["| | rule | where | what |", "|---|---|---|---|"]
    for finding in report.findings:
        where = f"`{_path(folder, finding)}:{finding.line}`"
        cells = [str(finding.level), finding.rule.id, where, _cell(finding.message)]
        lines.append(f"| {' | '.join(cells)} |")
    text = "\n".join(lines) + "\n"
    for number, finding in enumerate(report.findings):
        details = _details(folder, finding)
        if len(text) + len(details) > _LONGEST:
            left = len(report.findings) - number
            return f"{text[:_LONGEST]}\n{_count(left, 'finding')} more: run `turnback lint`.\n"
        text += details
    return text


def _details(folder: str, finding: Finding) -> str:
    where = f"{_path(folder, finding)}:{finding.line}"
    safer = f"\n```sql\n{finding.safer}\n```\n" if finding.safer else ""
    return (
        f"\n<details><summary>{finding.rule.id} {_escaped(finding.rule.title)} "
        f"({_escaped(where)})</summary>\n\n"
        f"{_escaped(finding.why)}\n{safer}\n`{finding.rule.page}`\n</details>\n"
    )


def _path(folder: str, finding: Finding) -> str:
    return f"{folder}/{finding.file}" if folder not in ("", ".") else finding.file


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|").replace("\n", " ")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
