"""The AWS identity of this process."""

from __future__ import annotations

from dataclasses import dataclass

from turnback.aws.clients import aws_errors, client


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity behind the credentials of this process.

    Attributes:
        arn: of the user, or of the assumed role with its session.
        user_id: ``AIDA…`` of a user, ``AROA…:session`` of an assumed role.
        account: the account's number.
    """

    arn: str
    user_id: str
    account: str


def caller() -> Caller:
    """The identity behind our credentials; asking needs no permission.

    Raises:
        ConfigurationError: there are no credentials.
        AwsError: STS cannot be reached, or does not know us.
    """
    with aws_errors("ask AWS who we are"):
        found = client("sts").get_caller_identity()
    return Caller(str(found["Arn"]), str(found["UserId"]), str(found["Account"]))
