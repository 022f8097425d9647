"""What no permitted setting may exceed: Step Functions' and Lambda's published quotas.

Step Functions Developer Guide, "Quotas": 25,000 events in the history of an execution, 262,144
bytes of input or output of a state. Lambda Developer Guide, "Lambda quotas": 6 MB of a payload.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turnback.local.deploy import read_template
from turnback.runs.run import LONGEST_WAIT_S, next_poll, next_wait
from turnback.runs.turn import next_look
from turnback.settings.environment import TurnSettings

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = read_template(ROOT / "template.yaml")["Parameters"]
DEFINITION: dict[str, Any] = json.loads((ROOT / "statemachine/release.asl.json").read_text())
STATES: dict[str, dict[str, Any]] = DEFINITION["States"]
EXECUTION_S: int = DEFINITION["TimeoutSeconds"]
MOST_EVENTS = 25_000
# Of one pass: entered, scheduled, started, succeeded, exited; a task with a token is submitted as
# well, and times out. The others are entered and exited.
EVENTS = {"Task": 5, "Choice": 2, "Wait": 2, "Pass": 2, "Fail": 1, "Succeed": 1}


def events_of(name: str) -> int:
    state = STATES[name]
    return EVENTS[state["Type"]] + int(state.get("Resource", "").endswith("waitForTaskToken"))


def following(name: str) -> set[str]:
    """The states that can come next, by every way but a failure."""
    state = STATES[name]
    found = {state.get("Next"), state.get("Default")}
    found |= {choice["Next"] for choice in state.get("Choices", [])}
    found |= {
        catch["Next"]
        for catch in state.get("Catch", [])
        if catch["ErrorEquals"] == ["States.Timeout"]
    }
    return found - {None}


def round_of(name: str) -> list[str]:
    """The states of the shortest way from a state back to itself."""
    ways = [[name, following_one] for following_one in sorted(following(name))]
    while ways:
        way = ways.pop(0)
        if way[-1] == name:
            return way[1:]
        ways += [[*way, one] for one in sorted(following(way[-1])) if one not in way[1:]]
    raise AssertionError(name)


def rounds_in(seconds: float, wait: Callable[[int], int]) -> int:
    """How often one waits in this time, if what is asked in between takes no time."""
    count, waited, left = 0, 0, seconds
    while left > 0:
        waited = wait(waited)
        left -= waited
        count += 1
    return count


def looks_in(seconds: float) -> int:
    """How often a run looks whether its turn has come."""
    count, waited = 0, 0.0
    while waited < seconds:
        waited += next_look(waited, TurnSettings().look_seconds)
        count += 1
    return count


WAITS = [name for name, state in STATES.items() if state["Type"] == "Wait"]
QUESTIONS = [
    name for name, state in STATES.items() if state.get("Resource", "").endswith("waitForTaskToken")
]


def test_no_permitted_setting_makes_a_history_longer_than_step_functions_keeps() -> None:
    """All the time in the costliest loop, and each loop's quick beginning besides."""
    assert len(WAITS) >= 5
    cost = max(sum(map(events_of, round_of(name))) for name in WAITS)
    quickest: list[Callable[[int], int]] = [next_wait, lambda waited: next_poll(waited, 1)]
    slow = EXECUTION_S / LONGEST_WAIT_S
    quick = max(rounds_in(EXECUTION_S, wait) - slow for wait in quickest)
    # A restore has three phases, and each begins with short waits.
    waiting = cost * (slow + quick * (len(WAITS) + 2))
    hours = 2 * PARAMETERS["ApprovalTimeoutMinutes"]["MaxValue"] / 60
    asking = hours * max(sum(map(events_of, round_of(name))) for name in QUESTIONS)
    # Before the approval and after it; a look may be followed by one after a longer time.
    looks = looks_in(PARAMETERS["LongestWaitHours"]["MaxValue"] * 3600)
    turns = 2 * looks * (events_of("WaitForTurn") + events_of("LookAgain"))
    once = sum(map(events_of, STATES))
    # Each retry is scheduled, started and failed; every state all of its retries, once.
    retries = sum(
        3 * rule.get("MaxAttempts", 3)
        for state in STATES.values()
        for rule in state.get("Retry", [])
    )
    assert waiting + asking + turns + once + retries < MOST_EVENTS


def test_approvals_snapshots_and_restores_end_before_the_execution_does() -> None:
    most = {
        name: PARAMETERS[name]["MaxValue"]
        for name in (
            "ApprovalTimeoutMinutes",
            "SnapshotTimeoutMinutes",
            "RestoreTimeoutMinutes",
            "ApplicationStopMinutes",
        )
    }
    minutes = (
        2 * most["ApprovalTimeoutMinutes"]
        + 2 * 60 * PARAMETERS["LongestWaitHours"]["MaxValue"]
        + most["SnapshotTimeoutMinutes"]
        + 2 * most["RestoreTimeoutMinutes"]
        + most["ApplicationStopMinutes"]
    )
    # Two days are left for rehearsal, migrations and rollback.
    assert 60 * (minutes + 2 * 1440) <= EXECUTION_S


def test_a_look_comes_at_most_half_a_minute_and_a_tenth_late() -> None:
    for least in (1, 30):
        waited, elapsed = 0, 0
        while elapsed < 8 * 3600:
            waited = next_poll(waited, least)
            assert waited <= least + 30 + 0.1 * elapsed
            elapsed += waited
    assert next_poll(LONGEST_WAIT_S, 1) == LONGEST_WAIT_S
    assert next_poll(0, 3600) == 3600
