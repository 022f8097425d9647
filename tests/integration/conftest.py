"""The stack, deployed for a test."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from moto.awslambda.models import LambdaFunction
from turnback.local.deploy import build_layer
from turnback.local.scratch import scratch

from tests import aws_calls
from tests.integration.moto_stack import Stack, deployed
from tests.integration.releases import Deploy, Interrupt
from tests.integration.shared_clients import share_clients

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def shared_clients() -> Iterator[None]:
    """Clients are made once."""
    with pytest.MonkeyPatch.context() as patch:
        share_clients(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def calls_of_aws(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the functions called is what tests/contract/aws_calls.json says."""
    yield
    tests = {item.nodeid for item in request.session.items}
    if os.environ.get("RECORD_AWS_CALLS"):
        aws_calls.write(tests)
    # A test that failed, or was not run, did not show all of its calls.
    elif not request.session.testsfailed and not request.session.shouldstop:
        found = aws_calls.differences(tests)
        assert not found, "\n".join(["run `make calls`, and look at the difference:", *found])


@pytest.fixture(scope="session")
def postgres_layer() -> Iterator[Path]:
    """PostgresLayer as it is deployed, unpacked: the folder that is on a function's import path."""
    archive = build_layer(ROOT, ROOT / "layers" / "postgres", "PostgresLayer")
    with scratch("layer") as folder, zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            path = Path(opened.extract(entry, folder))
            # extract forgets that a program may be run.
            path.chmod(entry.external_attr >> 16 & 0o777)
        yield folder / "python"


@pytest.fixture
def deploy(
    database: str, postgres_layer: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deploy]:
    """Deploys the stack with these parameters; no snapshot unless they say so."""
    with ExitStack() as opened:

        def make(**parameters: str) -> Stack:
            defaults = {"Environment": "development", "SnapshotKind": "none"}
            values = {**defaults, **parameters}
            return opened.enter_context(deployed(database, monkeypatch, values, postgres_layer))

        yield make


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Does something right before a function is called, once each time that this is asked for."""
    waiting: dict[str, list[Callable[[], Any]]] = {}

    def ask(folder: str, do: Callable[[], Any]) -> None:
        if not waiting:
            inner = LambdaFunction._invoke_lambda

            def invoke(function: Any, event: Any = None) -> Any:
                if todo := waiting.get(function.function_name):
                    todo.pop(0)()
                return inner(function, event)

            monkeypatch.setattr(LambdaFunction, "_invoke_lambda", invoke)
        waiting.setdefault(folder, []).append(do)

    return ask
