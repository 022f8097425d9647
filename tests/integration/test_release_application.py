"""A failing release on the whole state machine, with an application that is stopped meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.ecs.models import ecs_backends
from turnback.aws.cloudformation import open_stack
from turnback.cli.history import left_by_runs

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import ACCOUNT, REGION, TARGET
from tests.integration.releases import BROKEN, FIRST, NO_WAY_BACK, Deploy
from tests.integration.terminal import at_the_terminal, turnback

STOPPING = ["LookAtApplication", "StopApplication"]


def run_application() -> Any:
    """A service of three tasks, of the release that is being made; its model in moto."""
    ecs = boto3.client("ecs")
    ecs.create_cluster(clusterName="main")
    for release in ("1.0.0", "1.1.0"):
        ecs.register_task_definition(
            family="orders",
            containerDefinitions=[{"name": "c", "image": "i", "memory": 64}],
            tags=[{"key": "turnback:release", "value": release}],
        )
    ecs.create_service(
        cluster="main", serviceName="orders", taskDefinition="orders:2", desiredCount=3
    )
    service = ecs_backends[ACCOUNT][REGION].services["main:orders"]
    # moto never starts the tasks of a new service.
    service.pending_count, service.running_count = 0, 3
    return service


def test_it_starts_again_with_the_release_that_fits_what_was_rolled_back(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(EcsServices="main/orders")
    service = run_application()
    run = stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    assert "LookAtApplication" not in run.states

    run = stack.release(project_factory(BROKEN), "1.1.0", tmp_path)
    assert run.statuses[-1] == "rolled_back"
    begun = run.states.index("LookAtApplication")
    assert run.states[begun : begun + 2] == STOPPING
    assert begun < run.states.index("RollBack") < run.states.index("StartApplication")
    assert run.messages[-1]["application"] == {"stopped": 1, "started": True, "error": None}
    assert service.desired_count == 3
    assert service.task_definition.endswith("task-definition/orders:1")


def test_a_run_that_changed_nothing_does_not_touch_it(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    """Its only migration failed, and was rolled back whole."""
    stack = deploy(EcsServices="main/orders")
    service = run_application()
    broken = {path: text for path, text in BROKEN.items() if "0004" in path}
    run = stack.release(project_factory(broken), "1.0.0", tmp_path)
    assert run.statuses == ["started", "rolled_back"]
    assert "FindChanges" in run.states and "LookAtApplication" not in run.states
    assert run.messages[-1]["application"] is None
    assert service.desired_count == 3


def test_it_starts_again_as_it_was_where_nobody_knows_what_fits(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(EcsServices="main/orders")
    service = run_application()
    run = stack.release(project_factory(NO_WAY_BACK), "1.0.0", tmp_path)
    assert run.statuses[-1] == "needs_a_person"
    assert run.messages[-1]["application"] == {"stopped": 1, "started": True, "error": None}
    assert service.desired_count == 3
    assert service.task_definition.endswith("task-definition/orders:2")


def test_an_application_that_is_not_there_does_not_hinder_the_rollback(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(EcsServices="main/orders,main/gone")
    service = run_application()
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    run = stack.release(project_factory(BROKEN), "1.1.0", tmp_path)
    assert run.statuses[-1] == "rolled_back"
    reported = run.messages[-1]["application"]
    assert (reported["stopped"], reported["started"]) == (0, False)
    assert "there is no active ECS service main/gone" in reported["error"]["message"]
    assert "StopApplication" not in run.states
    assert "StartApplication" not in run.states
    assert service.desired_count == 3


def test_what_a_run_left_stopped_is_reported_and_one_command_starts_it_as_it_was(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = at_the_terminal(deploy(EcsServices="main/orders"), monkeypatch)
    service = run_application()
    state = {"run": "r-x", "target": TARGET, "artifact": {"bucket": stack.bucket, "key": "k"}}
    looked = stack.invoke("application", {"do": "look", "state": state})
    stack.invoke("application", {"do": "stop", "state": {**state, "application": looked}})
    assert service.desired_count == 0

    # The run is no execution that Step Functions knows: it starts nothing any more.
    [problem], _ = left_by_runs(open_stack("turnback", reading=True))
    assert problem == (
        "the application was left stopped by r-x: ecs main/orders; start it as it was: "
        "turnback emergency start --stack turnback"
    )
    answer = turnback("emergency", "start", "--json")
    assert (answer.code, answer.document["status"]) == (0, "succeeded")
    assert answer.document["started"] == ["ecs main/orders"]
    assert service.desired_count == 3
    assert left_by_runs(open_stack("turnback", reading=True)) == ([], [])
    assert turnback("emergency", "start", "--json").document["status"] == "nothing_to_do"
