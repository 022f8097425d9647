"""Clients of AWS services, with short time limits and with our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from turnback.errors import AwsError

LIMITS = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4})


def client(service: str) -> Any:
    """A client of this service in the function's own Region."""
    return boto3.client(service, config=LIMITS)


def code_of(error: ClientError) -> str:
    """The error code of an answer, such as ``AccessDenied``."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def telling(action: str) -> Iterator[None]:
    """Turn what boto3 raises inside into an AwsError that says what was being done.

    Args:
        action: what is being done, as the end of "could not …".
    """
    try:
        yield
    except ClientError as error:
        message = error.response.get("Error", {}).get("Message", "")
        denied = "Denied" in code_of(error)
        raise AwsError(
            f"could not {action}: {code_of(error)}: {message}",
            hint="check the function's role" if denied else "try again; nothing else is known",
        ) from error
    except BotoCoreError as error:
        raise AwsError(
            f"could not {action}: {error}",
            hint="check the network: the VPC needs a route to this AWS service",
        ) from error
