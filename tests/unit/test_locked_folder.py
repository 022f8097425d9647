"""Temporary folders: no other process removes one that is used, or one that is just being made."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from turnback.local.shadow import in_memory
from turnback.rehearsal.folder import MEMORY, has_room, locked_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def another_begins() -> None:
    """What another process does at its beginning; locks are by descriptor, not by process."""
    with locked_folder("kind-", shutil.rmtree):
        pass


def test_a_folder_that_is_used_is_kept_and_one_that_is_left_over_removed(temporary: Path) -> None:
    (temporary / "kind-left").mkdir()
    (temporary / "other-left").mkdir()
    with locked_folder("kind-", shutil.rmtree) as folder:
        another_begins()
        assert {path.name for path in temporary.iterdir()} == {folder.name, "other-left"}
    assert [path.name for path in temporary.iterdir()] == ["other-left"]


@pytest.mark.parametrize("moment", ["tempfile.mkdtemp", "os.open"])
def test_a_folder_that_another_takes_before_it_is_locked_is_made_again(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    module, name = {"tempfile": tempfile, "os": os}[moment.split(".")[0]], moment.split(".")[1]
    original, once = getattr(module, name), iter([True])

    def interrupted(*arguments: Any, **named: Any) -> Any:
        found = original(*arguments, **named)
        if next(once, False):
            another_begins()
        return found

    monkeypatch.setattr(module, name, interrupted)
    with locked_folder("kind-", shutil.rmtree) as folder:
        assert folder.is_dir()
        another_begins()
        assert folder.is_dir()


def test_memory_is_used_where_it_has_the_room_and_nobody_names_another_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not has_room(MEMORY, 1 << 60)
    assert not has_room(MEMORY / "nowhere", 0)
    monkeypatch.setattr("turnback.local.shadow.has_room", lambda *_: True)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    assert in_memory(1) == MEMORY
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    assert in_memory(1) is None
