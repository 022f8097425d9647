"""What came of a step, in a few words, from what it left in the state machine's state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

State = Mapping[str, Any]


def result_of(step: str, state: State) -> str:
    """The result of a step; empty for one that leaves nothing to tell.

    Args:
        step: the state's name in the definition.
        state: the state machine's state as the step left it.
    """
    tell = _RESULTS.get(step)
    return tell(state) if tell else ""


def _part(state: State, name: str) -> State:
    found = state.get(name)
    return found if isinstance(found, Mapping) else {}


def _count(number: Any) -> str:
    return f"{number} migration{'' if number == 1 else 's'}"


def _is_down(state: State) -> bool:
    return _part(state, "plan").get("direction") == "down"


def _validated(state: State) -> str:
    plan = _part(state, "plan")
    if plan.get("decision") == "nothing_to_do":
        return "nothing to do"
    verb = "to roll back" if _is_down(state) else "to apply"
    text = f"{_count(plan.get('migrations'))} {verb}"
    return f"{text}; a dry run, nothing is changed" if plan.get("decision") == "dry_run" else text


def _rehearsed(state: State) -> str:
    found = _part(state, "rehearsal")
    one_way = int(found.get("irreversible") or 0)
    text = f"{_count(found.get('migrations'))} {found.get('status')}"
    return f"{text}, {one_way} irreversible by intent" if one_way else text


def _snapshot(state: State) -> str:
    found = _part(state, "snapshot")
    if found.get("state") == "not_taken":
        return "none taken"
    return f"{found.get('kind')} {found.get('id')}: {found.get('state')}"


def _applied(state: State) -> str:
    found, verb = _part(state, "apply"), "rolled back" if _is_down(state) else "applied"
    planned = int(_part(state, "plan").get("migrations") or 0)
    left = int(found.get("remaining") or 0)
    text = f"{max(planned - left, 0)} of {planned} {verb}"
    return f"{text}; {found['running']}" if found.get("running") else text


def _verified(state: State) -> str:
    return f"{_count(_part(state, 'verify').get('verified'))} as planned"


def _rolled_back(state: State) -> str:
    found = _part(state, "roll_back")
    left = int(found.get("remaining") or 0)
    text = f"{_count(found.get('rolled_back'))} rolled back"
    return f"{text}, {left} remaining" if left else text


def _approved(name: str) -> Callable[[State], str]:
    def tell(state: State) -> str:
        by = _part(state, name).get("by") or []
        return f"approved by {', '.join(map(str, by))}" if by else ""

    return tell


def _assessed(state: State) -> str:
    found = _part(state, "assessment")
    loss = _part(found, "loss")
    if found.get("decision") == "as_before":
        return "the schema is as before the run"
    rows = sum(int(loss.get(name) or 0) for name in ("inserted", "updated", "deleted"))
    lost = f"a restore would lose {rows} changed rows since {loss.get('since')}" if loss else ""
    return "; ".join(filter(None, [str(found.get("reason") or ""), lost]))


def _restored(state: State) -> str:
    found = _part(state, "restore")
    return ": ".join(filter(None, [str(found.get("state") or ""), str(found.get("detail") or "")]))


def _stopped(state: State) -> str:
    return f"{len(_part(state, 'application').get('stopped') or [])} stopped"


def _started(state: State) -> str:
    return f"{len(_part(state, 'application').get('stopped') or [])} started again"


_RESULTS: dict[str, Callable[[State], str]] = {
    "Validate": _validated,
    "Rehearse": _rehearsed,
    "AskApproval": _approved("approval"),
    "Snapshot": _snapshot,
    "Apply": _applied,
    "Verify": _verified,
    "StopApplication": _stopped,
    "RollBack": _rolled_back,
    "Assess": _assessed,
    "AskRestore": _approved("restore_approval"),
    "Restore": _restored,
    "StartApplication": _started,
}
