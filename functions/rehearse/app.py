"""Up, down, up on a shadow database: whether the release can be turned back from."""

from typing import Any

from turnback.runs.rehearse import rehearse_release
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    result = rehearse_release(
        wiring.live_order,
        artifacts=wiring.artifacts,
        records=wiring.records,
        policy=wiring.policy,
        shadow_server=wiring.shadow_server,
    )
    count("migrations_rehearsed", result["migrations"])
    return result
