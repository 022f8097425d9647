"""Who somebody is: the names that AWS has for one person, and who started a run."""

from __future__ import annotations

import pytest
from turnback.runs.approvals.identity import by_aws, triggered
from turnback.settings.approvals import Approver

from tests.asking import ANN, BOB, CIA

ROLE = Approver("deployer", aws=("arn:aws:iam::1:role/teams/Deployer",))
SESSION = Approver("eve", aws=("arn:aws:sts::1:assumed-role/Admin/eve@x.test",))
EVERYBODY = (ANN, BOB, CIA, ROLE, SESSION)


@pytest.mark.parametrize(
    ("identities", "name"),
    [
        (["AIDAANN000000000000A"], "ann"),
        (["arn:aws:iam::1:user/ann"], "ann"),
        (["arn:aws:iam::1:user/some/path/ann"], "ann"),
        (["arn:aws:iam::2:user/ann"], None),
        (["arn:aws:iam::1:user/Ann"], None),
        (["arn:aws:iam::1:user/bob"], "bob"),
        (["AROACIA000000000000A:cia@x.test"], "cia"),
        (["AROACIA000000000000A:dan@x.test"], None),
        (["arn:aws:sts::1:assumed-role/Deployer/any-session"], "deployer"),
        (["arn:aws:sts::1:assumed-role/Admin/eve@x.test"], "eve"),
        (["arn:aws:sts::1:assumed-role/Admin/dan@x.test"], None),
        (["arn:aws:iam::1:root", "1"], None),
        (["AIDAANN"], None),
        (["ann"], None),
        ([""], None),
        ([], None),
    ],
)
def test_an_approver_is_found_by_every_form_of_their_name(
    identities: list[str], name: str | None
) -> None:
    found = by_aws(EVERYBODY, identities)
    assert (found.name if found else None) == name


def test_who_is_named_exactly_comes_before_who_is_named_by_role() -> None:
    one = Approver("all", aws=("arn:aws:iam::1:role/Admin",))
    assert by_aws((one, SESSION), ["arn:aws:sts::1:assumed-role/Admin/eve@x.test"]) is SESSION


@pytest.mark.parametrize(
    ("trigger", "person"),
    [
        ("upload:AWS:AIDAANN000000000000A", ANN),
        ("upload:AIDAANN000000000000A", ANN),
        ("release:arn:aws:iam::1:user/ann", ANN),
        ("release:arn:aws:iam::1:user/team/bob", BOB),
        ("upload:AWS:AROACIA000000000000A:cia@x.test", CIA),
        # By another role, with the same name of the session.
        ("upload:AWS:AROAOTHER0000000000A:CIA@x.test", CIA),
        ("release:arn:aws:sts::1:assumed-role/Other/ann@x.test", ANN),
        ("release:arn:aws:sts::1:assumed-role/Other/bob", BOB),
        ("upload:AWS:AROADEPLOYER00000000A:eve@x.test", SESSION),
        # Whoever took the role; nobody knows which person it was.
        ("release:arn:aws:sts::1:assumed-role/Deployer/dan", ROLE),
    ],
)
def test_who_started_the_run_is_known_by_every_form(trigger: str, person: Approver) -> None:
    assert triggered(trigger, person)


@pytest.mark.parametrize("trigger", ["upload:unknown", "manual", "pipeline:p/1234", "", "test"])
@pytest.mark.parametrize("person", EVERYBODY, ids=lambda person: person.name)
def test_a_run_that_no_person_started_is_nobodys_own(trigger: str, person: Approver) -> None:
    assert not triggered(trigger, person)


def test_another_person_did_not_start_it() -> None:
    assert not triggered("upload:AWS:AIDAANN000000000000A", BOB)
    assert not triggered("upload:AWS:AROACIA000000000000A:dan@x.test", CIA)


def test_what_sts_says_of_the_caller_counts_as_well() -> None:
    trigger = "upload:AWS:AIDABOB000000000000A"
    assert not triggered(trigger, BOB)
    assert triggered(trigger, BOB, ["arn:aws:iam::1:user/bob", "AIDABOB000000000000A"])
