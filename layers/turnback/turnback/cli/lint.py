"""``lint``: what the migrations will block, and for how long, before they run anywhere."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.annotations import (
    Annotation,
    Annotations,
    folder_of,
    format_option,
    formatted,
)
from turnback.cli.explain import address
from turnback.cli.options import project_settings
from turnback.cli.output import Output, reported
from turnback.cli.snippet import line_with_caret, seen
from turnback.errors import CheckFailed, ConfigurationError
from turnback.migrations.discovery import load_project
from turnback.settings.project import FILE
from turnback.sql.lint.linter import lint as run
from turnback.sql.lint.model import Finding, Report, Severity, named
from turnback.wording import counted

_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}
_HEAD = re.compile(r"^(\S+: )(error|warning|info)( TB\d+)( .*)$")


@click.command(epilog="Example: turnback lint --since 0009 --format github")
@click.argument("versions", nargs=-1, type=types.Version())
@opt.directory
@click.option(
    "--since",
    type=types.Version(),
    help="Only the migrations after this version, as one release: its tables are new, and not in "
    "use yet; how many findings that hides is printed. 0 is an empty database.",
)
@click.option(
    "--pg-version",
    type=types.PgVersion(),
    envvar="TURNBACK_PG_VERSION",
    show_envvar=True,
    help="The target's version of PostgreSQL: newer syntax is an error.",
)
# Another name than other commands': neither DATABASE_URL nor turnback.toml may make it connect.
@click.option(
    "--database-url",
    "ask",
    type=types.Given(),
    metavar="URL",
    help="Ask this database for its version, in place of --pg-version.",
)
@format_option
@click.option("--strict", is_flag=True, help="Remarks fail the check as well.")
@opt.as_json
@reported
@formatted
def lint(
    *,
    versions: tuple[str, ...],
    directory: Path,
    since: str | None,
    pg_version: int | None,
    ask: str | None,
    form: str,
    strict: bool,
    out: Output,
) -> int:
    """Say what the migrations will block, for how long, and what to write instead.

    Needs no database: every script is read, oldest first, so that lint knows which tables are
    new. VERSION names the migrations to look at; without one, all after the baseline. A rule is
    switched off for a statement by the line before it: -- turnback: waive RULE because REASON
    """
    off = project_settings(click.get_current_context()).file.lint_off
    for name in off:
        rules = named(name)
        if not rules or not all(rule.waivable for rule in rules):
            raise ConfigurationError(
                f"{name} in [lint.off] cannot be turned off"
                if rules
                else f"there is no rule {name}",
                file=FILE,
                hint="see the rules: docs/rules/README.md",
            )
    server = _version_of(ask) if ask else pg_version
    report = run(load_project(directory), versions, since=since, server=server).without(off)
    out.document |= document(report)
    if form == "human" and not out.as_json:
        for line in human(report):
            out.result(_coloured(line))
    else:
        annotated(report, folder_of(directory)).print(form, out)
        out.note(summary(report) + ".")
    return CheckFailed.exit_code if report.fails(strict=strict) else 0


def _version_of(url: str) -> int:
    from turnback.engine.session.connection import connect_for_own

    with connect_for_own(url, application_name="turnback lint") as connection:
        return connection.info.server_version // 10_000


def _coloured(line: str) -> str:
    head = _HEAD.match(line)
    if head is None:
        return line
    place, level, rule, message = head.groups()
    return place + click.style(level + rule, fg=_COLOURS[level], bold=True) + message


_IN = "    "


def human(report: Report) -> Iterable[str]:
    """Lines for a terminal; of a remark, no more than one."""
    for finding in report.findings:
        place = seen(f"{finding.file}:{finding.line}:{finding.column}")
        yield f"{place}: {finding.level} {finding.rule.id} {finding.message}"
        if finding.level is not Severity.INFO:
            yield from line_with_caret(finding.file, finding.line, finding.column)
            yield from textwrap.wrap(finding.why, 100, initial_indent=_IN, subsequent_indent=_IN)
            for line in finding.safer.splitlines():
                yield f"{_IN}{_IN}{line}"
            if finding.rule.recipes:
                listed = " or ".join(finding.rule.recipes)
                yield f"{_IN}as migrations: turnback generate --recipe {listed}"
            yield f"{_IN}more: turnback explain {finding.rule.id}, or {address(finding.rule.page)}"
    yield summary(report) + "."


def summary(report: Report) -> str:
    """``2 errors, 1 warning in 3 migrations; 1 waived``, and how many ``--since`` hides."""
    counts = [
        counted(report.count(level), noun)
        for level, noun in (
            (Severity.ERROR, "error"),
            (Severity.WARNING, "warning"),
            (Severity.INFO, "remark"),
        )
        if report.count(level)
    ]
    waived = f"; {len(report.waived)} waived" if report.waived else ""
    found = ", ".join(counts) or "nothing found"
    new = len(report.on_new_tables)
    hidden = f"; {new} not shown, on tables that are new with this release" if new else ""
    return f"{found} in {counted(report.migrations, 'migration')}{waived}{hidden}"


def document(report: Report) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "status": "findings" if report.findings else "ok",
        "migrations": report.migrations,
        "counts": {str(level): report.count(level) for level in Severity},
        "findings": [_linked(finding) for finding in report.findings],
        "waived": [_linked(finding) for finding in report.waived],
        "on_new_tables": [_linked(finding) for finding in report.on_new_tables],
    }


def _linked(finding: Finding) -> dict[str, Any]:
    return {**finding.to_dict(), "url": address(finding.rule.page)}


def annotated(report: Report, folder: str) -> Annotations:
    """The findings beside their lines.

    Args:
        report: what was found.
        folder: of the project, from the root of the repository.
    """
    found = [
        Annotation(
            level=str(one.level),
            rule=one.rule.id,
            name=one.rule.name,
            title=one.rule.title,
            file=one.file,
            line=one.line,
            column=one.column,
            message=one.message,
            why=one.why,
            sql=one.safer,
            page=address(one.rule.page),
        )
        for one in report.findings
    ]
    return Annotations("lint", summary(report), folder, found)
