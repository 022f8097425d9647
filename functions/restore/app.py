"""The next step of a restore; with ``"only": "assess"`` whether there is to be one."""

from datetime import UTC, datetime
from typing import Any

from turnback.runs.assess import assess
from turnback.runs.restore import restore
from turnback.runtime import Wiring, entry


@entry
def handler(wiring: Wiring) -> dict[str, Any]:
    order, state, records = wiring.order, wiring.state, wiring.records
    database, settings, now = wiring.database, wiring.recovery.restore_settings, datetime.now(UTC)
    if wiring.event.get("only") == "assess":
        where = {"records": records, "connect": database.connect, "written": database.written}
        return assess(order, state, policy=settings.policy, now=now, **where).to_dict()
    way = {"restores": wiring.recovery.restores, "settings": settings, "records": records}
    way |= {
        "connect": database.connect,
        "connect_at": database.connect_at,
        "written": database.written,
    }
    return restore(order, state, **way, now=now)
