"""The result of a rehearsal: for each migration, and for the release as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from turnback.errors import TurnbackError
from turnback.rehearsal.trace import StatementTrace
from turnback.schema.difference import Difference

# Verdicts that can stop a release; the others do not change how the schema behaves.
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
        suggestions: SQL to add to the rollback script, where it follows from a difference.
        rows: rows that the rollback should have restored.
        loses_data: data that the rollback destroys.
        kept: the tables, and the rows, that the rollback leaves, as its header says, and why.
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
    kept: list[str] = field(default_factory=list)
    statements: list[StatementTrace] = field(default_factory=list)
    error: TurnbackError | None = None

    @property
    def proven(self) -> bool:
        """Whether the rollback was seen to work, or is declared irreversible."""
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
            "kept": self.kept,
            "statements": [statement.to_dict() for statement in self.statements],
            "error": self.error.to_dict() if self.error else None,
        }


@dataclass(slots=True)
class Rehearsed:
    """A rehearsal's result.

    Attributes:
        migrations: each on its own.
        release: all of them up, then all down, as the staged rollback does it; None where one of
            them has no rollback.
        release_differences: of the schema after all rollbacks, to the one before the release.
        release_error: what failed on the way.
        shadow_sql: SHA-256 of the ``shadow.sql`` that ran before the first migration; None where
            the project has none.
        stored_state: the version and the time of the stored state that the shadow database began
            with; None where all migrations before the chosen ones were applied.
        not_applied: why migrations that were not chosen do not run. The others were judged without
            them, which proves nothing of a target that has them.
        not_compared: the objects that [ignore] in turnback.toml leaves out of the comparison.
        stand_ins: the extensions that the shadow has a stand-in for. What they compute was not
            proven.
    """

    migrations: list[Verdict] = field(default_factory=list)
    release: str | None = None
    release_differences: list[Difference] = field(default_factory=list)
    release_error: TurnbackError | None = None
    shadow_sql: str | None = None
    stored_state: dict[str, str] | None = None
    not_applied: list[TurnbackError] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)

    @property
    def proven(self) -> bool:
        """Whether every migration is proven, on all before it, and so is the release as a whole."""
        each = all(verdict.proven for verdict in self.migrations)
        return each and self.release not in UNPROVEN and not self.not_applied

    def tables(self) -> set[str]:
        """The tables that a statement locks, itself or an index of them, or rewrites."""
        return {
            table
            for verdict in self.migrations
            for statement in verdict.statements
            for table in (
                *(lock.on_table for lock in statement.locks if lock.has_size),
                *statement.rewrites,
            )
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            "status": "proven" if self.proven else "unproven",
            "shadow_sql": self.shadow_sql,
            "stored_state": self.stored_state,
            "not_applied": [
                {"version": error.version, **error.to_dict()} for error in self.not_applied
            ],
            "not_compared": self.not_compared,
            "stand_ins": self.stand_ins,
            "migrations": [verdict.to_dict() for verdict in self.migrations],
            "release": {
                "rollback": self.release,
                "differences": [str(difference) for difference in self.release_differences],
                "error": self.release_error.to_dict() if self.release_error else None,
            },
        }
