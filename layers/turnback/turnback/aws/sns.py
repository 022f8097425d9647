"""Messages to a topic of SNS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnback.aws.clients import aws_errors, client


class Topic:
    """One topic."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._sns = client("sns")

    def subscribers(self) -> int:
        """How many subscriptions are confirmed.

        Raises:
            AwsError: SNS does not answer, or refuses us.
        """
        with aws_errors("count the subscribers of the topic"):
            pages = self._sns.get_paginator("list_subscriptions_by_topic").paginate(
                TopicArn=self._arn
            )
            found = [row["SubscriptionArn"] for page in pages for row in page["Subscriptions"]]
        return sum(arn.startswith("arn:") for arn in found)

    def publish(
        self, message: str, attributes: Mapping[str, str], *, subject: str = "", email: str = ""
    ) -> None:
        """Publish a message, with attributes that subscriptions can filter by.

        Args:
            message: what every subscriber gets.
            attributes: names and values; empty values are left out.
            subject: of the e-mail; at most 99 characters, no line break.
            email: what subscribers by e-mail get instead of the message.

        Raises:
            AwsError: SNS did not accept it.
        """
        values = {
            name: {"DataType": "String", "StringValue": value}
            for name, value in attributes.items()
            if value
        }
        more: dict[str, Any] = {"Subject": subject} if subject else {}
        if email:
            more["MessageStructure"] = "json"
            message = by_protocol(message, email)
        with aws_errors("publish the status"):
            self._sns.publish(TopicArn=self._arn, Message=message, MessageAttributes=values, **more)


def by_protocol(message: str, email: str) -> str:
    """One message for e-mail and one for the rest (SNS API, "Publish", MessageStructure)."""
    return json.dumps({"default": message, "email": email})
