"""A restore in a process of its own that kills itself, with -9, at a given place.

``restore_child.py URL STORE DUMP RUN PLACE``: PLACE is a number (before the statement of that
number), a number and ``+`` (after it was answered), ``stream`` (in the middle of the dump),
``check``, or ``count`` (to the end, and print how many statements there were).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from turnback.recovery.dumps.restore import RestoreDump
from turnback.recovery.dumps.store import FolderStore
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import Place, RestoreRequest, Snapshot, SnapshotState


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Killing(FolderStore):
    """A folder whose reader is killed in the middle of a dump."""

    def stream(self, key: str) -> Iterator[bytes]:
        body = b"".join(super().stream(key))
        yield body[: len(body) // 2]
        die()


def main(url: str, store: str, dump: str, run: str, place: str) -> None:
    seen = 0
    execute = psycopg.Connection.execute

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        # The second session and the heartbeat come at any time; the restore's own statements not.
        nonlocal seen
        if threading.current_thread() is not threading.main_thread():
            return execute(self, *arguments, **options)
        seen += 1
        if place == str(seen):
            die()
        answer = execute(self, *arguments, **options)
        if place == f"{seen}+":
            die()
        return answer

    psycopg.Connection.execute = counted  # type: ignore[method-assign, assignment]

    def check(_: Place) -> None:
        if place == "check":
            die()

    kind = Killing if place == "stream" else FolderStore
    snapshot = Snapshot("dump", dump, SnapshotState.AVAILABLE)
    RestoreDump(Endpoint.from_url(url), kind(Path(store)), lambda: 120).advance(
        RestoreRequest("orders", run, snapshot, None, check)
    )
    sys.stdout.write(f"{seen}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
