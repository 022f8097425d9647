"""A person who is asked: gets the link by mail, looks at the page behind it, and answers there."""

from __future__ import annotations

import html
import http.client
import json
import re
import time
from urllib.parse import urlsplit

from turnback.errors import AwsError
from turnback.local.aws import LocalAws
from turnback.local.subscriber import queue_on

NAME = "ann"
MAIL_SECONDS = 30.0
_LINK = re.compile(r"https://(?P<id>[a-z0-9]+)\.lambda-url\.\S+?/(?P<query>\?t=\S+)")


class Person:
    """The approver of a stack; the mailbox is a queue on the topic of the questions."""

    def __init__(self, aws: LocalAws, topic: str) -> None:
        """Subscribe as an approver does.

        Args:
            aws: the local AWS.
            topic: ARN of the topic that links are sent to.
        """
        self._queues = aws.client("sqs")
        self._url = queue_on(aws, topic, f"mail-{NAME}")
        self._host = urlsplit(aws.endpoint).netloc

    @staticmethod
    def as_parameter() -> str:
        """The stack's parameter ``Approvers``, with this person in it."""
        return json.dumps([{"name": NAME, "email": f"{NAME}@example.com"}])

    def next_mail(self) -> str:
        """The next question that is put to this person.

        Raises:
            AwsError: none came.
        """
        deadline = time.monotonic() + MAIL_SECONDS
        while time.monotonic() < deadline:
            found = self._queues.receive_message(QueueUrl=self._url, WaitTimeSeconds=1)
            for message in found.get("Messages", []):
                self._queues.delete_message(
                    QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"]
                )
                return str(message["Body"])
        raise AwsError(
            "Nobody was asked: no mail came.", hint="The log of AskFunction says what it did."
        )

    def approve(self, mail: str) -> str:
        """Open the link of a mail, answer yes on its page, and return what the page says then.

        Raises:
            AwsError: the mail has no link, or a page refuses.
        """
        link = _LINK.search(mail)
        if link is None:
            raise AwsError(f"The mail has no link:\n{mail}")
        # Where the local AWS serves what on AWS has a host name of its own.
        path = f"/_aws/lambda-url/{link['id']}/{link['query']}"
        self._page("GET", path, "")
        return self._page("POST", path, "decision=approved")

    def _page(self, method: str, path: str, form: str) -> str:
        # Not urllib, which would ask the user's proxy.
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
            connection.request(method, path, body=form, headers=kind)
            answer = connection.getresponse()
            page = answer.read().decode()
        finally:
            connection.close()
        said = _first_sentence(page)
        if answer.status != http.client.OK:
            raise AwsError(f"The page of the link answers {answer.status}: {said}")
        return said


def _first_sentence(page: str) -> str:
    """The first paragraph of a page; of one without any, the beginning of its text."""
    found = re.search(r"(?s)<p>(.*?)</p>", page)
    text = re.sub(r"<[^>]+>", " ", found[1] if found else page[:500])
    return " ".join(html.unescape(text).split())
