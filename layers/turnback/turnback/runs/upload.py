"""Uploads: from an S3 event to the orders it stands for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import unquote_plus

from turnback.errors import ConfigurationError
from turnback.migrations.release import parse_release
from turnback.runs.announce import Publisher
from turnback.runs.order import ARTIFACT_KEY, Order, Starter
from turnback.runs.reporting.report import Report, ReportUpload
from turnback.runs.state import ArtifactLocation, RunError
from turnback.runs.stated import Stated
from turnback.runs.status import Status


class UploadEvent(Protocol):
    """An S3 event, as Powertools' S3Event reads it."""

    @property
    def records(self) -> Iterable[Any]: ...

    def __contains__(self, key: object) -> bool: ...


@dataclass(frozen=True, slots=True)
class Refused:
    """An upload that starts no run, and why."""

    order: Order
    error: ConfigurationError


@dataclass(frozen=True, slots=True)
class StartedRun(Stated):
    """A run of an upload, and whether it was started by this call."""

    run: str
    started: bool


@dataclass(frozen=True, slots=True)
class RefusedUpload(Stated):
    """An upload that was refused."""

    run: str
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Uploads(Stated):
    """What became of the uploads of one event."""

    runs: tuple[StartedRun, ...] = ()
    refused: tuple[RefusedUpload, ...] = ()


def start_runs(
    event: UploadEvent,
    *,
    target: str,
    environment: str,
    machine: Starter,
    channels: Publisher,
) -> Uploads:
    """Start a run for each artifact uploaded; an event delivered twice starts one.

    An upload whose key names no target and release is refused and announced: uploaders learn of it
    in no other way.

    Args:
        event: the S3 event.
        target: the only target this stack releases to.
        environment: the stack's environment.
        machine: what executes the runs.
        channels: where refusals are published.
    """
    runs: list[StartedRun] = []
    refused: list[RefusedUpload] = []
    for found in orders(event, target):
        if isinstance(found, Refused):
            channels.publish(refusal(found, environment))
            key = found.order.location.key
            refused.append(RefusedUpload(found.order.run, key, found.error.message))
        else:
            runs.append(StartedRun(found.run, machine.start(found.run, found.to_state())))
    return Uploads(tuple(runs), tuple(refused))


def orders(event: UploadEvent, target: str) -> Iterator[Order | Refused]:
    """The orders in an S3 event; the test event that S3 sends when it is set up has none."""
    for record in event.records if "Records" in event else ():
        if not record.event_name.startswith("ObjectCreated:"):
            continue
        stored = record.s3.get_object
        location = ArtifactLocation(
            record.s3.bucket.name,
            unquote_plus(stored.key),
            # While versioning is suspended, every upload has the version "null".
            version_id=None if stored.version_id == "null" else stored.version_id,
            size=stored.size,
        )
        # Without a version, the sequencer distinguishes two uploads to one key.
        version = location.version_id or stored.sequencer
        named = ARTIFACT_KEY.fullmatch(location.key)
        order = Order(
            run=run_id(location.bucket, location.key, version),
            target=named["target"] if named else target,
            artifact=location,
            trigger=f"upload:{record.user_identity.principal_id}",
            uploaded_at=record.event_time,
        )
        error = _unfit(location.key, target)
        yield Refused(order, error) if error else order


def run_id(bucket: str, key: str, version: str) -> str:
    """The run of exactly this upload; it is also the name of its execution."""
    digest = sha256(json.dumps([bucket, key, version]).encode()).hexdigest()
    return f"r-{digest[:20]}"


def _unfit(key: str, target: str) -> ConfigurationError | None:
    named = ARTIFACT_KEY.fullmatch(key)
    if named is None:
        return ConfigurationError(
            f"the key {key!r} names no target and release",
            hint=f"upload to artifacts/{target}/<release>.zip, for example with release 1.4.0",
        )
    if named["target"] != target:
        return ConfigurationError(
            f"this stack releases to {target!r}, but the key is {key!r}",
            hint=f"upload to artifacts/{target}/, or to the stack of {named['target']!r}",
        )
    try:
        parse_release(named["release"])
    except ConfigurationError as error:
        return error
    return None


def refusal(refused: Refused, environment: str) -> Report:
    """The status of an upload that started no run."""
    return Report(
        run=refused.order.run,
        target=refused.order.target,
        status=Status.REFUSED,
        environment=environment,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        trigger=refused.order.trigger,
        release=refused.order.release,
        summary=f"the upload {refused.order.location.key} was refused: nothing was changed",
        upload=ReportUpload.of(refused.order.artifact, refused.order.trigger),
        error=RunError.from_state(refused.error.to_dict()),
    )
