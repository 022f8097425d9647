"""Checksums, order, drift: whether the release may run, and the plan of what it would do."""

from typing import Any

from turnback.runs.validate import validate
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    return validate(
        wiring.live_order,
        target=wiring.target,
        artifacts=wiring.artifacts,
        records=wiring.records,
        connect=wiring.database.connect,
        policy=wiring.policy,
        snapshot_kind=wiring.recovery.snapshot_settings.kind,
        gate=wiring.approvals.gate,
        restore=wiring.recovery.restore_settings.policy,
        stop_application=wiring.recovery.application_settings.enabled,
    )
