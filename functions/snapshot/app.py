"""The run's snapshot: take one, or ask whether it is available."""

from typing import Any

from turnback.runs.snapshot import take_snapshot
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    recovery = wiring.recovery
    snapshot = take_snapshot(
        wiring.run, recovery.snapshots, recovery.snapshot_settings, recovery.retention
    )
    if snapshot.retention and snapshot.retention.error:
        count("snapshot_retention_failed")
    return snapshot.to_state()
