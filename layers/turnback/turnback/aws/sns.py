"""Messages to a topic of SNS."""

from __future__ import annotations

from collections.abc import Mapping

from turnback.aws.clients import client, telling


class Topic:
    """One topic."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._sns = client("sns")

    def subscribers(self) -> int:
        """How many have confirmed that they want to hear.

        Raises:
            AwsError: SNS does not say.
        """
        with telling("count the subscribers of the topic"):
            pages = self._sns.get_paginator("list_subscriptions_by_topic").paginate(
                TopicArn=self._arn
            )
            found = [row["SubscriptionArn"] for page in pages for row in page["Subscriptions"]]
        return sum(arn.startswith("arn:") for arn in found)

    def publish(self, message: str, attributes: Mapping[str, str]) -> None:
        """Publish a message, with attributes that subscriptions can filter by.

        Raises:
            AwsError: SNS did not take it.
        """
        values = {
            name: {"DataType": "String", "StringValue": value}
            for name, value in attributes.items()
            if value
        }
        with telling("publish the status"):
            self._sns.publish(TopicArn=self._arn, Message=message, MessageAttributes=values)
