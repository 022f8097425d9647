"""Times of the day at which no migration begins, because dumps are made then."""

from __future__ import annotations

import re
import time as clock
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from turnback.errors import ConfigurationError

_HOUR = r"((?:[01]\d|2[0-3]):[0-5]\d)"
_WINDOW = re.compile(rf"{_HOUR}-{_HOUR}(?: +([\w/+-]+))?")
_LOOK_EVERY_S = 30


@dataclass(frozen=True, slots=True)
class Window:
    """From one time of the day to another, which may be on the next day.

    Attributes:
        zone: as in the IANA time zone database, such as ``Europe/Berlin``; ``UTC``.
    """

    begin: time
    end: time
    zone: str = "UTC"

    @classmethod
    def parse(cls, text: str) -> Window:
        """The window that is written as ``01:00-03:00`` or ``01:00-03:00 Europe/Berlin``.

        Raises:
            ConfigurationError: it is something else, or this machine does not know the zone.
        """
        match = _WINDOW.fullmatch(text.strip())
        if match is None or match[1] == match[2]:
            raise ConfigurationError(
                f"{text!r} is no window of time",
                hint="write 01:00-03:00, which is UTC, or 01:00-03:00 Europe/Berlin",
            )
        found = cls(time.fromisoformat(match[1]), time.fromisoformat(match[2]), match[3] or "UTC")
        try:
            found._tzinfo()
        except (KeyError, ValueError) as error:
            raise ConfigurationError(
                f"this machine has no time zone {found.zone}",
                hint="write a name such as Europe/Berlin, or the times in UTC",
            ) from error
        return found

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M} {self.zone}"

    def left(self, now: datetime) -> timedelta:
        """The time until its end, if it is open at this time; else nothing."""
        local = now.astimezone(self._tzinfo())
        at = local.time()
        passes_midnight = self.begin > self.end
        is_open = (
            at >= self.begin or at < self.end if passes_midnight else self.begin <= at < self.end
        )
        if not is_open:
            return timedelta()
        day = local.date() + timedelta(days=passes_midnight and at >= self.begin)
        return datetime.combine(day, self.end, local.tzinfo) - local

    def _tzinfo(self) -> tzinfo:
        if self.zone == "UTC":
            return UTC
        # Most projects name none.
        from zoneinfo import ZoneInfo

        return ZoneInfo(self.zone)


def windows_of(texts: Iterable[str]) -> tuple[Window, ...]:
    """The windows that these texts say. Raises as ``Window.parse``."""
    return tuple(map(Window.parse, texts))


def open_window(windows: Iterable[Window], now: datetime) -> tuple[Window, timedelta] | None:
    """The window that is open at this time, and for how long; the one that ends last."""
    found = [(window, left) for window in windows if (left := window.left(now))]
    return max(found, key=lambda one: one[1]) if found else None


def wait_for_end(
    windows: Sequence[Window],
    say: Callable[[str], None],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = clock.sleep,
) -> None:
    """Wait until no window is open.

    Args:
        windows: the windows.
        say: called once for each, with why it waits.
        now, sleep: the clock.
    """
    said = None
    while found := open_window(windows, now()):
        window, left = found
        if window != said:
            said = window
            say(waits_for(window))
        # Not all of it at once, as the clock may be set meanwhile.
        sleep(min(left.total_seconds(), _LOOK_EVERY_S))


def waits_for(window: Window) -> str:
    """What is said while a window is open."""
    return f"waits until {window.end:%H:%M} {window.zone}: no migration begins from {window}"
