"""A bucket in memory, and a run's steps called as the functions call them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from turnback.engine import Engine, Event, Options, RunContext
from turnback.engine.session.events import silent
from turnback.migrations.artifact import pack
from turnback.recovery.contents import counters, written_since
from turnback.recovery.dumps.schemas import dump_schemas
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import Place
from turnback.runs.apply import apply, verify
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.runs.roll_back import roll_back
from turnback.runs.run import Run
from turnback.runs.state import ArtifactLocation, RunPlan, RunProgress, RunState
from turnback.runs.validate import Gate, StackSettings, validate
from turnback.settings import Policy

QUICK = Options(lock_timeout_ms=500, lock_retry_s=1, runner_wait_s=1)
TARGET = "learning"
POLICY = {"ENVIRONMENT": "development"}


@dataclass
class MemoryBucket:
    """Objects by their keys."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body

    def download(self, key: str, version_id: str | None, into: Path) -> None:
        assert version_id is None
        into.write_bytes(self.objects[key])


@dataclass
class Database:
    """The database of a run, as the functions use it."""

    url: str
    order: Order
    listener: Callable[[Event], None] = silent
    runner_wait_s: float = 1.0

    given_history_schema: str = ""

    def connect(self, release: str | None, history_schema: str = "") -> Engine:
        context = RunContext(run=self.order.run, release=release, actor=self.order.trigger)
        return Engine(
            self.url,
            context=context,
            options=QUICK,
            listener=self.listener,
            history_schema=history_schema or "public",
        )

    def connect_at(self, place: Place) -> AbstractContextManager[Any]:
        assert place == Place()
        return self.connect(None)

    def counters(self) -> dict[str, Any]:
        with psycopg.connect(self.url) as connection:
            return counters(connection)

    def dump_schemas(self, names: Sequence[str]) -> str:
        return dump_schemas(Endpoint.from_url(self.url), names)

    def written(self, before: Mapping[str, Any]) -> dict[str, Any]:
        return written_since(before, self.counters())


@dataclass
class Release:
    """One run, step by step, on a real database; ``state`` is the state machine's."""

    database: str
    bucket: MemoryBucket
    order: Order
    listener: Callable[[Event], None] = silent
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def records(self) -> Records:
        return Records(self.bucket, self.order.run)

    def step(self, keep_going: Callable[[], bool] = lambda: True) -> Run:
        return Run(
            order=Order.from_state({**self.order.to_state(), **self.state}),
            state=RunState.from_state(self.state),
            records=self.records,
            artifacts=self.bucket,
            database=Database(self.database, self.order, self.listener),
            policy=Policy.read(POLICY),
            keep_going=keep_going,
            now=datetime.now(UTC),
        )

    def validate(self, gate: Gate = lambda *_: (0, []), restore: str = "never") -> RunPlan:
        stack = StackSettings(TARGET, snapshot_kind="none", restore_policy=restore)
        found = validate(self.step(), stack, gate)
        self.state["plan"] = found.to_state()
        return found

    def apply(self, **more: Any) -> RunProgress:
        return apply(self.step(**more))

    def verify(self) -> int:
        return verify(self.step())

    def roll_back(self, **more: Any) -> RunProgress:
        return roll_back(self.step(**more))

    def record(self, name: str) -> dict[str, Any]:
        """A JSON document of the run; empty if it does not exist."""
        body = self.bucket.read(f"runs/{self.order.run}/{name}.json")
        return dict(json.loads(body)) if body else {}


def release_of(
    database: str, bucket: MemoryBucket, run: str, folder: Path, release: str, tmp: Path
) -> Release:
    """A run of a packaged project."""
    key = f"artifacts/{TARGET}/{release}.zip"
    bucket.write(key, pack(folder, release, tmp / f"{run}.zip").read_bytes())
    location = ArtifactLocation("bucket", key)
    return Release(database, bucket, Order(run, TARGET, location, trigger="a test"))


def run_back_to(database: str, bucket: MemoryBucket, run: str, release: str) -> Release:
    """A run that comes back to a release, without an artifact."""
    return Release(database, bucket, Order(run, TARGET, None, "a test", rollback_to=release))
