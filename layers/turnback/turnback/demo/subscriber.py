"""A subscriber of the topic: what a run told the world, in its order."""

from __future__ import annotations

import json
import time
from typing import Any

from turnback.errors import AwsError
from turnback.local.aws import LocalAws

FINAL_SECONDS = 30.0


class Subscriber:
    """A queue on the topic of the runs' statuses."""

    def __init__(self, aws: LocalAws, topic: str) -> None:
        """Subscribe; what was told before is not heard.

        Args:
            aws: the local AWS.
            topic: the topic's ARN.
        """
        self._queues = aws.client("sqs")
        self._url = queue_on(aws, topic, "statuses")

    def hear(self, last: str) -> list[dict[str, Any]]:
        """The statuses told since the last call, oldest first, up to the one awaited.

        Args:
            last: the status word that ends the run.

        Raises:
            AwsError: it was not told.
        """
        heard: list[dict[str, Any]] = []
        deadline = time.monotonic() + FINAL_SECONDS
        while time.monotonic() < deadline:
            found = self._queues.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in found.get("Messages", []):
                heard.append(json.loads(message["Body"]))
                self._queues.delete_message(
                    QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"]
                )
            if any(status["status"] == last for status in heard):
                return sorted(heard, key=lambda status: str(status["at"]))
        words = ", ".join(status["status"] for status in heard) or "nothing"
        raise AwsError(f"The topic told {words}, and not {last}.")


def queue_on(aws: LocalAws, topic: str, name: str) -> str:
    """A queue that gets what is published to a topic from now on; its address.

    Args:
        aws: the local AWS.
        topic: the topic's ARN.
        name: of the queue.
    """
    queues = aws.client("sqs")
    url = str(queues.create_queue(QueueName=name)["QueueUrl"])
    asked = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = asked["Attributes"]["QueueArn"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    aws.client("sns").subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true"},
    )
    return url
