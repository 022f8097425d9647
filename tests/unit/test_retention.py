"""Retention: what may go, and what never does."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from turnback.errors import AwsError
from turnback.recovery.retention import Retention, to_remove

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Kept:
    id: str
    run: str
    taken_at: str
    available: bool = True
    source: str = "orders"
    stack: str | None = None


def aged(*days: int) -> list[Kept]:
    """One snapshot for each age in days, named by it."""
    return [Kept(f"s{age}", f"r{age}", (NOW - timedelta(days=age)).isoformat()) for age in days]


def gone(
    kept: list[Kept], *, days: int = 35, least: int = 1, needed: Collection[str] = ()
) -> list[str]:
    found = to_remove(kept, days=days, least=least, needed=needed, now=NOW)
    return [one.id for one in found]


class Keeper:
    """Where snapshots are kept, in memory."""

    def __init__(self, kept: list[Kept], *, fails_at: int | None = None) -> None:
        self.all = kept
        self.fails_at = fails_at
        self.deleted: list[str] = []

    def list(self) -> Sequence[Kept]:
        return self.all

    def delete(self, identifier: str) -> None:
        if len(self.deleted) == self.fails_at:
            raise AwsError("could not delete the snapshot: AccessDenied")
        self.deleted.append(identifier)


def test_those_older_than_the_days_go_oldest_first() -> None:
    assert gone(aged(1, 36, 90, 34)) == ["s90", "s36"]


def test_the_newest_available_one_is_kept_however_old_it_is() -> None:
    assert gone(aged(400, 500)) == ["s500"]
    assert gone(aged(400), least=0) == []


def test_one_that_is_not_available_does_not_count_as_the_newest_and_is_left_alone() -> None:
    creating = Kept("creating", "r", (NOW - timedelta(days=50)).isoformat(), available=False)
    assert gone([creating, *aged(60)]) == []


def test_the_newest_of_each_source_is_kept_however_old_it_is() -> None:
    old = [replace(one, source="orders-2025") for one in aged(400, 500)]
    assert gone([*aged(1, 90), *old]) == ["s500", "s90"]


def test_a_stack_removes_only_snapshots_that_carry_its_tag() -> None:
    staging = [replace(one, stack="staging") for one in aged(1, 90)]
    production = [replace(one, stack="production", id=f"p-{one.id}") for one in aged(50, 60)]
    unknown = [replace(one, id=f"u-{one.id}") for one in aged(70, 80)]
    for stack, expected in (("staging", "s90"), ("production", "p-s60")):
        keeper = Keeper([*staging, *production, *unknown])
        report = Retention(keeper, 35, 1, set, stack).report(NOW)
        assert report["removed"] == [expected]
        assert report["without_stack"] == ["u-s70", "u-s80"]
    assert Retention(Keeper([*staging, *production]), 35, 1, set, "production").prune(NOW) == [
        "p-s60"
    ]


def test_a_stack_that_does_not_know_its_name_removes_nothing() -> None:
    keeper = Keeper([*aged(1, 90), replace(aged(95)[0], stack="")])
    assert Retention(keeper, 35, 1, set, "").prune(NOW) == []


def test_as_many_as_are_to_be_kept_stay() -> None:
    assert gone(aged(40, 50, 60, 70), least=3) == ["s70"]


def test_those_of_runs_that_need_them_stay() -> None:
    assert gone(aged(1, 40, 50), needed={"r40"}) == ["s50"]


def test_no_days_keep_all() -> None:
    assert gone(aged(1, 4000), days=0) == []


def test_the_rule_holds_for_every_set_of_ages() -> None:
    ages = (0, 20, 36, 50, 90)
    for size, least in itertools.product(range(1, 6), (1, 3)):
        for chosen in itertools.combinations(ages, size):
            kept = aged(*chosen)
            removed = set(gone(kept, least=least, needed={"r50"}))
            stay = [one for one in kept if one.id not in removed]
            assert len(stay) >= min(least, len(kept))
            assert min(chosen) in {int(one.id[1:]) for one in stay}
            assert not removed & {"s0", "s20", "s50"}


def test_the_runs_are_asked_for_only_when_something_could_go() -> None:
    def needed() -> set[str]:
        raise AssertionError("nobody had to ask")

    keeper = Keeper(aged(1, 2))
    assert Retention(keeper, 35, 1, needed).report(NOW) == {
        "removed": [],
        "error": None,
        "without_stack": [],
    }
    assert Retention(Keeper(aged(1, 99)), 0, 1, needed).prune(NOW) == []


def test_what_was_removed_is_reported() -> None:
    keeper = Keeper(aged(1, 40, 50, 60))
    assert Retention(keeper, 35, 1, lambda: {"r50"}).report(NOW) == {
        "removed": ["s60", "s40"],
        "error": None,
        "without_stack": [],
    }
    assert keeper.deleted == ["s60", "s40"]


def test_a_removal_that_fails_is_reported_with_what_went_before_it() -> None:
    keeper = Keeper(aged(1, 40, 50), fails_at=1)
    report = Retention(keeper, 35, 1, set).report(NOW)
    assert report == {
        "removed": ["s50"],
        "error": "could not delete the snapshot: AccessDenied",
        "without_stack": [],
    }


def test_nothing_is_removed_while_nobody_knows_which_runs_need_theirs() -> None:
    def needed() -> set[str]:
        raise AwsError("could not list the runs")

    keeper = Keeper(aged(1, 40))
    report = Retention(keeper, 35, 1, needed).report(NOW)
    assert (report["removed"], keeper.deleted) == ([], [])
    assert report["error"] == "could not list the runs"


@pytest.mark.parametrize("least", [0, 1, 5])
def test_no_snapshots_are_no_error(least: int) -> None:
    assert gone([], least=least) == []
