"""The application around a rollback or a restore: examined, stopped, started again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from turnback.errors import ApplicationNotStopped, ConfigurationError
from turnback.recovery.application import ApplicationPart, Hook, HookPart, Parts, look, start, stop
from turnback.runs.records import Records
from turnback.runs.run import Run, next_poll
from turnback.runs.state import ApplicationProgress, RunApplication
from turnback.settings.recovery import ApplicationSettings

# Seconds between two looks at what is stopping.
POLL_S = 5
HOOK = "hook"


@dataclass(frozen=True, slots=True)
class Answers:
    """What the hook answered, in the run's records."""

    records: Records

    def answer(self, action: str) -> list[Any]:
        """The hook's one answer to this action; empty before there is one."""
        return list(self.records.application().answers.get(action, ()))

    def keep_answer(self, action: str, answer: Any) -> None:
        """Keep what the hook answered."""
        known = self.records.application()
        answers = {**known.answers, action: (answer,)}
        self.records.write_application(replace(known, answers=answers))


@dataclass(frozen=True, slots=True)
class Application:
    """What there is to stop, and how.

    Attributes:
        settings: the services, functions and the hook.
        part: makes a part of the kind ``ecs`` or ``lambda`` and a name.
        hook: makes a hook of an ARN.
    """

    settings: ApplicationSettings
    part: Callable[[str, str], ApplicationPart]
    hook: Callable[[str], Hook]


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
        ApplicationNotStopped: says which part, and why; the others are stopped, or started.
        ConfigurationError: ``do`` is something else.
    """
    parts = _parts(run, application)
    before = run.state.application
    if do == "look":
        found = tuple(look(_names(application.settings), parts))
        return RunApplication(application.settings.enabled, found)
    if do == "start":
        stopped = before.stopped if before else ()
        waiting = start(stopped, parts, _fitting_release(run))
        return _progress(waiting, run.state.starting)
    if do != "stop":
        raise ConfigurationError(f"'do' is {do!r}; it must be look, stop or start")
    if before is None:
        raise ApplicationNotStopped(
            "the application's state was not recorded, so it is unknown what to start again",
            hint="call this function with {'do': 'look'} before",
        )
    since = _stop_began(run)
    waiting = stop(before.stopped, parts, since, run.now)
    minutes = application.settings.stop_minutes
    if waiting and run.now > since + timedelta(minutes=minutes):
        raise ApplicationNotStopped(
            f"still running after {minutes} minutes: {', '.join(waiting)}",
            hint="find out why it does not stop, or raise ApplicationStopMinutes",
        )
    return _progress(waiting, run.state.stopping)


def _stop_began(run: Run) -> datetime:
    """When stopping began; now, if this is the first call."""
    record = run.records.application()
    if record.began:
        return datetime.fromisoformat(record.began)
    run.records.write_application(replace(record, began=run.now.isoformat()))
    return run.now


def _progress(waiting: list[str], before: ApplicationProgress | None) -> ApplicationProgress:
    wait_s = next_poll(before.wait_seconds if before else 0, POLL_S)
    return ApplicationProgress(not waiting, tuple(waiting), wait_s if waiting else 0)


def _names(settings: ApplicationSettings) -> list[tuple[str, str]]:
    return [
        *(("ecs", name) for name in settings.ecs_services),
        *(("lambda", name) for name in settings.functions),
        *((HOOK, name) for name in (settings.hook,) if name),
    ]


def _parts(run: Run, application: Application) -> Parts:
    def make(kind: str, name: str) -> ApplicationPart:
        if kind != HOOK:
            return application.part(kind, name)
        described = {
            "version": 1,
            "run": run.id,
            "target": run.order.target,
            "environment": run.policy.environment,
        }
        return HookPart(name, application.hook(name), Answers(run.records), described, run.release)

    return make


def _fitting_release(run: Run) -> str | None:
    """The release before the run, if the database is as before the run."""
    if run.state.outcome not in ("rolled_back", "restored"):
        return None
    return run.records.plan().previous_release
