"""The words of recovery as types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
    """

    kind: str
    id: str | None
    state: SnapshotState

    def to_dict(self) -> dict[str, Any]:
        """As the state machine carries it."""
        return asdict(self)


class Snapshots(Protocol):
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
