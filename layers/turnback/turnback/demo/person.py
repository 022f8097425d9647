"""A person who is asked: answers by the link in a mail, and the page behind it, or in Slack."""

from __future__ import annotations

import html
import http.client
import json
import re
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from turnback.demo.subscriber import queue_on
from turnback.errors import AwsError
from turnback.local.aws import LocalAws

NAME = "ann"
SLACK_ID = "U0ANN"
MAIL_SECONDS = 30.0
_LINK = re.compile(r"https://(?P<id>[a-z0-9]+)\.lambda-url\.\S+?/(?P<query>\?t=\S+)")
_URL = re.compile(r"https://(?P<id>[a-z0-9]+)\.lambda-url\.\S+?/(?P<query>)")


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
        return json.dumps([{"name": NAME, "slack": SLACK_ID, "email": f"{NAME}@example.com"}])

    def next_mail(self, about: str) -> str:
        """The next question that is put to this person, older ones on other matters left aside.

        Args:
            about: words in it.

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
                if about in (mail := str(message["Body"])):
                    return mail
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
        self._page("GET", _path(link), b"", {})
        return self._page("POST", _path(link), b"decision=approved", {})

    def press(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Let Slack post what a press of a button is.

        Args:
            url: of the function that takes answers.
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
            raise AwsError(f"The answer was not taken, but {answer.status}: {said}")
        return said


def _path(found: re.Match[str]) -> str:
    """Where the local AWS serves what on AWS has a host name of its own."""
    return f"/_aws/lambda-url/{found['id']}/{found['query']}"


def _first_sentence(page: str) -> str:
    """The first paragraph of a page; of one without any, the beginning of its text."""
    found = re.search(r"(?s)<p>(.*?)</p>", page)
    text = re.sub(r"<[^>]+>", " ", found[1] if found else page[:500])
    return " ".join(html.unescape(text).split())
