"""A report as text: for a terminal, for GitHub's annotations, as a comment on a pull request."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from turnback.sql.lint.model import Finding, Report, Severity

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
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


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
