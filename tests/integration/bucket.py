"""A bucket in memory, and a run's steps called as the functions call them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnback.engine import Engine, Event, Options, RunContext
from turnback.engine.session.events import silent
from turnback.migrations.artifact import pack
from turnback.runs.apply import apply, verify
from turnback.runs.order import ArtifactLocation, Order
from turnback.runs.records import Records
from turnback.runs.roll_back import roll_back
from turnback.runs.validate import validate
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
class Release:
    """One run, step by step, on a real database."""

    database: str
    bucket: MemoryBucket
    order: Order
    listener: Callable[[Event], None] = silent

    @property
    def records(self) -> Records:
        return Records(self.bucket, self.order.run)

    @property
    def policy(self) -> Policy:
        return Policy.read(POLICY)

    def connect(self, order: Order, release: str | None) -> Engine:
        context = RunContext(run=order.run, release=release or None, actor=order.trigger)
        return Engine(self.database, context=context, options=QUICK, listener=self.listener)

    def validate(self, **more: Any) -> dict[str, Any]:
        return validate(
            self.order,
            target=TARGET,
            artifacts=self.bucket,
            records=self.records,
            connect=self.connect,
            policy=self.policy,
            snapshot_kind="none",
            **more,
        )

    def apply(self, **more: Any) -> dict[str, Any]:
        return apply(
            self.order,
            artifacts=self.bucket,
            records=self.records,
            connect=self.connect,
            policy=self.policy,
            **{"keep_going": lambda: True, **more},
        )

    def verify(self) -> dict[str, Any]:
        return verify(self.order, artifacts=self.bucket, records=self.records, connect=self.connect)

    def roll_back(self, **more: Any) -> dict[str, Any]:
        return roll_back(
            self.order,
            release="1.0.0",
            records=self.records,
            connect=self.connect,
            wait_s=1,
            **{"keep_going": lambda: True, **more},
        )

    def record(self, name: str) -> dict[str, Any]:
        """A JSON document of the run; empty where there is none."""
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
