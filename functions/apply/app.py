"""The next migrations, as many as time allows; with ``"only": "verify"`` a look at the result."""

from typing import Any

from turnback.runs.apply import apply, verify
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    where: dict[str, Any] = {
        "artifacts": wiring.artifacts,
        "records": wiring.records,
        "connect": wiring.database.connect,
    }
    if wiring.event.get("only") == "verify":
        return verify(wiring.order, **where)
    where |= {"policy": wiring.policy, "keep_going": wiring.keep_going}
    where |= {"cancelled": wiring.records.cancelled, "waited_s": wiring.waited_s("apply")}
    result = apply(wiring.order, **where)
    count("migrations_applied", result["applied"])
    return result
