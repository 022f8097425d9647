"""The application, stopped while its database is restored, and started with what fits it.

What each part was is looked up before any is stopped, and kept by the caller: a call that is
repeated after half of them were stopped must not take the 0 it finds for what there was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from turnback.errors import ApplicationNotStopped, AwsError

SUSPENDED = {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": True,
}

PartState = dict[str, Any]


class ApplicationPart(Protocol):
    """One thing that is stopped and started; every method can be repeated."""

    def look(self) -> PartState:
        """What it is now: JSON, kept until it is started again."""

    def stop(self, before: PartState, since: datetime, now: datetime) -> bool:
        """Stop it; return whether it has stopped completely.

        Args:
            before: what ``look`` said.
            since: when stopping began.
            now: the time.
        """

    def start(self, before: PartState, release: str | None) -> bool:
        """Have it as it was, with this release where it is known; whether that is done."""

    def by_hand(self, before: PartState) -> str:
        """What a person does when ``start`` cannot."""


Parts = Callable[[str, str], ApplicationPart]


def look(names: Sequence[tuple[str, str]], parts: Parts) -> list[PartState]:
    """What each part is, before anything is stopped.

    Args:
        names: kind and name of each.
        parts: makes a part of a kind and a name.

    Returns:
        One for each, with its ``kind`` and ``name``.

    Raises:
        ApplicationNotStopped: one of them is not there, or may not be read.
    """
    found = []
    failures = _Failures("the state of the application is unknown, so no part of it was stopped")
    for kind, name in names:
        with failures.of(kind, name):
            found.append({"kind": kind, "name": name, **parts(kind, name).look()})
    failures.raise_any()
    return found


def stop(stopped: Sequence[PartState], parts: Parts, since: datetime, now: datetime) -> list[str]:
    """Have every part stopped, also when one of them fails.

    Args:
        stopped: what ``look`` said.
        parts: makes a part of a kind and a name.
        since: when stopping began.
        now: the time.

    Returns:
        Those of which something still works.

    Raises:
        ApplicationNotStopped: names every part that could not be stopped.
    """
    working = []
    failures = _Failures("not all of the application could be stopped")
    for before in stopped:
        kind, name = before["kind"], before["name"]
        with failures.of(kind, name):
            if not parts(kind, name).stop(before, since, now):
                working.append(f"{kind} {name}")
    failures.raise_any()
    return working


def start(stopped: Sequence[PartState], parts: Parts, release: str | None) -> list[str]:
    """Have every part as it was, also when one of them fails.

    Args:
        stopped: what ``look`` said.
        parts: makes a part of a kind and a name.
        release: the release that the schema fits; None where that is not known, so that each
            gets the one it had.

    Returns:
        Those that are not done yet.

    Raises:
        ApplicationNotStopped: names every part that could not be started, and says what to do.
    """
    waiting = []
    failures = _Failures("not all of the application could be started again")
    for before in stopped:
        kind, name = before["kind"], before["name"]
        part = parts(kind, name)
        with failures.of(kind, name, hint=part.by_hand(before)):
            if not part.start(before, release):
                waiting.append(f"{kind} {name}")
    failures.raise_any()
    return waiting


class Service(Protocol):
    """The part of ECS that is needed, for one service."""

    def describe(self) -> dict[str, Any]:
        """``desired``, ``running``, ``task_definition``, ``controller``."""

    def set_desired(self, desired: int, task_definition: str | None = None) -> None:
        """Set the number of tasks, and the task definition where one is given."""

    def scaling(self) -> dict[str, bool] | None:
        """What of its scaler is suspended; None without a scaler."""

    def set_scaling(self, suspended: Mapping[str, bool]) -> None:
        """Suspend the scaler, or resume it."""

    def tagged(self, task_definition: str, release: str) -> str | None:
        """The newest revision of the family that is tagged with this release."""


class Concurrency(Protocol):
    """The part of Lambda that is needed, for one function."""

    def reserved(self) -> int | None:
        """The reserved concurrency, or None."""

    def timeout_s(self) -> int:
        """How long an invocation may take, seconds."""

    def reserve(self, number: int | None) -> None:
        """Reserve this many, or nothing again."""


class ServicePart:
    """A service of ECS: its desired count, its task definition, and its scaler."""

    def __init__(self, name: str, service: Service) -> None:
        self._name = name
        self._service = service

    def look(self) -> PartState:
        found = self._service.describe()
        return {
            "desired": found["desired"],
            "task_definition": found["task_definition"],
            "controller": found["controller"],
            "scaling": self._service.scaling(),
        }

    def stop(self, before: PartState, since: datetime, now: datetime) -> bool:
        del since, now
        # First the scaler: it would start tasks again as soon as there are fewer than it wants.
        if before["scaling"] is not None and self._service.scaling() != SUSPENDED:
            self._service.set_scaling(SUSPENDED)
        if self._service.describe()["desired"] != 0:
            self._service.set_desired(0)
        return bool(self._service.describe()["running"] == 0)

    def start(self, before: PartState, release: str | None) -> bool:
        self._service.set_desired(before["desired"], self._fitting(before, release))
        if before["scaling"] is not None:
            self._service.set_scaling(before["scaling"])
        return True

    def _fitting(self, before: PartState, release: str | None) -> str | None:
        # Only ECS' own deployments take a task definition; CodeDeploy keeps that to itself.
        if before["controller"] != "ECS":
            return None
        fitting = release and self._service.tagged(before["task_definition"], release)
        return str(fitting or before["task_definition"])

    def by_hand(self, before: PartState) -> str:
        cluster, _, service = self._name.partition("/")
        command = (
            f"aws ecs update-service --cluster {cluster} --service {service} "
            f"--desired-count {before['desired']}"
        )
        return command + (" (and resume its scaler)" if before["scaling"] is not None else "")


class FunctionPart:
    """A Lambda function: its reserved concurrency."""

    def __init__(self, name: str, function: Concurrency) -> None:
        self._name = name
        self._function = function

    def look(self) -> PartState:
        return {"concurrency": self._function.reserved(), "timeout_s": self._function.timeout_s()}

    def stop(self, before: PartState, since: datetime, now: datetime) -> bool:
        if self._function.reserved() != 0:
            self._function.reserve(0)
        # Lambda does not say what still works; an invocation may run until its timeout.
        return (now - since).total_seconds() >= float(before["timeout_s"])

    def start(self, before: PartState, release: str | None) -> bool:
        del release
        self._function.reserve(before["concurrency"])
        return True

    def by_hand(self, before: PartState) -> str:
        number = before["concurrency"]
        if number is None:
            return f"aws lambda delete-function-concurrency --function-name {self._name}"
        return (
            f"aws lambda put-function-concurrency --function-name {self._name} "
            f"--reserved-concurrent-executions {number}"
        )


class Hook(Protocol):
    """What the user gave for the rest."""

    def call(self, order: Mapping[str, Any]) -> tuple[bool, Any]:
        """Whether it has done what is ordered, and what it answered."""


class HookAnswers(Protocol):
    """What a hook answered, kept where no crash loses it."""

    def answer(self, action: str) -> list[Any]:
        """The one answer to this action; empty before there is one."""

    def keep_answer(self, action: str, answer: Any) -> None:
        """Keep it."""


class HookPart:
    """Whatever the hook stops and starts; its answer to ``stop`` comes back to it on ``start``."""

    def __init__(
        self,
        arn: str,
        hook: Hook,
        memory: HookAnswers,
        order: Mapping[str, Any],
        release: str | None,
    ) -> None:
        """Call this hook for a run.

        Args:
            arn: the hook's address.
            hook: calls it.
            memory: keeps what it answered.
            order: what it gets of the run.
            release: the release that failed; it gets this on ``stop``.
        """
        self._arn = arn
        self._hook = hook
        self._memory = memory
        self._order = order
        self._release = release

    def look(self) -> PartState:
        return {}

    def stop(self, before: PartState, since: datetime, now: datetime) -> bool:
        del before, since, now
        return self._called("stop", self._release, None)

    def start(self, before: PartState, release: str | None) -> bool:
        del before
        stopped = self._memory.answer("stop")
        return self._called("start", release, stopped[0] if stopped else None)

    def _called(self, action: str, release: str | None, previous: Any) -> bool:
        if self._memory.answer(action):
            return True
        order = {**self._order, "action": action, "release": release, "previous": previous}
        done, answer = self._hook.call(order)
        if done:
            self._memory.keep_answer(action, answer)
        return done

    def by_hand(self, before: PartState) -> str:
        del before
        return f"start what the hook {self._arn} stopped"


class _Failures:
    """What failed of several things that are all tried, raised as one error at the end."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._messages: list[str] = []
        self._hints: list[str] = []
        self._first: AwsError | None = None

    @contextmanager
    def of(self, kind: str, name: str, hint: str | None = None) -> Iterator[None]:
        try:
            yield
        except AwsError as error:
            self._first = self._first or error
            self._messages.append(f"{kind} {name}: {error.message}")
            self._hints.append(hint or error.hint or "")

    def raise_any(self) -> None:
        if self._first is not None:
            hints = [hint for hint in dict.fromkeys(self._hints) if hint]
            raise ApplicationNotStopped(
                f"{self._message}: {'; '.join(self._messages)}", hint="; ".join(hints) or None
            ) from self._first
