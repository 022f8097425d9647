"""The application around a rollback or restore: ECS, Lambda and a hook, on moto in this process."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.awslambda.models import LambdaFunction
from moto.ecs.models import ecs_backends

from tests.integration.handlers import Context, load_handler
from tests.real_events import event

REGION, ACCOUNT, BUCKET = "us-east-1", "123456789012", "turnback-learning"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
HOOK = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:stop-kubernetes"
STOPPED = "targets/learning/application.json"
AWAKE = {
    "DynamicScalingInSuspended": False,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": False,
}
SCALER = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/main/orders",
    "ScalableDimension": "ecs:service:DesiredCount",
}


class Killed(BaseException):
    """What ends a function from outside: no ``except`` of ours sees it."""


class World:
    """An application: a service with a scaler, two functions, and a hook."""

    def __init__(self) -> None:
        self.ecs, self.functions = boto3.client("ecs"), boto3.client("lambda")
        self.scaling, self.s3 = boto3.client("application-autoscaling"), boto3.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.ecs.create_cluster(clusterName="main")
        self.revisions = [self.register("1.0.0"), self.register("1.1.0")]
        self.ecs.create_service(
            cluster="main", serviceName="orders", taskDefinition="orders:2", desiredCount=3
        )
        # moto never starts the tasks of a new service.
        self.service = ecs_backends[ACCOUNT][REGION].services["main:orders"]
        self.service.pending_count, self.service.running_count = 0, 3
        self.scaling.register_scalable_target(
            **SCALER, MinCapacity=2, MaxCapacity=9, SuspendedState=AWAKE
        )
        for name in ("worker", "mailer", "stop-kubernetes"):
            self.create_function(name)
        self.functions.put_function_concurrency(
            FunctionName="mailer", ReservedConcurrentExecutions=7
        )
        self.hooked: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], Any] = lambda order: {"replicas": 4, **order}

    def register(self, release: str | None) -> str:
        tags = [{"key": "turnback:release", "value": release}] if release else []
        made = self.ecs.register_task_definition(
            family="orders",
            containerDefinitions=[{"name": "c", "image": "i", "memory": 64}],
            tags=tags,
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def create_function(self, name: str) -> None:
        empty = io.BytesIO()
        zipfile.ZipFile(empty, "w").close()
        self.functions.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=ROLE,
            Handler="a.b",
            Timeout=3,
            Code={"ZipFile": empty.getvalue()},
        )

    def state(self) -> dict[str, Any]:
        """Everything that a stop changes."""
        (service,) = self.ecs.describe_services(cluster="main", services=["orders"])["services"]
        (scaler,) = self.scaling.describe_scalable_targets(ServiceNamespace="ecs")[
            "ScalableTargets"
        ]
        return {
            "desired": service["desiredCount"],
            "task_definition": service["taskDefinition"],
            "scaling": scaler["SuspendedState"],
            "limits": (scaler["MinCapacity"], scaler["MaxCapacity"]),
            "worker": self.concurrency("worker"),
            "mailer": self.concurrency("mailer"),
        }

    def concurrency(self, name: str) -> int | None:
        found = self.functions.get_function_concurrency(FunctionName=name)
        return found.get("ReservedConcurrentExecutions")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    variables = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "BUCKET": BUCKET,
        "TARGET": "learning",
        "ENVIRONMENT": "staging",
        "ECS_SERVICES": "main/orders",
        "LAMBDA_FUNCTIONS": "worker, mailer",
        "EMERGENCY_HOOK_ARN": HOOK,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        boto3.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument="{}")
        made = World()

        def invoke(function: Any, event: Any = None) -> tuple[str, bool, str]:
            assert function.function_name == "stop-kubernetes"
            order = json.loads(event) if isinstance(event, str) else event
            made.hooked.append(order)
            answer = made.answer(order)
            return json.dumps(answer), isinstance(answer, str), ""

        monkeypatch.setattr(LambdaFunction, "_invoke_lambda", invoke)
        yield made


def do(what: str, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the function answers to the state machine."""
    asked = event("application")
    given = {**asked["state"], **(state or {})}
    if not state:
        del given["application"]
    asked |= {"do": what, "state": given}
    asked["execution"] = f"{asked['execution'].rpartition(':')[0]}:{given['run']}"
    return dict(load_handler("application")(asked, Context("application", 60)))


def failed(what: str, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """The error that leaves the function, as the state machine gets it."""
    with pytest.raises(Exception, match=r"^\{") as caught:
        do(what, state)
    assert type(caught.value).__name__ == "ApplicationNotStopped"
    return dict(json.loads(str(caught.value)))


def began(world: World, when: str) -> None:
    """Let the stop have begun at some time."""
    body = json.loads(world.s3.get_object(Bucket=BUCKET, Key=STOPPED)["Body"].read())
    world.s3.put_object(Bucket=BUCKET, Key=STOPPED, Body=json.dumps({**body, "began": when}))


def forget(world: World) -> None:
    """Let nothing be stopped."""
    world.s3.delete_object(Bucket=BUCKET, Key=STOPPED)


def the_time_of_the_functions_is_over(world: World) -> None:
    """They may go on for 3 seconds after they were stopped."""
    began(world, (datetime.now(UTC) - timedelta(seconds=3)).isoformat())


def previous_release(world: World, release: str | None) -> None:
    run = event("application")["state"]["run"]
    world.s3.put_object(
        Bucket=BUCKET,
        Key=f"runs/{run}/plan.json",
        Body=json.dumps({"version": 1, "previous_release": release}),
    )


def test_what_it_was_is_known_before_anything_is_stopped(world: World) -> None:
    before = world.state()
    looked = do("look")
    assert world.state() == before
    assert looked == {
        "enabled": True,
        "stopped": [
            {
                "kind": "ecs",
                "name": "main/orders",
                "desired": 3,
                "task_definition": world.revisions[1],
                "controller": "ECS",
                "scaling": AWAKE,
            },
            {"kind": "lambda", "name": "worker", "concurrency": None, "timeout_s": 3},
            {"kind": "lambda", "name": "mailer", "concurrency": 7, "timeout_s": 3},
            {"kind": "hook", "name": HOOK},
        ],
    }


def test_everything_is_stopped_and_its_scaler_does_not_start_it_again(world: World) -> None:
    looked = do("look")
    first = do("stop", {"application": looked})
    assert (first["done"], first["wait_seconds"]) == (False, 5)
    # What began before the stop may go on for as long as the function's timeout.
    assert first["waiting_for"] == ["lambda worker", "lambda mailer"]
    found = world.state()
    assert (found["desired"], found["worker"], found["mailer"]) == (0, 0, 0)
    assert set(found["scaling"].values()) == {True}
    assert found["limits"] == (2, 9)
    the_time_of_the_functions_is_over(world)
    assert do("stop", {"application": looked}) == {
        "done": True,
        "waiting_for": [],
        "wait_seconds": 0,
    }


def test_it_is_as_it_was_after_the_start(world: World) -> None:
    before = world.state()
    looked = do("look")
    do("stop", {"application": looked})
    for _ in range(2):
        assert do("start", {"application": looked})["done"]
        assert world.state() == before


def test_a_run_that_finds_it_stopped_starts_it_as_it_was_before_the_other_run(
    world: World,
) -> None:
    """The first was ended from outside before it started anything again."""
    before = world.state()
    do("stop", {"application": do("look")})
    second = {"run": "r-second"}
    looked = do("look", {**second, "application": None})
    assert [part.get("desired", part.get("concurrency")) for part in looked["stopped"]] == [
        *(3, None, 7, None)
    ]
    do("stop", {**second, "application": looked})
    assert do("start", {**second, "application": looked, "outcome": "rolled_back"})["done"]
    assert world.state() == before
    # It was stopped by the hook once, and the answer came back to the hook.
    assert [order["action"] for order in world.hooked] == ["stop", "start"]
    assert world.hooked[1]["previous"]["replicas"] == 4


def test_what_was_left_stopped_is_started_without_any_run(world: World) -> None:
    before = world.state()
    do("stop", {"application": do("look")})
    start = load_handler("application")
    for _ in range(2):
        assert start({"do": "start"}, Context("application", 60))["done"]
        assert world.state() == before
    assert [order["action"] for order in world.hooked] == ["stop", "start"]


def test_a_service_starts_with_the_release_that_the_schema_fits(world: World) -> None:
    newest = world.register("1.0.0")
    world.register("1.2.0")
    previous_release(world, "1.0.0")
    looked = do("look")
    do("stop", {"application": looked})
    do("start", {"application": looked, "outcome": "rolled_back"})
    assert world.state()["task_definition"] == newest


@pytest.mark.parametrize(
    ("release", "outcome"),
    [("0.9.0", "restored"), (None, "restored"), ("1.0.0", "needs_a_person")],
)
def test_a_service_keeps_what_it_had_where_no_other_is_known_to_fit(
    world: World, release: str | None, outcome: str
) -> None:
    previous_release(world, release)
    before = world.state()
    looked = do("look")
    do("stop", {"application": looked})
    do("start", {"application": looked, "outcome": outcome})
    assert world.state() == before


def test_a_revision_that_is_no_longer_active_is_not_started(world: World) -> None:
    newest = world.register("1.0.0")
    world.ecs.deregister_task_definition(taskDefinition=newest)
    previous_release(world, "1.0.0")
    looked = do("look")
    do("stop", {"application": looked})
    do("start", {"application": looked, "outcome": "restored"})
    assert world.state()["task_definition"] == world.revisions[0]


def test_tasks_that_go_on_are_waited_for_and_given_up_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMBDA_FUNCTIONS", "")
    monkeypatch.setenv("EMERGENCY_HOOK_ARN", "")
    looked = do("look")
    do("stop", {"application": looked})
    world.service.pending_count = 1
    assert do("stop", {"application": looked})["waiting_for"] == ["ecs main/orders"]
    began(world, "2026-01-01T00:00:00+00:00")
    error = failed("stop", {"application": looked})
    assert error["message"] == "still running after 10 minutes: ecs main/orders"
    assert "ApplicationStopMinutes" in error["hint"]


def test_the_hook_is_called_once_and_gets_its_answer_back(world: World) -> None:
    previous_release(world, "1.0.0")
    looked = do("look")
    assert world.hooked == []
    for _ in range(3):
        do("stop", {"application": looked})
    request = {
        "version": 1,
        "run": "r-5d3f0a9c1b7e24680ace",
        "target": "learning",
        "environment": "staging",
    }
    stopping = {**request, "action": "stop", "release": "1.1.0", "previous": None}
    assert world.hooked == [stopping]
    for _ in range(2):
        do("start", {"application": looked, "outcome": "rolled_back"})
    answered = {"replicas": 4, **stopping}
    starting = {**request, "action": "start", "release": "1.0.0", "previous": answered}
    assert world.hooked == [stopping, starting]


def test_a_hook_that_fails_is_called_again_and_the_rest_is_stopped_all_the_same(
    world: World,
) -> None:
    looked = do("look")
    world.answer = lambda _: "no such cluster"
    error = failed("stop", {"application": looked})
    assert "stop-kubernetes failed" in error["message"]
    assert (world.state()["desired"], world.state()["worker"]) == (0, 0)
    world.answer = lambda _: None
    do("stop", {"application": looked})
    do("start", {"application": looked})
    assert [order["action"] for order in world.hooked] == ["stop", "stop", "start"]


@pytest.mark.usefixtures("world")
def test_a_state_machine_as_a_hook_is_one_execution_for_each_action(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = boto3.client("stepfunctions")
    definition = {
        "StartAt": "Note",
        "States": {"Note": {"Type": "Pass", "Result": {"replicas": 4}, "End": True}},
    }
    arn = states.create_state_machine(
        name="emergency", definition=json.dumps(definition), roleArn=ROLE
    )["stateMachineArn"]
    for name, value in (
        ("ECS_SERVICES", ""),
        ("LAMBDA_FUNCTIONS", ""),
        ("EMERGENCY_HOOK_ARN", arn),
    ):
        monkeypatch.setenv(name, value)
    looked = do("look")
    for action in ("stop", "start"):
        while not do(action, {"application": looked})["done"]:
            pass
        assert do(action, {"application": looked})["done"]
    found = states.list_executions(stateMachineArn=arn)["executions"]
    run = event("application")["state"]["run"]
    assert sorted(item["name"] for item in found) == [f"{run}-start", f"{run}-stop"]
    begun = f"{arn.replace(':stateMachine:', ':execution:')}:{run}-start"
    given = json.loads(states.describe_execution(executionArn=begun)["input"])
    assert given["previous"] == {"replicas": 4}


@pytest.mark.usefixtures("world")
def test_a_state_machine_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = {"StartAt": "No", "States": {"No": {"Type": "Fail", "Cause": "no such cluster"}}}
    arn = boto3.client("stepfunctions").create_state_machine(
        name="emergency", definition=json.dumps(definition), roleArn=ROLE
    )["stateMachineArn"]
    monkeypatch.setenv("EMERGENCY_HOOK_ARN", arn)
    looked = do("look")
    error: dict[str, Any] = {}
    while not error:
        try:
            do("stop", {"application": looked})
        except Exception as raised:
            error = json.loads(str(raised))
    assert error["type"] == "ApplicationNotStopped"
    assert "no such cluster" in error["message"]


@pytest.mark.usefixtures("world")
def test_nothing_configured_is_nothing_done(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ECS_SERVICES", "LAMBDA_FUNCTIONS", "EMERGENCY_HOOK_ARN"):
        monkeypatch.delenv(name)
    looked = do("look")
    assert looked == {"enabled": False, "stopped": []}
    assert do("stop", {"application": looked})["done"]
    assert do("start", {"application": looked})["done"]


def test_a_stop_that_nobody_looked_before_is_refused(world: World) -> None:
    before = world.state()
    assert "was not recorded" in failed("stop")["message"]
    assert world.state() == before


def test_a_start_after_a_failed_look_starts_nothing(world: World) -> None:
    before = world.state()
    assert do("start")["done"]
    assert world.state() == before


@pytest.mark.usefixtures("world")
def test_all_that_is_not_there_is_named_before_anything_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ECS_SERVICES", "main/orders,main/gone")
    monkeypatch.setenv("LAMBDA_FUNCTIONS", "worker,absent")
    error = failed("look")
    assert "ecs main/gone: there is no active ECS service main/gone" in error["message"]
    assert "lambda absent" in error["message"]
    assert "EcsServices" in error["hint"]


def test_a_daemon_is_refused_with_another_way(world: World) -> None:
    world.service.scheduling_strategy = "DAEMON"
    error = failed("look")
    assert "is a daemon" in error["message"]
    assert "hook" in error["hint"]


def test_what_codedeploy_deploys_keeps_its_task_definition(world: World) -> None:
    world.service.deployment_controller = {"type": "CODE_DEPLOY"}
    previous_release(world, "1.0.0")
    before = world.state()
    looked = do("look")
    do("stop", {"application": looked})
    do("start", {"application": looked, "outcome": "rolled_back"})
    assert world.state() == before


def break_call(monkeypatch: pytest.MonkeyPatch, at: Callable[[str, bool], None]) -> None:
    """Call ``at(operation, before)`` around each call to AWS."""
    really = BaseClient._make_api_call

    def call(self: Any, operation: str, arguments: Any) -> Any:
        at(operation, True)
        try:
            return really(self, operation, arguments)
        finally:
            at(operation, False)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)


def calls_of(what: str, state: dict[str, Any]) -> list[str]:
    """The operations of AWS that this uses, in order."""
    found: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        break_call(patched, lambda operation, before: found.append(operation) if before else None)
        do(what, state)
    return found


def killed_at(number: int, what: str, state: dict[str, Any], *, before: bool) -> None:
    """The function, killed just before or just after its call of this number."""
    counted = 0

    def at(operation: str, is_before: bool) -> None:
        nonlocal counted
        counted += is_before
        if counted == number and is_before is before:
            raise Killed(operation)

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
        break_call(patched, at)
        do(what, state)


@pytest.mark.parametrize("before", [True, False], ids=["before it", "after it"])
@pytest.mark.parametrize("what", ["stop", "start"])
def test_killed_at_any_call_and_repeated_it_comes_back_to_what_it_was(
    world: World, what: str, before: bool
) -> None:
    wanted = world.state()
    looked = {"application": do("look")}
    if what == "start":
        do("stop", looked)
    calls = calls_of(what, looked)
    assert len(calls) > 8
    do("start", looked)
    for number in range(1, len(calls) + 1):
        forget(world)
        if what == "start":
            do("stop", looked)
        killed_at(number, what, looked, before=before)
        do("stop", looked)
        stopped = world.state()
        assert (stopped["desired"], stopped["worker"], stopped["mailer"]) == (0, 0, 0)
        do("start", looked)
        assert world.state() == wanted, calls[number - 1]


@pytest.mark.parametrize(
    "operation",
    [
        "RegisterScalableTarget",
        "UpdateService",
        "PutFunctionConcurrency",
        "DescribeServices",
        "GetFunctionConcurrency",
    ],
)
def test_a_refused_call_is_reported_and_everything_else_is_still_stopped(
    world: World, operation: str
) -> None:
    wanted = world.state()
    looked = {"application": do("look")}

    def at(name: str, before: bool) -> None:
        if before and name == operation:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, name)

    with pytest.MonkeyPatch.context() as patched:
        break_call(patched, at)
        error = failed("stop", looked)
    assert "AccessDenied" in error["message"]
    found = world.state()
    ecs_failed = "Function" not in operation
    assert found["worker"] == (0 if ecs_failed else None)
    assert found["desired"] == (3 if ecs_failed else 0)
    do("start", looked)
    assert world.state() == wanted


def test_a_start_that_fails_starts_the_rest_and_says_what_to_do_by_hand(world: World) -> None:
    looked = {"application": do("look")}
    do("stop", looked)

    def at(name: str, before: bool) -> None:
        if before and name in ("UpdateService", "DeleteFunctionConcurrency"):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, name)

    with pytest.MonkeyPatch.context() as patched:
        break_call(patched, at)
        error = failed("start", looked)
    assert error["hint"].split("; ") == [
        "aws ecs update-service --cluster main --service orders --desired-count 3 "
        "(and resume its scaler)",
        "aws lambda delete-function-concurrency --function-name worker",
    ]
    assert world.state()["mailer"] == 7
