"""Background backfills: executions of their own go on with them, over as many calls as needed.

While one is not done, ``targets/<target>/backfills/<run>.json`` is in the bucket, with what its
executions are started with. Whatever ends an execution (its time, its number of events, a crash, a
person who pauses the backfill), the next look at the bucket starts another one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from turnback.errors import RunnerBusy, TurnbackError
from turnback.runs.run import Run
from turnback.runs.state import RunBackfill, RunBalances, RunError, RunState
from turnback.runs.stated import Stated
from turnback.runs.status import Status
from turnback.store import ObjectStore, Store

# An execution has 25,000 events (Step Functions quotas), and a call takes up to 40 of them with all
# its retries and what it announces.
MOST_CALLS = 500
# Between two looks at what is left of the instance's credits.
_CALL_S = 300
# Of instances of RDS (RDS User Guide, "Amazon CloudWatch metrics for Amazon RDS"): percent of the
# volume's and of the instance's credits for I/O, and CPU credits of burstable classes.
_PERCENT = ("BurstBalance", "EBSIOBalance%", "EBSByteBalance%")
_CREDITS = "CPUCreditBalance"
_ALIVE = ("RUNNING", "PENDING_REDRIVE")
# Names of executions have 80 characters.
_RUN_LENGTH = 70


class Execution(Protocol):
    """An execution, with its status in the words of Step Functions."""

    @property
    def status(self) -> str: ...


class Machine(Protocol):
    """The state machine that goes on with backfills."""

    def start(self, name: str, order: Mapping[str, Any]) -> bool:
        """Start an execution; say whether the name is new."""

    def describe(self, name: str) -> Execution | None:
        """The execution of this name; None for one that Step Functions does not know."""


@dataclass(frozen=True, slots=True)
class PendingBackfills(Stated):
    """``targets/<target>/backfills/<run>.json``: a run whose backfills are not done.

    Attributes:
        order: what its executions are started with.
        number: of the execution that was started last.
    """

    order: dict[str, Any]
    number: int = 1

    @property
    def execution(self) -> str:
        """The name of that execution."""
        return f"{str(self.order['run'])[:_RUN_LENGTH]}-{self.number}"


def record_pending(run: Run) -> None:
    """Note that a run has backfills that are not done: from then on, executions go on with them.

    Raises:
        AwsError: S3 does not answer.
    """
    plan = run.state.plan
    order = {
        **run.order.to_state(),
        "plan": plan.to_state() if plan else None,
        "execution": run.execution,
        "started_at": run.started_at,
    }
    key = f"{prefix_of(run.order.target)}{run.id}.json"
    run.artifacts.create(key, _body(PendingBackfills(order)))


def prefix_of(target: str) -> str:
    """Where the records of a target are in the bucket."""
    return f"targets/{target}/backfills/"


def runs_with_backfills(store: Store, target: str) -> list[str]:
    """The runs whose backfills are not done."""
    prefix = prefix_of(target)
    return [key.removeprefix(prefix).removesuffix(".json") for key in store.keys(prefix)]


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts executions for backfills that are not done, and have none.

    Attributes:
        store: the bucket.
        target: the stack's target.
        machine: executes them.
    """

    store: ObjectStore
    target: str
    machine: Machine

    def look(self) -> list[str]:
        """Start what has no execution; returns the names of those that were started."""
        keys = list(self.store.keys(prefix_of(self.target)))
        return [name for key in keys for name in self._look(key)]

    def _look(self, key: str) -> Iterator[str]:
        found = self.store.read_tagged(key)
        if found is None:
            return
        record = PendingBackfills.from_state(json.loads(found[0]))
        last = self.machine.describe(record.execution)
        if last is not None and last.status in _ALIVE:
            return
        if last is not None:
            record = replace(record, number=record.number + 1)
            if not self.store.swap(key, _body(record), found[1]):
                # Somebody else does the same.
                return
        if self.machine.start(record.execution, record.order):
            yield record.execution


def _body(record: PendingBackfills) -> bytes:
    return json.dumps(record.to_state(), indent=1).encode()


class Metrics(Protocol):
    """The metrics of the instance."""

    def newest(self, names: Iterable[str]) -> Mapping[str, float]:
        """The newest value of each that there is."""


def look_at_balances(state: RunState, metrics: Metrics | None) -> RunBalances:
    """What is too low of the instance's credits for a backfill to go on.

    Args:
        state: of the execution.
        metrics: of the instance; None where the database is not one of RDS.

    Raises:
        AwsError: CloudWatch does not answer; it goes on without.
    """
    backfill, before = state.backfill or RunBackfill(), state.balances or RunBalances()
    least = dict.fromkeys(_PERCENT, backfill.burst_balance) | {_CREDITS: backfill.cpu_credits}
    asked = [name for name, limit in least.items() if limit]
    if metrics is None or not asked:
        return RunBalances()
    found = metrics.newest(asked).items()
    low = [f"{name} is {value:.0f}" for name, value in found if value < least[name]]
    return RunBalances(", ".join(low), before.looks + 1) if low else RunBalances()


def go_on(run: Run) -> RunBackfill:
    """Do more of a background backfill of the run, for as long as this call has time.

    Raises:
        DatabaseUnreachable, DatabaseNotReady, LockTimeout: the next call goes on where it is.
        AwsError: S3 does not answer.
    """
    before = run.state.backfill or RunBackfill()
    calls = before.calls + 1
    ends = time.monotonic() + _CALL_S

    def keep_going() -> bool:
        return run.keep_going() and time.monotonic() < ends

    with run.database.connect(run.release) as engine:
        if before.status == Status.BACKFILLING and before.percent:
            # It was announced, now that this call is made.
            engine.announced(before.version, before.percent)
        pending = engine.pending_backfills(run.id)
        working = next((one for one in pending if pending[one].state == "running"), None)
        if working is None:
            if not pending:
                run.records.store.delete(f"{prefix_of(run.order.target)}{run.id}.json")
            return RunBackfill(calls=calls)
        with run.artifact() as found:
            project = found.artifact.project
            pace = project.settings.pace
            migration = project.find(working)
            assert migration is not None
            try:
                outcome = engine.go_on(migration, run.id, pace, keep_going)
            except RunnerBusy:
                # Another execution works on it.
                return RunBackfill(version=working, calls=calls)
    result = RunBackfill(
        version=working,
        percent=outcome.percent or 0,
        text=str(outcome.held_up or outcome.progress or ""),
        # What is announced is recorded with the next call of the same execution.
        next="go_on",
        calls=calls,
        burst_balance=pace.burst_balance,
        cpu_credits=pace.cpu_credits,
    )
    if outcome.error is not None:
        return replace(result, status=Status.BACKFILL_FAILED.value, error=_error(outcome.error))
    if outcome.state == "done":
        return replace(result, status=Status.BACKFILLED.value)
    if outcome.held_up or outcome.percent:
        text = outcome.held_up or f"{outcome.percent} %, {outcome.progress}"
        return replace(result, status=Status.BACKFILLING.value, text=text)
    return result if calls < MOST_CALLS else replace(result, next="end")


def _error(error: TurnbackError) -> RunError:
    return RunError.from_state({**error.to_dict(), "version": error.version})
