"""The application around a rollback or a restore: examined, stopped, started again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from turnback.errors import ApplicationNotStopped, AwsError, ConfigurationError
from turnback.recovery.application import ApplicationPart, Hook, HookPart, Parts, look, start, stop
from turnback.runs.run import Run, next_poll
from turnback.runs.state import ApplicationProgress, RunApplication
from turnback.runs.stated import Stated
from turnback.settings.recovery import ApplicationSettings
from turnback.store import ObjectStore

# Seconds between two looks at what is stopping.
POLL_S = 5
HOOK = "hook"


@dataclass(frozen=True, slots=True)
class ApplicationStop(Stated):
    """``targets/<target>/application.json``: what was stopped, and is not started yet.

    It belongs to the target and not to a run: whoever stops what is stopped already must not take
    what it finds for what there was.

    Attributes:
        run: that stopped it, or stops it now.
        began: when this run began to, ISO 8601.
        parts: what each part was before, in the words of recovery.application.
        answers: the hook's one answer to each action.
        started: whether all of it was started again: then nothing is stopped.
    """

    run: str
    began: str
    parts: tuple[dict[str, Any], ...] = ()
    answers: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    started: bool = False

    @property
    def names(self) -> list[str]:
        """Its parts, by kind and name."""
        return [f"{part['kind']} {part['name']}" for part in self.parts]


@dataclass(frozen=True, slots=True)
class Stopped:
    """The record of what is stopped of a target's application."""

    store: ObjectStore
    target: str

    def read(self) -> ApplicationStop | None:
        """What is stopped; None where nothing is."""
        body = self.store.read(stop_key(self.target))
        found = ApplicationStop.from_state(json.loads(body)) if body else None
        return None if found is None or found.started else found

    def begin(self, stop: ApplicationStop) -> ApplicationStop:
        """Note what will be stopped, or take over what is; before anything is.

        Raises:
            AwsError: somebody else stops it at the same time.
        """
        known = self.store.read_tagged(stop_key(self.target))
        found = ApplicationStop.from_state(json.loads(known[0])) if known else None
        if found and not found.started:
            if found.run == stop.run:
                return found
            stop = replace(found, run=stop.run, began=stop.began)
        body = json.dumps(stop.to_state(), indent=1).encode()
        if self.store.swap(stop_key(self.target), body, known[1] if known else None):
            return stop
        raise AwsError(
            "somebody else stops the application at this moment",
            hint="it is tried again",
        )

    def write(self, stop: ApplicationStop) -> None:
        """Replace what is noted."""
        body = json.dumps(stop.to_state(), indent=1).encode()
        self.store.write(stop_key(self.target), body)

    def answer(self, action: str) -> list[Any]:
        """The hook's one answer to this action; empty before there is one."""
        found = self.read()
        return list(found.answers.get(action, ())) if found else []

    def keep_answer(self, action: str, answer: Any) -> None:
        """Keep what the hook answered."""
        if found := self.read():
            self.write(replace(found, answers={**found.answers, action: (answer,)}))


def stop_key(target: str) -> str:
    """Where it is noted what is stopped of a target's application."""
    return f"targets/{target}/application.json"


@dataclass(frozen=True, slots=True)
class Application:
    """What there is to stop, and how.

    Attributes:
        settings: the services, functions and the hook.
        part: makes a part of the kind ``ecs`` or ``lambda`` and a name.
        hook: makes a hook of an ARN.
        stopped: the record of what is stopped of it.
    """

    settings: ApplicationSettings
    part: Callable[[str, str], ApplicationPart]
    hook: Callable[[str], Hook]
    stopped: Stopped


def change_application(
    run: Run, do: str, application: Application
) -> RunApplication | ApplicationProgress:
    """Look at the application, stop it, or start it again.

    Args:
        run: the run; ``look`` left in its state what each part was.
        do: ``look``, ``stop`` or ``start``.
        application: what there is to stop.

    Returns:
        For ``look``, what each part is now; otherwise how far stopping or starting is.

    Raises:
        TurnLost: the run was redriven, and another one has the turn; nothing is stopped.
        ApplicationNotStopped: says which part, and why; the others are stopped, or started.
        ConfigurationError: ``do`` is something else.
    """
    stopped = application.stopped
    order = _order(run.id, run.order.target, run.policy.environment)
    parts = _parts(application, stopped, order, run.release)
    if do == "look":
        known = stopped.read()
        found = known.parts if known else tuple(look(_names(application.settings), parts))
        return RunApplication(application.settings.enabled, found)
    if do == "start":
        return _start(stopped, parts, _fitting_release(run), run.state.starting)
    if do != "stop":
        raise ConfigurationError(f"'do' is {do!r}; it must be look, stop or start")
    run.refuse_lost_turn(changed=True)
    before = run.state.application
    if before is None:
        raise ApplicationNotStopped(
            "the application's state was not recorded, so it is unknown what to start again",
            hint="call this function with {'do': 'look'} before",
        )
    noted = stopped.begin(ApplicationStop(run.id, run.now.isoformat(), before.stopped))
    since = datetime.fromisoformat(noted.began)
    waiting = stop(noted.parts, parts, since, run.now)
    minutes = application.settings.stop_minutes
    if waiting and run.now > since + timedelta(minutes=minutes):
        raise ApplicationNotStopped(
            f"still running after {minutes} minutes: {', '.join(waiting)}",
            hint="find out why it does not stop, or raise ApplicationStopMinutes",
        )
    return _progress(waiting, run.state.stopping)


def start_left(application: Application, environment: str) -> ApplicationProgress:
    """Start what a run has left stopped, as it was; for a person, without any run.

    Args:
        application: what there is to start.
        environment: the stack's environment.

    Raises:
        ApplicationNotStopped: says which part, and why; the others are started.
    """
    stopped = application.stopped
    known = stopped.read()
    order = _order(known.run if known else "", stopped.target, environment)
    return _start(stopped, _parts(application, stopped, order, None), None, None)


def _start(
    stopped: Stopped, parts: Parts, release: str | None, before: ApplicationProgress | None
) -> ApplicationProgress:
    """Start what is stopped. Where nothing is noted, nothing is stopped: it was started before."""
    known = stopped.read()
    waiting = start(known.parts, parts, release) if known else []
    if known and not waiting:
        # With the hook's answers, which are read again.
        stopped.write(replace(stopped.read() or known, started=True))
    return _progress(waiting, before)


def _progress(waiting: list[str], before: ApplicationProgress | None) -> ApplicationProgress:
    wait_s = next_poll(before.wait_seconds if before else 0, POLL_S)
    return ApplicationProgress(not waiting, tuple(waiting), wait_s if waiting else 0)


def _names(settings: ApplicationSettings) -> list[tuple[str, str]]:
    return [
        *(("ecs", name) for name in settings.ecs_services),
        *(("lambda", name) for name in settings.functions),
        *((HOOK, name) for name in (settings.hook,) if name),
    ]


def _order(run: str, target: str, environment: str) -> dict[str, Any]:
    """What a hook gets of a run."""
    return {"version": 1, "run": run, "target": target, "environment": environment}


def _parts(
    application: Application, stopped: Stopped, order: dict[str, Any], release: str | None
) -> Parts:
    def make(kind: str, name: str) -> ApplicationPart:
        if kind != HOOK:
            return application.part(kind, name)
        return HookPart(name, application.hook(name), stopped, order, release)

    return make


def _fitting_release(run: Run) -> str | None:
    """The release before the run, if the database is as before the run."""
    if run.state.outcome not in ("rolled_back", "restored"):
        return None
    return run.records.plan().previous_release
