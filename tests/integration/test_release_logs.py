"""What a run writes into the logs, and what it never writes there."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from turnback.runtime import logger

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import TARGET
from tests.integration.releases import BROKEN, GOOD, Deploy, read_secret


def test_every_line_of_the_logs_names_the_run_and_none_a_secret(
    deploy: Deploy,
    project_factory: ProjectFactory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack = deploy(Environment="production", SnapshotKind="dump", Rehearse="never")
    secret = json.loads(read_secret(stack))
    logged = io.StringIO()
    logger.registered_handler.setStream(logged)
    try:
        run = stack.release(project_factory(BROKEN), "1.0.0", tmp_path)
        stack.client("secretsmanager").update_secret(
            SecretId="database",
            SecretString=json.dumps({**secret, "password": "hunter2 'or' \\ hunter3"}),
        )
        refused = stack.release(project_factory(GOOD), "1.0.1", tmp_path)
    finally:
        logger.registered_handler.setStream(sys.__stdout__)

    printed = capsys.readouterr().out
    metrics = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    runs = {run.messages[-1]["run"], refused.messages[-1]["run"]}
    assert {line["run"] for line in lines if line["function"] != "on_upload"} == runs
    assert {"validate", "snapshot", "apply", "roll_back", "announce"} <= {
        line["function"] for line in lines
    }
    everything = logged.getvalue() + printed + json.dumps(run.messages + refused.messages)
    for word in (secret["password"], "hunter2", "hunter3", "userIdentity", "password="):
        assert word not in everything
    assert refused.error == "DatabaseRefused"
    assert any("runs_rolled_back" in item for item in metrics)
    (metric,) = [item for item in metrics if "migrations_rolled_back" in item]
    assert (metric["migrations_rolled_back"], metric["target"]) == ([3.0], TARGET)
    assert metric["run"] == run.messages[-1]["run"]
