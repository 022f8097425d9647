"""Our own handlers, called as Lambda calls them."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from tests.aws_calls import made_by

ROOT = Path(__file__).resolve().parents[2]

# The handlers read os.environ, of which this process has one.
_environment = threading.RLock()


class Context:
    """Lambda's context, as far as it is used."""

    def __init__(self, name: str, seconds: float) -> None:
        self.function_name = name
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
        self.aws_request_id = str(uuid.uuid4())
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - time.monotonic()) * 1000)


def load_handler(folder: str) -> Any:
    """The handler of a function's folder."""
    spec = importlib.util.spec_from_file_location(
        f"function_{folder}", ROOT / "functions" / folder / "app.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def handler(event: Any, context: Any) -> Any:
        with made_by(folder):
            return module.handler(event, context)

    return handler


def call(function: Any, event: Any = None, *, layer: Path | None = None) -> tuple[str, bool, str]:
    """What moto's LambdaFunction._invoke_lambda returns, from the handler itself.

    Args:
        function: moto's.
        event: what it is invoked with.
        layer: a folder that goes in front of the import path, as a layer does.
    """
    folder = function.function_name
    given = json.loads(event) if isinstance(event, str) else event
    with _environment:
        before, path = dict(os.environ), list(sys.path)
        if layer:
            sys.path.insert(0, str(layer))
        os.environ.update(function.environment_vars)
        try:
            result = load_handler(folder)(given, Context(folder, function.timeout))
            return json.dumps(result), False, ""
        except Exception as error:
            answer = {"errorMessage": str(error), "errorType": type(error).__name__}
            return json.dumps(answer), True, ""
        finally:
            # Another thread may be going through all of it, as urllib does for proxies: a name
            # that is taken away meanwhile is a KeyError there. What is empty counts as not set.
            for name in set(os.environ) - set(before):
                if name.startswith("AWS_"):
                    del os.environ[name]
                elif not name.startswith("POWERTOOLS_"):
                    os.environ[name] = ""
            os.environ.update(before)
            sys.path[:] = path
