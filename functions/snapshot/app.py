"""The run's snapshot: take one, or ask whether it is there."""

from typing import Any

from turnback.runs.snapshot import take_snapshot
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    return take_snapshot(
        wiring.live_order,
        release=wiring.release,
        records=wiring.records,
        count=wiring.database.counters,
        snapshots=wiring.recovery.snapshots,
        retention=wiring.recovery.retention,
        settings=wiring.recovery.snapshot_settings,
        policy=wiring.policy,
    )
