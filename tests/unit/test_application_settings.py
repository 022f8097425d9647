"""What is stopped around a rollback or restore, as the stack's parameters name it."""

from __future__ import annotations

import pytest
from turnback.aws.hooks import execution_name
from turnback.errors import ConfigurationError
from turnback.settings.recovery import ApplicationSettings

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:orders"
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:stop"


def test_nothing_set_is_nothing_to_stop() -> None:
    for empty in ({}, {"ECS_SERVICES": " ", "LAMBDA_FUNCTIONS": ",", "EMERGENCY_HOOK_ARN": ""}):
        assert not ApplicationSettings.read(empty).enabled


def test_lists_are_read_once_each_and_in_order() -> None:
    found = ApplicationSettings.read(
        {
            "ECS_SERVICES": "main/orders, main/web,main/orders",
            "LAMBDA_FUNCTIONS": f"worker,{FUNCTION}",
            "EMERGENCY_HOOK_ARN": MACHINE,
            "APPLICATION_STOP_MINUTES": "3",
        }
    )
    assert found == ApplicationSettings(
        ("main/orders", "main/web"), ("worker", FUNCTION), MACHINE, 3
    )
    assert found.enabled


@pytest.mark.parametrize("hook", [FUNCTION, f"{FUNCTION}:live", f"{FUNCTION}:$LATEST", MACHINE])
def test_a_hook_is_a_function_or_a_state_machine(hook: str) -> None:
    assert ApplicationSettings.read({"EMERGENCY_HOOK_ARN": hook}).hook == hook


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ECS_SERVICES", "orders"),
        ("ECS_SERVICES", "main/orders/1"),
        ("ECS_SERVICES", "main/orders;main/web"),
        ("LAMBDA_FUNCTIONS", f"{FUNCTION}:live"),
        ("LAMBDA_FUNCTIONS", "worker:1"),
        ("LAMBDA_FUNCTIONS", MACHINE),
        ("EMERGENCY_HOOK_ARN", "stop"),
        ("EMERGENCY_HOOK_ARN", f"{MACHINE}:1"),
        ("EMERGENCY_HOOK_ARN", "arn:aws:sns:eu-central-1:123456789012:topic"),
        ("APPLICATION_STOP_MINUTES", "0"),
        ("APPLICATION_STOP_MINUTES", "ten"),
    ],
)
def test_what_cannot_be_stopped_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ApplicationSettings.read({name: value})


def test_an_execution_of_the_hook_has_one_name_that_step_functions_takes() -> None:
    assert execution_name("r-1", "stop") == "r-1-stop"
    runs = ["r" * 79 + "a", "r" * 79 + "b"]
    names = {execution_name(run, action) for run in runs for action in ("stop", "start")}
    assert len(names) == 4
    assert max(map(len, names)) <= 80
