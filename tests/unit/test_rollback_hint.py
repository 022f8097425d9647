"""What `turnback up` advises after a migration that is half done."""

from __future__ import annotations

from pathlib import Path

import pytest
from turnback.cli.run import _add_rollback_hint
from turnback.engine.run.plan import plan_up
from turnback.errors import MigrationIncomplete
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Script
from turnback.sql import script


def hint_after(tmp_path: Path) -> str | None:
    for name in ("sql/0001_one.sql", "rollback/0001_rollback.sql"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text("SELECT 1;\n")
    project = load_project(tmp_path)
    error = MigrationIncomplete("half done", version="0001", hint="look at it")
    _add_rollback_hint(project, plan_up(project, []), error)
    return error.hint


def test_what_was_done_can_be_undone_by_the_rollback_script(tmp_path: Path) -> None:
    assert hint_after(tmp_path) == "look at it; or turnback down 0 undoes what was done"


def test_what_turnback_cannot_read_it_does_not_offer_to_undo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readable = script.statements_of

    def only_the_rollback(one: Script) -> object:
        if one.path.startswith("sql/"):
            raise script.SqlSyntaxError("syntax error", 0, "")
        return readable(one)

    monkeypatch.setattr(script, "statements_of", only_the_rollback)
    assert hint_after(tmp_path) == "look at it"
