"""The next migrations, as many as time allows; with ``"only": "verify"`` a look at the result."""

from typing import Any

from turnback.runs.apply import apply, verify
from turnback.runtime import Wiring, count, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    if wiring.event.get("only") == "verify":
        return {"verified": verify(wiring.run)}
    result = apply(wiring.run)
    count("migrations_applied", result.applied)
    return result.to_state()
