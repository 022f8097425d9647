"""The run's snapshot: take one, or ask whether it is there."""

from typing import Any

from turnback.runs.snapshot import take_snapshot
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    return take_snapshot(
        wiring.order,
        release=wiring.release,
        snapshots=wiring.snapshots,
        settings=wiring.snapshot_settings,
        policy=wiring.policy,
        started_at=wiring.started_at,
    )
