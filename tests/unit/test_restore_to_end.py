"""A restore that is called until it has ended: how long it may be silent, and what is counted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from turnback.errors import AwsError, DatabaseUnreachable
from turnback.recovery.by_hand import Pace, restore_to_end
from turnback.recovery.contents import written_since
from turnback.recovery.model import RestoreProgress, RestoreRequest, RestoreState

CHECKING, SWAPPING = RestoreState.CHECKING, RestoreState.SWAPPING
REQUEST = RestoreRequest("orders", "r-1", None, None, lambda _: None)


@dataclass
class Restoring:
    """A restore that is in these states, one a call; a number is an error of AWS."""

    states: list[RestoreState | None]
    now: float = 0.0
    reported: list[str] = field(default_factory=list)

    def advance(self, request: RestoreRequest) -> RestoreProgress:
        assert request is REQUEST
        state = self.states.pop(0)
        if state is None:
            raise AwsError("RDS does not answer")
        return RestoreProgress(state, f"orders is {state}")

    def run(self) -> RestoreProgress:
        def sleep(seconds: float) -> None:
            self.now += seconds

        pace = Pace(100, lost_s=250, unanswered_s=250, clock=lambda: self.now, sleep=sleep)
        return restore_to_end(
            self,
            REQUEST,
            self.reported.append,
            pace=pace,
            may_pass=lambda _: True,
            stopped=lambda *_: [],
        )


def test_a_swap_may_take_longer_than_a_database_may_be_silent() -> None:
    states = [CHECKING, *[SWAPPING] * 9, RestoreState.RESTORED]
    assert Restoring([*states]).run().state is RestoreState.RESTORED


def test_silence_is_counted_anew_after_a_swap_was_tried() -> None:
    states = [CHECKING, CHECKING, CHECKING, SWAPPING, CHECKING, CHECKING, CHECKING]
    assert Restoring([*states, RestoreState.RESTORED]).run().state is RestoreState.RESTORED


def test_a_database_that_stays_silent_is_given_up() -> None:
    restoring = Restoring([CHECKING] * 4)
    with pytest.raises(DatabaseUnreachable, match="the old one is unchanged"):
        restoring.run()
    assert restoring.now == 300


def test_aws_may_be_out_of_reach_for_a_while_and_then_again() -> None:
    states = [None, None, None, SWAPPING, None, None, None, RestoreState.RESTORED]
    assert Restoring(states).run().state is RestoreState.RESTORED


def test_aws_out_of_reach_for_too_long_ends_it() -> None:
    with pytest.raises(AwsError):
        Restoring([None] * 4).run()


def test_a_table_whose_counters_fell_counts_with_what_it_has_now() -> None:
    """After a failover that reports no reset (manual, 27.2)."""
    before = {"tables": {"public.orders": [100, 20, 3], "public.users": [5, 0, 0]}}
    now = {"tables": {"public.orders": [7, 21, 3], "public.users": [6, 0, 0]}}
    assert written_since(before, now)["tables"] == [
        {"name": "public.orders", "inserted": 7, "updated": 21, "deleted": 3},
        {"name": "public.users", "inserted": 1, "updated": 0, "deleted": 0},
    ]
