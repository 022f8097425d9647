"""Parameters of Systems Manager."""

from __future__ import annotations

from turnback.aws.clients import aws_errors, client


def parameter_text(name: str) -> str:
    """The value of a parameter of type String.

    Raises:
        AwsError: it does not exist, or cannot be read.
    """
    with aws_errors(f"read the parameter {name} of SSM"):
        answer = client("ssm").get_parameter(Name=name)
    return str(answer["Parameter"]["Value"])
