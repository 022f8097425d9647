"""The picture of a Slack message: what it shows, and that docs/slack.svg is up to date."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from turnback.demo.picture import draw, main, wrap
from turnback.demo.slack import readable
from turnback.runs.reporting.chat import slack_message
from turnback.runs.status import Status

from tests.chat import ERROR, of_every_kind, status

DOCS = Path(__file__).resolve().parents[2] / "docs"


def texts(svg: str) -> str:
    """Everything that a picture shows, without spaces, because lines are wrapped."""
    root = ElementTree.fromstring(svg)
    shown = "".join(
        "".join(element.itertext()) for element in root if element.tag.endswith("}text")
    )
    return shown.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("*bold* and 2*3*4", [("bold", "bold"), ("", " and 2*3*4")]),
        ("`a*b*c`", [("code", "a*b*c")]),
        ("a < b & c", [("", "a < b & c")]),
    ],
)
def test_markup_becomes_styles(text: str, spans: list[tuple[str, str]]) -> None:
    (line,) = wrap(text, 700)
    joined = list[tuple[str, str]]()
    for style, part in line:
        if joined and joined[-1][0] == style:
            joined[-1] = (style, joined[-1][1] + part)
        else:
            joined.append((style, part))
    assert joined == spans


def test_long_text_is_wrapped_between_words_and_long_words_are_cut() -> None:
    lines = ["".join(part for _, part in line) for line in wrap("some words " * 20, 300)]
    assert len(lines) > 2 and all(line.strip().startswith(("some", "words")) for line in lines)
    cut = ["".join(part for _, part in line) for line in wrap("x" * 200, 300)]
    assert len(cut) > 2 and "".join(cut) == "x" * 200


@pytest.mark.parametrize("word", Status)
def test_a_picture_shows_everything_that_the_message_says(word: Status) -> None:
    message = slack_message(of_every_kind()[word], buttons=True)
    shown = texts(draw(message))
    for line in readable(message):
        for part in line.strip("[]").replace(" ", "").split(":"):
            assert part in shown
    assert (">Approve</tspan>" in draw(message)) == (word is Status.AWAITING_APPROVAL)


def test_text_of_a_run_cannot_become_markup_of_the_picture() -> None:
    error = {**ERROR, "message": "<img src=x onerror=alert(1)>"}
    drawn = draw(slack_message(status(Status.REFUSED, target="<b>", error=error)))
    assert "<img" not in drawn and "<b>" not in drawn
    assert "<imgsrc=xonerror=alert(1)>" in texts(drawn)


def test_a_message_without_blocks_is_shown_as_its_text() -> None:
    assert "only<text>" in texts(draw({"text": "only &lt;text&gt;"}))


def test_the_command_writes_the_picture(tmp_path: Path) -> None:
    message = tmp_path / "message.json"
    message.write_text('{"text": "hello"}')
    main([str(message), str(tmp_path / "a.svg")])
    assert "hello" in (tmp_path / "a.svg").read_text()


def test_the_picture_in_the_documentation_is_up_to_date() -> None:
    message = json.loads((DOCS / "slack.json").read_text())
    assert (DOCS / "slack.svg").read_text() == draw(message), "run `make picture`"
