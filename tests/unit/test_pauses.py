"""How long a run waits between two attempts at a lock."""

from __future__ import annotations

import itertools

from turnback.engine.run.runner import pauses


def test_each_pause_is_twice_as_long_up_to_eight_seconds() -> None:
    first = list(itertools.islice(pauses(), 8))
    assert first == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8.0]
