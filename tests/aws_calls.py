"""Every call of AWS that a function makes in the tests: which function, which operation, of what.

botocore says it, by an event before each call, whoever answers it. tests/contract/aws_calls.json
keeps what was seen, with a test that shows it: the tests of integration compare, and tests of the
template read it, without having to run a release. ``make calls`` writes it anew.
A row "by chance" instead of a test is a call that depends on when a run is looked at: it stays in
the file whether it was seen or not.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.handlers import BUILTIN_HANDLERS

FILE = Path(__file__).parent / "contract" / "aws_calls.json"

FAULTS = "tests/integration/test_aws_faults.py"

# A call: function, operation, and the parameters that IAM decides by.
Call = tuple[str, str, tuple[tuple[str, str], ...]]

# The parameters that say what a call is of.
NAMING = re.compile(
    r"Bucket|Key|\w*(Instance|Cluster|Snapshot)Identifier|DB\w*GroupName|OptionGroupName|"
    r"\w+A(rn|RN)|FunctionName|SecretId|ResourceName|cluster|services?|ResourceId|QueueUrl|"
    r"ServiceNamespace|InvocationType|TagKeys|Name"
)
# The parameters that need a right of their own, whatever their value is.
DECIDING = {"Tagging", "VersionId", "taskDefinition", "IfMatch"}
# What is another one in each run of the tests.
CHANGING = [
    (re.compile(r"\br-[0-9a-z]+(-[0-9a-z]+)*"), "RUN"),
    (re.compile(r"turnback-(restored|before)-(?!by$).*"), r"turnback-\1-RUN"),
    (re.compile(r"^(learning-database/Source)/\d+.zip$"), r"\1/N.zip"),
    (re.compile(r"^artifacts/.*"), "artifacts/KEY"),
    (re.compile(r"^states/(names|bodies)/[0-9a-f]{64}$"), r"states/\1/DIGEST"),
    (re.compile(r"(:secret:[\w/+=.@-]+)-\w{6}$"), r"\1-SUFFIX"),
    (re.compile(r"^(learning-1|learning|nowhere)$"), "orders"),
    (re.compile(r"^turnback-(learning|orders)-.*"), "turnback-orders-RUN"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "HASH"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"(:task-definition/\w+):\d+"), r"\1:1"),
]
seen: dict[Call, set[str]] = {}
# The handler that runs in this thread.
_here = threading.local()
# The thread that a handler starts for its progress, and may leave behind for a moment.
_OF_A_HANDLER = "progress of "
_start = threading.Thread.start


def _started(thread: threading.Thread) -> None:
    # Not "function": a Timer keeps there what it is to call.
    thread.__dict__["turnback_function"] = caller()
    _start(thread)


threading.Thread.start = _started  # type: ignore[method-assign]


@contextmanager
def made_by(function: str) -> Iterator[None]:
    """What is called in this block is called by this function."""
    before = caller()
    _here.function = function
    try:
        yield
    finally:
        _here.function = before


def caller() -> str | None:
    """The function whose handler runs in this thread, if one does."""
    return getattr(_here, "function", None)


def _note(params: Mapping[str, Any], model: Any, **_: Any) -> None:
    function = caller()
    thread = threading.current_thread()
    if thread.name.startswith(_OF_A_HANDLER):
        function = thread.__dict__["turnback_function"]
    if function is None:
        return
    named = naming(params)
    operation = f"{model.service_model.service_name}.{model.name}"
    call = (function, operation, tuple(sorted(named.items())))
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    # Not what is called only while something fails: `make slow` alone would know it.
    if not test.startswith(FAULTS):
        seen.setdefault(call, set()).add(test)


def naming(params: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a call that IAM decides by; what changes from run to run is replaced."""
    return {
        name: "given" if name in DECIDING else _steady(value)
        for name, value in _flat(params)
        if name in DECIDING or NAMING.fullmatch(name)
    }


def _flat(params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from params.items()
    if tags := params.get("Tags"):
        yield "TagKeys", sorted(tag["Key"] for tag in tags)
    # The bus of an event is inside of it.
    for entry in params.get("Entries", []):
        yield "EventBusArn", entry.get("EventBusName", "default")


def _steady(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(_steady(one) for one in value)
    text = str(value)
    for pattern, replacement in CHANGING:
        text = pattern.sub(replacement, text)
    return text


BUILTIN_HANDLERS.append(("provide-client-params", _note))


def kept() -> dict[Call, str]:
    """The calls of the file, each with the test that shows it."""
    if not FILE.is_file():
        return {}
    return {
        (row["function"], row["operation"], tuple(row["of"].items())): row["test"]
        for row in json.loads(FILE.read_text())
    }


def write(tests: set[str]) -> None:
    """Bring the file up to date with what these tests have shown."""
    old = {call: test for call, test in kept().items() if test not in tests}
    for call, shown in seen.items():
        old.setdefault(call, min(shown))
    rows = [
        {"function": call[0], "operation": call[1], "of": dict(call[2]), "test": test}
        for call, test in sorted(old.items())
    ]
    lines = ",\n".join(json.dumps(row) for row in rows)
    FILE.write_text(f"[\n{lines}\n]\n")


def differences(tests: set[str]) -> list[str]:
    """What the file does not say, or says of these tests although they did not show it."""
    file = kept()
    new = [
        f"not there: {_text(call)} in {min(shown)}"
        for call, shown in seen.items()
        if call not in file
    ]
    old = [
        f"not made any more: {_text(call)} in {test}"
        for call, test in file.items()
        if test in tests and call not in seen
    ]
    return sorted(new + old)


def _text(call: Call) -> str:
    function, operation, of = call
    return f"{function}: {operation} {dict(of)}"
