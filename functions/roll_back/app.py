"""The rollback scripts of what this run applied; with ``"only": "look"`` whether there is any."""

from typing import Any

from turnback.runs.roll_back import has_changed, roll_back
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    if wiring.event.get("only") == "look":
        return {"changed": has_changed(wiring.run)}
    result = roll_back(wiring.run)
    count("migrations_rolled_back", result.rolled_back)
    return result.to_state()
