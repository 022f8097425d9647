"""Subscribers of the stack's topics: one for the statuses, and an approver who is asked by mail."""

from __future__ import annotations

import html
import http.client
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from turnback.errors import AwsError
from turnback.local.aws import LocalAws

FINAL_SECONDS = 30.0


class StatusSubscriber:
    """A queue on the topic of the runs' statuses."""

    def __init__(self, aws: LocalAws, topic: str) -> None:
        """Subscribe; statuses published before are not received.

        Args:
            aws: the local AWS.
            topic: the topic's ARN.
        """
        self._queues = aws.client("sqs")
        self._url = queue_on(aws, topic, "statuses")

    def receive(self, last: str) -> list[dict[str, Any]]:
        """The statuses since the last call, oldest first, up to the one awaited.

        Args:
            last: the status word that ends the run.

        Raises:
            AwsError: it was not published in time.
        """
        received: list[dict[str, Any]] = []
        deadline = time.monotonic() + FINAL_SECONDS
        while time.monotonic() < deadline:
            found = self._queues.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in found.get("Messages", []):
                received.append(json.loads(message["Body"]))
                self._queues.delete_message(
                    QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"]
                )
            if any(status["status"] == last for status in received):
                return sorted(received, key=lambda status: str(status["at"]))
        words = ", ".join(status["status"] for status in received) or "nothing"
        raise AwsError(f"The topic published {words}, but not {last}.")


def queue_on(aws: LocalAws, topic: str, name: str) -> str:
    """Subscribe a new queue to a topic; returns the queue's URL.

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


NAME = "ann"
SLACK_ID = "U0ANN"
MAIL_SECONDS = 30.0
_LINK = re.compile(r"https://(?P<id>[a-z0-9]+)\.lambda-url\.\S+?/(?P<query>\?t=\S+)")
_URL = re.compile(r"https://(?P<id>[a-z0-9]+)\.lambda-url\.\S+?/(?P<query>)")


class Approver:
    """An approver of a stack; the mailbox is a queue on the approval topic."""

    def __init__(self, aws: LocalAws, topic: str) -> None:
        """Subscribe as an approver does.

        Args:
            aws: the local AWS.
            topic: ARN of the topic that sends the links.
        """
        self._queues = aws.client("sqs")
        self._url = queue_on(aws, topic, f"mail-{NAME}")
        self._host = urlsplit(aws.endpoint).netloc

    @staticmethod
    def as_parameter() -> str:
        """The value of the stack's parameter ``Approvers``."""
        return json.dumps([{"name": NAME, "slack": SLACK_ID, "email": f"{NAME}@example.com"}])

    def next_mail(self, about: str) -> str:
        """The next mail about a subject; others are discarded.

        Args:
            about: words in the mail.

        Raises:
            AwsError: none arrived.
        """
        deadline = time.monotonic() + MAIL_SECONDS
        while time.monotonic() < deadline:
            found = self._queues.receive_message(QueueUrl=self._url, WaitTimeSeconds=1)
            for message in found.get("Messages", []):
                self._queues.delete_message(
                    QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"]
                )
                if about in (mail := str(message["Body"])):
                    return mail
        raise AwsError("No mail arrived.", hint="See the log of AskFunction.")

    def approve(self, mail: str) -> str:
        """Open the link in a mail, press yes on the page, and return what the page then says.

        Raises:
            AwsError: the mail has no link, or a page refuses.
        """
        link = _LINK.search(mail)
        if link is None:
            raise AwsError(f"The mail has no link:\n{mail}")
        self._page("GET", _path(link), b"", {})
        return self._page("POST", _path(link), b"decision=approved", {})

    def press(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Post a pressed button to the function, as Slack does.

        Args:
            url: of the function that receives answers.
            body: as Slack posts it.
            headers: with its signature.

        Raises:
            AwsError: it is refused.
        """
        found = _URL.match(url)
        if found is None:
            raise AwsError(f"The function has no address: {url!r}")
        self._page("POST", _path(found), body, headers)

    def _page(self, method: str, path: str, form: bytes, headers: Mapping[str, str]) -> str:
        # Not urllib, which would ask the user's proxy.
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
            connection.request(method, path, body=form, headers={**kind, **headers})
            answer = connection.getresponse()
            page = answer.read().decode()
        finally:
            connection.close()
        said = _first_sentence(page)
        if answer.status != http.client.OK:
            raise AwsError(f"The answer was refused with status {answer.status}: {said}")
        return said


def _path(found: re.Match[str]) -> str:
    """The path under which the local AWS serves a function URL."""
    return f"/_aws/lambda-url/{found['id']}/{found['query']}"


def _first_sentence(page: str) -> str:
    """The first paragraph of a page, or the beginning of its text."""
    found = re.search(r"(?s)<p>(.*?)</p>", page)
    text = re.sub(r"<[^>]+>", " ", found[1] if found else page[:500])
    return " ".join(html.unescape(text).split())
