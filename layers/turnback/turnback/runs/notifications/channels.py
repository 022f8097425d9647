"""Publishing a status: to the topic, to the event bus, and to Amazon Q's topic."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from turnback.errors import TurnbackError
from turnback.runs.reporting.amazon_q import notification
from turnback.runs.reporting.mail import email_subject, email_text
from turnback.runs.reporting.report import LISTED, Report
from turnback.runs.reporting.words import is_worth_a_message

DETAIL_TYPE = "Run status"
# SNS and EventBridge take 256 KiB (SNS API, "Publish"; EventBridge guide, "PutEvents event entry
# size"), attributes and the entry's own fields among them.
ROOM_BYTES = 256 * 1024 - 4096
REASONS = 20


class StatusTopic(Protocol):
    """The status topic, with a separate text for e-mail."""

    def publish(
        self, message: str, attributes: Mapping[str, str], *, subject: str = "", email: str = ""
    ) -> None:
        """Publish a message with attributes to filter by."""


class Bus(Protocol):
    """EventBridge's bus."""

    def put(self, detail_type: str, detail: str, resources: Sequence[str] = ()) -> None:
        """Put one event."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Everywhere that a status is published.

    Attributes:
        topic: the status topic, which the chat function listens to as well.
        bus: EventBridge's bus, or None.
        amazon_q: the topic that Amazon Q Developer listens to, or None.
    """

    topic: StatusTopic
    bus: Bus | None = None
    amazon_q: StatusTopic | None = None

    def publish(self, report: Report) -> list[TurnbackError]:
        """Publish a status everywhere; a failure in one place does not stop the others.

        Returns:
            The errors of the bus and of Amazon Q's topic: to be logged, not to be retried.

        Raises:
            TurnbackError: the status topic did not accept it.
        """
        fitting = fitted(report)
        failed: list[TurnbackError] = []
        if self.bus is not None:
            resources = [report.execution_arn] if report.execution_arn else []
            try:
                self.bus.put(DETAIL_TYPE, fitting.to_json(), resources)
            except TurnbackError as error:
                failed.append(error)
        if self.amazon_q is not None and is_worth_a_message(report):
            try:
                self.amazon_q.publish(json.dumps(notification(fitting)), report.attributes())
            except TurnbackError as error:
                failed.append(error)
        self.topic.publish(
            fitting.to_json(),
            report.attributes(),
            subject=email_subject(fitting),
            email=email_text(fitting),
        )
        return failed


def fitted(report: Report) -> Report:
    """The report with as many of its migrations listed as a message has room for.

    ``migration_count`` still counts all of them; the report in the bucket lists them.
    """
    most, shorter = LISTED, report
    while _size(shorter) > ROOM_BYTES and most:
        most //= 2
        asked = report.approval
        shorter = replace(
            report,
            migrations=report.migrations[:most],
            rolled_back=report.rolled_back[:most],
            destroyed=report.destroyed[:REASONS],
            approval=replace(asked, reasons=asked.reasons[:REASONS]) if asked else None,
        )
    return shorter


def _size(report: Report) -> int:
    """Bytes of the message to the topic: the larger one, for its JSON is a string within JSON."""
    return len(json.dumps({"default": report.to_json(), "email": email_text(report)}))
