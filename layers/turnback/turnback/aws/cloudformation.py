"""Stacks of CloudFormation: what one of them is called with, and what it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from turnback.aws.clients import client, code_of, telling


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
    """The stack of this name; None when there is none in this Region.

    Raises:
        ConfigurationError: there is no Region, or there are no credentials.
        AwsError: CloudFormation cannot be reached, or refuses us.
    """
    cloud = client("cloudformation")
    with telling(f"describe the stack {name}"):
        try:
            found = cloud.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            # CloudFormation has no code of its own for it.
            told = str(error.response.get("Error", {}).get("Message", ""))
            if code_of(error) == "ValidationError" and "does not exist" in told:
                return None
            raise
    return _described(found, cloud)


def region() -> str:
    """Where stacks are looked for."""
    return str(client("cloudformation").meta.region_name)


def list_stacks() -> list[StackDescription]:
    """Every stack of this account in this Region.

    Raises:
        AwsError: CloudFormation cannot be reached, or refuses us.
    """
    cloud = client("cloudformation")
    with telling("list the stacks"):
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
