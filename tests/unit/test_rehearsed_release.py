"""What a rehearsed release is refused for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from turnback.cli.output import Output
from turnback.cli.rehearsed import close
from turnback.errors import RollbackFailed, RollbackUnproven
from turnback.recovery.dumps.store import FolderStore
from turnback.rehearsal.verdict import Rehearsed, Verdict
from turnback.runs.checklist import NOT_ITS_RECORD, Evidence, checklist
from turnback.runs.records import Records
from turnback.runs.rehearse import refuse_unproven
from turnback.runs.state import RunRehearsal
from turnback.settings import Policy

STRICT = Policy("production", snapshot_required=True, rollback_required=True)
LOOSE = Policy("development", snapshot_required=False, rollback_required=False)


def verdict(rollback: str = "exact", forward: str = "applied") -> Verdict:
    file, back = "sql/0001_a.sql", "rollback/0001_rollback.sql"
    return Verdict("0001", "a", file, back, forward=forward, rollback=rollback)


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


@pytest.mark.parametrize(
    ("migrations", "line"),
    [
        ([verdict(), verdict()], "\n2 migrations proven: up, down and up again in "),
        ([verdict("irreversible")] * 3, "\n3 irreversible migrations applied in "),
        (
            [verdict(), verdict("irreversible")],
            "\n1 migration proven: up, down and up again; 1 irreversible migration applied in ",
        ),
        ([verdict("failed", "failed")], ": 1 cannot be applied."),
        ([verdict("differs")], ": 1 cannot be rolled back as written."),
        (
            [verdict("failed", "failed"), verdict("missing")],
            ": 1 cannot be applied; 1 cannot be rolled back as written.",
        ),
    ],
)
def test_the_last_line_of_a_rehearsal_says_what_was_found(
    migrations: list[Verdict], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    close(Rehearsed(migrations, release="exact"), 0.0, Output("rehearse", as_json=False))
    assert line in capsys.readouterr().out


PROVEN: dict[str, Any] = {
    "status": "proven",
    "migrations": [{"version": "0001", "forward": "applied", "rollback": "exact"}],
}


def answers(records: Records, known: RunRehearsal | None) -> dict[str, tuple[str, str]]:
    found = Evidence({}, None, records.rehearsal(known))
    return {item.item: (item.answer, item.evidence) for item in checklist(found)}


def test_the_record_that_the_rehearsal_wrote_is_evidence(tmp_path: Path) -> None:
    records = Records(FolderStore(tmp_path), "r-1")
    known = RunRehearsal("proven", 1, sha256=records.write_rehearsal(PROVEN))
    assert answers(records, known)["rollback proven"][0] == "yes"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(PROVEN).encode(),
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"status": "proven", "migrations": [{"version": {}}]}',
        b"[" * 100_000,
    ],
)
def test_a_record_that_a_migration_wrote_in_its_place_is_none(tmp_path: Path, body: bytes) -> None:
    records = Records(FolderStore(tmp_path), "r-1")
    known = RunRehearsal("unproven", 1, sha256=records.write_rehearsal({"status": "unproven"}))
    FolderStore(tmp_path).write(records.rehearsal_key, body)
    for item in ("migration tested", "rollback proven", "performance impact assessed"):
        assert answers(records, known)[item] == ("no", NOT_ITS_RECORD)


@pytest.mark.parametrize("body", [json.dumps(PROVEN).encode(), b"{", b"[]"])
def test_a_record_proves_nothing_where_the_rehearsal_itself_has_failed(
    tmp_path: Path, body: bytes
) -> None:
    records = Records(FolderStore(tmp_path), "r-1")
    FolderStore(tmp_path).write(records.rehearsal_key, body)
    assert answers(records, None)["rollback proven"][0] == "no"
