"""Carrying out a restore: asking again until it is there, and telling how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnback.cli.output import Output, ask, may_ask
from turnback.errors import AwsError, ConfigurationError, DatabaseUnreachable

if TYPE_CHECKING:
    from turnback.recovery.model import RestoreProgress, Restorer, RestoreRequest


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a restore is.

    Attributes:
        pause_s: seconds between two looks.
        tell_every_s: seconds after which it is said again that nothing has changed.
        lost_s: seconds for which AWS may be out of reach: a laptop that was shut, a tunnel.
        unanswered_s: seconds for which the restored database may give no answer to its check.
        clock: seconds of a clock that only goes forward.
        sleep: waits for so many seconds.
    """

    pause_s: float
    tell_every_s: float = 300.0
    lost_s: float = 600.0
    unanswered_s: float = 900.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


# Of a dump: its steps are of this process, and their states follow each other quickly.
BRISK = Pace(2.0)


def confirm(what: str, place: str, *, yes: bool, out: Output) -> None:
    """Ask whether to put this in that place, unless that was said already.

    Raises:
        ConfigurationError: the answer was no, or nobody is there to be asked.
    """
    if yes:
        return
    if not may_ask(out.as_json):
        raise ConfigurationError(
            f"this would put {what} in place of {place}", hint="if that is meant: --yes"
        )
    ask(f"Put it in place of {place}?")


def carry_out(
    restores: Restorer, request: RestoreRequest, out: Output, pace: Pace = BRISK
) -> RestoreProgress:
    """Call until it is restored, and say each time how far it is.

    Args:
        restores: the way to restore; of a dump, an instance or a cluster.
        request: what to come back to.
        out: where to tell.
        pace: how patient to be.

    Raises:
        RestoreFailed: it cannot end well.
        DatabaseUnreachable: the restored database never answers from here.
        AwsError: AWS refuses us, or cannot be reached for long.
    """
    from turnback.aws.clients import may_pass
    from turnback.recovery.model import RestoreState
    from turnback.runs.reporting.words import duration

    began = pace.clock()
    told, told_at, detail = "", began, "nothing was begun"
    lost_at: float | None = None
    silent_at: float | None = None
    source = request.snapshot.id if request.snapshot else request.until
    out.note(f"Restoring {source} …")
    try:
        while True:
            now = pace.clock()
            try:
                progress = restores.advance(request)
            except AwsError as error:
                lost_at = now if lost_at is None else lost_at
                if not may_pass(error) or now - lost_at > pace.lost_s:
                    raise
                out.note(f"  {error.message}; asking again")
                pace.sleep(pace.pause_s)
                continue
            lost_at = None
            if progress.state is RestoreState.RESTORED:
                took = duration(pace.clock() - began)
                out.result(f"Restored in {took}: {progress.detail}")
                return progress
            detail = progress.detail
            if detail != told or now - told_at >= pace.tell_every_s:
                told, told_at = detail, now
                out.note(f"  {progress.state}: {detail} ({duration(now - began)})")
            if progress.state is not RestoreState.CHECKING:
                silent_at = None
            elif now - (silent_at := now if silent_at is None else silent_at) > pace.unanswered_s:
                raise _unanswered(detail)
            pace.sleep(pace.pause_s)
    except KeyboardInterrupt:
        out.note(f"Left as it is: {detail}. The same command goes on from there.")
        raise


def _unanswered(detail: str) -> DatabaseUnreachable:
    return DatabaseUnreachable(
        f"{detail}; the old one is as it was",
        hint="repeat the command where the database can be reached, or with --no-check; "
        "it goes on from there",
    )
