"""The health of a database: what happened last, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from turnback.engine.look.half_done import HalfDone
from turnback.engine.look.history import Entry, History, UnfinishedAttempt
from turnback.engine.look.indexes import invalid_indexes
from turnback.engine.session.message import Connection
from turnback.sql.quoting import printed
from turnback.wording import one_line

if TYPE_CHECKING:
    from turnback.engine.backfill.records import BackfillStatus


@dataclass(frozen=True, slots=True)
class HealthRow:
    """A row of the view ``migration_health``, with the time of its last change."""

    version: str
    name: str
    status: str
    at: str
    error: str | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Health:
    """What ``health`` shows; ``problems`` is empty in a healthy database.

    Attributes:
        schema_version: the migration that was applied last.
        release: the release that was applied last.
        baseline: the last of the migrations that another tool had applied.
        backfills: the migrations whose backfills are in the background, each with how far it is.
    """

    server_version: str
    schema_version: str | None
    release: str | None
    baseline: str | None = None
    newest: list[HealthRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    backfills: Mapping[str, BackfillStatus] = field(default_factory=dict)

    def summary(self) -> str:
        """Version and release in half a line."""
        at = f"at {self.schema_version}" if self.schema_version else "no migration applied"
        at += f", baseline {self.baseline}" if self.baseline else ""
        return f"{at}, release {self.release}" if self.release else at

    def to_dict(self) -> dict[str, Any]:
        return {
            "server_version": self.server_version,
            "schema_version": self.schema_version,
            "release": self.release,
            "baseline": self.baseline,
            "problems": self.problems,
            "backfills": {version: str(one) for version, one in self.backfills.items()},
        }


def examine(
    connection: Connection,
    history: History,
    half_done: Callable[[list[Entry]], Iterable[HalfDone]],
    pending_backfills: Callable[[], Mapping[str, BackfillStatus]],
    remains: Callable[[Connection], list[str]] | None = None,
) -> Health:
    """Read the health from history and catalog. Writes nothing.

    Args:
        connection: the session.
        history: the history.
        half_done: finds what is half done.
        pending_backfills: finds the background backfills that are not done.
        remains: finds what restores have left.
    """
    version = connection.info.parameter_status("server_version") or "?"
    problems = [f"index {printed(index.name)} is invalid" for index in invalid_indexes(connection)]
    problems += remains(connection) if remains else []
    if not history.found():
        if history.log_is_alone():
            problems.append("the history is gone: migration_log is there, and migrations is not")
        return Health(version, None, None, problems=problems)
    problems += [f"the history cannot be trusted: {reason}" for reason in history.distrust]
    if history.unreadable:
        return Health(version, None, None, problems=problems)
    if history.hidden:
        problems.append("row-level security hides rows of the history from this user")
        return Health(version, None, None, problems=problems)
    entries = history.entries()
    applied = [entry for entry in entries if entry.applied]
    found = list(half_done(entries))
    # Sorting keeps the order of what has the same time.
    rows = sorted(map(_row, reversed(entries)), key=lambda row: row.at, reverse=True)
    names = {entry.version: f"{entry.version} {one_line(entry.name)}" for entry in entries}
    halves = {half.version for half in found}
    # First what is in the database and should not be, then what failed and has left nothing.
    problems += [
        _unfinished(names.get(attempt.version, attempt.version), attempt, history)
        for attempt in history.unfinished_attempts()
        if attempt.direction == "down" or attempt.version not in halves
    ]
    problems += history.contradictions()
    problems += [
        f"{half.version} {one_line(half.name)} is half done; statements done: "
        + (", ".join(map(str, sorted(half.done))) or "none")
        for half in found
    ]
    problems += [
        f"{row.version} {one_line(row.name)} failed{_because(row.error)}"
        for row in rows
        if row.status == "failed" and row.version not in halves
    ]
    backfills = pending_backfills()
    problems += [
        f"the backfill of {names[one]} is not done, and does not go on: {text}"
        for one, text in backfills.items()
        if text.state != "running"
    ]
    return Health(
        server_version=version,
        schema_version=applied[-1].version if applied else None,
        release=history.last_release(),
        baseline=next((one.version for one in reversed(applied) if one.kind == "adopted"), None),
        newest=rows,
        backfills=backfills,
        problems=problems,
    )


def _unfinished(name: str, attempt: UnfinishedAttempt, history: History) -> str:
    what = f"the rollback of {name}" if attempt.direction == "down" else name
    if attempt.outcome == "failed":
        # Of a run that rolls itself back, what it did before remains as well.
        remain = ", ".join(history.applied_by(attempt.run))
        whose = f"; {remain} of {attempt.run} are still applied" if remain else ""
        return f"{what} failed{_because(attempt.error)}{whose}"
    if attempt.outcome == "detached":
        return f"{what} was left to the server, and its end is not recorded"
    return f"{what} has begun, and its end is not recorded"


def _because(error: str | None) -> str:
    return f": {error.splitlines()[0]}" if error else ""


def _row(entry: Entry) -> HealthRow:
    at = max(entry.applied_at, entry.rolled_back_at or "")
    return HealthRow(entry.version, entry.name, entry.status, at, entry.error)
