"""The documents of the commands that work on a database."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

from turnback.cli.documents.parts import (
    Connected,
    Document,
    Done,
    DumpSnapshot,
    ErrorReport,
    Plain,
    RdsSnapshot,
    Unfinished,
)
from turnback.engine.look.health import HealthRow
from turnback.engine.look.sessions import ServerSession
from turnback.engine.run.report import Interruption
from turnback.runs.checklist import Item


class Replica(TypedDict):
    """How far a read replica is behind; null where the server does not say."""

    behind_seconds: int | None
    behind_bytes: int | None
    connected: bool | None


class MigrationRow(TypedDict):
    """A migration in `status`.

    Attributes:
        applied_at: when it was recorded as applied, ISO 8601 in UTC.
        execution_ms: how long it took in the server, milliseconds.
        checksum: SHA-256 of the file.
        kind: `adopted` where another tool has applied it.
    """

    version: str
    name: str
    status: Literal["pending", "applied", "failed", "rolled_back", "missing", "changed"]
    applied_at: str | None
    execution_ms: int | None
    checksum: str
    kind: Literal["migration", "adopted", "repeatable"]


class RepeatableRow(MigrationRow):
    """A repeatable in `status`.

    Attributes:
        renamed_to: the file that has the text, or the name, of one that is missing.
    """

    renamed_to: str | None


class StatusReport(Connected, total=False):
    """`status`.

    Attributes:
        pending: how many `up` would apply, repeatables included.
        replica: null where the database is none.
    """

    status: Required[Literal["succeeded"] | Unfinished]
    migrations: list[MigrationRow]
    repeatables: list[RepeatableRow]
    pending: int
    replica: Replica | None


class HealthReport(Connected, total=False):
    """`health`.

    Attributes:
        schema_version: the migration that was applied last.
        release: the release that was applied last.
        baseline: the last of the migrations that another tool had applied.
        waiting: with `--stack`, which runs wait for their turn.
    """

    status: Required[Literal["healthy", "problems"] | Unfinished]
    server_version: str
    schema_version: str | None
    release: str | None
    baseline: str | None
    problems: list[str]
    newest: list[HealthRow]
    waiting: list[str]
    replica: Replica | None


class AppliedRow(TypedDict, total=False):
    """A migration that a command has applied, or rolled back.

    Attributes:
        version: of a repeatable its path.
        execution_ms: how long it took in the server, milliseconds.
        kind: only of what is no migration.
    """

    version: Required[str]
    name: Required[str]
    execution_ms: Required[int]
    kind: Literal["repeatable", "adopted"]


class PlannedRow(TypedDict, total=False):
    """A migration in the plan of a dry run.

    Attributes:
        version: of a repeatable its path.
        sql: the messages to the server, with what turnback adds.
        half_done: whether an earlier run has left it half done.
    """

    version: Required[str]
    name: Required[str]
    file: Required[str]
    checksum: Required[str]
    in_transaction: Required[bool]
    sql: Required[list[str]]
    kind: Literal["repeatable", "adopted"]
    half_done: bool


class Run(Connected, total=False):
    """What `up`, `down` and `redo` have in common.

    Attributes:
        remaining: versions that the run did not come to.
        interrupted: after Ctrl-C or SIGTERM, what became of the one that was under way.
        plan: of a dry run.
        snapshot: what the policy of the environment required.
    """

    status: Required[Done | Literal["dry_run"] | Unfinished]
    remaining: list[str]
    interrupted: Interruption | None
    plan: list[PlannedRow]
    snapshot: DumpSnapshot | RdsSnapshot


class Up(Run, total=False):
    """`up`."""

    applied: list[AppliedRow]


class Down(Run, total=False):
    """`down`."""

    rolled_back: list[AppliedRow]


class Redo(Run, total=False):
    """`redo`."""

    applied: list[AppliedRow]
    rolled_back: list[AppliedRow]


class Locks(Connected, total=False):
    """`locks`.

    Attributes:
        terminated: the pids of the sessions that were ended.
    """

    status: Required[Literal["succeeded"] | Unfinished]
    sessions: list[ServerSession]
    terminated: list[int]


class Repair(Connected, total=False):
    """`repair`.

    Attributes:
        change: what was recorded, in a sentence.
    """

    status: Required[Literal["succeeded"] | Unfinished]
    change: str


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


class ParkedRow(TypedDict):
    """A row that a backfill could not change."""

    key: list[str]
    error: str


class Backfill(TypedDict):
    """A backfill.

    Attributes:
        rows: how many it has changed.
        target_ms: how long a batch is to take, milliseconds.
        parked: rows that could not be changed.
    """

    version: str
    direction: Literal["up", "down"]
    status: Literal["running", "paused", "cancelled", "done"]
    table: str
    key: list[str]
    rows: int
    percent: int
    rows_per_second: int | None
    seconds_left: int | None
    batches: int
    parallel: int
    target_ms: int
    pause_ms: int
    parked: list[ParkedRow]
    started_at: str
    updated_at: str


class BackfillStatus(Connected, total=False):
    """`backfill status`."""

    status: Required[Literal["ok"] | Unfinished]
    backfills: list[Backfill]


class BackfillChange(Connected, total=False):
    """`backfill pause`, `resume`, `speed` and `cancel`."""

    status: Required[Literal["succeeded"] | Unfinished]


class DbChange(Plain, total=False):
    """`db create`, `db drop`, `db wait` and `db stop`."""

    database: str


class DbAddress(Document, total=False):
    """`db start` and `db url`.

    Attributes:
        url: with the password.
    """

    status: Required[Literal["succeeded"] | Unfinished]
    url: str
