"""The picture of a chat message: Slack's markup as HTML, and nothing else as HTML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from turnback.demo import picture
from turnback.demo.picture import draw, main, marked, page
from turnback.demo.slack import readable
from turnback.errors import ConfigurationError
from turnback.runs.reporting.chat import slack_message
from turnback.runs.status import Status

from tests.chat import ERROR, of_every_kind, status

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*bold* and 2*3*4", "<b>bold</b> and 2*3*4"),
        ("`a*b*c`", "<code>a*b*c</code>"),
        ("one\ntwo", "one<br>two"),
        ("*What*\n```x\ny```hint", "<b>What</b><pre>x\ny</pre>hint"),
        ("a &lt; b &amp; c", "a &lt; b &amp; c"),
        ("<script>", "&lt;script&gt;"),
    ],
)
def test_markup_is_shown_as_slack_shows_it(text: str, shown: str) -> None:
    assert marked(text) == shown


@pytest.mark.parametrize("word", Status)
def test_a_page_shows_all_that_the_message_says(word: Status) -> None:
    message = slack_message(of_every_kind()[word], buttons=True)
    drawn = page([message])
    assert drawn.count('<div class="message">') == 1
    assert message["blocks"][0]["text"]["text"] in drawn
    assert ("Approve</span>" in drawn) == (word is Status.AWAITING_APPROVAL)


def test_what_a_run_says_is_no_html_of_the_page() -> None:
    error = {**ERROR, "message": "<img src=x onerror=alert(1)>"}
    drawn = page([slack_message(status(Status.REFUSED, target="<b>", error=error))])
    assert "<img" not in drawn and "<h1><b>" not in drawn


def test_a_message_without_blocks_is_its_text() -> None:
    assert "only &lt;text&gt;" in page([{"text": "only &lt;text&gt;"}])


def test_without_a_browser_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(picture, "BROWSERS", ("no-such-browser",))
    with pytest.raises(ConfigurationError, match="no-such-browser") as caught:
        draw([{"text": "a"}], tmp_path / "a.png")
    assert "apt install chromium" in str(caught.value.hint)


@pytest.mark.parametrize("content", ["{", None])
def test_a_file_that_cannot_be_read_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    file = tmp_path / "message.json"
    if content is not None:
        file.write_text(content)
    assert main([str(file), str(tmp_path / "a.png")]) == 2
    assert "message.json" in capsys.readouterr().err


def test_the_picture_of_the_documentation_is_of_the_message_beside_it() -> None:
    message: dict[str, Any] = json.loads((ROOT / "docs" / "slack.json").read_text())
    assert readable(message)[0].startswith("learning: ")
    assert (ROOT / "docs" / "slack.png").read_bytes().startswith(b"\x89PNG")
