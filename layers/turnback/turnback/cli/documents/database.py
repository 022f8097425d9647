"""The documents of the commands that work on a database."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

from turnback.cli.documents.parts import (
    Connected,
    Document,
    Done,
    DumpSnapshot,
    Plain,
    RdsSnapshot,
    Unfinished,
)
from turnback.cli.documents.rehearsal import RehearsalResult
from turnback.engine.look.health import HealthRow
from turnback.engine.look.sessions import ServerSession
from turnback.engine.run.report import Interruption


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
    status: Literal[
        "pending", "applied", "backfilling", "failed", "rolled_back", "missing", "changed"
    ]
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
        replica: null where the database is not one.
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
        backfills: those in the background: the version of the migration, and how far it is.
    """

    status: Required[Literal["healthy", "problems"] | Unfinished]
    server_version: str
    schema_version: str | None
    release: str | None
    baseline: str | None
    problems: list[str]
    newest: list[HealthRow]
    waiting: list[str]
    backfills: dict[str, str]
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
        backfill: whether it is one.
    """

    version: Required[str]
    name: Required[str]
    file: Required[str]
    checksum: Required[str]
    in_transaction: Required[bool]
    sql: Required[list[str]]
    kind: Literal["repeatable", "adopted"]
    half_done: bool
    backfill: bool


class ComparedSchema(TypedDict):
    """The schema after a rollback, compared with what it was before the oldest rolled back.

    Attributes:
        verdict: `unknown` where it could not be compared.
        notes: what differs, or why it was not compared.
    """

    verdict: Literal["exact", "column_order", "names", "differs", "unknown"]
    notes: list[str]


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
    """`up`.

    Attributes:
        rehearsal: of a dry run; null if nothing is pending, or there is no shadow database.
    """

    applied: list[AppliedRow]
    rehearsal: RehearsalResult | None


class Down(Run, total=False):
    """`down`."""

    rolled_back: list[AppliedRow]
    schema: ComparedSchema


class Redo(Run, total=False):
    """`redo`."""

    applied: list[AppliedRow]
    rolled_back: list[AppliedRow]
    schema: ComparedSchema


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
        run: the run that has applied its migration, where it is in the background, or null.
        error: what stopped it or holds it up, or null.
    """

    version: str
    direction: Literal["up", "down"]
    status: Literal["running", "paused", "cancelled", "failed", "done"]
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
    run: str | None
    error: str | None
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


class DbReset(Connected, total=False):
    """`db reset`.

    Attributes:
        applied: versions.
        seeds: files, relative to the folder beside the migrations.
    """

    status: Required[Literal["succeeded"] | Unfinished]
    applied: list[str]
    seeds: list[str]


class DbAddress(Document, total=False):
    """`db start` and `db url`.

    Attributes:
        url: with the password.
    """

    status: Required[Literal["succeeded"] | Unfinished]
    url: str
