"""Times of the day at which no migration begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from turnback.errors import ConfigurationError
from turnback.settings.environment import Policy
from turnback.settings.windows import Window, open_window, wait_for_end, windows_of


def left(window: str, now: str) -> float:
    """Minutes until the window's end, at a time that has a zone."""
    return Window.parse(window).left(datetime.fromisoformat(now)).total_seconds() / 60


@pytest.mark.parametrize(
    ("window", "now", "minutes"),
    [
        ("01:00-03:00", "2026-01-05T01:00Z", 120),
        ("01:00-03:00", "2026-01-05T02:59Z", 1),
        ("01:00-03:00", "2026-01-05T03:00Z", 0),
        ("01:00-03:00", "2026-01-05T00:59Z", 0),
        ("01:00-03:00", "2026-01-05T03:30+02:00", 90),
        ("23:00-02:00", "2026-01-05T23:30Z", 150),
        ("23:00-02:00", "2026-01-06T01:30Z", 30),
        ("23:00-02:00", "2026-01-06T12:00Z", 0),
        # An hour ahead of UTC in winter, two in summer.
        ("01:00-03:00 Europe/Berlin", "2026-01-05T00:30Z", 90),
        ("01:00-03:00  Europe/Berlin", "2026-07-05T00:30Z", 30),
        ("01:00-03:00 Europe/Berlin", "2026-07-05T01:30Z", 0),
    ],
)
def test_a_window_is_open_between_its_times_in_its_zone(
    window: str, now: str, minutes: int
) -> None:
    assert left(window, now) == minutes


@pytest.mark.parametrize(
    "text",
    ["", "1:00-3:00", "01:00", "25:00-26:00", "01:00-01:00", "01:00-03:00 Mars/Olympus", "a"],
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Window.parse(text)


def test_of_several_the_one_that_ends_last_counts() -> None:
    windows = windows_of(["01:00-03:00", "02:00-02:30", "05:00-06:00"])
    found = open_window(windows, datetime(2026, 1, 5, 2, 10, tzinfo=UTC))
    assert found == (windows[0], timedelta(minutes=50))
    assert open_window(windows, datetime(2026, 1, 5, 4, 0, tzinfo=UTC)) is None


def test_it_waits_until_no_window_is_open_and_says_once_why() -> None:
    clock = [datetime(2026, 1, 5, 2, 50, tzinfo=UTC)]
    said: list[str] = []

    def sleep(seconds: float) -> None:
        clock[0] += timedelta(seconds=seconds)

    windows = windows_of(["01:00-03:00", "03:00-03:10"])
    wait_for_end(windows, said.append, now=lambda: clock[0], sleep=sleep)
    assert clock[0] == datetime(2026, 1, 5, 3, 10, tzinfo=UTC)
    assert said == [
        "waits until 03:00 UTC: no migration begins from 01:00-03:00 UTC",
        "waits until 03:10 UTC: no migration begins from 03:00-03:10 UTC",
    ]


def test_the_parameter_of_the_stack_has_several_with_commas() -> None:
    policy = Policy.read({"AVOID": "01:00-03:00 Europe/Berlin, 12:00-12:30"})
    assert [str(one) for one in policy.avoid] == ["01:00-03:00 Europe/Berlin", "12:00-12:30 UTC"]
    assert Policy.read({"AVOID": ""}).avoid == ()
