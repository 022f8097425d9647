"""The checklist of a release: each answer from evidence, and no answer without."""

from __future__ import annotations

from typing import Any

import pytest
from turnback.migrations.model import Migration, Script
from turnback.runs.checklist import Evidence, checklist, in_short, undocumented
from turnback.runs.record_types import RehearsalRecord
from turnback.runs.state import RunSnapshot

STATEMENT = {
    "locks": [{"relation": "users", "mode": "AccessExclusiveLock"}],
    "rewrites": ["users"],
    "scans": [],
}


def row(**changes: Any) -> dict[str, Any]:
    return {
        "version": "0001",
        "forward": "applied",
        "rollback": "exact",
        "statements": [STATEMENT],
        **changes,
    }


def rehearsed(status: str = "proven", **changes: Any) -> RehearsalRecord:
    return RehearsalRecord.from_state({"status": status, "migrations": [row(**changes)]})


GOOD = Evidence(
    source={"repository": "git@example.com:learning.git", "commit": "8c7e0b1d2f3a45678901"},
    undocumented=[],
    rehearsal=rehearsed(),
    snapshot=RunSnapshot("rds", "turnback-learning-r-1", "available"),
    alarms=2,
    audience=3,
)
NOTHING = Evidence(source={}, undocumented=None, rehearsal=RehearsalRecord())


def answers(known: Evidence) -> dict[str, tuple[str, str]]:
    return {item.item: (item.answer, item.evidence) for item in checklist(known)}


def test_a_release_that_did_everything_has_evidence_for_it() -> None:
    found = answers(GOOD)
    assert {name for name, (answer, _) in found.items() if answer != "yes"} == {
        "schema changes reviewed"
    }
    assert found["backup taken"][1] == "rds snapshot turnback-learning-r-1"
    assert found["performance impact assessed"][1] == "traced: locks users; rewrites users"


def test_a_commit_is_named_and_is_no_review() -> None:
    answer, evidence = answers(GOOD)["schema changes reviewed"]
    assert answer == "unknown"
    assert "commit 8c7e0b1d2f3a of git@example.com:learning.git" in evidence


def test_what_cannot_be_known_says_so() -> None:
    unknown = {name for name, (answer, _) in answers(NOTHING).items() if answer == "unknown"}
    assert unknown == {
        "schema changes reviewed",
        "backup taken",
        "alarms in place",
        "documentation header present",
        "stakeholders told",
    }


@pytest.mark.parametrize("item", ["migration tested", "rollback proven"])
def test_what_was_not_rehearsed_is_not_tested(item: str) -> None:
    assert answers(NOTHING)[item] == ("no", "the release was not rehearsed")


@pytest.mark.parametrize(
    ("rehearsal", "said"),
    [
        (rehearsed("unproven", rollback="differs"), "of 0001 it does not restore"),
        (rehearsed("unproven", rollback="missing"), "0001 has none"),
        (rehearsed("unproven", reapply="differs"), "the rehearsal found a difference"),
        (rehearsed(rollback="irreversible"), "irreversible, as its header says: 0001"),
    ],
)
def test_a_rollback_that_is_not_proven_says_why(rehearsal: RehearsalRecord, said: str) -> None:
    known = Evidence(source={}, undocumented=[], rehearsal=rehearsal)
    assert answers(known)["rollback proven"] == ("no", said)


def test_alarms_that_nobody_hears_are_not_in_place() -> None:
    known = Evidence(source={}, undocumented=[], rehearsal=RehearsalRecord(), alarms=0, audience=0)
    found = answers(known)
    assert found["alarms in place"][0] == found["stakeholders told"][0] == "no"


def test_a_header_without_a_date_is_reported_with_its_file() -> None:
    whole = "-- Migration: a\n-- Version: 0001\n-- Date: 2026-11-22\nSELECT 1;\n"
    dateless = "-- Migration: b\n-- Version: 0002\nSELECT 1;\n"
    files = [
        Migration("0001", "a", Script("sql/0001_a.sql", whole, "")),
        Migration("0002", "b", Script("sql/0002_b.sql", dateless, "")),
    ]
    assert undocumented(files) == ["sql/0002_b.sql"]
    known = Evidence(source={}, undocumented=undocumented(files), rehearsal=RehearsalRecord())
    answer, evidence = answers(known)["documentation header present"]
    assert (answer, evidence.endswith("sql/0002_b.sql")) == ("no", True)


def test_the_short_form_counts_and_names_the_rest() -> None:
    short = in_short([item.to_dict() for item in checklist(GOOD)])
    assert short == "7 of 8 yes; schema changes reviewed: unknown"
