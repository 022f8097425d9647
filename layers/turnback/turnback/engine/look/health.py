"""How a database does: what happened last, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from turnback.engine.look.half_done import HalfDone
from turnback.engine.look.history import Entry, History
from turnback.engine.look.invalid_index import invalid_indexes
from turnback.engine.session.message import Connection


@dataclass(frozen=True, slots=True)
class HealthRow:
    """A row of the view ``migration_health``, with the time of its last change."""

    version: str
    name: str
    status: str
    at: str
    error: str | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "name": self.name,
            "status": self.status,
            "at": self.at,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Health:
    """What ``health`` shows; ``problems`` is empty in a healthy database."""

    server_version: str
    schema_version: str | None
    release: str | None
    newest: list[HealthRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """The state in half a line."""
        at = f"at {self.schema_version}" if self.schema_version else "no migration applied"
        return f"{at}, release {self.release}" if self.release else at

    def to_dict(self) -> dict[str, Any]:
        return {
            "server_version": self.server_version,
            "schema_version": self.schema_version,
            "release": self.release,
            "problems": self.problems,
        }


def examine(connection: Connection, history: History, half_done: Iterable[HalfDone]) -> Health:
    """Look at history and catalog; writes nothing.

    Args:
        connection: the session.
        history: reads what is recorded.
        half_done: what stopped half way outside a transaction.
    """
    version = connection.info.parameter_status("server_version") or "?"
    problems = [f"index {name} is invalid" for name in invalid_indexes(connection)]
    if not history.exists():
        return Health(version, None, None, problems=problems)
    entries = history.entries()
    applied = [entry for entry in entries if entry.applied]
    rows = sorted((_row(entry) for entry in entries), key=_newest_first, reverse=True)
    problems += [f"{row.version} {row.name} failed" for row in rows if row.status == "failed"]
    problems += [
        f"{half.version} {half.name} is half done: of its statements stay "
        + ", ".join(map(str, sorted(half.done)))
        for half in half_done
    ]
    return Health(
        server_version=version,
        schema_version=applied[-1].version if applied else None,
        release=history.last_release(),
        newest=rows,
        problems=problems,
    )


def _row(entry: Entry) -> HealthRow:
    at = max(entry.applied_at, entry.rolled_back_at or "")
    return HealthRow(entry.version, entry.name, entry.word, at, entry.error)


def _newest_first(row: HealthRow) -> tuple[str, int]:
    return row.at, int(row.version)
