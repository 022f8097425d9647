"""What a rehearsed release is refused for."""

from __future__ import annotations

import pytest
from turnback.errors import RollbackFailed, RollbackUnproven
from turnback.rehearsal.verdict import Rehearsed, Verdict
from turnback.runs.rehearse import refuse_unproven
from turnback.settings import Policy

STRICT = Policy("production", snapshot_required=True, rollback_required=True)
LOOSE = Policy("development", snapshot_required=False, rollback_required=False)


def verdict(rollback: str = "exact") -> Verdict:
    return Verdict("0001", "a", "sql/0001_a.sql", "rollback/0001_rollback.sql", rollback=rollback)


def test_a_release_whose_rollbacks_are_proven_one_by_one_and_in_a_row_passes() -> None:
    refuse_unproven(Rehearsed([verdict()], release="exact"), STRICT)


@pytest.mark.parametrize("policy", [STRICT, LOOSE])
def test_rollbacks_that_restore_one_by_one_and_not_in_a_row_are_refused(policy: Policy) -> None:
    with pytest.raises(RollbackUnproven, match="all of them in a row do not"):
        refuse_unproven(Rehearsed([verdict()], release="differs"), policy)


def test_rollbacks_that_run_one_by_one_and_not_in_a_row_are_refused_with_the_place() -> None:
    error = RollbackFailed("no such table", file="rollback/0001_rollback.sql", line=4)
    result = Rehearsed([verdict()], release="failed", release_error=error)
    with pytest.raises(RollbackUnproven, match="no such table") as caught:
        refuse_unproven(result, STRICT)
    assert (caught.value.file, caught.value.line) == ("rollback/0001_rollback.sql", 4)


def test_a_missing_rollback_is_refused_only_where_one_is_required() -> None:
    refuse_unproven(Rehearsed([verdict("missing")]), LOOSE)
    with pytest.raises(RollbackUnproven, match="0001 has no rollback script"):
        refuse_unproven(Rehearsed([verdict("missing")]), STRICT)
