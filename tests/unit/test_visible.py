"""What a database, a file or a person wrote is seen as it is, in every message."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import click
import pytest
from turnback.cli.annotations import github_data
from turnback.cli.output import Output, on_terminal
from turnback.errors import MigrationFailed
from turnback.runs.approvals.ask import _text
from turnback.runs.approvals.page import question_page
from turnback.runs.approvals.record import Answer, QuestionStatus
from turnback.runs.approvals.slack import Press, ephemeral, reply
from turnback.runs.record_types import PlanRecord, RunReport
from turnback.runs.reporting.amazon_q import notification
from turnback.runs.reporting.chat import slack_message
from turnback.runs.reporting.mail import email_subject, email_text
from turnback.runs.reporting.pipeline import doing_of, message_of
from turnback.runs.reporting.progress import Progress
from turnback.runs.reporting.report import Report
from turnback.runs.state import RunError
from turnback.runs.status import Status
from turnback.wording import visible

from tests.asking import RUN, asked
from tests.chat import ERROR, LOSS, status

# An override of the direction, an erasing sequence, NUL, no width, and half of a pair.
EVIL = "a\u202egpj\x1b[2K\x00\u200b\ufeff\u3164\ud800z"
SEEN = "\\\\u202egpj\\\\u001b[2K\\\\u0000\\\\u200b\\\\ufeff\\\\u3164\\\\ud800"


def question() -> QuestionStatus:
    answer = Answer(EVIL, "approved", "2026-11-22T12:00:00+00:00", "link", EVIL)
    put = asked(reasons=(EVIL,), trigger=EVIL, target=EVIL, release=EVIL)
    return QuestionStatus(RUN, put, (answer,), ("ann",))


def report(word: Status) -> Report:
    error = {**ERROR, "message": EVIL, "hint": EVIL, "file": EVIL}
    return status(
        word,
        target=EVIL,
        release=EVIL,
        trigger=EVIL,
        progress=EVIL,
        migration_count=1,
        migrations=({"version": "0001", "name": EVIL, "status": "failed", "execution_ms": 1},),
        error=error,
        rollback_error=error,
        approval={"gate": "release", "persons_needed": 1, "reasons": [EVIL], "command": EVIL},
        loss={**LOSS, "others": [EVIL]},
        destroyed=[EVIL],
        snapshot={"kind": "rds", "id": EVIL},
    )


def texts(value: Any) -> list[str]:
    """Every text in it."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def hidden(value: Any) -> set[str]:
    """The characters that nobody sees, by the categories of Unicode."""
    found = set("".join(texts(value))) - set("\n\t")
    return {one for one in found if unicodedata.category(one)[0] == "C"} | (found & {"\u3164"})


@pytest.mark.parametrize("word", Status)
@pytest.mark.parametrize(
    "render",
    [
        lambda found: slack_message(found, buttons=True),
        notification,
        lambda found: {"subject": email_subject(found), "text": email_text(found)},
    ],
    ids=["slack", "amazon_q", "mail"],
)
def test_every_character_of_a_report_is_seen(render: Any, word: Status) -> None:
    message = render(report(word))
    assert not hidden(message)
    assert SEEN in json.dumps(message)


def test_every_character_is_seen_in_a_pipeline() -> None:
    error = RunError("E", EVIL, file=EVIL, hint=EVIL)
    now = Progress(version="0001", name=EVIL, text=EVIL)
    doing = doing_of("r-1", "Apply", PlanRecord(), RunReport(), now)
    said = [message_of(EVIL, error, "r-1"), doing.summary]
    assert not hidden(said)
    assert all(SEEN in json.dumps(text) for text in said)


def test_every_character_of_a_question_is_seen_by_who_answers_it() -> None:
    page = question_page(question(), EVIL)["body"]
    press = Press(RUN, "release", "approved", "U1", EVIL, "T1", "", {}, "once")
    said = [page, _text(question(), EVIL, "https://x"), reply(press, question()), ephemeral(EVIL)]
    assert not hidden(said)
    assert all(SEEN in json.dumps(one) for one in said)


def test_text_of_any_language_is_left_as_it_is() -> None:
    text = "größe Ω 数据 данные नमस्ते שלום 👍 a\tb\nc"
    assert visible(text) == text
    assert visible("a\U000e0041b") == "a\\U000e0041b"


def test_a_terminal_shows_what_a_database_wrote_and_keeps_the_styles_of_turnback() -> None:
    seen = on_terminal(click.style("drops", fg="red") + f" table {EVIL}\x1b[8m")
    assert seen.startswith("\x1b[31mdrops\x1b[0m table a\\u202egpj\\u001b[2K\\u0000")
    assert seen.endswith("\\u001b[8m")


def test_every_line_of_a_command_is_seen_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output("status", as_json=False)
    out.result(EVIL)
    out.note(EVIL)
    out.fail(MigrationFailed(EVIL, hint=EVIL, statement=EVIL, detail=EVIL))
    shown = "".join(capsys.readouterr())
    assert "gpj" in shown
    assert not [letter for letter in "\u202e\x00\u200b\ufeff\u3164" if letter in shown]
    assert "\x1b[2K" not in shown


def test_a_workflow_command_cannot_be_changed_by_what_a_file_says() -> None:
    assert github_data(f"{EVIL}\n::error::x") == github_data(visible(EVIL)) + "%0A::error::x"
    assert "\x1b" not in github_data(EVIL)
