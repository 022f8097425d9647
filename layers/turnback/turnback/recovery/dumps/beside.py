"""A copy of a database beside it, by a dump that is restored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from turnback.errors import OutOfSpace
from turnback.recovery.dumps.dump import DumpSnapshots
from turnback.recovery.dumps.restore import RestoreDump
from turnback.recovery.dumps.store import FolderStore
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import Snapshot, SnapshotState

_SECONDS = 6 * 3600.0


def copy_by_dump(endpoint: Endpoint, name: str, size: int, folder: Path) -> Sequence[str]:
    """Dump a database, and restore the dump into a new one on the same server.

    Args:
        endpoint: the database; it is only read.
        name: of the new database.
        size: of the database in bytes; a dump is not larger.
        folder: for the dump; the caller removes it.

    Returns:
        What could not be made in the copy.

    Raises:
        OutOfSpace: the folder has no room for the dump.
        SnapshotFailed, RestoreFailed: it cannot be dumped, or not be restored.
        DatabaseUnreachable, DatabaseRefused: it cannot be connected to.
    """
    OutOfSpace.refuse(str(folder), size, "a dump of the target")
    store = FolderStore(folder)
    dumps = DumpSnapshots(endpoint, store, lambda: _SECONDS, limit_megabytes=0)
    record = dumps.record("copy", name, {})
    snapshot = Snapshot("dump", record.id, SnapshotState.AVAILABLE, record.taken_at)
    return RestoreDump(endpoint.renewed(), store, lambda: _SECONDS).beside(snapshot, name, name)
