"""More of a background backfill; each call as much as its time allows."""

from typing import Any

from turnback.runs.backfills import go_on
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    return go_on(wiring.run).to_state()
