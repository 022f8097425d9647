"""The events of a run in words, and how far it is, in the bucket for whoever watches it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from turnback.engine.session.events import Event, EventKind
from turnback.runs.stated import Stated
from turnback.store import Store

EVERY_S = 2.0
# The number of notes that are kept; a run with more keeps the newest.
NOTES = 20
_WORDS = {
    EventKind.WAITING: "waiting for another run: {text}",
    EventKind.ORPHAN: "ended the idle session of a run that is gone: {text}",
    EventKind.STARTED: "{text}",
    EventKind.PROGRESS: "{text}",
    EventKind.RETRYING: "{text}",
    EventKind.RESUMED: "continues where it stopped: {text} already",
    EventKind.RECOGNISED: "an earlier run has done this already: {text}",
    EventKind.SKIPPED: "{text}",
    EventKind.LOST: "{text}",
    EventKind.APPLIED: "applied",
    EventKind.ROLLED_BACK: "rolled back",
    EventKind.NOTICE: "notice: {text}",
}
_KEPT = {EventKind.ORPHAN, EventKind.RECOGNISED, EventKind.SKIPPED, EventKind.LOST}
_PASSING = {EventKind.WAITING, EventKind.PROGRESS, EventKind.RETRYING, EventKind.RESUMED}


def words_of(event: Event) -> str:
    """What happened, without the migration's name: for a terminal as for the bucket."""
    return _WORDS[event.kind].format(text=event.text)


def name_of(event: Event) -> str:
    """Version and name of the migration that it is about; empty where it is about none."""
    return f"{event.version} {event.name}" if event.version else ""


@dataclass(frozen=True, slots=True)
class Progress(Stated):
    """How far a run is.

    Attributes:
        at: when this was so, ISO 8601 in UTC.
        applied: versions applied by this call of the step.
        rolled_back: versions rolled back by this call of the step.
        version: of the migration that it is at, or None.
        name: that migration's name.
        text: what it does or waits for, such as ``building index: 40 %``; or empty.
        percent: how far that is, where the server knows.
        notes: what is worth knowing after the moment, oldest first, such as a statement that an
            earlier run has done already.
    """

    at: str = ""
    applied: tuple[str, ...] = ()
    rolled_back: tuple[str, ...] = ()
    version: str | None = None
    name: str | None = None
    text: str = ""
    percent: int | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """As it is kept."""
        return json.dumps(self.to_state()).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Progress:
        """As it was kept; fields of a later turnback are left out."""
        return cls.from_state(json.loads(body))


def progress_key(run: str) -> str:
    """Where the progress of a run is in the bucket."""
    return f"runs/{run}/progress.json"


@dataclass(slots=True)
class ProgressRecord:
    """A listener for the engine that keeps the bucket's record of its progress up to date.

    It writes from a thread of its own: the engine may hold locks, and must never wait for S3. A
    failure is logged once, and nothing more is written: no run fails because nobody can watch it.

    Attributes:
        store: the bucket.
        run: the run's id.
        warn: gets why the record is not written.
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
        """Take an event of the engine; returns at once."""
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
        if event.kind is EventKind.APPLIED and event.version:
            return Progress(
                applied=(*now.applied, event.version),
                rolled_back=now.rolled_back,
                notes=now.notes,
            )
        if event.kind is EventKind.ROLLED_BACK and event.version:
            return Progress(
                applied=now.applied,
                rolled_back=(*now.rolled_back, event.version),
                notes=now.notes,
            )
        if event.kind is EventKind.STARTED:
            return replace(now, version=event.version, name=event.name, text="", percent=None)
        if event.kind in _KEPT:
            note = ": ".join(filter(None, [name_of(event), words_of(event)]))
            return replace(now, notes=(*now.notes, note)[-NOTES:])
        if event.kind in _PASSING:
            return replace(
                now,
                version=event.version or now.version,
                name=event.name or now.name,
                text=words_of(event),
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
            # Whatever it is: it must not end the run.
            except Exception as error:
                with self._condition:
                    self._closed = True
                self.warn(f"the progress is not written any more: {error}")
                return
            with self._condition:
                self._condition.wait_for(lambda: self._closed, timeout=self.every_s)
                while not self._changed and not self._closed:
                    self._condition.wait()
