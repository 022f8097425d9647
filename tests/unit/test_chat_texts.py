"""The e-mail and Amazon Q's notification: what they say, and what they may be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from turnback.errors import AwsError, TurnbackError
from turnback.runs.notifications.channels import DETAIL_TYPE, Channels, fitted
from turnback.runs.reporting.amazon_q import notification
from turnback.runs.reporting.mail import email_subject, email_text
from turnback.runs.reporting.report import Report
from turnback.runs.reporting.words import loss_in_words, lost, next_step, outcome, summary, title
from turnback.runs.state import RestoreLoss
from turnback.runs.status import Status
from turnback.wording import capped, clock, counted, duration, listed

from tests.chat import ERROR, LOSS, of_every_kind, row, status, status_event

EVENTS = of_every_kind()
SNS_BYTES = 256 * 1024


class Place:
    """A topic and a bus that keep what they get, or refuse it."""

    def __init__(self, refuses: TurnbackError | None = None) -> None:
        self.refuses = refuses
        self.got: list[tuple[Any, ...]] = []

    def publish(self, message: str, attributes: Any, *, subject: str = "", email: str = "") -> None:
        self._take(message, dict(attributes), subject, email)

    def put(self, detail_type: str, detail: str, resources: Any = ()) -> None:
        self._take(detail_type, detail, list(resources))

    def _take(self, *what: Any) -> None:
        if self.refuses:
            raise self.refuses
        self.got.append(what)


@pytest.mark.parametrize("word", Status)
def test_each_e_mail_names_run_target_and_release_and_says_what_to_do_next(word: Status) -> None:
    text = email_text(EVENTS[word])
    assert "run r-1" in text
    assert "learning (production)" in text and "1.0.0" in text
    assert "What to do next:\n  " in text


@pytest.mark.parametrize("word", Status)
def test_an_e_mail_reads_as_text(word: Status) -> None:
    text = email_text(EVENTS[word])
    assert "`" not in text and "*" not in text and "&amp;" not in text
    assert text.endswith("\n") and not text.endswith("\n\n")


@pytest.mark.parametrize("word", Status)
def test_each_subject_names_target_and_release_in_less_than_100_ascii_characters(
    word: Status,
) -> None:
    subject = email_subject(EVENTS[word])
    assert subject.startswith("learning: 1.0.0 ")
    long = email_subject(replace(EVENTS[word], release="1.0.0-" + "ü\n" * 200))
    assert len(long) < 100 and long.isascii() and long.isprintable()


def test_a_question_put_again_is_called_a_reminder() -> None:
    asked = EVENTS[Status.AWAITING_APPROVAL]
    assert asked.approval is not None
    again = replace(asked, approval=replace(asked.approval, reminders=1))
    assert email_subject(again) == "Reminder: learning: 1.0.0 waits for approval"
    assert not email_subject(asked).startswith("Reminder")


@pytest.mark.parametrize("word", Status)
def test_each_notification_of_amazon_q_is_of_its_form(word: Status) -> None:
    said = notification(EVENTS[word])
    assert (said["version"], said["source"]) == ("1.0", "custom")
    content = said["content"]
    assert content["textType"] == "client-markdown"
    assert content["title"].startswith("learning: 1.0.0 ")
    assert "`r-1`" in content["description"] and content["nextSteps"][0]
    assert said["metadata"]["threadId"] == "r-1"


def test_a_notification_neither_mentions_nor_links() -> None:
    evil = "<!channel> [click](https://example.com) & \n <@U1>"
    said = notification(
        status(Status.REFUSED, target="t", summary=evil, error={**ERROR, "message": evil})
    )
    text = json.dumps(said["content"])
    assert "<" not in text and "](" not in text


def test_a_notification_of_the_largest_run_is_short() -> None:
    error = {**ERROR, "message": "m" * 9000, "hint": "h" * 9000}
    rows = tuple(row(n) for n in range(500))
    said = notification(
        status(Status.NEEDS_A_PERSON, error=error, rollback_error=error, migrations=rows)
    )
    assert len(said["content"]["description"]) <= 3000
    assert len(json.dumps(said)) < 8000


def test_the_e_mail_of_a_failure_says_where_and_how_the_server_said_it() -> None:
    text = email_text(EVENTS[Status.RESTORED])
    assert "  sql/0003_c.sql:7:3\n" in text
    assert '  relation "a" does not exist\n' in text
    assert "Why the rollback failed: MigrationFailed (SQLSTATE 42P01)" in text
    assert "1,200 inserted, 31 updated rows" in " ".join(text.split())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "40 ms"),
        (19.469, "19.5 s"),
        (72, "1 min 12 s"),
        (3599, "59 min 59 s"),
        (11100, "3 h 05 min"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-11-22T15:04:05.678+00:00", "2026-11-22 15:04:05 UTC"),
        ("2026-11-22T16:04:05+01:00", "2026-11-22 15:04:05 UTC"),
        ("2026-11-22T15:04:05", "2026-11-22T15:04:05"),
        ("soon", "soon"),
    ],
)
def test_a_time_is_said_in_utc_where_it_is_one(at: str, said: str) -> None:
    assert clock(at) == said


def test_a_loss_that_was_not_counted_is_no_row_as_far_as_is_known() -> None:
    loss = {**LOSS, "inserted": 0, "updated": 0, "tables": []}
    assert lost(status(Status.RESTORED, loss=loss)) == (
        "What was written since 2026-11-22 09:10:00 UTC (6 min 2 s): no row, as far as the "
        "server counted."
    )
    assert lost(status(Status.RESTORED)) == ""


def test_a_loss_that_nobody_could_count_is_not_reported_as_none() -> None:
    unknown = RestoreLoss.from_state({name: LOSS[name] for name in ("since", "seconds")})
    assert "how much is not known" in loss_in_words(unknown)
    assert "how much is not known" in loss_in_words(None)
    reset = {**LOSS, "inserted": 0, "updated": 0, "tables": [], "reset": True}
    assert "at least no rows" in loss_in_words(RestoreLoss.from_state(reset))
    assert "is not known" in loss_in_words(RestoreLoss.from_state(reset))


def test_what_other_runs_did_is_reported_with_the_loss() -> None:
    loss = {**LOSS, "others": ["run r-9 (release 1.2.0): 0004"]}
    said = lost(status(Status.RESTORED, loss=loss))
    assert "what other runs did: run r-9 (release 1.2.0): 0004" in said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verified": "exact"}, "the database is as before"),
        ({}, "what it had done was undone"),
        (
            {"verified": "exact", "rolled_back": ("0002", "0001")},
            "the schema is as before, and no data was destroyed, 2 of 3 migrations undone",
        ),
        (
            {"verified": "names", "rolled_back": ("0001",)},
            "the schema is as before, except for names, and no data was destroyed, "
            "1 of 3 migrations undone",
        ),
        (
            {"verified": "unknown", "rolled_back": ("0001",)},
            "what it had done was undone, and no data was destroyed, 1 of 3 migrations undone",
        ),
        (
            {"verified": "exact", "rolled_back": ("0001",), "destroyed": ("table edges",)},
            "the schema is as before, but data is lost: table edges",
        ),
    ],
)
def test_a_rollback_claims_no_more_than_was_compared(fields: dict[str, Any], said: str) -> None:
    report = status(Status.ROLLED_BACK, migration_count=3, error=ERROR, **fields)
    assert outcome(report).endswith(f"failed and was rolled back: {said}")
    assert ("lost" in next_step(report)) == ("destroyed" in fields)


def test_a_restore_and_its_question_say_in_the_summary_what_is_lost() -> None:
    said = summary(EVENTS[Status.RESTORED])
    assert "about 1,200 inserted, 31 updated rows" in said and "kept as learning_old" in said
    asked = {"gate": "restore", "persons_needed": 1, "loss": LOSS}
    said = summary(status(Status.AWAITING_APPROVAL, approval=asked, error=ERROR))
    assert "its restore waits for approval; it would lose what was written since" in said


def test_counts_and_lists_read_as_text() -> None:
    assert [counted(number, "row") for number in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert listed(["a", "b"], 2, "; ", of=9) == "a; b and 7 more"
    assert capped(["a", "b", "c"], 2, ", in the plan") == ["a", "b", "and 1 more, in the plan"]


def test_a_dry_run_is_reported_as_one() -> None:
    dry = status(Status.SUCCEEDED, dry_run=True, migration_count=3)
    assert title(dry) == "learning: 1.0.0 would be applied (dry run)"
    assert next_step(dry) == "Release again without the dry run to apply it."
    assert "Applied" not in email_text(dry)


def test_a_status_is_sent_to_topic_bus_and_amazon_q() -> None:
    topic, bus, amazon_q = Place(), Place(), Place()
    event = status_event(Status.SUCCEEDED, execution_arn="arn:e")
    assert Channels(topic, bus, amazon_q).publish(event) == []

    ((message, attributes, subject, email),) = topic.got
    assert json.loads(message)["status"] == "succeeded"
    assert attributes == {"status": "succeeded", "target": "learning", "release": "1.0.0"}
    assert subject == "learning: 1.0.0 succeeded" and "What to do next" in email
    assert bus.got == [(DETAIL_TYPE, message, ["arn:e"])]
    ((notice, *_),) = amazon_q.got
    assert json.loads(notice)["source"] == "custom"


@pytest.mark.parametrize("word", [Status.REHEARSED, Status.SNAPSHOT_TAKEN, Status.APPLYING])
def test_amazon_q_is_spared_what_asks_nobody(word: Status) -> None:
    amazon_q = Place()
    Channels(Place(), None, amazon_q).publish(status_event(word))
    assert amazon_q.got == []


def test_a_bus_that_refuses_keeps_nobody_else_from_hearing() -> None:
    broken, topic, amazon_q = AwsError("no such bus"), Place(), Place()
    failed = Channels(topic, Place(broken), amazon_q).publish(status_event(Status.SUCCEEDED))
    assert failed == [broken]
    assert len(topic.got) == len(amazon_q.got) == 1


def test_a_topic_that_refuses_is_an_error_after_the_others_got_it() -> None:
    bus, amazon_q = Place(), Place()
    with pytest.raises(AwsError, match="throttled"):
        Channels(Place(AwsError("throttled")), bus, amazon_q).publish(
            status_event(Status.SUCCEEDED)
        )
    assert len(bus.got) == len(amazon_q.got) == 1


def largest() -> Report:
    error = {**ERROR, "message": '"' * 4000, "hint": "\\" * 4000}
    rows = tuple({**row(n), "version": f"{n:020}", "name": "ü" * 255} for n in range(500))
    return status_event(
        Status.AWAITING_APPROVAL,
        destroyed=tuple("d" * 300 for _ in range(500)),
        migrations=rows,
        migration_count=6600,
        rolled_back=tuple(f"{n:020}" for n in range(500)),
        error=error,
        rollback_error=error,
        restore_error=error,
        approval={"gate": "release", "persons_needed": 1, "reasons": ["r" * 300] * 500},
    )


def test_the_largest_message_fits_with_its_e_mail_and_still_counts_everything() -> None:
    topic, bus = Place(), Place()
    Channels(topic, bus).publish(largest())
    ((message, _, _, email),) = topic.got
    assert len(json.dumps({"default": message, "email": email})) < SNS_BYTES
    sent = json.loads(message)
    assert sent["migration_count"] == 6600
    assert 0 < len(sent["migrations"]) < 500
    assert len(bus.got[0][1].encode()) < SNS_BYTES


def test_a_message_with_room_enough_is_not_shortened() -> None:
    event = status_event(Status.SUCCEEDED, migrations=tuple(row(n) for n in range(500)))
    assert fitted(event) is event
