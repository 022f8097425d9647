"""``backfill``: how far backfills have come, and commands to steer one that runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import open_engine
from turnback.cli.output import Output, reported
from turnback.engine import Engine
from turnback.engine.backfill.records import Progress, Range, Records, state_of
from turnback.errors import ConfigurationError
from turnback.migrations.versions import key


@click.group(epilog="Example: turnback backfill status")
def backfill() -> None:
    """Show how far backfills have come; pause one, let it go on, slow it down, or give it up."""


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    return opt.database(opt.directory(opt.as_json(reported(command))))


@backfill.command(epilog="Example: turnback backfill status")
@click.argument("version", required=False, type=types.Version())
@_options
def status(
    *,
    version: str | None,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    out: Output,
) -> None:
    """Show each backfill: rows, speed, the time that is left, and rows that were kept aside."""
    with open_engine(database_url, directory, history_schema, out) as engine:
        found = _find(engine, version)
    out.document["status"] = "ok"
    out.document["backfills"] = [_to_dict(ranges) for ranges in found]
    for ranges in found:
        first, progress = ranges[0], Progress.of(ranges)
        word = "rolling back " if first.direction == "down" else ""
        state = state_of(ranges)
        left = "" if state == "done" else f"{progress.percent} %, "
        out.result(f"{word}{first.version}  {state}  {first.relation}: {left}{progress}")
        if first.error and state != "done":
            out.result(f"    {first.error}")
        for parked in (one for part in ranges for one in part.parked):
            key = ", ".join(parked.key)
            out.result(f"    {', '.join(first.key)} = {key} could not be changed: {parked.error}")
    if not found:
        out.result("No backfill has been run on this database.")


def _steering(name: str, state: str, about: str, said: str) -> None:
    """A command that gives a backfill another state; ``said`` is what it prints."""

    @backfill.command(name, help=about, epilog=f"Example: turnback backfill {name} 0012")
    @click.argument("version", type=types.Version())
    @_options
    def command(
        *,
        version: str,
        database_url: str | None,
        history_schema: str,
        directory: Path,
        out: Output,
    ) -> None:
        with open_engine(database_url, directory, history_schema, out) as engine:
            records = _unfinished(engine, version)
            engine.steer(records.set_state(state))
            background = version in engine.pending_backfills()
        out.document["status"] = "succeeded"
        goes_on = (
            "Its execution begins within ten minutes."
            if background
            else f"Continue it: turnback {records.direction}"
        )
        out.result(said.format(version=version, goes_on=goes_on))


_steering(
    "pause",
    "paused",
    "Stop a backfill after the batch that is under way; it keeps its place.",
    "{version} is paused. Go on: turnback backfill resume {version}",
)
_steering(
    "resume",
    "running",
    "Let a paused backfill go on, or one that failed: the next turnback up, or down, continues it; "
    "after a release, the stack does, within ten minutes.",
    "{version} may go on. {goes_on}",
)
_steering(
    "cancel",
    "cancelled",
    "Give a backfill up; the rows that it has changed stay so. turnback down runs its rollback "
    "script; turnback up begins it anew.",
    "{version} is given up. Undo what it has done: turnback down",
)


@backfill.command(epilog="Example: turnback backfill speed 0012 --target 50ms --pause 1s")
@click.argument("version", type=types.Version())
@click.option("--target", type=types.Duration(), help="How long a batch is to take.")
@click.option("--pause", "pause_s", type=types.Duration(), help="How long to wait between batches.")
@_options
def speed(
    *,
    version: str,
    target: float | None,
    pause_s: float | None,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    out: Output,
) -> None:
    """Change how fast a backfill goes, from its next batch on."""
    if target is None and pause_s is None:
        raise ConfigurationError("say how fast", hint="--target 50ms, --pause 1s, or both")
    milliseconds = [None if one is None else int(one * 1000) for one in (target, pause_s)]
    with open_engine(database_url, directory, history_schema, out) as engine:
        records = _unfinished(engine, version)
        engine.steer(records.set_speed(*milliseconds))
    out.document["status"] = "succeeded"
    out.result(f"{version} has this speed from its next batch on.")


def _find(engine: Engine, version: str | None) -> list[list[Range]]:
    found = [list(ranges) for _, ranges in groupby(engine.backfills(), _identity)]
    if version is None:
        return found
    return [ranges for ranges in found if key(ranges[0].version) == key(version)]


def _identity(one: Range) -> tuple[str, str]:
    return one.version, one.direction


def _unfinished(engine: Engine, version: str) -> Records:
    """The records of a backfill that has begun and is not done."""
    for ranges in _find(engine, version):
        if state_of(ranges) != "done":
            return Records(engine.history.schema, *_identity(ranges[0]))
    raise ConfigurationError(
        f"{version} has no backfill that is under way",
        hint="turnback backfill status shows every one",
    )


def _to_dict(ranges: Sequence[Range]) -> dict[str, Any]:
    first, progress = ranges[0], Progress.of(ranges)
    return {
        "version": first.version,
        "direction": first.direction,
        "status": state_of(ranges),
        "table": first.relation,
        "key": first.key,
        "rows": progress.rows,
        "percent": progress.percent,
        "rows_per_second": progress.per_second and round(progress.per_second),
        "seconds_left": progress.left_s and round(progress.left_s),
        "batches": sum(one.batches for one in ranges),
        "parallel": len(ranges),
        "target_ms": first.target_ms,
        "pause_ms": first.pause_ms,
        "parked": [
            {"key": parked.key, "error": parked.error} for one in ranges for parked in one.parked
        ],
        "run": first.run,
        "error": first.error,
        "started_at": first.started_at.isoformat(),
        "updated_at": max(one.updated_at for one in ranges).isoformat(),
    }
