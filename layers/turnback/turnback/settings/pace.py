"""How fast backfills go: ``[backfill]`` of turnback.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_DURATION = re.compile(r"(\d{1,9}) ?(ms|s|min)")
_UNITS = {"ms": 1, "s": 1000, "min": 60_000}
KEYS = frozenset(
    {
        "target",
        "pause",
        "replication-lag",
        "waiting-sessions",
        "active-sessions",
        "archiving",
        "burst-balance",
        "cpu-credits",
        "query",
    }
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a backfill goes, and what stops it for a while.

    Attributes:
        target_ms: how long a batch is to take, milliseconds.
        pause_ms: how long to wait between two batches, milliseconds.
        replication_lag_ms: it waits while a standby is further behind, milliseconds.
        waiting_sessions: it waits while more sessions than these wait for locks.
        active_sessions: it waits while more sessions than these work; None for no limit.
        archiving: whether it waits while the server cannot archive its WAL.
        burst_balance: in the background on RDS, it waits while one of the instance's balances of
            I/O credits is lower, percent.
        cpu_credits: the same, while the instance has fewer CPU credits.
        query: a query of the user's; it waits while the first column of its first row is true.
    """

    target_ms: int = 200
    pause_ms: int = 0
    replication_lag_ms: int = 10_000
    waiting_sessions: int = 20
    active_sessions: int | None = None
    archiving: bool = True
    burst_balance: int = 20
    cpu_credits: int = 0
    query: str | None = None

    @classmethod
    def of(cls, section: Mapping[str, object]) -> Pace:
        """What the section says.

        Raises:
            ValueError: a value is wrong; its arguments are the key and what is expected.
        """
        found: dict[str, object] = {}
        for key, value in section.items():
            name = key.replace("-", "_")
            match key:
                case "target" | "pause" | "replication-lag":
                    found[f"{name}_ms"] = _milliseconds(key, value)
                case "waiting-sessions" | "active-sessions" | "burst-balance" | "cpu-credits":
                    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                        raise ValueError(key, f"{key} = 20")
                    found[name] = value
                case "archiving":
                    if not isinstance(value, bool):
                        raise ValueError(key, "archiving = false")
                    found[name] = value
                case _:
                    if not isinstance(value, str) or not value.strip():
                        raise ValueError(key, f'{key} = "SELECT …"')
                    found[name] = value
        return cls(**found)  # type: ignore[arg-type]


def _milliseconds(key: str, value: object) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    milliseconds = int(match[1]) * _UNITS[match[2]] if match else -1
    if milliseconds < (key == "target") or milliseconds > 2**31 - 1:
        raise ValueError(key, f'{key} = "200ms"')
    return milliseconds
