"""Publishing a status: to the topic, to the event bus, and to Amazon Q's topic."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from turnback.errors import TurnbackError
from turnback.runs.records import Records
from turnback.runs.reporting.amazon_q import notification
from turnback.runs.reporting.mail import email_subject, email_text
from turnback.runs.reporting.report import Report
from turnback.runs.reporting.words import is_worth_a_message
from turnback.wording import cut

DETAIL_TYPE = "Run status"
# SNS and EventBridge take 256 KiB (SNS API, "Publish"; EventBridge guide, "PutEvents event entry
# size"), attributes and the entry's own fields among them.
ROOM_BYTES = 256 * 1024 - 4096
# How many entries a list and how many characters a text may have, until the message fits. The last
# one always does.
ROOM = ((250, 20_000), (125, 5000), (60, 5000), (20, 2000), (20, 500), (5, 100))


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
    """The report with as much of its lists and texts as a message has room for.

    Whatever comes from outside may be long: names, reasons, errors, an approver's words. The counts
    stay, and ``shortened`` names the record that has all of it.
    """
    shorter = report
    for most, length in ROOM:
        if _size(shorter) <= ROOM_BYTES:
            break
        cut_down = Report.from_state(_shortened(report.to_state(), most, length))
        shorter = replace(
            cut_down, shortened=Records.final_key(report.run), execution_arn=report.execution_arn
        )
    return shorter


def _shortened(value: Any, most: int, length: int) -> Any:
    if isinstance(value, str):
        return cut(value, length)
    if isinstance(value, list):
        return [_shortened(item, most, length) for item in value[:most]]
    if isinstance(value, dict):
        # The fields of a part of the report; a table from outside is as long as it likes.
        items = list(value.items())[: max(most, len(fields(Report)))]
        return {name: _shortened(item, most, length) for name, item in items}
    return value


def _size(report: Report) -> int:
    """Bytes of the message to the topic: the larger one, for its JSON is a string within JSON."""
    return len(json.dumps({"default": report.to_json(), "email": email_text(report)}))
