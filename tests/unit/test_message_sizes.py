"""A message that fits, whatever came from outside: SNS and EventBridge take 262,144 bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from turnback.aws.sns import by_protocol
from turnback.runs.notifications.channels import Channels
from turnback.runs.reporting.chat import slack_message
from turnback.runs.reporting.report import Report, ReportApproval, ReportMigration
from turnback.runs.state import RestoreLoss, RunError
from turnback.runs.status import Status

from tests.chat import of_every_kind

# SNS API, "Publish"; EventBridge guide, "PutEvents event entry size".
MOST_BYTES = 262_144
LONG = ["x" * 20_000, "é" * 20_000, "\U0001f418" * 10_000, '"\\\n' * 6_000]


class Sent:
    """The topic, Amazon Q's topic and the bus: how large what they got is, as AWS counts it."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.message = ""

    def publish(
        self, message: str, attributes: Mapping[str, str], *, subject: str = "", email: str = ""
    ) -> None:
        self.message = message
        assert subject.isascii() and len(subject) < 100
        whole = by_protocol(message, email) if email else message
        extra = sum(len(f"{name}String{value}".encode()) for name, value in attributes.items())
        self.sizes.append(len(whole.encode()) + extra)

    def put(self, detail_type: str, detail: str, resources: Sequence[str] = ()) -> None:
        parts = ("turnback", detail_type, detail, *resources)
        self.sizes.append(sum(len(part.encode()) for part in parts))


def hostile(report: Report, text: str) -> Report:
    """The report with this in each place that somebody outside can write into."""
    error = RunError("MigrationFailed", text, file=text, hint=text, version=text)
    return replace(
        report,
        trigger=text,
        summary=text,
        release=text[:50],
        migrations=tuple(ReportMigration(text[:100], text) for _ in range(30)),
        rolled_back=(text,) * 30,
        destroyed=(text,) * 30,
        approval=ReportApproval(reasons=(text,) * 30, approved_by=(text,), persons_needed=1),
        loss=RestoreLoss(),
        checklist=({"item": text, "answer": "no", "evidence": text},) * 20,
        error=error,
        rollback_error=error,
        restore_error=error,
    )


@pytest.mark.parametrize("text", LONG, ids=["ascii", "two bytes", "four bytes", "escaped"])
@pytest.mark.parametrize("status", [Status.AWAITING_APPROVAL, Status.NEEDS_A_PERSON])
def test_every_status_fits_and_names_the_record_that_has_all_of_it(
    status: Status, text: str
) -> None:
    report = hostile(replace(of_every_kind()[status], status=status), text)
    sent = Sent()
    assert Channels(sent, sent, sent).publish(report) == []
    assert max(sent.sizes) <= MOST_BYTES
    shown = Report.from_message(sent.message)
    assert shown.status is status
    assert shown.shortened == f"runs/{report.run}/final.json"
    # And what the chat makes of it fits there (Slack, "Block Kit": 50 blocks of 3,000 characters).
    message = slack_message(shown)
    assert len(message["blocks"]) <= 50
    assert all(len(one) <= 3000 for one in _texts(message["blocks"]))


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["text"]] if isinstance(node.get("text"), str) else []
        return here + [text for value in node.values() for text in _texts(value)]
    if isinstance(node, list):
        return [text for value in node for text in _texts(value)]
    return []


def test_a_status_that_fits_is_sent_whole() -> None:
    report = of_every_kind()[Status.ROLLED_BACK]
    sent = Sent()
    Channels(sent).publish(report)
    assert json.loads(sent.message) == report.to_state()
    assert report.shortened is None
