"""The rollback scripts of what this run applied, in reverse."""

from typing import Any

from turnback.runs.roll_back import roll_back
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    result = roll_back(
        wiring.order,
        release=wiring.release,
        records=wiring.records,
        connect=wiring.database.connect,
        keep_going=wiring.keep_going,
        wait_s=wiring.database.runner_wait_s,
        waited_s=wiring.waited_s("roll_back"),
    )
    count("migrations_rolled_back", result["rolled_back"])
    return result
