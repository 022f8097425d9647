"""The next step of a restore; with ``"only": "assess"`` whether there is to be one."""

from typing import Any

from turnback.runs.restore import assess, restore
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    settings = wiring.recovery.restore_settings
    if wiring.event.get("only") == "assess":
        return assess(wiring.run, settings.policy).to_state()
    return restore(wiring.run, wiring.recovery.restores, settings).to_state()
