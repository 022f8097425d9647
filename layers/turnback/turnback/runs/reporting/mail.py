"""A status as an e-mail: plain text, as SNS sends it to whoever subscribed by e-mail."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from turnback.runs.reporting.steps import steps
from turnback.runs.reporting.words import (
    clock,
    cut,
    duration,
    loss_of,
    next_step,
    reminder,
    title,
    where,
)

# SNS: "less than 100 characters", no line break; ASCII is what every mail reader shows.
SUBJECT_LENGTH = 99
WIDTH = 76
LISTED = 20
MESSAGE_LENGTH = 4000


def email_subject(event: Mapping[str, Any]) -> str:
    """One line of at most 99 ASCII characters: target, release and what became of it."""
    line = " ".join(f"{reminder(event)}{title(event)}".split())
    plain = line.encode("ascii", "replace").decode()
    return plain if len(plain) <= SUBJECT_LENGTH else plain[: SUBJECT_LENGTH - 3] + "..."


def email_text(event: Mapping[str, Any]) -> str:
    """The whole e-mail: what happened, the steps, the error, what to do next, where to look."""
    parts = [
        _wrapped(event["summary"]),
        "\n".join(_facts(event)),
        "\n".join(_steps(event)),
        "\n".join(_migrations(event)),
        _error("What failed", event.get("error")),
        _error("Why the rollback failed", event.get("rollback_error")),
        _error("Why there was no restore", event.get("restore_error")),
        _reasons(event),
        _titled("What a restore costs", loss_of(event)),
        _titled("What to do next", next_step(event).replace("`", "")),
        f"run {event['run']}, {clock(event['at'])}"
        + (f"\n{event['execution_arn']}" if event.get("execution_arn") else ""),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(event: Mapping[str, Any]) -> Iterator[str]:
    yield f"Database    {event['target']} ({event['environment']})"
    yield f"Release     {event.get('release') or 'unknown'}"
    yield f"Started by  {cut(str(event['trigger']), 200)}"
    if event.get("duration_ms") is not None:
        yield f"Took        {duration(event['duration_ms'] / 1000)}"


def _steps(event: Mapping[str, Any]) -> Iterator[str]:
    for step in steps(event):
        yield cut(f"{step.mark} {step.name}: {step.told}", 500)


def _migrations(event: Mapping[str, Any]) -> Iterator[str]:
    for row in event["migrations"][:LISTED]:
        took = "" if row["execution_ms"] is None else f", {row['execution_ms']} ms"
        yield f"  {cut(row['version'] + ' ' + row['name'], 100)}: {row['status']}{took}"
    if event["migration_count"] > LISTED:
        yield f"  and {event['migration_count'] - LISTED:,} more"


def _error(head: str, error: Mapping[str, Any] | None) -> str:
    if not error:
        return ""
    state = f" (SQLSTATE {error['sqlstate']})" if error.get("sqlstate") else ""
    lines = [where(error), cut(str(error.get("message") or ""), MESSAGE_LENGTH)]
    lines.append(cut(str(error.get("hint") or ""), MESSAGE_LENGTH))
    told = "\n".join(f"  {line}" for text in lines if text for line in text.splitlines())
    return f"{head}: {error.get('type') or 'unknown'}{state}\n{told}"


def _reasons(event: Mapping[str, Any]) -> str:
    reasons = [str(reason) for reason in (event.get("approval") or {}).get("reasons") or ()]
    if not reasons:
        return ""
    lines = [f"  - {cut(reason, 300)}" for reason in reasons[:LISTED]]
    if len(reasons) > LISTED:
        lines.append(f"  and {len(reasons) - LISTED} more")
    return "\n".join(["Why it needs approval:", *lines])


def _titled(head: str, text: str) -> str:
    return f"{head}:\n{_wrapped(text, '  ')}" if text else ""


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
