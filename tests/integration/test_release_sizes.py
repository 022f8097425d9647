"""Large releases: what they put into the state machine's state and payloads, and onto the disk.

Step Functions takes 262,144 bytes as input or output of a state, Lambda 6 MB as a payload (their
developer guides, "Quotas").
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from turnback.migrations.artifact import pack

from tests.conftest import ProjectFactory
from tests.faults.fragile import mount_tiny
from tests.integration.moto_stack import Stack
from tests.integration.releases import Deploy, assert_untouched, tables

STATE_BYTES = 262_144


def texts(node: Any) -> Iterator[str]:
    """The inputs, outputs, parameters and causes in the events of a history."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("input", "output", "parameters", "cause") and isinstance(value, str):
                yield value
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)


def largest(stack: Stack, run: str) -> int:
    return max(len(text.encode()) for text in texts(stack.execution(run).to_history_output()))


def test_500_migrations_that_fail_at_the_last_one_fit_into_state_and_payloads(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    files = {}
    for number in range(1, 501):
        name = f"{'a_long_name_of_a_migration_' * 4}{number}"
        files[f"sql/{number:04}_{name}.sql"] = f"CREATE TABLE t{number} ();\n"
        files[f"rollback/{number:04}_{name}.sql"] = f"DROP TABLE t{number};\n"
    last = next(path for path in files if path.startswith("sql/0500_"))
    files[last] = f"DO $$ BEGIN RAISE EXCEPTION '{'x' * 40_000}'; END $$;\n"
    stack = deploy()
    run = stack.release(project_factory(files), "1.0.0", tmp_path)
    assert run.error == "MigrationFailed"
    assert run.statuses[-1] == "rolled_back"
    found = largest(stack, run.messages[-1]["run"])
    # The state carries no list of migrations: it is far below the limit, errors included.
    assert 8_000 < found < STATE_BYTES / 2
    assert len(json.dumps(run.messages[-1])) < STATE_BYTES


MEGABYTE = 1024 * 1024


@pytest.fixture
def small_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files on a file system of six megabytes."""
    folder = tmp_path / "tmp"
    if refused := mount_tiny(folder, 6):
        pytest.skip(f"no file system can be mounted: {refused}")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    try:
        yield folder
    finally:
        # A file of it may be open still; without --lazy it would stay for the next session.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def rows(table: str) -> str:
    """An INSERT of 1.2 MB, which a zip makes a sixth as large: functions share a disk here."""
    random = Random(table)
    values = ",\n".join(f"('{random.randbytes(15).hex() * 4}')" for _ in range(9000))
    return f"CREATE TABLE {table} (x text);\nINSERT INTO {table} VALUES\n{values};\n"


def large(names: str) -> dict[str, str]:
    files = {}
    for number, name in enumerate(names, 1):
        files[f"sql/{number:04}_{name}.sql"] = rows(name)
        files[f"rollback/{number:04}_{name}.sql"] = f"DROP TABLE {name};\n"
    return files


def test_a_release_larger_than_the_disk_is_applied_from_its_zip(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path, small_tmp: Path
) -> None:
    folder = project_factory(large("abcdef"))
    archive = pack(folder, "1.0.0", tmp_path / "1.0.0.zip")
    unpacked = sum(path.stat().st_size for path in folder.rglob("*.sql"))
    # The zip and one of its files fit, all of them do not.
    assert unpacked > 6 * MEGABYTE > archive.stat().st_size + 1.5 * MEGABYTE
    run = deploy().release(folder, "1.0.0", tmp_path)
    assert run.statuses[-1] == "succeeded", run.cause
    assert tables(database) == set("abcdef")
    assert list(small_tmp.iterdir()) == []


def test_a_release_that_does_not_fit_is_refused_and_names_the_parameter(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path, small_tmp: Path
) -> None:
    (small_tmp / "other").write_bytes(bytes(5 * MEGABYTE + MEGABYTE // 2))
    run = deploy().release(project_factory(large("abcd")), "1.0.0", tmp_path)
    assert (run.statuses[-1], run.error) == ("refused", "OutOfSpace")
    assert "TmpMegabytes" in run.messages[-1]["error"]["hint"]
    assert_untouched(database)
