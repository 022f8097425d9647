"""Turns: one run at a time for each target, in the order of the uploads.

``targets/<target>/turn.json`` says who has the turn and who waits for it. It is only ever changed
by a conditional write. It has no lease and no clock: an execution that Step Functions calls running
keeps its turn, and no other does. Every change first drops who has ended, so that a run which died
without a word frees the target as soon as anybody looks.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from turnback.errors import AwsError, ConfigurationError, RunCancelled, RunnerBusy, TurnbackError
from turnback.runs.records import Records
from turnback.runs.state import RunState, RunTurn
from turnback.runs.stated import Stated
from turnback.runs.status import Status
from turnback.settings.environment import TurnSettings
from turnback.store import ObjectStore, Store

# An execution that Step Functions does not know may have been started a moment ago.
UNKNOWN = timedelta(minutes=1)
# A run looks after a twelfth of the time that it has waited, within these limits: each five minutes
# after an hour. What it looks for is announced anyway, and a history has 25,000 events.
_PART = 12
LONGEST_LOOK_S = 1800
_TRIES = 60
_LONGEST_PAUSE_S = 0.5
_ALIVE = ("RUNNING", "PENDING_REDRIVE")


class Execution(Protocol):
    """An execution, with its status in the words of Step Functions."""

    @property
    def status(self) -> str: ...


class Executions(Protocol):
    """The executions of the state machine, which are named as their runs."""

    def describe(self, name: str) -> Execution | None:
        """The execution of this name; None for one that Step Functions does not know."""


class Tasks(Protocol):
    """Tasks of executions that wait."""

    def send_success(self, token: str, output: Mapping[str, Any]) -> bool:
        """End the task well; say whether it still waited."""

    def send_failure(self, token: str, error: str, cause: str) -> bool:
        """End the task with an error; say whether it still waited."""


@dataclass(frozen=True, slots=True)
class Place(Stated):
    """A run that has the turn, or waits for it.

    Attributes:
        run: its id.
        release: its release, as far as its key says; or None.
        uploaded_at: when its artifact was uploaded, ISO 8601 in UTC: the order of the turns.
        since: when it took this place.
        token: of the task that waits; empty where none does.
    """

    run: str
    uploaded_at: str
    since: str
    release: str | None = None
    token: str = ""

    def __str__(self) -> str:
        return f"{self.run} ({self.release})" if self.release else self.run


@dataclass(frozen=True, slots=True)
class Stop(Stated):
    """A run that needs a person: what was uploaded before its end waits for that person.

    Attributes:
        run: its id.
        at: when it ended, ISO 8601 in UTC.
    """

    run: str
    at: str


@dataclass(frozen=True, slots=True)
class TurnRecord(Stated):
    """``targets/<target>/turn.json``: whose turn it is.

    Attributes:
        holder: the run that has the turn, or None.
        waiting: the others, in their order.
        stop: what keeps earlier uploads from their turn, or None.
    """

    holder: Place | None = None
    waiting: tuple[Place, ...] = ()
    stop: Stop | None = None

    def waits_for(self, run: str) -> str | None:
        """What a run waits for, as the end of a sentence; None if it does not wait."""
        names = [place.run for place in self.waiting]
        if run not in names:
            return None
        before = names.index(run)
        if self.holder:
            more = f", {before} before it" if before else ""
            return f"waits for {self.holder}{more}"
        if self.stop and self._is_held_up(self.waiting[before]):
            return f"waits, because {self.stop.run} needs a person"
        return "waits for its turn"

    def next(self) -> list[Place]:
        """Who may have the turn, in this order."""
        return [place for place in self.waiting if not self._is_held_up(place)]

    def _is_held_up(self, place: Place) -> bool:
        return self.stop is not None and place.uploaded_at < self.stop.at


def next_look(waited_s: float, least_s: int) -> int:
    """After how many seconds a run looks, which has waited for so long."""
    return max(least_s, min(int(waited_s / _PART), LONGEST_LOOK_S))


def turn_key(target: str) -> str:
    """Where the turns of a target are in the bucket."""
    return f"targets/{target}/turn.json"


def read_turns(store: Store, target: str) -> TurnRecord:
    """Whose turn it is."""
    return _record(store.read(turn_key(target)))


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of one target, changed.

    Attributes:
        store: the bucket.
        target: the database's name in turnback.
        executions: of the state machine.
        tasks: those that wait for their turn.
        settings: how often a run looks, and how long it waits.
        now: the clock.
    """

    store: ObjectStore
    target: str
    executions: Executions
    tasks: Tasks
    settings: TurnSettings
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def take(self, place: Place) -> RunTurn:
        """Take the turn if it is free, or a place among those who wait."""
        return self._turn_of(place.run, self._change(lambda known: _enlisted(known, place)))

    def wait(self, place: Place, looks_each_s: int) -> RunTurn:
        """Wait with this task, which is ended once it is the run's turn, or it waits no more.

        A task that has waited for long is ended so that it looks less often from then on.

        Args:
            place: the run, with its task.
            looks_each_s: how often it looks now, seconds.
        """
        record = self._change(lambda known: _enlisted(known, place))
        turn = self._turn_of(place.run, record)
        if turn.mine:
            self.tasks.send_success(place.token, turn.to_state())
        elif not self._end_wait(place.run, record):
            since = min(one.since for one in record.waiting if one.run == place.run)
            waited = self.now() - datetime.fromisoformat(since)
            seldom = next_look(waited.total_seconds(), self.settings.look_seconds)
            if 2 * seldom >= 3 * looks_each_s:
                self.tasks.send_success(place.token, replace(turn, look_seconds=seldom).to_state())
        return turn

    def look(self, run: str) -> RunTurn:
        """Look after a run that somebody has cancelled, and at who has ended."""
        record = self._change(lambda known: known)
        self._end_wait(run, record)
        return self._turn_of(run, record)

    def leave(self, run: str, outcome: str | None = None) -> TurnRecord:
        """Give the turn away, or the place.

        Args:
            run: the run.
            outcome: how it ends; None if it comes back, or did not say.
        """
        at = self.now().isoformat(timespec="milliseconds")
        return self._change(lambda known: _without(known, run, outcome, at))

    def go_on(self) -> TurnRecord:
        """Let those go on who wait because a run needs a person."""
        return self._change(lambda known: replace(known, stop=None))

    def _end_wait(self, run: str, record: TurnRecord) -> bool:
        """End the wait of a run that was cancelled, or has waited for too long."""
        place = next((one for one in record.waiting if one.run == run), None)
        error = self._why_not(place, record) if place else None
        if place is None or error is None:
            return False
        self._change(lambda known: _without(known, run, None, ""))
        cause = str(error.machine_readable())
        self.tasks.send_failure(place.token, type(error).__name__, cause)
        return True

    def _why_not(self, place: Place, record: TurnRecord) -> TurnbackError | None:
        reason = Records(self.store, place.run).cancelled()
        if reason:
            return RunCancelled(
                f"{reason}; nothing was changed", hint="release again when you are ready"
            )
        hours = self.settings.longest_wait_hours
        if self.now() - datetime.fromisoformat(place.since) < timedelta(hours=hours):
            return None
        return RunnerBusy(
            f"it was not the run's turn within {hours} hours: it {record.waits_for(place.run)}",
            hint="nothing was changed; end what it waits for, then release again",
        )

    def _turn_of(self, run: str, record: TurnRecord) -> RunTurn:
        mine = record.holder is not None and record.holder.run == run
        return RunTurn(mine, record.waits_for(run) or "", self.settings.look_seconds)

    def _change(self, change: Callable[[TurnRecord], TurnRecord]) -> TurnRecord:
        """Change the record, drop who has ended, give the turn on, and wake who gets it."""
        key, seen = turn_key(self.target), dict[str, bool]()
        for number in range(_TRIES):
            found = self.store.read_tagged(key)
            known = _record(found[0] if found else None)
            record = self._settled(change(known), seen)
            body = json.dumps(record.to_state(), indent=1).encode()
            if record == known or self.store.swap(key, body, found[1] if found else None):
                if record.holder and record.holder.run != (known.holder and known.holder.run):
                    self._wake(record.holder)
                return record
            time.sleep(random.uniform(0, min(0.02 * 2**number, _LONGEST_PAUSE_S)))
        raise AwsError(
            f"{key} was changed by others each time",
            hint="it is tried again; if it goes on, look at who writes to the bucket",
        )

    def _wake(self, holder: Place) -> None:
        """End the task of who has just got the turn; if that is lost, its next look finds out."""
        if holder.token:
            turn = RunTurn(True, look_seconds=self.settings.look_seconds)
            self.tasks.send_success(holder.token, turn.to_state())

    def _settled(self, record: TurnRecord, seen: dict[str, bool]) -> TurnRecord:
        if record.holder and not self._is_alive(record.holder, seen):
            record = replace(record, holder=None)
        while record.holder is None and (following := record.next()):
            first = following[0]
            rest = tuple(place for place in record.waiting if place != first)
            holder = first if self._is_alive(first, seen) else None
            record = replace(record, waiting=rest, holder=holder)
        return record

    def _is_alive(self, place: Place, seen: dict[str, bool]) -> bool:
        if place.run not in seen:
            found = self.executions.describe(place.run)
            young = self.now() - datetime.fromisoformat(place.since) < UNKNOWN
            seen[place.run] = young if found is None else found.status in _ALIVE
        return seen[place.run]


def _record(body: bytes | None) -> TurnRecord:
    return TurnRecord.from_state(json.loads(body)) if body else TurnRecord()


def _enlisted(known: TurnRecord, place: Place) -> TurnRecord:
    """The record with this run in its place; its newest task is the one that waits."""
    if known.holder and known.holder.run == place.run:
        return known
    before = next((one for one in known.waiting if one.run == place.run), None)
    place = replace(place, since=before.since) if before else place
    others = [one for one in known.waiting if one.run != place.run]
    waiting = sorted([*others, place], key=lambda one: (one.uploaded_at, one.run))
    return replace(known, waiting=tuple(waiting))


def _without(known: TurnRecord, run: str, outcome: str | None, at: str) -> TurnRecord:
    holder, stop = known.holder, known.stop
    if holder and holder.run == run:
        if outcome == Status.NEEDS_A_PERSON:
            stop = Stop(run, at)
        elif outcome == Status.SUCCEEDED:
            # It got its turn because it was uploaded after the stop: it is the person's fix.
            stop = None
        holder = None
    waiting = tuple(place for place in known.waiting if place.run != run)
    return TurnRecord(holder, waiting, stop)


def change_turn(
    turns: Turns, event: Mapping[str, Any], run: str, place: Callable[[], Place]
) -> RunTurn:
    """Do what the state machine, the command line or the end of an execution asks for.

    Args:
        turns: of the stack's target.
        event: ``do`` is ``take``, ``wait`` (with a ``token``), ``leave``, ``look`` or ``go_on``;
            the event of an execution that has ended has none.
        run: the run.
        place: returns its place.
    """
    match event.get("do", "leave"):
        case "take":
            return turns.take(place())
        case "wait":
            state = RunState.from_state(event["state"])
            now = state.turn.look_seconds if state.turn else turns.settings.look_seconds
            return turns.wait(replace(place(), token=event["token"]), now)
        case "look":
            return turns.look(run)
        case "go_on":
            turns.go_on()
        case "leave":
            turns.leave(
                run, RunState.from_state(event["state"]).outcome if "state" in event else None
            )
        case other:
            raise ConfigurationError(
                f"'do' is {other!r}; it must be take, wait, leave, look or go_on"
            )
    return RunTurn(False)
