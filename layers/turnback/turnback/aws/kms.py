"""KMS: whose a key is, and whether it can be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from turnback.aws.clients import aws_errors, client


@dataclass(frozen=True, slots=True)
class Key:
    """A key as KMS describes it.

    Attributes:
        arn: its ARN.
        of_aws: whether it is a key of an AWS service, which needs no rights of ours.
        state: ``Enabled``, or why it cannot be used.
    """

    arn: str
    of_aws: bool
    state: str


def describe_key(arn: str, *, kms: Any = None) -> Key:
    """A key.

    Args:
        arn: the key.
        kms: a client of KMS; one that gives up soon, if not given, because a function in a VPC
            may have no way to KMS.

    Raises:
        AwsError: KMS cannot be reached, or its policy does not let us look.
    """
    kms = kms or client("kms", patient=False)
    with aws_errors(f"describe the key {arn}"):
        found = kms.describe_key(KeyId=arn)["KeyMetadata"]
    return Key(str(found["Arn"]), found.get("KeyManager") == "AWS", str(found["KeyState"]))
