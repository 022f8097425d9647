"""Up, down, up on a shadow database: whether the release can be rolled back."""

from typing import Any

from turnback.runs.rehearse import rehearse_release
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    result = rehearse_release(wiring.run, wiring.shadow_server, wiring.states, wiring.log.warning)
    count("migrations_rehearsed", result.migration_count)
    return result.to_state()
