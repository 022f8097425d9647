"""The words of recovery as types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Protocol


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
        encrypted: whether it is encrypted at rest; None where nobody says so.
    """

    kind: str
    id: str | None
    state: SnapshotState
    taken_at: str | None = None
    encrypted: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the state machine carries it."""
        return asdict(self)


class SnapshotTaker(Protocol):
    """One way to take snapshots."""

    def take(self, target: str, run: str, tags: Mapping[str, str]) -> Snapshot:
        """Begin this run's snapshot, or tell how far the one already begun is.

        Args:
            target: the database's name in turnback.
            run: the run the snapshot belongs to; asked twice, there is still one snapshot.
            tags: what to write on it.

        Raises:
            SnapshotFailed: there is none, and there will be none.
        """


class NoSnapshots:
    """The snapshot kind ``none``: for databases that nobody would miss."""

    def take(self, target: str, run: str, tags: Mapping[str, str]) -> Snapshot:
        """Nothing, and say so."""
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
            RestoreFailed: it cannot end well; says what stands and what to do.
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
