"""What a rehearsal found out about a migration, and about the release as one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from turnback.errors import TurnbackError
from turnback.rehearsal.trace import StatementTrace
from turnback.schema.difference import Difference

# What a release may be stopped for; the others are differences that nobody will miss.
UNPROVEN = ("differs", "failed", "missing")


@dataclass(slots=True)
class Verdict:
    """One migration: up, down, up again.

    Attributes:
        forward: ``applied`` or ``failed``.
        rollback: ``exact``, ``column_order``, ``names``, ``differs``, ``failed``, ``missing`` or
            ``irreversible``; ``failed`` too where the forward script did not run.
        reapply: ``exact``, ``differs``, ``failed``; None where it was not tried.
        differences: of the schema after the rollback, to the one before the migration.
        reapply_differences: of the schema after the second time, to the one after the first.
        suggestions: SQL that would set the rollback right, where that is mechanical.
        rows: differences of rows that the rollback should have brought back.
        loses_data: what the rollback throws away for good.
        statements: what each statement of the forward script locks, rewrites and scans.
        error: what failed.
    """

    version: str
    name: str
    file: str
    rollback_file: str | None
    forward: str = "applied"
    rollback: str = "failed"
    reapply: str | None = None
    differences: list[Difference] = field(default_factory=list)
    reapply_differences: list[Difference] = field(default_factory=list)
    suggestions: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    loses_data: list[str] = field(default_factory=list)
    statements: list[StatementTrace] = field(default_factory=list)
    error: TurnbackError | None = None

    @property
    def proven(self) -> bool:
        """Whether the way back was seen to work, or is known not to exist for a reason."""
        return (
            self.forward == "applied"
            and self.rollback not in UNPROVEN
            and self.reapply in (None, "exact")
            and not self.rows
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "name": self.name,
            "file": self.file,
            "rollback_file": self.rollback_file,
            "forward": self.forward,
            "rollback": self.rollback,
            "reapply": self.reapply,
            "differences": [str(difference) for difference in self.differences],
            "reapply_differences": [str(difference) for difference in self.reapply_differences],
            "suggestions": self.suggestions,
            "rows": self.rows,
            "loses_data": self.loses_data,
            "statements": [statement.to_dict() for statement in self.statements],
            "error": self.error.to_dict() if self.error else None,
        }


@dataclass(slots=True)
class Rehearsed:
    """A rehearsal's result.

    Attributes:
        migrations: each on its own.
        release: all of them up, then all down, as the staged rollback does it; None where one of
            them has no way back.
        release_differences: of the schema after all rollbacks, to the one before the release.
        release_error: what failed on the way.
    """

    migrations: list[Verdict] = field(default_factory=list)
    release: str | None = None
    release_differences: list[Difference] = field(default_factory=list)
    release_error: TurnbackError | None = None

    @property
    def proven(self) -> bool:
        """Whether every migration and the release as one can be turned back from."""
        alone = all(verdict.proven for verdict in self.migrations)
        return alone and self.release not in UNPROVEN

    def to_dict(self) -> dict[str, Any]:
        return {
            "status": "proven" if self.proven else "unproven",
            "migrations": [verdict.to_dict() for verdict in self.migrations],
            "release": {
                "rollback": self.release,
                "differences": [str(difference) for difference in self.release_differences],
                "error": self.release_error.to_dict() if self.release_error else None,
            },
        }
