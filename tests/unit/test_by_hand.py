"""Which restore a person means: the one that was begun and not ended, or a new one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from turnback.recovery.managed.by_hand import RestoreAttempt, find_attempt
from turnback.recovery.managed.database import RESTORED_BY

SOURCE, OTHER = "turnback-orders-r-1", "turnback-orders-r-2"


@dataclass(frozen=True)
class Thing:
    """What stands in RDS, as far as names and tags go."""

    id: str
    tags: dict[str, str] = field(default_factory=dict)
    resource: str = "db-1"
    status: str = "available"
    host: str | None = None
    port: int | None = None
    engine: str = "postgres"
    restorable_until: None = None
    changing: bool = False
    has_managed_password: bool = False


class World:
    """Instances by their names; each maybe made by the restore of a run."""

    def __init__(self, **things: str) -> None:
        named = {name.replace("_", "-"): run for name, run in things.items()}
        self.things = {
            name: Thing(name, {RESTORED_BY: run} if run else {}) for name, run in named.items()
        }

    def attempt(
        self, source: str = SOURCE, *, own: str | None = None, again: bool = False
    ) -> RestoreAttempt:
        return find_attempt(self.things.get, "orders", source, own=own, again=again)

    def put(self, name: str, run: str = "") -> None:
        self.things[name] = Thing(name, {RESTORED_BY: run} if run else {})


FIRST = World(orders="").attempt().run


def test_the_same_source_has_the_same_name_and_another_source_another() -> None:
    world = World(orders="")
    assert world.attempt() == world.attempt() == RestoreAttempt(FIRST)
    assert world.attempt(OTHER).run != FIRST


def test_what_is_being_made_is_gone_on_with() -> None:
    world = World(orders="")
    world.put(f"turnback-restored-orders-{FIRST}", FIRST)
    assert world.attempt() == RestoreAttempt(FIRST, begun=True)


def test_something_else_under_the_name_is_not_taken_for_it() -> None:
    world = World(orders="")
    world.put(f"turnback-restored-orders-{FIRST}", "somebody")
    assert world.attempt() == RestoreAttempt(FIRST)


@pytest.mark.parametrize("old", ["orders", f"turnback-before-orders-{FIRST}"])
def test_between_the_names_of_the_first_rename_it_is_gone_on_with(old: str) -> None:
    world = World()
    world.put(old)
    world.put(f"turnback-restored-orders-{FIRST}", FIRST)
    assert world.attempt() == RestoreAttempt(FIRST, begun=True)


def test_in_the_second_rename_where_neither_name_is_there_it_is_gone_on_with() -> None:
    world = World()
    world.put(f"turnback-before-orders-{FIRST}")
    assert world.attempt() == RestoreAttempt(FIRST, begun=True)
    # The second restore of the same source, with the first one's old one still kept.
    world.put(f"turnback-before-orders-{FIRST}-2", FIRST)
    assert world.attempt() == RestoreAttempt(f"{FIRST}-2", begun=True)


def test_what_is_done_is_done_unless_it_is_wanted_again() -> None:
    world = World(orders=FIRST)
    world.put(f"turnback-before-orders-{FIRST}")
    assert world.attempt() == RestoreAttempt(FIRST, begun=True, done=True)
    assert world.attempt(again=True) == RestoreAttempt(f"{FIRST}-2")
    # The old one was deleted, as the command says.
    del world.things[f"turnback-before-orders-{FIRST}"]
    assert world.attempt(again=True) == RestoreAttempt(f"{FIRST}-2")


def test_what_was_restored_from_another_source_since_is_restored_anew() -> None:
    other = World(orders="").attempt(OTHER).run
    world = World(orders=other)
    world.put(f"turnback-before-orders-{FIRST}")
    world.put(f"turnback-before-orders-{other}", FIRST)
    assert world.attempt() == RestoreAttempt(f"{FIRST}-2")
    assert world.attempt(OTHER).done


def test_a_restore_that_is_still_running_is_not_started_again() -> None:
    world = World()
    world.things["orders"] = Thing("orders", {RESTORED_BY: f"{FIRST}-2"}, status="renaming")
    assert world.attempt(again=True) == RestoreAttempt(f"{FIRST}-2", begun=True, done=True)


def test_again_goes_on_with_what_again_began() -> None:
    world = World(orders=FIRST)
    world.put(f"turnback-before-orders-{FIRST}")
    world.put(f"turnback-restored-orders-{FIRST}-2", f"{FIRST}-2")
    assert world.attempt(again=True) == RestoreAttempt(f"{FIRST}-2", begun=True)


def test_the_runs_own_restore_is_ended_under_its_names() -> None:
    world = World(orders="")
    world.put("turnback-restored-orders-r-1", "r-1")
    assert world.attempt(own="r-1") == RestoreAttempt("r-1", begun=True)
    gone = World()
    gone.put("turnback-before-orders-r-1")
    assert gone.attempt(own="r-1") == RestoreAttempt("r-1", begun=True)
    assert World(orders="r-1").attempt(own="r-1") == RestoreAttempt("r-1", begun=True, done=True)
    assert World(orders="r-1").attempt(own="r-1", again=True) == RestoreAttempt(FIRST)
