"""The parts of an application: services of ECS, Lambda functions, and a hook for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from turnback.recovery.application import Before

SUSPENDED = {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": True,
}


class Service(Protocol):
    """The part of ECS that is needed, for one service."""

    def describe(self) -> dict[str, Any]:
        """``desired``, ``running``, ``task_definition``, ``controller``."""

    def set_desired(self, desired: int, task_definition: str | None = None) -> None:
        """Set the number of tasks, and the task definition where one is given."""

    def scaling(self) -> dict[str, bool] | None:
        """What of its scaler is suspended; None without a scaler."""

    def set_scaling(self, suspended: Mapping[str, bool]) -> None:
        """Suspend the scaler or let it go on."""

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

    def look(self) -> Before:
        found = self._service.describe()
        return {
            "desired": found["desired"],
            "task_definition": found["task_definition"],
            "controller": found["controller"],
            "scaling": self._service.scaling(),
        }

    def stop(self, before: Before, since: datetime, now: datetime) -> bool:
        del since, now
        # First the scaler: it would start tasks again as soon as there are fewer than it wants.
        if before["scaling"] is not None and self._service.scaling() != SUSPENDED:
            self._service.set_scaling(SUSPENDED)
        if self._service.describe()["desired"] != 0:
            self._service.set_desired(0)
        return bool(self._service.describe()["running"] == 0)

    def start(self, before: Before, release: str | None) -> bool:
        self._service.set_desired(before["desired"], self._fitting(before, release))
        if before["scaling"] is not None:
            self._service.set_scaling(before["scaling"])
        return True

    def _fitting(self, before: Before, release: str | None) -> str | None:
        # Only ECS' own deployments take a task definition; CodeDeploy keeps that to itself.
        if before["controller"] != "ECS":
            return None
        fitting = release and self._service.tagged(before["task_definition"], release)
        return str(fitting or before["task_definition"])

    def by_hand(self, before: Before) -> str:
        cluster, _, service = self._name.partition("/")
        command = (
            f"aws ecs update-service --cluster {cluster} --service {service} "
            f"--desired-count {before['desired']}"
        )
        return command + (" (and let its scaler go on)" if before["scaling"] is not None else "")


class FunctionPart:
    """A Lambda function: its reserved concurrency."""

    def __init__(self, name: str, function: Concurrency) -> None:
        self._name = name
        self._function = function

    def look(self) -> Before:
        return {"concurrency": self._function.reserved(), "timeout_s": self._function.timeout_s()}

    def stop(self, before: Before, since: datetime, now: datetime) -> bool:
        if self._function.reserved() != 0:
            self._function.reserve(0)
        # Lambda does not say what still works; what began before can go on for its timeout.
        return (now - since).total_seconds() >= float(before["timeout_s"])

    def start(self, before: Before, release: str | None) -> bool:
        del release
        self._function.reserve(before["concurrency"])
        return True

    def by_hand(self, before: Before) -> str:
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


class Memory(Protocol):
    """What a hook answered, kept where no crash loses it."""

    def answer(self, action: str) -> list[Any]:
        """The one answer to this action; empty before there is one."""

    def keep_answer(self, action: str, answer: Any) -> None:
        """Keep it."""


class HookPart:
    """Whatever the hook stops and starts; its answer to ``stop`` comes back to it on ``start``."""

    def __init__(
        self, arn: str, hook: Hook, memory: Memory, order: Mapping[str, Any], release: str | None
    ) -> None:
        """Call this hook for a run.

        Args:
            arn: the hook's address.
            hook: calls it.
            memory: keeps what it answered.
            order: what it is told of the run.
            release: the release that failed, which it is told on ``stop``.
        """
        self._arn = arn
        self._hook = hook
        self._memory = memory
        self._order = order
        self._release = release

    def look(self) -> Before:
        return {}

    def stop(self, before: Before, since: datetime, now: datetime) -> bool:
        del before, since, now
        return self._called("stop", self._release, None)

    def start(self, before: Before, release: str | None) -> bool:
        del before
        stopped = self._memory.answer("stop")
        return self._called("start", release, stopped[0] if stopped else None)

    def _called(self, action: str, release: str | None, previous: Any) -> bool:
        if self._memory.answer(action):
            return True
        told = {**self._order, "action": action, "release": release, "previous": previous}
        done, answer = self._hook.call(told)
        if done:
            self._memory.keep_answer(action, answer)
        return done

    def by_hand(self, before: Before) -> str:
        del before
        return f"start what the hook {self._arn} stopped"
