"""One run at a time, in the order of the uploads, whoever dies on the way."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from turnback.runs.turn import Place, Turns, read_turns
from turnback.settings.environment import TurnSettings
from turnback.store import ObjectStore

from tests.asking import Memory

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@dataclass
class Found:
    status: str


@dataclass
class World:
    """A target: its bucket, the executions, the tasks that wait, and the time."""

    store: Memory = field(default_factory=Memory)
    dead: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    ended: dict[str, Any] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    now: datetime = NOON

    def describe(self, name: str) -> Found | None:
        return (
            None if name in self.unknown else Found("ABORTED" if name in self.dead else "RUNNING")
        )

    def send_success(self, token: str, output: Mapping[str, Any]) -> bool:
        return self._end(token, output)

    def send_failure(self, token: str, error: str, cause: str) -> bool:
        return self._end(token, (error, json.loads(cause)["message"]))

    def _end(self, token: str, what: Any) -> bool:
        if token in self.gone or token in self.ended:
            return False
        self.ended[token] = what
        return True

    @property
    def turns(self) -> Turns:
        store = cast(ObjectStore, self.store)
        return Turns(store, "learning", self, self, TurnSettings(), lambda: self.now)

    def place(self, run: str, minute: int = 0, token: str = "") -> Place:
        at = (NOON + timedelta(minutes=minute)).isoformat(timespec="milliseconds")
        since = self.now.isoformat(timespec="milliseconds")
        return Place(run, at, since, f"1.{minute}.0", token)

    def take(self, run: str, minute: int = 0) -> bool:
        return self.turns.take(self.place(run, minute)).mine

    def wait(self, run: str, minute: int = 0, token: str = "") -> bool:
        return self.turns.wait(self.place(run, minute, token or f"token of {run}"), 60).mine

    @property
    def holder(self) -> str | None:
        record = read_turns(cast(ObjectStore, self.store), "learning")
        return record.holder.run if record.holder else None

    @property
    def waiting(self) -> list[str]:
        record = read_turns(cast(ObjectStore, self.store), "learning")
        return [place.run for place in record.waiting]


@pytest.fixture
def world() -> World:
    return World()


def test_the_first_has_the_turn_and_the_others_wait_in_the_order_of_their_uploads(
    world: World,
) -> None:
    assert world.take("b", 2)
    assert not world.take("d", 4) and not world.take("a", 1) and not world.take("c", 3)
    assert (world.holder, world.waiting) == ("b", ["a", "c", "d"])
    record = read_turns(cast(ObjectStore, world.store), "learning")
    assert record.waits_for("c") == "waits for b (1.2.0), 1 before it"
    assert record.waits_for("a") == "waits for b (1.2.0)"
    assert record.waits_for("b") is None


def test_whoever_leaves_wakes_the_next(world: World) -> None:
    for run in "abc":
        world.take(run)
    world.wait("b")
    world.wait("c")
    assert world.ended == {}
    world.turns.leave("a", "succeeded")
    assert world.ended == {"token of b": {"mine": True, "waits_for": "", "look_seconds": 60}}
    assert (world.holder, world.waiting) == ("b", ["c"])


def test_a_run_that_asks_again_keeps_its_place_and_has_its_new_task(world: World) -> None:
    world.take("a")
    world.wait("b", token="old")
    world.gone.add("old")
    world.wait("b", token="new")
    world.turns.leave("a")
    assert list(world.ended) == ["new"]
    assert not world.turns.take(world.place("c")).mine and world.take("b")


def test_a_turn_that_came_between_two_tasks_is_found_by_the_next_look(world: World) -> None:
    world.take("a")
    world.take("b")
    world.turns.leave("a")
    assert (world.holder, world.ended) == ("b", {})
    assert world.wait("b") and list(world.ended) == ["token of b"]


@pytest.mark.parametrize("looker", ["c", "d"])
def test_whoever_has_died_is_dropped_by_the_first_look_of_anybody(
    world: World, looker: str
) -> None:
    """The holder and the first who waits at once: then nobody is left whom an event would wake."""
    for minute, run in enumerate("abcd"):
        world.take(run, minute)
        if minute:
            world.wait(run, minute)
    world.dead |= {"a", "b"}
    world.wait(looker, "abcd".index(looker), token="look")
    assert (world.holder, world.waiting) == ("c", ["d"])
    assert list(world.ended) == ["look" if looker == "c" else "token of c"]


def test_an_execution_that_is_not_known_yet_is_alive_for_a_minute(world: World) -> None:
    world.take("a")
    world.unknown.add("a")
    assert not world.take("b")
    world.now += timedelta(seconds=61)
    assert world.take("b")


def test_a_cancelled_run_waits_no_more_and_the_others_are_undisturbed(world: World) -> None:
    world.take("a")
    world.wait("b")
    world.wait("c")
    record = {"by": "ann", "at": "2026-11-30T12:00:00Z", "reason": "wrong release"}
    world.store.write("runs/b/cancel.json", json.dumps(record).encode())
    world.turns.look("b")
    said = "the run was cancelled by ann: wrong release; nothing was changed"
    assert world.ended == {"token of b": ("RunCancelled", said)}
    assert (world.holder, world.waiting) == ("a", ["c"])


def test_a_run_looks_seldom_after_an_hour_and_gives_up_after_three_days(world: World) -> None:
    world.take("a")
    world.wait("b")
    world.now += timedelta(minutes=61)
    world.wait("b", token="second")
    assert world.ended["second"] == {
        "mine": False,
        "waits_for": "waits for a (1.0.0)",
        "look_seconds": 305,
    }
    world.turns.wait(world.place("b", token="third"), 305)
    assert "third" not in world.ended
    world.now += timedelta(hours=72)
    world.turns.wait(world.place("b", token="fourth"), 305)
    said = "it was not the run's turn within 72 hours: it waits for a (1.0.0)"
    assert world.ended["fourth"] == ("RunnerBusy", said)
    assert (world.holder, world.waiting) == ("a", [])


def test_after_a_run_that_needs_a_person_what_was_uploaded_before_waits_for_the_fix(
    world: World,
) -> None:
    world.take("a", 0)
    world.wait("b", 1)
    world.now = NOON + timedelta(minutes=5)
    world.turns.leave("a", "needs_a_person")
    assert (world.holder, world.waiting) == (None, ["b"])
    assert world.turns.look("b").waits_for == "waits, because a needs a person"
    assert world.take("fix", 6)
    world.turns.leave("fix", "rolled_back")
    assert world.holder is None
    assert world.take("fix-2", 7)
    world.turns.leave("fix-2", "succeeded")
    assert world.holder == "b" and list(world.ended) == ["token of b"]


def test_a_person_may_let_the_others_go_on(world: World) -> None:
    world.take("a", 0)
    world.wait("b", 1)
    world.now = NOON + timedelta(minutes=5)
    world.turns.leave("a", "needs_a_person")
    world.turns.go_on()
    assert world.holder == "b"


def test_fifty_at_once_have_the_turn_one_at_a_time(world: World) -> None:
    """With calls that are repeated, and executions that die while they have the turn."""
    order: list[str] = []
    at_work, overlaps = set[str](), list[set[str]]()
    lock = threading.Lock()
    woken = threading.Condition()
    runs = [f"r-{number:02}" for number in range(50)]

    def one(run: str) -> None:
        minute = runs.index(run)
        mine = world.take(run, minute)
        while not mine:
            mine = world.wait(run, minute, token=f"{run} {random.random()}")
            if not mine:
                with woken:
                    woken.wait(0.05)
        with lock:
            at_work.add(run)
            if len(at_work) > 1:
                overlaps.append(set(at_work))
            order.append(run)
            at_work.discard(run)
        if minute % 7 == 0:
            world.dead.add(run)
        else:
            world.turns.leave(run, "succeeded")
        with woken:
            woken.notify_all()

    shuffled = random.Random(1).sample(runs, len(runs))
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(one, shuffled))
    assert overlaps == [] and sorted(order) == runs
