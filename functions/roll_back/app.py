"""The rollback scripts of what this run applied, in reverse."""

from typing import Any

from turnback.runs.roll_back import roll_back
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    result = roll_back(wiring.run)
    count("migrations_rolled_back", result.rolled_back)
    return result.to_state()
