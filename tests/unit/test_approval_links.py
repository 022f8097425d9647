"""Signed links: shown by GET, answered by POST, once, in time, by the person they were made for."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from turnback.errors import ApprovalRefused, AwsError, ConfigurationError
from turnback.runs.approvals.endpoint import Endpoint
from turnback.runs.approvals.links import LinkMaker, read, sign
from turnback.runs.record_types import PlannedMigration, PlannedScript, PlanRecord
from turnback.runs.records import Records
from turnback.runs.state import RestoreLoss
from turnback.settings.approvals import Approver

from tests.asking import ANN, BOB, CIA, RUN, Desk, asked, at_once, called, endpoint
from tests.real_events import event

KEY = "k" * 43
URL = "https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws/"
EVIL = "<script>alert('x')</script>\"&"


def open_to(desk: Desk, key: str = KEY) -> Endpoint:
    return endpoint(desk, key=key)


def token_for(person: Approver, run: str = RUN, **changes: Any) -> str:
    link = LinkMaker(URL, lambda: KEY).make(run, asked(**changes), person.name)
    return urlsplit(link).query.removeprefix("t=")


def get(desk: Desk, token: str) -> dict[str, Any]:
    request = event("approval_link")
    request["rawQueryString"] = f"t={token}"
    return called(open_to(desk), request)


def post(desk: Desk, token: str, **form: str) -> dict[str, Any]:
    request = event("approval_link")
    request["requestContext"]["http"]["method"] = "POST"
    request["headers"]["content-type"] = "application/x-www-form-urlencoded"
    body = urlencode({"decision": "approved", **form}).encode()
    # As Lambda gives a form: it does not take its type for text.
    request |= {
        "rawQueryString": f"t={token}",
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    return called(open_to(desk), request)


@pytest.fixture
def desk() -> Desk:
    found = Desk()
    found.ask()
    return found


def test_opening_a_link_answers_nothing_however_often(desk: Desk) -> None:
    token = token_for(ANN)
    for _ in range(3):
        page = get(desk, token)
        assert page["statusCode"] == 200
        assert "learning 1.4.0: approve the release?" in page["body"]
        assert "sql/0003_drop.sql:1 table edges, with its rows (DROP TABLE)" in page["body"]
    assert desk.questions.look(RUN).answers == ()


def test_pressing_the_button_answers_with_the_word_that_was_given(desk: Desk) -> None:
    page = post(desk, token_for(ANN), comment="go on")
    assert page["statusCode"] == 200
    assert "is approved by ann" in page["body"]
    [answer] = desk.questions.look(RUN).answers
    assert (answer.person, answer.decision, answer.way) == ("ann", "approved", "link")
    assert answer.comment == "go on"
    assert desk.tasks.ended == [("approved", ("ann",))]


def test_a_link_is_good_once(desk: Desk) -> None:
    desk.needed = 2
    desk.ask()
    token = token_for(ANN)
    assert post(desk, token)["statusCode"] == 200
    for page in (post(desk, token, decision="denied"), get(desk, token)):
        assert page["statusCode"] == 410
        assert "This link has been used" in page["body"]
    assert [answer.decision for answer in desk.questions.look(RUN).answers] == ["approved"]


def test_a_link_pressed_twice_at_once_is_good_once(desk: Desk) -> None:
    token = token_for(ANN)
    pages = at_once(*[lambda: post(desk, token)] * 4)
    assert sorted(page["statusCode"] for page in pages) == [200, 410, 410, 410]


def test_an_expired_link_says_since_when(desk: Desk) -> None:
    token = token_for(ANN)
    desk.later(60)
    for page in (get(desk, token), post(desk, token)):
        assert page["statusCode"] == 410
        assert "This link has expired" in page["body"]
        assert "2026-11-22 13:00:00 UTC" in page["body"]
    assert desk.tasks.ended == []


# Made by the release before this one, for ann and until 13:00; to be removed with what reads it.
OLD_LINK = (
    "WyJyLTRhN2QxZTAwMDAwMDAwMDAwMDAwIiwicmVsZWFzZSIsImFubiIsMTc5NTM1MjQwMCwiYzNSdmNtVmtMV3hwYm1zdE1R"
    "Il0.neIsuuM341ggvbBFPEcZgawlAwidnZEmKa2Fg_XDZvE"
)


def test_a_link_of_the_release_before_is_still_good_until_it_expires_and_once(desk: Desk) -> None:
    desk.needed = 2
    desk.ask()
    assert post(desk, OLD_LINK)["statusCode"] == 200
    assert "This link has been used" in post(desk, OLD_LINK)["body"]
    assert [answer.person for answer in desk.questions.look(RUN).answers] == ["ann"]


def test_a_link_of_the_release_before_that_has_expired_or_was_changed_is_refused(
    desk: Desk,
) -> None:
    assert "not genuine" in post(desk, OLD_LINK.replace("Il0.", "Ild."))["body"]
    assert "not genuine" in post(desk, OLD_LINK[:-3] + "AAA")["body"]
    desk.later(60)
    assert post(desk, OLD_LINK)["statusCode"] == 410
    assert desk.questions.look(RUN).answers == ()


def test_a_link_whose_expiry_was_moved_is_not_genuine(desk: Desk) -> None:
    link = read(token_for(ANN), KEY)
    moved = replace(link, expires_at=link.expires_at.replace(year=2030))
    forged = sign(moved, "another key of forty-three characters, guessed")
    assert "not genuine" in post(desk, forged)["body"]
    body, _, signature = sign(moved, KEY).rpartition(".")
    _, _, old = token_for(ANN).rpartition(".")
    assert signature != old
    assert post(desk, f"{body}.{old}")["statusCode"] == 403
    assert desk.tasks.ended == []


@pytest.mark.parametrize(
    "token", ["x", ".", "a.b", "%00.%00", "é.é", "=", "x" * 9000, "W10.", ".W10", "a" * 40 + ".b"]
)
def test_rubbish_is_not_genuine(desk: Desk, token: str) -> None:
    for page in (get(desk, token), post(desk, token)):
        assert page["statusCode"] == 403
        assert "not genuine" in page["body"]


def test_a_link_of_another_run_decides_on_that_run_only(desk: Desk) -> None:
    other = "r-ffffffffffffffffffff"
    page = post(desk, token_for(ANN, run=other))
    assert page["statusCode"] == 403
    assert "asked for no release approval" in page["body"]
    assert desk.tasks.ended == []


def test_a_link_of_the_release_does_not_approve_its_restore(desk: Desk) -> None:
    desk.tasks.ended.clear()
    desk.ask("token-2", gate="restore")
    assert "is approved by ann" in post(desk, token_for(ANN))["body"]
    # The question of the release is decided; the task that waits is the restore's.
    assert desk.questions.look(RUN, "restore").outcome is None


def test_a_link_of_who_triggered_the_run_does_not_count() -> None:
    desk = Desk()
    desk.ask(trigger="release:arn:aws:iam::1:user/ann")
    page = post(desk, token_for(ANN))
    assert page["statusCode"] == 403
    assert "triggered by ann" in page["body"]
    assert desk.tasks.ended == []


def test_a_link_of_who_is_no_approver_any_more_does_not_count(desk: Desk) -> None:
    desk.approvers = (BOB, CIA)
    page = post(desk, token_for(ANN))
    assert page["statusCode"] == 403
    assert "do not include ann any more" in page["body"]


def test_a_link_to_what_is_decided_says_how(desk: Desk) -> None:
    desk.answer(BOB, "denied", comment="no")
    page = get(desk, token_for(ANN))
    assert page["statusCode"] == 409
    assert "bob denied the release: no" in page["body"]
    assert post(desk, token_for(ANN))["statusCode"] == 403


def test_a_form_without_a_button_answers_nothing(desk: Desk) -> None:
    for decision in ("", "yes", "approved\n"):
        assert post(desk, token_for(ANN), decision=decision)["statusCode"] == 400
    assert desk.questions.look(RUN).answers == ()


class Reader(HTMLParser):
    """The elements of a page, and its texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_what_others_wrote_is_text_in_the_page_and_never_an_element() -> None:
    desk = Desk(needed=2)
    desk.ask(reasons=(EVIL,), trigger=EVIL, release=EVIL, target=EVIL)
    desk.answer(BOB, "approved", comment=EVIL)
    read = Reader(get(desk, token_for(ANN))["body"])
    assert "script" not in {tag for tag, _ in read.tags}
    assert read.text.count(EVIL) >= 5


def test_a_page_loads_nothing_is_kept_nowhere_and_tells_nobody_where_it_was(desk: Desk) -> None:
    page = get(desk, token_for(ANN))
    headers: Mapping[str, str] = page["headers"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    read = Reader(page["body"])
    assert not [attrs for _, attrs in read.tags if "src" in attrs or "href" in attrs]
    [form] = [attrs for tag, attrs in read.tags if tag == "form"]
    # To its own address, which carries the link: nothing else does.
    assert form == {"method": "post"}
    assert token_for(ANN)[:20] not in page["body"]


def keep_plan(
    desk: Desk, sql: str, kept: str | None = None, file: str = "sql/0003_drop.sql"
) -> None:
    """Keep the plan of a run with one script, and its text as somebody may have changed it."""
    checksum = sha256(sql.encode()).hexdigest()
    records = Records(desk.store, RUN)
    step = PlannedMigration("0003", "drop", file, checksum)
    records.write_plan(PlanRecord(version=1, run=RUN, migrations=(step,)))
    if kept is not None:
        records.write_scripts([PlannedScript(file, checksum, kept)])


def test_the_question_shows_the_sql_that_is_approved(desk: Desk) -> None:
    sql = "DROP TABLE edges; -- <b>\n"
    keep_plan(desk, sql, sql)
    page = get(desk, token_for(ANN))["body"]
    assert "sql/0003_drop.sql, SHA-256 " + sha256(sql.encode()).hexdigest() in page
    assert "DROP TABLE edges; -- &lt;b&gt;" in page and "changed" not in page
    seen = called(open_to(desk), {"run": RUN, "decision": "look"})
    assert seen["sql"].endswith(sql)


def test_sql_that_is_not_the_planned_one_is_not_shown_as_such(desk: Desk) -> None:
    keep_plan(desk, "DROP TABLE edges;", "SELECT 1;")
    assert "cut, or changed since it was planned" in get(desk, token_for(ANN))["body"]
    keep_plan(desk, "DROP TABLE edges;")
    desk.store.objects.pop(f"runs/{RUN}/scripts.json")
    assert "its text is not kept" in get(desk, token_for(ANN))["body"]


def test_a_restore_shows_what_is_lost() -> None:
    desk = Desk()
    loss = {
        "since": "2026-11-22T11:50:00+00:00",
        "seconds": 600,
        "inserted": 12,
        "updated": 3,
        "deleted": 1,
        "tables": [{"name": "orders", "inserted": 12, "updated": 3, "deleted": 1}],
    }
    desk.ask(gate="restore", loss=RestoreLoss.from_state(loss))
    body = get(desk, token_for(ANN, gate="restore"))["body"]
    assert "about 12 inserted, 3 updated, 1 deleted rows" in body
    assert "orders: 12 inserted, 3 updated, 1 deleted" in body


@pytest.mark.parametrize(("method", "status"), [("PUT", 405), ("DELETE", 405), ("HEAD", 200)])
def test_other_methods_change_nothing(desk: Desk, method: str, status: int) -> None:
    request = event("approval_link")
    request["requestContext"]["http"]["method"] = method
    request["rawQueryString"] = f"t={token_for(ANN)}"
    assert called(open_to(desk), request)["statusCode"] == status
    assert desk.questions.look(RUN).answers == ()


def test_the_address_without_a_link_shows_nothing(desk: Desk) -> None:
    request = event("approval_link")
    request["rawQueryString"] = ""
    assert called(open_to(desk), request)["statusCode"] == 404


def test_a_request_from_outside_never_passes_for_the_command_line(desk: Desk) -> None:
    inner = {"run": RUN, "gate": "release", "decision": "approved", "person": {"arn": ANN.aws[1]}}
    request = event("approval_link")
    request["requestContext"]["http"]["method"] = "POST"
    request |= {"body": json.dumps(inner), "rawQueryString": "run=x&decision=approved"}
    # Even if a client could put fields beside those of Lambda.
    for trick in (request, {**request, **inner}, {**inner, "body": "{}"}, {**inner, "headers": {}}):
        assert called(open_to(desk), trick).get("statusCode") in (404, 405)
    assert desk.questions.look(RUN).answers == ()


def test_when_the_bucket_does_not_work_the_page_says_what_else_to_do(desk: Desk) -> None:
    def denied(*_: object) -> bool:
        raise AwsError("could not write: AccessDenied")

    desk.store.create = denied  # type: ignore[method-assign]
    page = post(desk, token_for(ANN))
    assert page["statusCode"] == 503
    assert "turnback approve" in page["body"]
    assert "AccessDenied" not in page["body"]


def test_a_link_is_not_used_up_by_an_answer_that_could_not_be_written(desk: Desk) -> None:
    written, token = desk.store.create, token_for(ANN)

    def without_answers(key: str, body: bytes) -> bool:
        if "/used/" not in key:
            raise AwsError("could not write: SlowDown")
        return written(key, body)

    desk.store.create = without_answers  # type: ignore[method-assign]
    assert post(desk, token)["statusCode"] == 503
    desk.store.create = written  # type: ignore[method-assign]
    assert "is approved by ann" in post(desk, token)["body"]
    assert post(desk, token)["statusCode"] == 410


def test_a_key_that_anybody_could_guess_signs_nothing() -> None:
    with pytest.raises(ConfigurationError, match="less than 32"):
        LinkMaker(URL, lambda: "").make(RUN, asked(), "ann")
    with pytest.raises(ConfigurationError):
        read(token_for(ANN), "")


def test_two_links_of_one_person_differ() -> None:
    assert token_for(ANN) != token_for(ANN)


def test_a_link_is_short_enough_for_any_mail_program() -> None:
    assert len(URL + token_for(CIA, run="r" * 80)) < 400


def test_over_the_command_line_who_the_caller_is_decides_whose_answer_it_is(desk: Desk) -> None:
    answered = called(open_to(desk), event("answer") | {"person": {"arn": ANN.aws[1]}})
    assert answered["recorded"]
    assert answered["outcome"]["by"] == ("ann",)
    [answer] = desk.questions.look(RUN).answers
    assert (answer.way, answer.comment) == ("command", "talked to the team")


def test_the_gate_need_not_be_named(desk: Desk) -> None:
    order = {"run": RUN, "decision": "denied", "person": {"user_id": ANN.aws[0]}}
    assert called(open_to(desk), order)["gate"] == "release"


def test_somebody_who_is_no_approver_is_refused_by_their_name(desk: Desk) -> None:
    order = event("answer") | {"person": {"arn": "arn:aws:iam::1:user/eve", "user_id": "X"}}
    with pytest.raises(ApprovalRefused, match="do not include arn:aws:iam::1:user/eve"):
        called(open_to(desk), order)


@pytest.mark.parametrize("person", [None, {}, "", "ann", {"name": "ann"}])
def test_nobody_is_refused(desk: Desk, person: Any) -> None:
    with pytest.raises(ApprovalRefused, match="approvers do not include"):
        called(open_to(desk), event("answer") | {"person": person})


def test_looking_answers_nothing(desk: Desk) -> None:
    seen = called(open_to(desk), {"run": RUN, "decision": "look"})
    assert seen["told"].endswith("0 of 1 have approved (nobody)")
    assert not seen["answers"]


@pytest.mark.parametrize("order", [{}, {"run": 1}, {"run": RUN, "way": "slack"}])
def test_what_is_no_answer_is_refused(desk: Desk, order: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="this is not an answer"):
        called(open_to(desk), order)


@pytest.mark.parametrize("decision", ["", "yes", None])
def test_a_decision_that_is_none_is_refused(desk: Desk, decision: Any) -> None:
    with pytest.raises(ApprovalRefused, match="not an answer to this"):
        called(
            open_to(desk), event("answer") | {"person": {"arn": ANN.aws[1]}, "decision": decision}
        )
