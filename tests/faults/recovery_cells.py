"""Which release comes to which state of the definition, and what it does undisturbed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFINITION = json.loads(
    (Path(__file__).resolve().parents[2] / "statemachine" / "release.asl.json").read_text()
)["States"]

FIRST = {
    "sql/0001_users.sql": "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
    "sql/0002_nodes.sql": "CREATE TABLE nodes (id bigint PRIMARY KEY);\n",
    "rollback/0002_rollback.sql": "DROP TABLE nodes;\n",
}
# One in a transaction, one outside, one that changes what stands, and one that writes.
GOOD = {
    **FIRST,
    "sql/0003_edges.sql": "CREATE TABLE edges (a bigint, b bigint);\n",
    "rollback/0003_rollback.sql": "DROP TABLE edges;\n",
    "sql/0004_index.sql": "CREATE INDEX CONCURRENTLY users_email ON users (email);\n",
    "rollback/0004_rollback.sql": "DROP INDEX CONCURRENTLY users_email;\n",
    "sql/0005_kind.sql": "ALTER TABLE nodes ADD COLUMN kind int NOT NULL DEFAULT 1;\n",
    "rollback/0005_rollback.sql": "ALTER TABLE nodes DROP COLUMN kind;\n",
}
# Its background backfill changes no result, whenever it is looked at.
FILLED = {
    **GOOD,
    "sql/0006_fill.sql": "-- turnback: backfill table=nodes key=id\n"
    "UPDATE nodes SET kind = kind WHERE {batch};\n",
    "rollback/0006_rollback.sql": "-- turnback: keep-rows because none is changed\n",
}
# The last one fails on the rows that are there, half way: its first index stays.
BROKEN = {
    **GOOD,
    "sql/0006_index.sql": "CREATE INDEX CONCURRENTLY nodes_id ON nodes (id);\n"
    "CREATE UNIQUE INDEX CONCURRENTLY nodes_half ON nodes ((id % 2));\n",
    "rollback/0006_rollback.sql": "DROP INDEX CONCURRENTLY nodes_half;\n"
    "DROP INDEX CONCURRENTLY nodes_id;\n",
}
# So does the rollback of the third: of a column that was thrown away, nobody knows the values.
STUCK = {
    **BROKEN,
    "sql/0003_edges.sql": "ALTER TABLE users DROP COLUMN email;\n",
    "rollback/0003_rollback.sql": "ALTER TABLE users ADD COLUMN email text NOT NULL;\n",
    "sql/0004_index.sql": "CREATE INDEX CONCURRENTLY users_id ON users (id);\n",
    "rollback/0004_rollback.sql": "DROP INDEX CONCURRENTLY users_id;\n",
}
SLOW = {
    **FIRST,
    "sql/0003_slow.sql": "CREATE TABLE slow AS SELECT pg_sleep(1.5)::text;\n",
    "rollback/0003_rollback.sql": "DROP TABLE slow;\n",
}
# What a version leaves in the catalog.
TRACES = {
    "0003": {"column public.users.email", "table public.edges", "table public.slow"},
    "0004": {"index public.users_email", "index public.users_id"},
    "0005": {"column public.nodes.kind"},
    "0006": {"index public.nodes_id", "index public.nodes_half"},
}

_DUMP = {"SnapshotKind": "dump", "RestorePolicy": "automatic", "RestorePollSeconds": "1"}
_ECS = {"EcsServices": "main/orders"}
_ANN = json.dumps([{"name": "ann", "aws": "arn:aws:iam::123456789012:user/ann"}])


@dataclass(frozen=True)
class Course:
    """A release on its way: to what database, with what parameters, and which states it meets.

    Attributes:
        name: of it.
        before: the files of release 1.0.0 (and, where two, of 1.1.0), which stand already.
        files: of the release that is made; None for a run back to 1.0.0.
        release: its number.
        parameters: of the stack, besides those of a development stack without snapshots.
        ends: in which state it ends undisturbed.
        states: those whose calls go wrong.
        seconds: that the function apply has.
        waits: whether another run has the turn when it comes.
    """

    name: str
    before: tuple[Mapping[str, str], ...]
    files: Mapping[str, str] | None
    ends: str
    states: tuple[str, ...]
    release: str = "1.1.0"
    parameters: Mapping[str, str] = field(default_factory=dict)
    seconds: int = 900
    waits: bool = False

    def __str__(self) -> str:
        return self.name


_ONE, _TWO = (FIRST,), (FIRST, GOOD)
COURSES = [
    Course("good", _ONE, GOOD, "Succeeded", ("TakeTurn", "Validate", "AnnounceStarted", "Apply",
           "Verify", "PassTurn", "AnnounceSucceeded")),
    Course("waiting", _ONE, GOOD, "Succeeded", ("CheckArtifact", "AnnounceWaiting", "WaitForTurn"),
           waits=True),
    Course("good, rehearsed", _ONE, GOOD, "Succeeded", ("Rehearse", "AnnounceRehearsed"),
           parameters={"Rehearse": "always"}),
    Course("good, approved", _ONE, GOOD, "Succeeded", ("PassTurnToAsk", "AskApproval"),
           parameters={"Approvals": "one", "ApproveAlways": "yes", "Approvers": _ANN}),
    Course("good, with a snapshot", _ONE, GOOD, "Succeeded",
           ("Snapshot", "AnnounceSnapshotTaken"), parameters=_DUMP),
    Course("long", _ONE, SLOW, "Succeeded", ("AnnounceApplying",), seconds=30,
           parameters={"RunnerWaitSeconds": "1"}),
    Course("refused", _TWO, BROKEN, "Refused", ("AnnounceRefused",), release="1.0.5"),
    Course("overtaken", _TWO, GOOD, "Superseded", ("AnnounceSuperseded",), release="1.0.5"),
    Course("broken", _ONE, BROKEN, "RolledBack", ("RollBack", "AnnounceRolledBack")),
    Course("broken, with an application", _ONE, BROKEN, "RolledBack",
           ("FindChanges", "LookAtApplication", "StopApplication", "StartApplication"),
           parameters=_ECS),
    Course("stuck", _ONE, STUCK, "NeedsAPerson", ("RollBack", "Assess", "AnnounceNeedsAPerson")),
    Course("stuck, with a snapshot", _ONE, STUCK, "Restored",
           ("Assess", "Restore", "AnnounceRestored"), parameters=_DUMP),
    Course("stuck, restore approved", _ONE, STUCK, "Restored", ("AskRestore",),
           parameters={**_DUMP, "RestorePolicy": "approval", "Approvers": _ANN}),
    Course("downwards", _TWO, None, "Succeeded", ("Apply", "Verify")),
    Course("good, with a backfill", _ONE, FILLED, "Succeeded", ("StartBackfills",)),
]  # fmt: skip


def retries_of(state: str, error: str) -> int:
    """How often the definition tries this state again after this error."""
    for retrier in DEFINITION[state].get("Retry", []):
        if error in retrier["ErrorEquals"] or "States.ALL" in retrier["ErrorEquals"]:
            return int(retrier.get("MaxAttempts", 3))
    return 0


def tasks() -> set[str]:
    """The states that call a function and wait for it; the others cannot go wrong."""
    return {
        name
        for name, state in DEFINITION.items()
        if state["Type"] == "Task" and "InvocationType" not in state["Parameters"]
    }
