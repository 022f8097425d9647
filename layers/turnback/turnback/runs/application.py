"""The application around a way back: looked at, stopped, started again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from turnback.errors import ApplicationNotStopped, ConfigurationError
from turnback.recovery import application
from turnback.recovery.application import ApplicationPart, Hook, HookPart, Parts
from turnback.runs.order import Order
from turnback.runs.records import Records
from turnback.settings.application import ApplicationSettings
from turnback.store import Store

# Between two looks at what is stopping.
POLL_S = 5
HOOK = "hook"


@dataclass(frozen=True, slots=True)
class ApplicationRecord:
    """When a run's stop began, and what the hook answered: ``runs/<run>/application.json``."""

    store: Store
    run: str

    def began(self, now: datetime) -> datetime:
        """When stopping began: now, when this is the first call."""
        known = self._read()
        if "began" not in known:
            self._write({**known, "began": now.isoformat()})
            return now
        return datetime.fromisoformat(known["began"])

    def answer(self, action: str) -> list[Any]:
        """The hook's one answer to this action; empty before there is one."""
        return list(self._read().get("answers", {}).get(action, []))

    def keep_answer(self, action: str, answer: Any) -> None:
        """Keep what the hook answered."""
        known = self._read()
        self._write({**known, "answers": {**known.get("answers", {}), action: [answer]}})

    @property
    def _key(self) -> str:
        return f"runs/{self.run}/application.json"

    def _read(self) -> dict[str, Any]:
        body = self.store.read(self._key)
        return dict(json.loads(body)) if body else {"version": 1}

    def _write(self, record: Mapping[str, Any]) -> None:
        self.store.write(self._key, json.dumps(record).encode())


def change_application(
    do: str,
    order: Order,
    state: Mapping[str, Any],
    *,
    settings: ApplicationSettings,
    part: Callable[[str, str], ApplicationPart],
    hook: Callable[[str], Hook],
    records: Records,
    environment: str,
    now: datetime,
) -> dict[str, Any]:
    """Look at the application, have it stopped, or have it started again.

    Args:
        do: ``look``, ``stop`` or ``start``.
        order: the run.
        state: the state machine's state, with what ``look`` said at ``application.stopped``.
        settings: what there is to stop.
        part: makes a part of the kind ``ecs`` or ``lambda``.
        hook: makes a hook of an ARN.
        records: the run's records.
        environment: ``development``, ``staging`` or ``production``.
        now: the time.

    Returns:
        For ``look``: whether it is ``enabled``, and ``stopped``: what each part is now.
        For ``stop`` and ``start``: ``done``; if not, ``waiting_for`` what, and ``wait_seconds``
        until it is worth asking again.

    Raises:
        ApplicationNotStopped: says which part, and why; the others are stopped, or started.
        ConfigurationError: ``do`` is something else.
    """
    record = ApplicationRecord(records.store, order.run)
    parts = _parts(order, state, part, hook, record, environment)
    stopped = (state.get("application") or {}).get("stopped")
    if do == "look":
        return {"enabled": settings.enabled, "stopped": application.look(_names(settings), parts)}
    if do == "start":
        waiting = application.start(stopped or [], parts, _fitting(state, records))
        return _answer(waiting)
    if do != "stop":
        raise ConfigurationError(f"'do' is {do!r}; it must be look, stop or start")
    if stopped is None:
        raise ApplicationNotStopped(
            "nobody looked at the application, so it would not be known what to start again",
            hint="call this function with {'do': 'look'} before",
        )
    since = record.began(now)
    waiting = application.stop(stopped, parts, since, now)
    if waiting and now > since + timedelta(minutes=settings.stop_minutes):
        raise ApplicationNotStopped(
            f"still at work after {settings.stop_minutes} minutes: {', '.join(waiting)}",
            hint="look why it does not end, or raise ApplicationStopMinutes",
        )
    return _answer(waiting)


def _answer(waiting: list[str]) -> dict[str, Any]:
    return {
        "done": not waiting,
        "waiting_for": waiting,
        "wait_seconds": POLL_S if waiting else 0,
    }


def _names(settings: ApplicationSettings) -> list[tuple[str, str]]:
    return [
        *(("ecs", name) for name in settings.ecs_services),
        *(("lambda", name) for name in settings.functions),
        *((HOOK, name) for name in (settings.hook,) if name),
    ]


def _parts(
    order: Order,
    state: Mapping[str, Any],
    part: Callable[[str, str], ApplicationPart],
    hook: Callable[[str], Hook],
    record: ApplicationRecord,
    environment: str,
) -> Parts:
    def make(kind: str, name: str) -> ApplicationPart:
        if kind != HOOK:
            return part(kind, name)
        told = {
            "version": 1,
            "run": order.run,
            "target": order.target,
            "environment": environment,
        }
        failed = (state.get("plan") or {}).get("release")
        return HookPart(name, hook(name), record, told, failed)

    return make


def _fitting(state: Mapping[str, Any], records: Records) -> str | None:
    """The release before the run, where the database is as before the run."""
    if state.get("outcome") not in ("rolled_back", "restored"):
        return None
    return records.plan().get("previous_release")
