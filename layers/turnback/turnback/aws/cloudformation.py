"""CloudFormation: finds a deployed stack of turnback by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from turnback.aws.clients import aws_errors, client, code_of
from turnback.errors import AwsError, ConfigurationError

# A name, or an ARN (CloudFormation's API reference, CreateStack).
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}|arn:[\w+=/,.@:-]{1,1000}")
_BUCKET, _MACHINE, _TOPIC = "BucketName", "StateMachineArn", "TopicArn"
# The stack is in service; only leftovers of an update are still being deleted.
_CLEANING = "_CLEANUP_IN_PROGRESS"
# The stack does not exist, or its state is unknown.
_UNUSABLE = {"ROLLBACK_COMPLETE", "DELETE_COMPLETE", "REVIEW_IN_PROGRESS"}


@dataclass(frozen=True, slots=True)
class StackDescription:
    """A stack as CloudFormation describes it.

    Attributes:
        name: its name.
        region: where it is.
        status: in the words of CloudFormation, such as ``UPDATE_COMPLETE``.
        outputs: values by their names in the template.
        parameters: the same; a NoEcho one is asterisks.
    """

    name: str
    region: str
    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]


def describe_stack(name: str) -> StackDescription | None:
    """The stack of this name; None if it does not exist in this Region.

    Raises:
        ConfigurationError: no Region or no credentials are configured.
        AwsError: CloudFormation cannot be reached, or refuses us.
    """
    cloud = client("cloudformation")
    with aws_errors(f"describe the stack {name}"):
        try:
            found = cloud.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            # CloudFormation has no error code for this.
            message = str(error.response.get("Error", {}).get("Message", ""))
            if code_of(error) == "ValidationError" and "does not exist" in message:
                return None
            raise
    return _described(found, cloud)


def region() -> str:
    """The Region in which stacks are looked for."""
    return str(client("cloudformation").meta.region_name)


def list_stacks() -> list[StackDescription]:
    """Every stack of this account in this Region.

    Raises:
        AwsError: CloudFormation cannot be reached, or refuses us.
    """
    cloud = client("cloudformation")
    with aws_errors("list the stacks"):
        pages = cloud.get_paginator("describe_stacks").paginate()
        return [_described(found, cloud) for page in pages for found in page["Stacks"]]


def _described(found: Mapping[str, Any], cloud: Any) -> StackDescription:
    return StackDescription(
        name=found["StackName"],
        region=cloud.meta.region_name,
        status=found["StackStatus"],
        outputs={item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])},
        parameters={
            item["ParameterKey"]: item.get("ResolvedValue") or item["ParameterValue"]
            for item in found.get("Parameters", [])
        },
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
        answer_function: the function that receives answers to approvals; empty without one.
        answer_url: its URL; empty without one.
        parameters: the values of the template's parameters by their names.
        turn_function: the function that gives runs their turns; empty in an older stack.
        application_function: the function that stops and starts the application; the same.
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
    turn_function: str = ""
    application_function: str = ""


def open_stack(name: str, *, reading: bool = False) -> Stack:
    """The stack of this name in the Region and with the credentials of the AWS environment.

    Args:
        name: its name, or its ARN.
        reading: nothing will be started, so the stack may be in the middle of an update.

    Raises:
        ConfigurationError: no Region, no credentials, no such stack (the message lists the existing
            ones), or one that was not made from turnback's template.
        AwsError: AWS cannot be reached or refuses us, or the stack is being updated.
    """
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
            hint="deploy it again first; its functions may have different versions now",
        )
    if not _is_ours(found):
        missing = [item for item in (_BUCKET, _MACHINE, _TOPIC) if item not in found.outputs]
        raise ConfigurationError(
            f"the stack {found.name} is not a stack of turnback: it has no output {missing[0]}",
            hint=_existing_stacks() or "deploy template.yaml, see docs/aws.md#how-do-i-deploy-it",
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
        turn_function=outputs.get("TurnFunctionName", ""),
        application_function=outputs.get("ApplicationFunctionName", ""),
    )


def _is_ours(found: StackDescription) -> bool:
    return found.outputs.keys() >= {_BUCKET, _MACHINE, _TOPIC}


def _absent(name: str, found: StackDescription | None) -> ConfigurationError:
    state = f" ({found.status})" if found else ""
    return ConfigurationError(
        f"there is no stack {name!r} in {region()}{state}",
        hint=_existing_stacks()
        or "name another with --stack or TURNBACK_STACK, or its Region by AWS_REGION; "
        "docs/aws.md#how-do-i-deploy-it explains how to create one",
    )


def _existing_stacks() -> str:
    """The existing stacks of turnback, as a hint; empty if there are none."""
    try:
        names = sorted(stack.name for stack in list_stacks() if _is_ours(stack))
    except AwsError as error:
        # The missing stack is reported anyway; only the list is not available.
        return f"name one with --stack or TURNBACK_STACK; {error.message}"
    if not names:
        return ""
    return f"stacks of turnback here: {', '.join(names[:20])}; name one with --stack"
