"""The words of recovery as types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Protocol

# In the tags of what turnback makes on AWS: retention touches nothing without it.
CREATED_BY = "turnback"

# In the tags of a snapshot: the stack that took it, and the only one that may delete it. Another
# stack of the account may have the same target.
STACK_TAG = "turnback-stack"

# A version as tags have it: no history there, and nobody could ask the database.
NO_HISTORY = "none"
UNKNOWN = "unknown"
# What the value of a tag may have: the narrowest of RDS and S3 (their pages on tagging).
_IN_TAGS = re.compile(r"[A-Za-z0-9 _.:/=+@-]{1,256}")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.:/=+@-]+")


def version_tag(version: str) -> str:
    """A version as the value of a tag: itself, or a beginning of it with the SHA-256 of all."""
    if _IN_TAGS.fullmatch(version):
        return version
    return f"{_NOT_IN_TAGS.sub('-', version)[:180]} {sha256(version.encode()).hexdigest()}"


class SnapshotState(StrEnum):
    """How far a snapshot is; these words are compared by the state machine."""

    CREATING = "creating"
    AVAILABLE = "available"
    NOT_TAKEN = "not_taken"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a restore comes from.

    Attributes:
        kind: ``rds``, ``aurora``, ``dump`` or ``none``.
        id: the identifier in RDS, or the ``s3://`` address of the dump; None when none is taken.
        state: how far it is.
        taken_at: ISO 8601 time that its data is as of, in UTC; None where that is not known yet.
        encrypted: whether it is encrypted at rest; None if it is not known.
        limits: what a restore will not bring back, or not as it was, a sentence each.
    """

    kind: str
    id: str | None
    state: SnapshotState
    taken_at: str | None = None
    encrypted: bool | None = None
    limits: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """As the state machine carries it."""
        fields = asdict(self)
        # These are notes of the report.
        del fields["limits"]
        return fields


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """A snapshot as a list shows it.

    Attributes:
        kind: ``dump``, ``rds`` or ``aurora``.
        id: the address of the dump, or the identifier in RDS.
        run: the run it was taken for.
        source: the database, instance or cluster it is of.
        taken_at: ISO 8601; None while it is being taken.
        release: the release of that run, or the one that was applied last; None without one.
        version: the version last applied, ``none`` without a history, None if it is not known.
        details: more about it, in short phrases.
        document: for ``--json``.
        available: whether a restore can come from it.
        limits: what a restore will not bring back, or not as it was.
        needs: what another server must have before a restore.
        stack: the stack that took it; None where that is not known.
    """

    kind: str
    id: str
    run: str | None
    source: str
    taken_at: str | None
    release: str | None
    version: str | None
    details: Sequence[str]
    document: Mapping[str, Any] = field(repr=False)
    available: bool = True
    limits: Sequence[str] = ()
    needs: Sequence[str] = ()
    stack: str | None = None

    @property
    def contents(self) -> str:
        """Release and version: ``release 1.4.0, version 0009``."""
        release = f"release {self.release}" if self.release else "no release"
        return f"{release}, {version_text(self.version)}"


def version_text(version: str | None) -> str:
    """A version as a person reads it."""
    if version == NO_HISTORY:
        return "no history"
    return "no known version" if version in (None, "", UNKNOWN) else f"version {version}"


class SnapshotList(Protocol):
    """The snapshots of one place."""

    @property
    def address(self) -> str:
        """Where they are, as the end of a sentence: ``in /backups/``."""

    def list(self) -> Sequence[SnapshotEntry]:
        """All of them, newest first."""

    def find(self, name: str) -> SnapshotEntry:
        """The snapshot with this id, or of this run.

        Raises:
            ConfigurationError: there is no such snapshot, or it cannot be restored.
        """

    def delete(self, identifier: str) -> None:
        """Remove the snapshot with this id; no error if it does not exist."""


class SnapshotTaker(Protocol):
    """One way to take snapshots."""

    def take(self, target: str, run: str, tags: Mapping[str, str]) -> Snapshot:
        """Begin this run's snapshot, or return how far the one already begun is.

        Args:
            target: the database's name in turnback.
            run: the run the snapshot belongs to; asked twice, there is still one snapshot.
            tags: what to write on it.

        Raises:
            SnapshotFailed: it cannot be taken.
        """


class NoSnapshots:
    """The snapshot kind ``none``: for databases that can be lost."""

    def take(self, target: str, run: str, tags: Mapping[str, str]) -> Snapshot:
        """Take nothing, and say so."""
        del target, run, tags
        return Snapshot("none", None, SnapshotState.NOT_TAKEN)


class RestoreState(StrEnum):
    """How far a restore is; the state machine compares ``restored``, people read the others."""

    RESTORING = "restoring"
    CHECKING = "checking"
    SWAPPING = "swapping"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a restored database answers before it has the old one's name.

    Each field is None where it is as the old one's.
    """

    host: str | None = None
    port: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What to come back to.

    Attributes:
        target: the database's name in turnback.
        run: the run that this restore belongs to; asked twice, there is still one restore.
        snapshot: ``kind`` and ``id`` of the snapshot to restore, where it is not a point in time.
        until: the point in time to restore to, in UTC; None for the snapshot.
        check: connects to the restored database and looks at its history.
            Raises RestoreFailed when it is not the expected one, DatabaseUnreachable when there
            is no answer yet.
    """

    target: str
    run: str
    snapshot: Snapshot | None
    until: datetime | None
    check: Callable[[Place], None]


@dataclass(frozen=True, slots=True)
class RestoreProgress:
    """How far a restore is.

    Attributes:
        state: ``restored`` when the endpoint leads to the restored database.
        detail: what is going on, one sentence.
        kept: where the old database is kept: a name of a database, instance or cluster; None
            before it was renamed.
        restored_to: ISO 8601 time that the data is as of, as far as known.
    """

    state: RestoreState
    detail: str
    kept: str | None = None
    restored_to: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the state machine carries it."""
        return asdict(self)


class Restorer(Protocol):
    """One way to restore."""

    def advance(self, request: RestoreRequest) -> RestoreProgress:
        """Look at what is there and do the next step; called until it says ``restored``.

        Each step can be repeated: it looks at the world, and keeps no state of its own. A call
        does not wait for AWS; it says how far things are.

        Raises:
            RestoreFailed: it cannot succeed; says which databases there are, and what to do.
        """


def snapshot_identifier(target: str, run: str) -> str:
    """The identifier of a run's snapshot in RDS; the same run has always the same.

    RDS takes 1 to 63 letters, digits and hyphens, a letter first, no hyphen at the end and no two
    in a row. A name that had to be cut or changed ends in a hash, so that no two runs share one.
    """
    wanted = f"turnback-{target}-{run}"
    name = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")
    if name == wanted and len(name) <= 63:
        return name
    return f"{name[:50].rstrip('-')}-{sha256(wanted.encode()).hexdigest()[:12]}"
