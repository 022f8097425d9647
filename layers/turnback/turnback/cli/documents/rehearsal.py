"""The documents of the commands that rehearse."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

from turnback.cli.documents.parts import Connected, ErrorReport, Unfinished
from turnback.runs.checklist import Item


class TracedLock(TypedDict):
    """A lock that a statement took.

    Attributes:
        mode: as in pg_locks.
        table: of an index, its table.
        waits: what waits for it in another session.
    """

    relation: str
    mode: str
    kind: str
    table: str | None
    waits: list[str]


class TracedStatement(TypedDict):
    """What a statement of the forward script did.

    Attributes:
        ms: how long it took, on the shadow database or the copy.
        rewrites: the tables that it wrote anew.
        scans: the tables that it read whole.
    """

    line: int
    sql: str
    ms: float
    locks: list[TracedLock]
    rewrites: list[str]
    scans: list[str]


class RehearsedMigration(TypedDict):
    """The verdict on one migration.

    Attributes:
        rollback: as the list of `turnback rehearse --help` says.
        reapply: whether the second application gave the same; null where it was not tried.
        differences: of the schema after the rollback, to the one before.
        suggestions: SQL for the rollback script.
        rows: rows that the rollback should have restored.
        loses_data: what the forward script destroys.
        kept: what the rollback leaves, as its header says, and why.
    """

    version: str
    name: str
    file: str
    rollback_file: str | None
    forward: Literal["applied", "failed"]
    rollback: Literal[
        "exact", "column_order", "names", "differs", "failed", "missing", "irreversible"
    ]
    reapply: str | None
    differences: list[str]
    reapply_differences: list[str]
    suggestions: list[str]
    rows: list[str]
    loses_data: list[str]
    kept: list[str]
    statements: list[TracedStatement]
    error: ErrorReport | None


class RehearsedRelease(TypedDict):
    """All migrations up, then all down.

    Attributes:
        rollback: null where one of them has no rollback script.
    """

    rollback: str | None
    differences: list[str]
    error: ErrorReport | None


class StoredState(TypedDict):
    """What the shadow database began with, in place of the migrations before."""

    version: str
    stored_at: str


class RehearsalResult(TypedDict):
    """What a rehearsal has found.

    Attributes:
        shadow_sql: SHA-256 of shadow.sql; null without one.
        not_applied: why migrations before the chosen ones do not run.
        not_compared: objects that `[ignore]` leaves out.
        stand_ins: extensions that the shadow has a stand-in for.
    """

    status: Literal["proven", "unproven"]
    shadow_sql: str | None
    stored_state: StoredState | None
    not_applied: list[ErrorReport]
    not_compared: list[str]
    stand_ins: list[str]
    migrations: list[RehearsedMigration]
    release: RehearsedRelease


class TableSize(TypedDict):
    """Of a table of the target; rows are an estimate, null where never counted."""

    rows: int | None
    bytes: int


class Copy(TypedDict):
    """The copy that `--on copy` has rehearsed on."""

    database: str
    bytes: int
    made_by: str
    ms: float


class Rehearse(Connected, total=False):
    """`rehearse`.

    Attributes:
        shadow_sql: SHA-256 of shadow.sql; null without one.
        not_applied: why migrations before the chosen ones do not run.
        not_compared: objects that `[ignore]` leaves out.
        stand_ins: extensions that the shadow has a stand-in for.
        sizes: table to its size, with `--database-url`.
    """

    status: Required[Literal["proven", "unproven", "nothing_to_do"] | Unfinished]
    baseline: str | None
    on: Literal["shadow", "copy"]
    shadow_sql: str | None
    stored_state: StoredState | None
    not_applied: list[ErrorReport]
    not_compared: list[str]
    stand_ins: list[str]
    migrations: list[RehearsedMigration]
    release: RehearsedRelease
    sizes: dict[str, TableSize]
    copy: Copy


class Checklist(Connected, total=False):
    """`checklist`."""

    status: Required[Literal["complete", "incomplete", "nothing_to_do"] | Unfinished]
    release: str
    checklist: list[Item]
