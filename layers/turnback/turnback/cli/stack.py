"""The stack on AWS that a command works with, found by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from turnback.errors import AwsError, ConfigurationError

if TYPE_CHECKING:
    from turnback.aws.cloudformation import StackDescription

# A name, or an ARN (CloudFormation's API reference, CreateStack).
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}|arn:[\w+=/,.@:-]{1,1000}")
_BUCKET, _MACHINE, _TOPIC = "BucketName", "StateMachineArn", "TopicArn"
# The stack works, and only what an update left over is still being deleted.
_CLEANING = "_CLEANUP_IN_PROGRESS"
# Nothing of it is there, or nobody knows what.
_UNUSABLE = {"ROLLBACK_COMPLETE", "DELETE_COMPLETE", "REVIEW_IN_PROGRESS"}

stack_option = click.option(
    "--stack",
    "stack",
    envvar="TURNBACK_STACK",
    default="turnback",
    show_default=True,
    show_envvar=True,
    help="The CloudFormation stack; its Region is AWS_REGION, or that of the AWS profile.",
)


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack.

    Attributes:
        name: its name.
        region: where it is.
        bucket: where artifacts and records are.
        machine_arn: the state machine that executes the runs.
        topic_arn: where statuses are published.
        target: the database's name in turnback.
        answer_function: the function that takes answers to approvals; empty in a stack without.
        answer_url: its address; empty in a stack without.
        parameters: the values of the template's parameters by their names.
    """

    name: str
    region: str
    bucket: str
    machine_arn: str
    topic_arn: str
    target: str
    answer_function: str
    answer_url: str
    parameters: Mapping[str, str]


def open_stack(name: str, *, reading: bool = False) -> Stack:
    """The stack of this name in the Region and with the credentials of the AWS environment.

    Args:
        name: its name, or its ARN.
        reading: whether nothing is to be started: then a stack that is being updated will do.

    Raises:
        ConfigurationError: no Region, no credentials, no such stack (those there are are named),
            or one that was not made from turnback's template.
        AwsError: AWS cannot be reached or refuses us, or the stack is being updated.
    """
    from turnback.aws.cloudformation import describe_stack

    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not the name of a stack",
            hint="letters, digits and hyphens, a letter first; see --stack and TURNBACK_STACK",
        )
    found = describe_stack(name)
    if found is None or found.status in _UNUSABLE:
        raise _absent(name, found)
    if found.status.endswith("_IN_PROGRESS") and not found.status.endswith(_CLEANING):
        updating = found.status.startswith("UPDATE_")
        if not (reading and updating and _is_ours(found)):
            raise AwsError(
                f"the stack {found.name} is being changed: {found.status}",
                hint="wait until its deployment has ended, then try again",
            )
    elif found.status.endswith("_FAILED") and not reading:
        raise AwsError(
            f"the stack {found.name} is in the state {found.status}",
            hint="deploy it again first; its functions may be of two versions now",
        )
    if not _is_ours(found):
        missing = [item for item in (_BUCKET, _MACHINE, _TOPIC) if item not in found.outputs]
        raise ConfigurationError(
            f"the stack {found.name} is not one of turnback: it has no output {missing[0]}",
            hint=_those_there_are() or "deploy template.yaml, see docs/deploy.md",
        )
    outputs, parameters = found.outputs, found.parameters
    return Stack(
        name=found.name,
        region=found.region,
        bucket=outputs[_BUCKET],
        machine_arn=outputs[_MACHINE],
        topic_arn=outputs[_TOPIC],
        target=outputs.get("Target") or parameters.get("Target", "main"),
        answer_function=outputs.get("AnswerFunctionName", ""),
        answer_url=outputs.get("AnswerUrl", ""),
        parameters=parameters,
    )


def _is_ours(found: StackDescription) -> bool:
    return found.outputs.keys() >= {_BUCKET, _MACHINE, _TOPIC}


def _absent(name: str, found: StackDescription | None) -> ConfigurationError:
    from turnback.aws.cloudformation import region

    state = f" ({found.status})" if found else ""
    return ConfigurationError(
        f"there is no stack {name!r} in {region()}{state}",
        hint=_those_there_are()
        or "name another by --stack or TURNBACK_STACK, or its Region by AWS_REGION; "
        "docs/deploy.md says how to make one",
    )


def _those_there_are() -> str:
    """Which stacks of turnback there are, as a hint; empty where AWS does not say."""
    from turnback.aws.cloudformation import list_stacks

    try:
        names = sorted(stack.name for stack in list_stacks() if _is_ours(stack))
    except AwsError as error:
        # What is missing is told all the same; only the list is not to be had.
        return f"name one by --stack or TURNBACK_STACK; {error.message}"
    if not names:
        return ""
    return f"stacks of turnback here: {', '.join(names[:20])}; name one by --stack"
