"""The parameters of approvals: who may, how many must, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from turnback.errors import ConfigurationError
from turnback.settings.approvals import ApprovalSettings

ANN = {"name": "ann", "slack": "U012", "aws": ["AIDAX", "arn:aws:iam::1:user/ann"]}
BOB = {"name": "bob", "email": "bob@x.test"}


def read(*approvers: Any, **variables: str) -> ApprovalSettings:
    return ApprovalSettings.read({"APPROVERS": json.dumps(approvers), **variables})


@pytest.mark.parametrize(
    ("variables", "with_reasons", "without"),
    [
        ({}, 0, 0),
        ({"ENVIRONMENT": "staging"}, 0, 0),
        ({"ENVIRONMENT": "production"}, 1, 0),
        ({"ENVIRONMENT": "production", "APPROVALS": "never"}, 0, 0),
        ({"ENVIRONMENT": "production", "APPROVALS": "two"}, 2, 0),
        ({"ENVIRONMENT": "development", "APPROVALS": "one", "APPROVE_ALWAYS": "yes"}, 1, 1),
        ({"ENVIRONMENT": "staging", "APPROVE_ALWAYS": "yes"}, 0, 0),
    ],
)
def test_how_many_must_approve(variables: dict[str, str], with_reasons: int, without: int) -> None:
    settings = read(ANN, BOB, **variables)
    assert settings.needed(["sql/0001.sql table users"]) == with_reasons
    assert settings.needed([]) == without


@pytest.mark.parametrize(("word", "people"), [("never", 1), ("one", 1), ("two", 2)])
def test_a_restore_needs_at_least_one(word: str, people: int) -> None:
    assert read(ANN, BOB, APPROVALS=word).needed_for_restore == people


def test_more_than_there_are_cannot_be_needed() -> None:
    with pytest.raises(ConfigurationError, match="2 must approve this release") as caught:
        read(ANN, APPROVALS="two").needed(["why"])
    assert "Approvers" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("{}", "is no list"),
        ('["ann"]', "no name in entry 1"),
        ('[{"slack": "U1"}]', "no name in entry 1"),
        ('[{"name": "ann\\n", "slack": "U1"}]', "has the name"),
        ('[{"name": "", "slack": "U1"}]', "has the name"),
        ('[{"name": "ann"}]', "no way for ann to answer"),
        ('[{"name": "ann", "aws": [" "]}]', "no way for ann to answer"),
        ('[{"name": "ann", "slak": "U1"}]', "the field 'slak' for ann"),
        ('[{"name": "ann", "slack": 1}]', "something else than text for ann"),
        ('[{"name": "ann", "aws": {"a": 1}}]', "something else than text for ann"),
        ('[{"name": "ann", "slack": "U1"}, {"name": "Ann", "slack": "U2"}]', "the name 'ann'"),
        ('[{"name": "a", "slack": "U1"}, {"name": "b", "slack": "U1"}]', "the Slack id 'U1'"),
        ('[{"name": "a", "aws": "AIDAX"}, {"name": "b", "aws": "AIDAX"}]', "the AWS identity"),
        ('[{"name": "a", "email": "X@x"}, {"name": "b", "email": "x@x"}]', "the e-mail address"),
    ],
)
def test_approvers_who_are_not_clearly_so_many_people_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ApprovalSettings.read({"APPROVERS": text})
    assert said in caught.value.message
    assert "Approvers" in str(caught.value.hint)


def test_one_identity_may_be_written_without_a_list() -> None:
    [person] = read({"name": "ann", "aws": "AIDAX"}).approvers
    assert person.aws == ("AIDAX",)


def test_approvers_may_be_named_in_a_parameter_of_ssm() -> None:
    variables = {"ENVIRONMENT": "production", "APPROVERS_PARAMETER": "/turnback/approvers"}
    kept = {"/turnback/approvers": json.dumps([ANN, BOB], indent=2)}
    settings = ApprovalSettings.read(variables, kept.__getitem__)
    assert [person.name for person in settings.approvers] == ["ann", "bob"]
    assert settings.needed(["drops a table"]) == 1

    # Where they are not read, nobody is missing: the question will say so.
    unread = ApprovalSettings.read(variables)
    assert not unread.known
    assert unread.needed(["drops a table"]) == 1

    kept["/turnback/approvers"] = "[]"
    with pytest.raises(ConfigurationError, match="the approvers are 0"):
        ApprovalSettings.read(variables, kept.__getitem__).needed(["drops a table"])
    kept["/turnback/approvers"] = "[{"
    with pytest.raises(ConfigurationError, match="/turnback/approvers of SSM is no JSON"):
        ApprovalSettings.read(variables, kept.__getitem__)
