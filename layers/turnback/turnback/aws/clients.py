"""Clients of AWS services, with short time limits and with our errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)

from turnback.errors import AwsError, ConfigurationError

LIMITS = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4})
# For what can also be done without.
_SHORT = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "max_attempts": 1})

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
}
_SET_CREDENTIALS = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def client(service: str, *, patient: bool = True) -> Any:
    """A client of this service in the function's own Region.

    boto3 itself reads ``AWS_DEFAULT_REGION`` only, all other SDKs ``AWS_REGION``
    (AWS SDKs and Tools Reference Guide, "AWS Region").

    Args:
        service: as boto3 names it.
        patient: whether it is worth to wait and to try again.

    Raises:
        ConfigurationError: there is no Region, or no such profile.
    """
    region = os.environ.get("AWS_REGION") or None
    with aws_errors(f"use {service}"):
        return boto3.client(service, region_name=region, config=LIMITS if patient else _SHORT)


def code_of(error: ClientError) -> str:
    """The error code of an answer, such as ``AccessDenied``."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def aws_errors(action: str) -> Iterator[None]:
    """Raise what boto3 raises in the block as an error of ours that names the action.

    Args:
        action: what the block does, as the end of "could not …".

    Raises:
        ConfigurationError: no Region, no credentials, no such profile.
        AwsError: AWS cannot be reached, or refuses us.
    """
    try:
        yield
    except ClientError as error:
        message = error.response.get("Error", {}).get("Message", "")
        raise AwsError(
            f"could not {action}: {code_of(error)}: {message}", hint=_advice(code_of(error))
        ) from error
    except NoRegionError as error:
        raise ConfigurationError(
            f"could not {action}: no Region is set",
            hint="set AWS_REGION, for example eu-central-1, or a region in the AWS profile",
        ) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise ConfigurationError(f"could not {action}: {error}", hint=_SET_CREDENTIALS) from error
    except (SSOError, CredentialRetrievalError) as error:
        raise AwsError(
            f"could not {action}: {error}",
            hint="sign in again: aws sso login, or whatever gives you credentials",
        ) from error
    except BotoCoreError as error:
        raise AwsError(
            f"could not {action}: {error}",
            hint="check the network; in a VPC, there must be a route to this AWS service",
        ) from error


def may_pass(error: AwsError) -> bool:
    """Whether the same call may succeed in a moment: no answer, a throttled or a failing service.

    Args:
        error: raised in a block of aws_errors().
    """
    cause = error.__cause__
    while isinstance(cause, AwsError):
        # A caller on the way added what is there meanwhile.
        cause = cause.__cause__
    if isinstance(cause, ClientError):
        status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return "Throttl" in code_of(cause) or int(status) >= 500
    return isinstance(cause, BotoCoreError) and not isinstance(
        cause, (SSOError, CredentialRetrievalError)
    )


def _advice(code: str) -> str:
    if code in _EXPIRED:
        return "the credentials have expired; sign in again, for example with aws sso login"
    if code in _UNKNOWN:
        return "AWS does not know these credentials; " + _SET_CREDENTIALS
    if "Denied" in code:
        return "check the role: aws sts get-caller-identity says which one is used"
    return "try again; turnback knows nothing else about it"
