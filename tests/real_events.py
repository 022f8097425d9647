"""The events in events/, one for each trigger and function, as the tests read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).resolve().parents[1] / "events"


def event(name: str) -> dict[str, Any]:
    """One of them, to be changed at will."""
    return dict(json.loads((EVENTS / f"{name}.json").read_text()))
