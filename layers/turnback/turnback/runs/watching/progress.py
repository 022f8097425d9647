"""How far a run is, in the bucket, for whoever watches it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from turnback.store import Store

if TYPE_CHECKING:
    from turnback.engine import Event

EVERY_S = 2.0
_FINISHED = {"applied", "rolled_back"}
_SAYS_MORE = {
    "waiting": "waiting for another run: {}",
    "orphan": "ended the idle session of a run that is gone: {}",
    "progress": "{}",
    "retrying": "did not get its lock: {}",
    "resumed": "goes on where it stopped: {} already",
    "lost": "{}",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        at: when this was so, ISO 8601 in UTC.
        applied: versions applied by this call of the step.
        rolled_back: versions rolled back by this call of the step.
        version: of the migration that it is at, or None.
        name: that migration's name.
        text: what it does or waits for, such as ``building index: 40 %``; or empty.
        percent: how far that is, where the server knows.
    """

    at: str = ""
    applied: tuple[str, ...] = ()
    rolled_back: tuple[str, ...] = ()
    version: str | None = None
    name: str | None = None
    text: str = ""
    percent: int | None = None

    def to_json(self) -> bytes:
        """As it is kept."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Progress:
        """As it was kept; fields of a later turnback are left out."""
        found: dict[str, Any] = json.loads(body)
        known = {name: found[name] for name in cls.__dataclass_fields__ if name in found}
        for name in ("applied", "rolled_back"):
            known[name] = tuple(known.get(name) or ())
        return cls(**known)


def progress_key(run: str) -> str:
    """Where the progress of a run is in the bucket."""
    return f"runs/{run}/progress.json"


@dataclass(slots=True)
class ProgressRecord:
    """A listener for the engine that keeps the bucket's record of its progress up to date.

    It writes from a thread of its own: the engine may hold locks, and must never wait for S3. A
    failure is said once, and nothing more is written: no run fails because nobody can watch it.

    Attributes:
        store: the bucket.
        run: the run's id.
        warn: told why the record is not written.
        every_s: the shortest time between two writes, seconds.
    """

    store: Store
    run: str
    warn: Callable[[str], object]
    every_s: float = EVERY_S
    _latest: Progress = field(default_factory=Progress)
    _changed: bool = False
    _closed: bool = False
    _thread: threading.Thread | None = None
    _condition: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, event: Event) -> None:
        """Take in what the engine tells; returns at once."""
        with self._condition:
            following = self._after(event)
            if following == self._latest or self._closed:
                return
            self._latest, self._changed = following, True
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._write, name=f"progress of {self.run}", daemon=True
                )
                self._thread.start()

    def close(self, *, wait_s: float = 1.0) -> None:
        """Write what is not yet written, and end; called when the engine is done.

        Args:
            wait_s: how long to wait for the bucket, seconds.
        """
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            thread = self._thread
        if thread:
            thread.join(wait_s)

    def _after(self, event: Event) -> Progress:
        now = self._latest
        fields: dict[str, Any] = {"applied": now.applied, "rolled_back": now.rolled_back}
        if event.kind in _FINISHED and event.version:
            fields[event.kind] = (*fields[event.kind], event.version)
            return Progress(**fields)
        if event.kind == "started":
            return Progress(**fields, version=event.version, name=event.name)
        if event.kind in _SAYS_MORE:
            return Progress(
                **fields,
                version=event.version or now.version,
                name=event.name or now.name,
                text=_SAYS_MORE[event.kind].format(event.text),
                percent=event.percent,
            )
        return now

    def _write(self) -> None:
        while True:
            with self._condition:
                if self._closed and not self._changed:
                    return
                latest, self._changed = self._latest, False
            body = replace(latest, at=datetime.now(UTC).isoformat(timespec="milliseconds"))
            try:
                self.store.write(progress_key(self.run), body.to_json())
            # Whatever it is: it must not end the run, and the thread has nobody to tell it to.
            except Exception as error:
                with self._condition:
                    self._closed = True
                self.warn(f"the progress is not written any more: {error}")
                return
            with self._condition:
                self._condition.wait_for(lambda: self._closed, timeout=self.every_s)
                while not self._changed and not self._closed:
                    self._condition.wait()
