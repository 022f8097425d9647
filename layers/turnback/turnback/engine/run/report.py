"""What a run did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from turnback.errors import TurnbackError


@dataclass(frozen=True, slots=True)
class Done:
    """A migration that was applied, or rolled back, with its time in the server."""

    version: str
    name: str
    execution_ms: int
    kind: str = "migration"

    def to_dict(self) -> dict[str, Any]:
        found = asdict(self)
        if self.kind == "migration":
            del found["kind"]
        return found


@dataclass(frozen=True, slots=True)
class Running:
    """A migration that continues in the server after the client has left it."""

    version: str | None
    seconds: int
    progress: str | None = None

    def __str__(self) -> str:
        what = self.version or "a migration"
        far = f", {self.progress}" if self.progress else ""
        return f"{what} has been running for {self.seconds} s{far}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Interruption:
    """What became of the migration that was under way when a person stopped the client.

    Attributes:
        version: the migration; None where none had begun.
        state: ``nothing_kept``; ``half_done``, outside a transaction; ``running``, where the server
            had not ended it after some seconds; ``unknown``, where the server did not answer.
    """

    version: str | None
    state: str

    def __str__(self) -> str:
        texts = {
            "nothing_kept": f"nothing of {self.version} was kept",
            "half_done": f"{self.version} is half done, and the next run continues it",
            "running": f"{self.version} is still running in the server: turnback locks shows it",
            "unknown": f"whether {self.version} was kept is not known, because the database does "
            "not answer: turnback status shows it",
        }
        return texts[self.state] if self.version else ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Report:
    """What a run did, what is left of its plan, and the error that stopped it, if one did.

    ``running`` is the migration that was left to the server; the next run reports how it ended.
    ``interruption`` is what became of the one under way where a person stopped the client.
    """

    applied: list[Done] = field(default_factory=list)
    rolled_back: list[Done] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)
    error: TurnbackError | None = None
    running: Running | None = None
    interruption: Interruption | None = None

    def add(self, direction: str, done: Done) -> None:
        """A step is done."""
        (self.applied if direction == "up" else self.rolled_back).append(done)
        self.remaining.remove(done.version)

    def to_dict(self) -> dict[str, Any]:
        return {
            "applied": [done.to_dict() for done in self.applied],
            "rolled_back": [done.to_dict() for done in self.rolled_back],
            "remaining": self.remaining,
            "running": self.running.to_dict() if self.running else None,
            "error": self.error.to_dict() if self.error else None,
        }


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a run; ``report`` says what the run did."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report
