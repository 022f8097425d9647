"""What comes to the function that takes answers: Slack, a link, or the command line.

A request over the function's public address and an invocation by whoever IAM lets invoke it come
to the same handler. Only the first has a ``requestContext``, which Lambda itself puts there and no
client can leave out, so nobody passes for the second from outside (Lambda Developer Guide,
"Invoking Lambda function URLs").
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from turnback.errors import ApprovalRefused, ConfigurationError, TurnbackError
from turnback.runs.approvals.link import Link, read
from turnback.runs.approvals.page import answered_page, notice, question_page
from turnback.runs.approvals.person import by_aws, by_name, by_slack
from turnback.runs.approvals.questions import Questions
from turnback.runs.approvals.record import APPROVED, DENIED
from turnback.runs.approvals.slack import Press, pressed, reply, send, whisper

# A message of Slack with all its blocks is far below.
LARGEST = 512 * 1024
LOOK = "look"
_DIRECT = {"run", "gate", "decision", "person", "comment"}
_OVER_HTTP = {"requestContext", "rawPath", "rawQueryString", "headers", "body", "version"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The function that takes answers.

    Attributes:
        questions: the stack's questions.
        key: gives the key of the links.
        slack_secret: gives Slack's signing secret; empty where there is none.
    """

    questions: Questions
    key: Callable[[], str]
    slack_secret: Callable[[], str]

    def respond(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Do what an event asks.

        Args:
            event: a request of the Function URL (payload format 2.0), or the command line's
                ``run``, ``gate``, ``decision``, ``person`` and ``comment``.

        Returns:
            An answer of HTTP; to the command line, how the question stands.

        Raises:
            TurnbackError: to the command line only: the answer does not count, says why.
        """
        if not _OVER_HTTP & event.keys():
            return self._direct(event)
        try:
            return self._http(event)
        except ApprovalRefused as error:
            self.questions.log.warning(error.message, refused=True)
            return notice(403, "This does not count", _sentence(error.message), _hint(error))
        except TurnbackError as error:
            self.questions.log.warning(error.message, error=error.to_dict())
            return notice(
                503,
                "Not now",
                "Your answer may not be recorded: something that turnback needs does not work.",
                "Try again in a minute; or, in a terminal, turnback approve.",
            )

    def _direct(self, event: Mapping[str, Any]) -> dict[str, Any]:
        strange = sorted(event.keys() - _DIRECT)
        if strange or not isinstance(event.get("run"), str):
            raise ConfigurationError(
                f"this is no answer: {strange[0] if strange else 'run'!r}",
                hint='invoke it with {"run", "gate", "decision", "person", "comment"}',
            )
        run, gate = event["run"], event.get("gate") or None
        if event.get("decision") == LOOK:
            return self.questions.look(run, gate).to_dict()
        told = event.get("person")
        if isinstance(told, str):
            told = {"arn": told}
        who = [str(name) for name in (told or {}).values() if name]
        person = by_aws(self.questions.settings.approvers, who)
        if person is None:
            raise ApprovalRefused(
                f"the approvers do not include {who[0] if who else 'nobody'}",
                hint="an approver's field aws must have this ARN, or the user id; see the stack's "
                "parameter Approvers",
            )
        return self.questions.answer(
            self.questions.record(run, gate),
            person,
            str(event.get("decision")),
            "command",
            comment=str(event.get("comment") or ""),
            identities=who,
        ).to_dict()

    def _http(self, event: Mapping[str, Any]) -> dict[str, Any]:
        request = event.get("requestContext") or {}
        method = str((request.get("http") or {}).get("method") or "")
        headers = {name.lower(): str(value) for name, value in (event.get("headers") or {}).items()}
        body = _body(event)
        if len(body) > LARGEST:
            return notice(413, "Too long", "This is no answer.")
        if method == "POST" and "x-slack-signature" in headers:
            return self._slack(headers, body)
        token = parse_qs(str(event.get("rawQueryString") or "")).get("t", [""])[0]
        if not token:
            return notice(404, "Nothing here", "Use the whole link from the message.")
        if method in ("GET", "HEAD"):
            return self._show(read(token, self.key()))
        if method == "POST":
            form = parse_qs(body.decode("utf-8", errors="replace"))
            decision = form.get("decision", [""])[0]
            if decision not in (APPROVED, DENIED):
                return notice(400, "No answer", "Press one of the two buttons.")
            comment = form.get("comment", [""])[0]
            return self._act(read(token, self.key()), decision, comment)
        return notice(405, "Not this way", "A link is opened, and answered by a button.")

    def _show(self, link: Link) -> dict[str, Any]:
        """Only shows: programs that look at links in messages must not answer by that."""
        record = self.questions.record(link.run, link.gate)
        if record.used(link.nonce):
            return self._used(link)
        if self.questions.now() >= link.expires_at:
            return _expired(link)
        standing = self.questions.look(link.run, link.gate)
        if standing.outcome is not None:
            return notice(409, "Decided already", _sentence(standing.told()))
        return question_page(standing, link.person)

    def _act(self, link: Link, decision: str, comment: str) -> dict[str, Any]:
        record = self.questions.record(link.run, link.gate)
        person = by_name(self.questions.settings.approvers, link.person)
        if person is None:
            raise ApprovalRefused(f"the approvers do not include {link.person} any more")
        if self.questions.now() >= link.expires_at:
            return _expired(link)
        if not record.use(link.nonce):
            return self._used(link)
        standing = self.questions.answer(record, person, decision, "link", comment=comment)
        return answered_page(standing)

    def _used(self, link: Link) -> dict[str, Any]:
        standing = self.questions.look(link.run, link.gate)
        return notice(
            410,
            "This link has been used",
            "A link counts once.",
            _sentence(standing.told()),
        )

    def _slack(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        press = pressed(headers, body, self.slack_secret(), self.questions.now())
        try:
            record = self.questions.record(press.run, press.gate)
            if not record.use(press.once):
                raise ApprovalRefused("this request was used before")
            self._take(press)
        except TurnbackError as error:
            # To Slack it is a request that was received; to the one who pressed, a word.
            self.questions.log.warning(error.message, error=error.to_dict(), user=press.user)
            text = " ".join((_sentence(error.message), _hint(error)))
            send(press.reply_to, whisper(text), self.questions.log.warning)
        return {"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": ""}

    def _take(self, press: Press) -> None:
        person = by_slack(self.questions.settings.approvers, press.user)
        if person is None:
            raise ApprovalRefused(
                f"the approvers do not include {press.user_name} ({press.user})",
                hint="an approver's field slack must have this id; see the stack's parameter "
                "Approvers",
            )
        record = self.questions.record(press.run, press.gate)
        standing = self.questions.answer(record, person, press.decision, "slack")
        send(press.reply_to, reply(press, standing), self.questions.log.warning)


def _body(event: Mapping[str, Any]) -> bytes:
    text = str(event.get("body") or "")
    if not event.get("isBase64Encoded"):
        return text.encode(errors="replace")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _expired(link: Link) -> dict[str, Any]:
    when = link.expires_at.isoformat(timespec="seconds")
    return notice(
        410,
        "This link has expired",
        f"It was good until {when}.",
        "Whoever started the run can release again, and you are asked anew.",
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _hint(error: TurnbackError) -> str:
    return _sentence(error.hint) if error.hint else ""
