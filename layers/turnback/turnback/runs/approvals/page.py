"""The page behind an approval link: what is asked, why, and two buttons."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from typing import Any

from turnback.runs.approvals.record import APPROVED, DENIED
from turnback.runs.approvals.standing import Standing
from turnback.runs.summary import loss_in_words

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


def response(status: int, title: str, body: str) -> dict[str, Any]:
    """A page as a Function URL returns it.

    Args:
        status: of HTTP.
        title: plain text.
        body: HTML.
    """
    html = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>\n{body}\n</main></body></html>\n"
    )
    return {"statusCode": status, "headers": HEADERS, "body": html}


def notice(status: int, title: str, *sentences: str) -> dict[str, Any]:
    """A page that says something, and asks nothing."""
    return response(
        status, title, "\n".join(f"<p>{escape(text)}</p>" for text in sentences if text)
    )


def question_page(standing: Standing, person: str) -> dict[str, Any]:
    """The question, with two buttons. Nothing happens before one is pressed.

    The form goes to the page's own address, which carries the link.
    """
    question = standing.question
    title = f"{question.target} {question.release}: approve the {question.gate}?"
    return response(
        200,
        title,
        f"<p>Hello {escape(person)}, {escape(_what(standing))}.</p>\n"
        + _facts(standing)
        + _list("Why you are asked", question.reasons)
        + _loss(standing)
        + _said(standing)
        + '<form method="post">'
        '<p><label for="comment">A word with it, for the report</label>'
        '<input id="comment" name="comment" maxlength="500" autocomplete="off"></p>'
        f'<button name="decision" value="{APPROVED}">Approve</button>'
        f'<button name="decision" value="{DENIED}" class="no">Deny</button>'
        "</form>",
    )


def answered_page(standing: Standing) -> dict[str, Any]:
    """What became of an answer."""
    title = "Recorded" if standing.recorded else "Nothing new"
    return response(200, title, f"<p>{escape(standing.told())}.</p>\n" + _said(standing))


def _what(standing: Standing) -> str:
    question = standing.question
    if question.gate == "restore":
        return (
            f"release {question.release} failed on the database {question.target} and could not be "
            "rolled back; shall the database be restored to what it was before"
        )
    return f"shall release {question.release} be applied to the database {question.target}"


def _facts(standing: Standing) -> str:
    question = standing.question
    facts = {
        "Run": standing.run,
        "Started by": question.trigger,
        "Needs": f"{question.persons} of the approvers",
        "Asked": question.asked_at.isoformat(timespec="seconds"),
        "Until": question.expires_at.isoformat(timespec="seconds"),
    }
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return f"<dl>{rows}</dl>\n"


def _loss(standing: Standing) -> str:
    question = standing.question
    if question.gate != "restore":
        return ""
    words = escape(loss_in_words(question.loss))
    tables = [
        f"{row['name']}: {row['inserted']} inserted, {row['updated']} updated, "
        f"{row['deleted']} deleted"
        for row in (question.loss or {}).get("tables", [])
    ]
    return f'<div class="loss"><h2>What is lost</h2><p>{words}.</p>{_list("", tables)}</div>\n'


def _said(standing: Standing) -> str:
    return _list(
        "What was said so far",
        [
            f"{answer.person} {answer.decision} at {answer.at} by {answer.way}"
            + (f": {answer.comment}" if answer.comment else "")
            for answer in standing.answers
        ],
    )


def _list(title: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    more = [f"and {len(items) - LISTED} more"] if len(items) > LISTED else []
    rows = "".join(f"<li>{escape(item)}</li>" for item in [*items[:LISTED], *more])
    heading = f"<h2>{escape(title)}</h2>" if title else ""
    return f"{heading}<ul>{rows}</ul>\n"
