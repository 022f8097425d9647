"""A report as an e-mail: plain text, as SNS sends it to whoever subscribed by e-mail."""

from __future__ import annotations

import textwrap

from turnback.runs.reporting.report import Report
from turnback.runs.reporting.steps import steps
from turnback.runs.reporting.words import lost, next_step, outcome, place, reminder, title
from turnback.runs.state import RunError
from turnback.wording import capped, clock, cut, duration, sentence, visible

# SNS: "less than 100 characters", no line break; ASCII is what every mail reader shows.
SUBJECT_LENGTH = 99
WIDTH = 76
LISTED = 20
MESSAGE_LENGTH = 4000


def email_subject(report: Report) -> str:
    """One line of at most 99 ASCII characters: target, release and status."""
    line = visible(" ".join(f"{reminder(report)}{title(report)}".split()))
    plain = line.encode("ascii", "replace").decode()
    return plain if len(plain) <= SUBJECT_LENGTH else plain[: SUBJECT_LENGTH - 3] + "..."


def email_text(report: Report) -> str:
    """The whole e-mail: what happened, the steps, the errors, what to do next, where to look."""
    reasons = [cut(reason, 300) for reason in report.asking.reasons] if report.asking else []
    parts = [
        _wrapped(sentence(outcome(report))),
        _facts(report),
        "\n".join(cut(f"{step.mark} {step.name}: {step.text}", 500) for step in steps(report)),
        _migrations(report),
        *(_error(headline, error) for headline, error in report.errors),
        "\n".join(["Why it needs approval:", *(f"  - {one}" for one in capped(reasons, LISTED))])
        if reasons
        else "",
        _titled("What a restore loses", lost(report)),
        "\n".join(["Worth knowing:", *(_wrapped(note, "  ") for note in report.notes)])
        if report.notes
        else "",
        _titled("What to do next", next_step(report).replace("`", "")),
        f"This message was shortened: {report.shortened} in the stack's bucket has all of it."
        if report.shortened
        else "",
        f"run {report.run}, {clock(report.at)}"
        + (f"\n{report.execution_arn}" if report.execution_arn else ""),
    ]
    return visible("\n\n".join(part for part in parts if part)) + "\n"


def _facts(report: Report) -> str:
    lines = [
        f"Database    {report.target} ({report.environment})",
        f"Release     {report.release or 'unknown'}",
        f"Started by  {cut(report.trigger, 200)}",
    ]
    if report.upload:
        lines.append(f"Artifact    {cut(str(report.upload), 1500)}")
    if report.duration_ms is not None:
        lines.append(f"Took        {duration(report.duration_ms / 1000)}")
    return "\n".join(lines)


def _migrations(report: Report) -> str:
    lines = [
        f"  {cut(f'{row.version} {row.name}', 100)}: {row.status}"
        + ("" if row.execution_ms is None else f", {row.execution_ms} ms")
        for row in report.migrations[:LISTED]
    ]
    if report.migration_count > LISTED:
        lines.append(f"  and {report.migration_count - LISTED:,} more")
    return "\n".join(lines)


def _error(headline: str, error: RunError) -> str:
    state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    texts = [
        place(error),
        cut(error.message, MESSAGE_LENGTH),
        cut(error.hint or "", MESSAGE_LENGTH),
    ]
    lines = "\n".join(f"  {line}" for text in texts for line in text.splitlines())
    return f"{headline}: {error.type}{state}\n{lines}"


def _titled(headline: str, text: str) -> str:
    return f"{headline}:\n{_wrapped(text, '  ')}" if text else ""


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
