"""The page behind an approval link: what is asked, why, and two buttons."""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from turnback.runs.approvals.record import QuestionStatus
from turnback.runs.reporting.words import loss_in_words
from turnback.wording import capped, clock, visible

if TYPE_CHECKING:
    from jinja2 import Template

LISTED = 50

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1c2128; background: #f4f5f7 }
main { max-width: 42rem; margin: 2rem auto; padding: 2rem; background: #fff; border-radius: 8px }
h1 { font-size: 1.4rem; margin-top: 0 }
h2 { font-size: 1rem; margin-bottom: .3rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0 }
dt { color: #57606a }
dd { margin: 0; overflow-wrap: anywhere }
li { overflow-wrap: anywhere }
input { width: 100%; box-sizing: border-box; font: inherit; padding: .4rem }
button { font: inherit; font-weight: 600; padding: .6rem 1.6rem; margin: 1rem 1rem 0 0; border: 0;
  border-radius: 6px; color: #fff; background: #1a7f37; cursor: pointer }
pre { overflow: auto; max-height: 30rem; padding: 1rem; background: #f4f5f7; font-size: .85rem }
button.no { background: #b3261e }
.loss { border-left: 4px solid #b3261e; padding-left: 1rem }
"""

# Nothing but our own style is ever loaded, the form goes nowhere else, and no cache, preview or
# log of another server keeps the link.
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
    + "'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


class HttpResponse(TypedDict):
    """A response as a Function URL returns it."""

    statusCode: int
    headers: dict[str, str]
    body: str


class _Page(TypedDict, total=False):
    """What page.html shows; a part that is left out is not shown."""

    title: str
    sentences: Sequence[str]
    facts: dict[str, str]
    reasons: list[str]
    sql: str
    loss: str
    tables: list[str]
    answers: list[str]
    buttons: bool


def notice(status: int, title: str, *sentences: str) -> HttpResponse:
    """A page that says something, and asks nothing.

    Args:
        status: of HTTP.
        title: the headline.
        sentences: what it says; empty ones are left out.
    """
    return _page(status, {"title": title, "sentences": sentences})


def question_page(status: QuestionStatus, person: str) -> HttpResponse:
    """The question, with two buttons. Nothing happens before one is pressed.

    The form goes to the page's own address, which carries the link.
    """
    question = status.question
    restore = question.gate == "restore"
    page: _Page = {
        "title": f"{question.target} {question.release}: approve the {question.gate}?",
        "sentences": [f"Hello {person}, {_question(status)}."],
        "facts": {
            "Run": status.run,
            "Started by": question.trigger,
            "Needs": f"{question.persons} of the approvers",
            "Asked": clock(question.asked_at),
            "Until": clock(question.expires_at),
        },
        "reasons": capped(question.reasons, LISTED),
        "sql": status.sql,
        "loss": loss_in_words(question.loss) if restore else "",
        "tables": [
            f"{table.name}: {table.inserted:,} inserted, {table.updated:,} updated, "
            f"{table.deleted:,} deleted"
            for table in (question.loss.tables if question.loss else ())
        ],
        "answers": _answers(status),
        "buttons": True,
    }
    return _page(200, page)


def answered_page(status: QuestionStatus) -> HttpResponse:
    """What became of an answer."""
    title = "Recorded" if status.recorded else "Nothing new"
    said = f"{status.sentence()}."
    return _page(200, {"title": title, "sentences": [said], "answers": _answers(status)})


def _question(status: QuestionStatus) -> str:
    question = status.question
    if question.gate == "restore":
        return (
            f"release {question.release} failed on the database {question.target} and could not be "
            "rolled back; shall the database be restored to what it was before"
        )
    return f"shall release {question.release} be applied to the database {question.target}"


def _answers(status: QuestionStatus) -> list[str]:
    answers = [
        f"{answer.person} {answer.decision} at {clock(answer.at)} by {answer.way}"
        + (f": {answer.comment}" if answer.comment else "")
        for answer in status.answers
    ]
    return capped(answers, LISTED)


def _page(status: int, page: _Page) -> HttpResponse:
    return {"statusCode": status, "headers": HEADERS, "body": _template().render(page)}


@functools.cache
def _template() -> Template:
    # Here, because a press of a button in Slack needs no page, and has three seconds.
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html", globals={"style": Markup(_STYLE)})
