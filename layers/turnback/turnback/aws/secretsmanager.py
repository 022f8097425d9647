"""Secrets, read where they are used and never stored."""

from __future__ import annotations

import json
from typing import Any

from turnback.aws.clients import aws_errors, client
from turnback.errors import ConfigurationError


def secret_text(arn: str) -> str:
    """The text of a secret.

    Raises:
        ConfigurationError: the secret is binary.
        AwsError: it cannot be read.
    """
    with aws_errors("read the secret"):
        answer = client("secretsmanager").get_secret_value(SecretId=arn)
    if "SecretString" not in answer:
        raise ConfigurationError("the secret is binary; it must be text", hint=f"see {arn}")
    return str(answer["SecretString"])


def secret_fields(arn: str) -> dict[str, Any]:
    """The fields of a secret that is a JSON object, as RDS writes it.

    Raises:
        ConfigurationError: the secret is not a JSON object; the message does not repeat it.
        AwsError: it cannot be read.
    """
    try:
        fields = json.loads(secret_text(arn))
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise ConfigurationError(
            "the database's secret is not a JSON object",
            hint='it must be like {"host", "port", "username", "password", "dbname"}',
        )
    return fields
