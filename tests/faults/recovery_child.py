"""A function in a process of its own that kills itself, with -9, at a given moment.

``recovery_child.py FOLDER SECONDS MOMENT LAYER``, with the event on stdin and the function's
variables in the environment. MOMENT is ``module:Class.method``, which is not called any more, with
``#2`` when it is called the second time; or ``answer``: all is done, and the answer never leaves.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.integration.handlers import Context, load_handler


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment: str) -> None:
    """Die where the moment says."""
    place, _, number = moment.partition("#")
    module, _, path = place.partition(":")
    of, _, method = path.partition(".")
    owner = getattr(importlib.import_module(module), of)
    real, left = getattr(owner, method), int(number or 1)

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            die()
        return real(*arguments, **options)

    setattr(owner, method, counted)


def main(folder: str, seconds: str, moment: str, layer: str) -> None:
    if layer:
        sys.path.insert(0, layer)
    if moment != "answer":
        arm(moment)
    try:
        load_handler(folder)(json.load(sys.stdin), Context(folder, float(seconds)))
    finally:
        if moment == "answer":
            die()


if __name__ == "__main__":
    main(*sys.argv[1:])
