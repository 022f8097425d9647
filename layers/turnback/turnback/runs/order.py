"""The order of a run: what the state machine is started with, and carries from step to step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self

from turnback.errors import ConfigurationError
from turnback.migrations.release import parse_release
from turnback.runs.state import ArtifactLocation
from turnback.runs.stated import Stated

ARTIFACT_KEY = re.compile(r"artifacts/(?P<target>[^/]+)/(?P<release>[^/]+)\.zip")
# Both become parts of S3 keys and of snapshot identifiers.
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_TARGET = re.compile(r"[a-z][a-z0-9-]{0,30}")


class Starter(Protocol):
    """The state machine."""

    def start(self, name: str, order: Mapping[str, Any]) -> bool:
        """Start an execution of this name, and return whether it is new."""


@dataclass(frozen=True, slots=True)
class Order(Stated):
    """One run: an artifact to apply to a target, or a release to go back to.

    Attributes:
        run: the run's id, which is the execution's name.
        target: the database's name in turnback.
        artifact: the release's zip; None only with ``rollback_to``.
        trigger: what started the run, and who: ``upload:AWS:AIDA…``.
        dry_run: whether to stop at the plan.
        rollback_to: the release to go back to; the scripts for it are in the database.
        uploaded_at: when the artifact was uploaded, ISO 8601; None for a run that no upload starts.
    """

    run: str
    target: str
    artifact: ArtifactLocation | None
    trigger: str = "manual"
    dry_run: bool = False
    rollback_to: str | None = None
    uploaded_at: str | None = None

    @classmethod
    def from_state(cls, state: object) -> Self:
        """The order in the state machine's state.

        Raises:
            ConfigurationError: the execution was started with something else; names the field.
        """
        rollback_to = _text(state, "rollback_to")
        if rollback_to is not None:
            parse_release(rollback_to)
        return cls(
            run=_matching(state, "run", _RUN),
            target=_matching(state, "target", _TARGET),
            artifact=_location(state, required=rollback_to is None),
            trigger=str(field_of(state, "trigger") or "manual"),
            dry_run=field_of(state, "dry_run") is True,
            rollback_to=rollback_to,
            uploaded_at=_time(state, "uploaded_at"),
        )

    @property
    def release(self) -> str | None:
        """The release as far as the order says it."""
        return self.rollback_to or release_of(self.artifact)

    @property
    def location(self) -> ArtifactLocation:
        """The artifact, of a run that needs one.

        Raises:
            ConfigurationError: this run goes back to a release, and has none.
        """
        if self.artifact is None:
            raise _wrong("artifact")
        return self.artifact


def release_of(artifact: ArtifactLocation | None) -> str | None:
    """The release that an artifact's key names; None where it names none."""
    named = ARTIFACT_KEY.fullmatch(artifact.key) if artifact else None
    return named["release"] if named else None


def field_of(order: object, name: str) -> object:
    """A field of an order that nobody has checked, or None."""
    return order.get(name) if isinstance(order, Mapping) else None


def _text(state: object, name: str, where: str = "") -> str | None:
    value = field_of(state, name) or None
    if value is None or isinstance(value, str):
        return value
    raise _wrong(where + name)


def _time(state: object, name: str) -> str | None:
    value = _text(state, name)
    try:
        aware = value is None or datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise _wrong(name)
    return value


def _location(state: object, *, required: bool) -> ArtifactLocation | None:
    artifact = field_of(state, "artifact")
    if artifact is None and not required:
        return None
    if not isinstance(artifact, Mapping):
        raise _wrong("artifact")
    bucket = _text(artifact, "bucket", "artifact.")
    key = _text(artifact, "key", "artifact.")
    if bucket is None or key is None:
        raise _wrong("artifact.key" if bucket else "artifact.bucket")
    # Once it is validated, only these bytes are accepted, even without versions in the bucket.
    validated = _text(field_of(state, "plan"), "sha256", "plan.")
    return ArtifactLocation(
        bucket=bucket,
        key=key,
        version_id=_text(artifact, "version_id", "artifact."),
        sha256=_text(artifact, "sha256", "artifact.") or validated,
        size=_size(artifact),
    )


def _size(artifact: object) -> int | None:
    value = field_of(artifact, "size")
    if value is None or (type(value) is int and value >= 0):
        return value
    raise _wrong("artifact.size")


def _matching(state: object, name: str, pattern: re.Pattern[str]) -> str:
    value = _text(state, name)
    if value is None or not pattern.fullmatch(value):
        raise _wrong(name)
    return value


def _wrong(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"the execution's input has no usable {name!r}",
        hint='start it with {"run", "target", "artifact": {"bucket", "key"}}, upload a zip, or '
        'name the release to go back to: {"run", "target", "rollback_to"}',
    )
