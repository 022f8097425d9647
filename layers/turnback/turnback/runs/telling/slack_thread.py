"""One run in the chat: what is shown of it, kept in the bucket, and changed by one at a time.

The topic delivers at least once and in any order, and two deliveries can be at work at the same
time. So whoever shows a status first takes ``runs/<run>/slack.json`` by a conditional write; what
is older than what is shown, or the same, is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from turnback.errors import ChatUnreachable
from turnback.runs.telling.http import RESERVE_S, Patience
from turnback.store import ObjectStore

# Longer than the clocks of two machines differ.
MARGIN = timedelta(seconds=5)
LOOK_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Shown:
    """What the chat shows of a run.

    Attributes:
        at: of the status that is shown, ISO 8601; empty before the first.
        status: that status.
        ts: Slack's name of the message; empty with a webhook.
        channel: Slack's name of the channel.
        busy_until: ISO 8601; until then whoever took the record may be changing the message.
    """

    at: str = ""
    status: str = ""
    ts: str = ""
    channel: str = ""
    busy_until: str = ""

    def to_json(self) -> bytes:
        """As it is kept."""
        names = self.__dataclass_fields__
        return json.dumps({"version": 1, **{name: getattr(self, name) for name in names}}).encode()

    @classmethod
    def read(cls, body: bytes) -> Shown:
        """As it was kept."""
        kept: Mapping[str, Any] = json.loads(body)
        return cls(**{name: str(kept.get(name) or "") for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class RunInChat:
    """A run's message in the chat.

    Attributes:
        store: the bucket.
        run: the run's id.
        patience: for how long to wait for another delivery.
        now: the time.
    """

    store: ObjectStore
    run: str
    patience: Patience
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @property
    def key(self) -> str:
        """Where the record is."""
        return f"runs/{self.run}/slack.json"

    def show(self, event: Mapping[str, Any], change: Callable[[Shown], Shown]) -> bool:
        """Show a status, unless the chat shows it already, or a newer one.

        Args:
            event: a status event, as published.
            change: shows it, and returns what is shown then.

        Returns:
            Whether it was shown.

        Raises:
            ChatUnreachable: another delivery was busy all the time that there was.
        """
        before = self._take(event)
        if before is None:
            return False
        after = before
        try:
            after = replace(change(before), at=event["at"], status=event["status"])
        finally:
            self.store.write(self.key, replace(after, busy_until="").to_json())
        return True

    def _take(self, event: Mapping[str, Any]) -> Shown | None:
        """What is shown, now ours to change; None where the event is old."""
        while True:
            found = self.store.read_tagged(self.key)
            shown, tag = (Shown.read(found[0]), found[1]) if found else (Shown(), None)
            if shown.at and moment(event["at"]) <= moment(shown.at):
                return None
            if not shown.busy_until or moment(shown.busy_until) < self.now():
                until = self.now() + timedelta(seconds=self.patience.seconds_left()) + MARGIN
                mine = replace(shown, busy_until=until.isoformat())
                if self.store.swap(self.key, mine.to_json(), tag):
                    return shown
                continue
            if self.patience.seconds_left() < LOOK_AGAIN_S + RESERVE_S:
                raise ChatUnreachable(
                    f"another status of {self.run} is being shown, and does not come to an end",
                    hint="Lambda tries again in a minute",
                )
            self.patience.sleep(LOOK_AGAIN_S)


def moment(at: str) -> datetime:
    """A time that can be compared."""
    return datetime.fromisoformat(at)
