"""The order of a run: what the state machine is started with, and carries from step to step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from turnback.errors import ConfigurationError
from turnback.migrations.release import parse_release

# Both become parts of S3 keys and of snapshot identifiers.
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_TARGET = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class ArtifactLocation:
    """Exactly one version of one object, and its SHA-256 where that is known beforehand."""

    bucket: str
    key: str
    version_id: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One run: an artifact, to be applied to a target; or a release, to come back to.

    Attributes:
        run: the run's id, which is the execution's name.
        target: the database's name in turnback.
        artifact: the release's zip; None only where ``rollback_to`` says what to do.
        trigger: what started the run, and who: ``upload:AWS:AIDA…``.
        dry_run: whether to stop at the plan.
        rollback_to: the release to come back to; the scripts for it are in the database.
    """

    run: str
    target: str
    artifact: ArtifactLocation | None
    trigger: str = "manual"
    dry_run: bool = False
    rollback_to: str | None = None

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Order:
        """The order in the state machine's state.

        Raises:
            ConfigurationError: the execution was started with something else; names the field.
        """
        rollback_to = state.get("rollback_to") or None
        if rollback_to is not None:
            if not isinstance(rollback_to, str):
                raise _wrong("rollback_to")
            parse_release(rollback_to)
        return cls(
            run=_matching(state, "run", _RUN),
            target=_matching(state, "target", _TARGET),
            artifact=_location(state, required=rollback_to is None),
            trigger=str(state.get("trigger") or "manual"),
            dry_run=state.get("dry_run") is True,
            rollback_to=rollback_to,
        )

    @property
    def location(self) -> ArtifactLocation:
        """The artifact, where there must be one.

        Raises:
            ConfigurationError: this run comes back to a release, and has none.
        """
        if self.artifact is None:
            raise _wrong("artifact")
        return self.artifact

    def to_dict(self) -> dict[str, Any]:
        """As the state machine takes it."""
        return asdict(self)


def _location(state: Mapping[str, Any], *, required: bool) -> ArtifactLocation | None:
    artifact = state.get("artifact")
    if artifact is None and not required:
        return None
    if not isinstance(artifact, Mapping):
        raise _wrong("artifact")
    for name in ("bucket", "key"):
        if not isinstance(artifact.get(name), str) or not artifact[name]:
            raise _wrong(f"artifact.{name}")
    return ArtifactLocation(
        bucket=artifact["bucket"],
        key=artifact["key"],
        version_id=artifact.get("version_id"),
        # Once validated, only these bytes will do, even where the bucket keeps no versions.
        sha256=artifact.get("sha256") or (state.get("plan") or {}).get("sha256"),
    )


def _matching(state: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = state.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _wrong(name)
    return value


def _wrong(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"the execution's input has no usable {name!r}",
        hint='start it with {"run", "target", "artifact": {"bucket", "key"}}, upload a zip, or '
        'name the release to come back to: {"run", "target", "rollback_to"}',
    )
