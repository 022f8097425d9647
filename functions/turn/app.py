"""One run at a time for each target: take the turn, wait for it, give it away."""

from typing import Any

from turnback.runs.turn import change_turn
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    turns = wiring.turns
    return change_turn(turns, wiring.event, wiring.run_id, lambda: wiring.place).to_state()
