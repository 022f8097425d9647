"""The function that records answers: from Slack, from a link, or from the command line.

A request over the function's public address and an invocation by whoever IAM lets invoke it come
to the same handler. Only the first has a ``requestContext``, which Lambda itself puts there and no
client can leave out, so nobody passes for the second from outside (Lambda Developer Guide,
"Invoking Lambda function URLs").

Slack waits three seconds for a response, and recording an answer takes some twenty calls of AWS. So
a press is verified, passed on to an invocation of its own, and acknowledged. That invocation
believes nobody either: it gets the request as Slack signed it, and verifies it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs

from turnback.errors import ApprovalRefused, ConfigurationError, TurnbackError
from turnback.runs.approvals.identity import by_aws, by_name, by_slack
from turnback.runs.approvals.links import Link, read
from turnback.runs.approvals.page import HttpResponse, answered_page, notice, question_page
from turnback.runs.approvals.questions import RUN, Questions
from turnback.runs.approvals.record import APPROVED, DENIED, LOOK
from turnback.runs.approvals.slack import (
    PASSED_ON_S,
    SIGNED,
    Press,
    SlackSecret,
    ephemeral,
    pressed,
    reply,
    send,
)
from turnback.wording import clock, sentence

# A message of Slack with all its blocks is far below.
LARGEST = 512 * 1024
_PASSED_ON = "slack"
_DIRECT = {"run", "gate", "decision", "person", "comment"}
_OVER_HTTP = {"requestContext", "rawPath", "rawQueryString", "headers", "body", "version"}


class UrlEvent(Protocol):
    """Powertools' LambdaFunctionUrlEvent, as far as it is read: the event, and its parts."""

    def __getitem__(self, key: str, /) -> Any: ...

    def __iter__(self) -> Iterator[str]: ...

    def get(self, key: object, /) -> Any: ...

    @property
    def http_method(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def decoded_body(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Records answers, and replies.

    Attributes:
        questions: the stack's questions.
        key: gives the key of the links.
        slack_secret: gives what verifies a press in Slack; empty where there is no chat.
        pass_on: has this function invoked with an event, without waiting for it.
    """

    questions: Questions
    key: Callable[[], str]
    slack_secret: Callable[[], SlackSecret]
    pass_on: Callable[[Mapping[str, Any]], None]

    def respond(self, event: UrlEvent) -> HttpResponse | dict[str, Any]:
        """Do what an event asks.

        Args:
            event: a request of the Function URL (payload format 2.0), the command line's ``run``,
                ``gate``, ``decision``, ``person`` and ``comment``, or a press in Slack that was
                passed on.

        Returns:
            An HTTP response; to the command line, how the question stands.

        Raises:
            TurnbackError: the answer does not count, and why; see failed_page.
        """
        if _OVER_HTTP & set(event):
            return self._http(event)
        if set(event) == {_PASSED_ON}:
            return self._slack_passed_on(event[_PASSED_ON])
        return self._direct(event)

    def _direct(self, event: UrlEvent) -> dict[str, Any]:
        unknown = sorted(set(event) - _DIRECT)
        if unknown or not isinstance(event.get("run"), str):
            raise ConfigurationError(
                f"this is not an answer: {unknown[0] if unknown else 'run'!r}",
                hint='invoke it with {"run", "gate", "decision", "person", "comment"}',
            )
        run, gate = event["run"], event.get("gate") or None
        if event.get("decision") == LOOK:
            return self.questions.look(run, gate).to_dict()
        caller = event.get("person")
        if isinstance(caller, str):
            caller = {"arn": caller}
        who = [str(name) for name in (caller or {}).values() if name]
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

    def _http(self, event: UrlEvent) -> HttpResponse:
        if "requestContext" not in set(event):
            return notice(404, "Nothing here", "Use the whole link from the message.")
        method, body = event.http_method, _body(event)
        if len(body) > LARGEST:
            return notice(413, "Too long", "This is not an answer.")
        if method == "POST" and "x-slack-signature" in event.headers:
            return self._slack(event.headers, body)
        token = parse_qs(str(event.get("rawQueryString") or "")).get("t", [""])[0]
        if not token:
            return notice(404, "Nothing here", "Use the whole link from the message.")
        if method in ("GET", "HEAD"):
            return self._show(read(token, self.key()))
        if method == "POST":
            form = parse_qs(body.decode())
            decision = form.get("decision", [""])[0]
            if decision not in (APPROVED, DENIED):
                return notice(400, "No answer", "Press one of the two buttons.")
            comment = form.get("comment", [""])[0]
            return self._answer(read(token, self.key()), decision, comment)
        return notice(405, "Wrong method", "Open the link, and answer with a button.")

    def _show(self, link: Link) -> HttpResponse:
        """Only shows: a program that opens the links in messages must not answer by that."""
        record = self.questions.record(link.run, link.gate)
        if record.used(link.nonce):
            return self._used(link)
        if self.questions.now() >= link.expires_at:
            return _expired(link)
        status = self.questions.look(link.run, link.gate)
        if status.outcome is not None:
            return notice(409, "Decided already", sentence(status.sentence()))
        return question_page(status, link.person)

    def _answer(self, link: Link, decision: str, comment: str) -> HttpResponse:
        record = self.questions.record(link.run, link.gate)
        person = by_name(self.questions.settings.approvers, link.person)
        if person is None:
            raise ApprovalRefused(f"the approvers do not include {link.person} any more")
        if self.questions.now() >= link.expires_at:
            return _expired(link)
        if record.used(link.nonce):
            return self._used(link)
        status = self.questions.answer(record, person, decision, "link", comment=comment)
        # After the answer: a link is not used up by an answer that could not be written. Of two
        # presses at the same time one uses it; the answer of a person is recorded once anyway.
        return answered_page(status) if record.use(link.nonce) else self._used(link)

    def _used(self, link: Link) -> HttpResponse:
        status = self.questions.look(link.run, link.gate)
        return notice(
            410,
            "This link has been used",
            "A link counts once.",
            sentence(status.sentence()),
        )

    def _slack(self, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Acknowledge a press; the rest is done by another invocation."""
        pressed(headers, body, self.slack_secret().signing, self.questions.now())
        signed = {name: headers[name] for name in SIGNED}
        self.pass_on({_PASSED_ON: {"headers": signed, "body": body.decode()}})
        return {"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": ""}

    def _slack_passed_on(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Record the answer of a press; whoever pressed is told why it does not count.

        Raises:
            ApprovalRefused: Slack did not sign this, or too long ago.
        """
        secret, body = self.slack_secret(), str(request.get("body")).encode()
        headers = {name: str(value) for name, value in dict(request.get("headers") or {}).items()}
        press = pressed(headers, body, secret.signing, self.questions.now(), oldest_s=PASSED_ON_S)
        try:
            self._refuse_other_workspaces(press, secret.teams)
            self._record(press)
        except TurnbackError as error:
            self.questions.log.warning(error.message, error=error.to_dict(), user=press.user)
            text = " ".join((sentence(error.message), _hint(error)))
            send(press.reply_to, ephemeral(text), self.questions.log.warning)
        return {"press": press.decision, "run": press.run}

    def _refuse_other_workspaces(self, press: Press, teams: frozenset[str]) -> None:
        """Refuse users of other workspaces, who may be in a shared channel with the same id."""
        known = teams or {self._workspace(press.run)} - {""}
        if known and press.team not in known:
            raise ApprovalRefused(
                f"{press.user_name} belongs to another workspace of Slack ({press.team or 'none'})",
                hint='the field "team" of the chat\'s secret names the workspaces that may answer',
            )

    def _workspace(self, run: str) -> str:
        """The workspace that the run's message is in, where that is known; see notifications."""
        body = self.questions.store.read(f"runs/{run}/slack.json") if RUN.fullmatch(run) else None
        return str(json.loads(body).get("team") or "") if body else ""

    def _record(self, press: Press) -> None:
        person = by_slack(self.questions.settings.approvers, press.user)
        if person is None:
            raise ApprovalRefused(
                f"the approvers do not include {press.user_name} ({press.user})",
                hint="an approver's field slack must have this id; see the stack's parameter "
                "Approvers",
            )
        record = self.questions.record(press.run, press.gate)
        if record.used(press.once):
            # Lambda may pass one press on twice, and Slack's request may be sent again by others.
            self.questions.log.warning("this request was used before", user=press.user)
            return
        status = self.questions.answer(record, person, press.decision, "slack")
        # After the answer: one whose write failed can be sent again.
        record.use(press.once)
        send(press.reply_to, reply(press, status), self.questions.log.warning)


def failed_page(event: Mapping[str, Any], error: TurnbackError) -> HttpResponse | None:
    """The page for whoever answers over HTTP, where an answer failed; None for anybody else."""
    if not _OVER_HTTP & set(event):
        return None
    if isinstance(error, ApprovalRefused):
        return notice(403, "This does not count", sentence(error.message), _hint(error))
    return notice(
        503,
        "Not now",
        "Your answer may not be recorded: something that turnback needs does not work.",
        "Try again in a minute; or, in a terminal, turnback approve.",
    )


def _body(event: UrlEvent) -> bytes:
    """The body's bytes; empty where they are not what Lambda says they are."""
    try:
        return (event.decoded_body or "").encode()
    except ValueError:
        return b""


def _expired(link: Link) -> HttpResponse:
    return notice(
        410,
        "This link has expired",
        f"It was good until {clock(link.expires_at)}.",
        "Whoever started the run can release again, and you are asked anew.",
    )


def _hint(error: TurnbackError) -> str:
    return sentence(error.hint) if error.hint else ""
