"""The functions: short, importable anywhere, quick to start, and discreet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = sorted((ROOT / "functions").glob("*/app.py"))
CONNECTING = {"validate", "apply", "roll_back", "snapshot"}


def imported(code: str) -> set[str]:
    """The modules there are after this code ran, in a process without any variable."""
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], env={}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(done.stdout.split())


def code_of(function: Path) -> str:
    return (
        "import importlib.util as u\n"
        f"s = u.spec_from_file_location('app', {os.fspath(function)!r})\n"
        "m = u.module_from_spec(s); s.loader.exec_module(m); assert callable(m.handler)"
    )


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda path: path.parent.name)
def test_a_handler_is_25_lines_at_most(function: Path) -> None:
    assert len(function.read_text().splitlines()) <= 25


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda path: path.parent.name)
def test_a_handler_imports_without_any_variable_and_without_what_it_does_not_need(
    function: Path,
) -> None:
    modules = imported(code_of(function))
    assert "turnback.runtime" in modules
    # boto3, psycopg and slack_sdk cost as much as all the rest: they come with the first use.
    assert not modules & {"boto3", "psycopg", "click", "rich", "slack_sdk", "jinja2"}
    # Tracing is switched on in the template; its SDK costs 370 ms.
    assert not {
        name
        for name in modules
        if name.startswith(("aws_xray_sdk", "turnback.local", "turnback.demo"))
    }


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda path: path.parent.name)
def test_a_function_has_an_event_in_events(function: Path) -> None:
    names = {"on_pipeline": "pipeline_job", "on_upload": "s3_upload", "slack": "sns_status"}
    name = names.get(function.parent.name, function.parent.name)
    assert (ROOT / "events" / f"{name}.json").is_file()


@pytest.mark.parametrize("folder", ["roll_back", "restore"])
def test_a_call_that_only_wakes_a_function_does_nothing_and_needs_nothing(folder: str) -> None:
    context = "type('C', (), {'function_name': 'f', 'aws_request_id': 'r'})()"
    [function] = [path for path in FUNCTIONS if path.parent.name == folder]
    code = (
        f"{code_of(function)}\nassert m.handler({{'only': 'wake'}}, {context}) == {{'awake': True}}"
    )
    assert not imported(code) & {"boto3", "psycopg"}


# An event of none of their callers, such as somebody's test in the console.
BAD_EVENTS = [None, 3, [], {}, {"Records": 3}, {"state": 3}, {"CodePipeline.job": {}}]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda path: path.parent.name)
def test_a_handler_answers_whatever_event_it_gets_with_an_error_of_ours(function: Path) -> None:
    # What lets only errors of ours out is the entry of all of them.
    code = f"""
{code_of(function)}
import json
from turnback.errors import TurnbackError
context = type("C", (), {{"function_name": "f", "aws_request_id": "r"}})()
for event in {BAD_EVENTS!r}:
    try:
        m.handler(event, context)
    except TurnbackError as error:
        assert json.loads(str(error))["message"]
    else:
        raise AssertionError(event)
"""
    imported(code)


def test_who_answers_somebody_else_than_its_caller_says_so_in_its_entry() -> None:
    answering = {path.parent.name for path in FUNCTIONS if "@entry(failed=" in path.read_text()}
    # CodePipeline waits for a result of its job, a browser for a page. The state machine, SNS, SQS
    # and S3 take the error itself: see docs/reference/aws.md.
    assert answering == {"on_pipeline", "answer"}
