"""The verdict of a rehearsal: what is proven, and what the document says of it."""

from __future__ import annotations

from typing import Any

import pytest
from turnback.errors import MigrationFailed
from turnback.rehearsal.impact import Size, describe
from turnback.rehearsal.lock import Lock
from turnback.rehearsal.trace import StatementTrace
from turnback.rehearsal.verdict import Rehearsed, Verdict
from turnback.schema.difference import Difference

LEFT_OVER = Difference("table public.more", "extra")
FAILED = MigrationFailed('relation "x" does not exist', file="sql/0001_one.sql", line=3)
TRACE = StatementTrace(
    3, "ALTER TABLE a …", 1.25, locks=(Lock("a", "ShareLock"),), rewrites=("b",), scans=("c",)
)


def verdict(**found: Any) -> Verdict:
    """A migration that applied and whose rollback is exact, but for what is given."""
    usual = {"rollback": "exact", "reapply": "exact"}
    return Verdict(
        "0001", "one", "sql/0001_one.sql", "rollback/0001_rollback.sql", **{**usual, **found}
    )


@pytest.mark.parametrize("word", ["exact", "column_order", "names", "irreversible"])
def test_a_rollback_of_which_nothing_is_missed_is_proven(word: str) -> None:
    assert verdict(rollback=word).proven


@pytest.mark.parametrize("word", ["differs", "failed", "missing"])
def test_a_rollback_that_does_not_restore_the_schema_is_not_proven(word: str) -> None:
    assert not verdict(rollback=word).proven


def test_a_rollback_that_leaves_other_rows_is_not_proven() -> None:
    assert not verdict(rows=["rows of public.plans: 2 → 0"]).proven


def test_a_migration_that_does_not_apply_is_not_proven() -> None:
    assert not verdict(forward="failed").proven


@pytest.mark.parametrize(
    ("word", "proven"), [(None, True), ("exact", True), ("differs", False), ("failed", False)]
)
def test_a_migration_must_apply_a_second_time_if_it_was_tried(
    word: str | None, proven: bool
) -> None:
    assert verdict(reapply=word).proven is proven


def test_a_migration_of_which_nothing_is_known_is_not_proven() -> None:
    assert not Verdict("0001", "one", "sql/0001_one.sql", None).proven
    assert Verdict("0001", "one", "sql/0001_one.sql", None).forward == "applied"


def test_a_release_is_proven_if_each_migration_is() -> None:
    assert Rehearsed([verdict(), verdict()], "exact").proven
    assert not Rehearsed([verdict(rollback="differs"), verdict()], "exact").proven
    assert not Rehearsed([verdict(), verdict(rollback="differs")], "exact").proven


@pytest.mark.parametrize(
    ("word", "proven"),
    [(None, True), ("exact", True), ("names", True), ("differs", False), ("failed", False)],
)
def test_a_release_is_proven_if_all_of_it_can_be_rolled_back(
    word: str | None, proven: bool
) -> None:
    assert Rehearsed([verdict()], word).proven is proven


def test_the_tables_of_a_release_are_those_that_statements_lock_or_rewrite() -> None:
    assert Rehearsed([verdict(), verdict(statements=[TRACE])]).tables() == {"a", "b"}


def test_a_report_says_what_waits_for_each_lock() -> None:
    exclusive, share = "AccessExclusiveLock", "ShareLock"
    locks = (
        Lock("a", "ShareUpdateExclusiveLock"),
        Lock("a_key", exclusive, "index", "a"),
        Lock("b", exclusive),
        Lock("b", share),
        # Whoever uses it has its table locked before.
        Lock("b_key", exclusive, "index", "b"),
        Lock("numbers", "ShareRowExclusiveLock", "sequence"),
        Lock("pair", exclusive, "composite type"),
        Lock("TOAST of c", exclusive, "toast", "c"),
        Lock("recent", exclusive, "view"),
        Lock("sums", "ExclusiveLock", "materialized view"),
    )
    trace = StatementTrace(3, "…", 1.0, locks=locks, rewrites=("a_key",), scans=("b",))
    large = {"b": Size(10**8, 10**10), "recent": Size(0, 0)}
    assert list(describe(trace, large)) == [
        "3: AccessExclusiveLock on the long values (TOAST) of c; "
        "SELECT of long values, INSERT, UPDATE and DELETE wait",
        "3: ShareUpdateExclusiveLock on a; reads and writes go on",
        "3: AccessExclusiveLock on a_key, an index of a: rewrites it; "
        "SELECT, INSERT, UPDATE and DELETE wait",
        "3: AccessExclusiveLock on b (about 100 million rows, 9.3 GB): reads all of it; "
        "HIGH RISK: blocks reads and writes until all of it is done",
        "3: ShareRowExclusiveLock on numbers; nextval and INSERT with nextval wait",
        "3: AccessExclusiveLock on pair; a query that uses the type waits",
        "3: AccessExclusiveLock on recent; SELECT, INSERT, UPDATE and DELETE wait",
        "3: ExclusiveLock on sums; REFRESH waits",
    ]
    assert Rehearsed([verdict(statements=[trace])]).tables() == {"a", "a_key", "b", "c", "sums"}
    assert trace.to_dict()["locks"][1] == {
        "relation": "a_key",
        "mode": exclusive,
        "kind": "index",
        "table": "a",
        "waits": ["SELECT", "INSERT", "UPDATE", "DELETE"],
    }


def test_the_document_of_a_migration_says_everything_that_was_found() -> None:
    found = verdict(
        reapply="failed",
        differences=[LEFT_OVER],
        reapply_differences=[LEFT_OVER, LEFT_OVER],
        suggestions=["DROP TABLE public.more;"],
        rows=["rows of public.plans: 2 → 0"],
        loses_data=["table plans, with its rows"],
        kept=["public.saved: of its rows"],
        statements=[TRACE],
        error=FAILED,
    )
    said = "table public.more: left over after rollback"
    assert found.to_dict() == {
        "version": "0001",
        "name": "one",
        "file": "sql/0001_one.sql",
        "rollback_file": "rollback/0001_rollback.sql",
        "forward": "applied",
        "rollback": "exact",
        "reapply": "failed",
        "differences": [said],
        "reapply_differences": [said, said],
        "suggestions": ["DROP TABLE public.more;"],
        "rows": ["rows of public.plans: 2 → 0"],
        "loses_data": ["table plans, with its rows"],
        "kept": ["public.saved: of its rows"],
        "statements": [TRACE.to_dict()],
        "error": FAILED.to_dict(),
    }
    assert verdict().to_dict()["error"] is None


def test_the_document_of_a_release_says_whether_it_is_proven_and_what_is_not() -> None:
    failed = Rehearsed([verdict()], "failed", [LEFT_OVER], FAILED).to_dict()
    assert failed == {
        "status": "unproven",
        "shadow_sql": None,
        "stored_state": None,
        "not_applied": [],
        "not_compared": [],
        "stand_ins": [],
        "migrations": [verdict().to_dict()],
        "release": {
            "rollback": "failed",
            "differences": ["table public.more: left over after rollback"],
            "error": FAILED.to_dict(),
        },
    }
    empty = Rehearsed().to_dict()
    assert empty["status"] == "proven"
    assert empty["release"] == {"rollback": None, "differences": [], "error": None}
