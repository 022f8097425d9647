"""What an environment requires of ``up``, ``down`` and ``redo``, before anything is changed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from turnback.local.server import EmbeddedServer

from tests.conftest import ProjectFactory
from tests.integration.command_line import PROGRAM, Answer, history, turnback

GOOD = {
    "sql/0001_users.sql": "CREATE TABLE users (id int PRIMARY KEY, name text);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
}
UNPROVEN = {
    "sql/0002_age.sql": "ALTER TABLE users ADD COLUMN age int;\n",
    "rollback/0002_rollback.sql": "SELECT 1;\n",
}
DESTROYS = {
    "sql/0002_drop.sql": "ALTER TABLE users DROP COLUMN name;\n",
    "rollback/0002_rollback.sql": "ALTER TABLE users ADD COLUMN name text;\n",
}
Command = Callable[..., Answer]


@pytest.fixture
def command(database: str, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A command on the database; the shadow is on the server of the tests."""
    monkeypatch.setenv("TURNBACK_SHADOW_URL", server.url())

    def run(folder: Path, *arguments: str) -> Answer:
        return turnback(*arguments, url=database, folder=folder)

    return run


def snapshots(folder: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = turnback("snapshots", "--json", folder=folder).document[
        "snapshots"
    ]
    return listed


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


def test_development_requires_nothing(
    command: Command, database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory({**GOOD, **UNPROVEN})
    assert command(folder, "up", "--env", "development").code == 0
    # Its rollback leaves the column, so that it cannot be applied again.
    assert command(folder, "redo", "--yes", "--env", "development").code == 1
    assert history(database) == [("0001", "applied"), ("0002", "failed")]
    assert snapshots(folder) == []


def test_production_takes_a_snapshot_of_this_database_where_there_is_none_of_this_day(
    command: Command, project_factory: ProjectFactory
) -> None:
    folder = project_factory(GOOD)
    first = command(folder, "up", "--env", "production", "--json")
    assert first.code == 0, first.err
    [taken] = snapshots(folder)
    assert first.document["snapshot"] == taken
    assert taken["schema_version"] is None
    write(folder, {"sql/0002_more.sql": "CREATE TABLE more ();", "rollback/0002_rollback.sql": ""})
    write(folder, {"rollback/0002_rollback.sql": "DROP TABLE more;"})
    again = command(folder, "up", "--env", "production")
    assert again.code == 0, again.err
    assert "exact        0002 more" in again.out
    assert [one["id"] for one in snapshots(folder)] == [taken["id"]]
    # One of an earlier day, or of another database, does not count.
    place = Path(f"{taken['id']}.json")
    record = json.loads(place.read_text())
    down = ("down", "--yes", "--allow-destroy", "0002", "--env", "production")
    place.write_text(json.dumps(record | {"taken_at": "2026-01-01T00:00:00+00:00"}))
    assert command(folder, *down).code == 0
    newer, _ = snapshots(folder)
    assert newer["schema_version"] == "0002"
    Path(f"{newer['id']}.json").unlink()
    place.write_text(json.dumps(record | {"database": "another"}))
    assert command(folder, "up", "--env", "production").code == 0
    assert [one["schema_version"] for one in snapshots(folder)] == ["0001", None]


def test_no_snapshot_is_taken_where_the_file_says_who_takes_backups(
    command: Command, project_factory: ProjectFactory
) -> None:
    folder = project_factory(GOOD)
    line = 'backups = "to a point in time, by the provider"'
    (folder.parent / "turnback.toml").write_text(f"[environments.production]\n{line}\n")
    answer = command(folder, "up", "--env", "production")
    assert answer.code == 0, answer.err
    assert "to a point in time, by the provider (turnback.toml:2)" in answer.err
    assert snapshots(folder) == []


def test_an_unproven_rollback_is_refused_before_anything_is_changed(
    command: Command,
    database: str,
    project_factory: ProjectFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = project_factory({**GOOD, **UNPROVEN})
    # An environment of another name is taken for production.
    (folder.parent / "turnback.toml").write_text("[environments.live]\n")
    answer = command(folder, "up", "--env", "live")
    assert answer.code == 3
    assert "requires proven rollbacks: that of 0002 is not" in answer.err
    assert "column public.users.age: left over" in answer.out
    (folder.parent / "turnback.toml").write_text('[environment]\nvariable = "NODE_ENV"\n')
    monkeypatch.setenv("NODE_ENV", "staging")
    assert "policy staging" in command(folder, "up").err
    assert history(database) == []
    assert snapshots(folder) == []
    monkeypatch.setenv("NODE_ENV", "test")
    assert command(folder, "up").code == 0


def test_production_asks_for_a_typed_yes_to_what_destroys(
    command: Command, database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(GOOD)
    assert command(folder, "up").code == 0
    write(folder, DESTROYS)
    refused = command(folder, "up", "--env", "production")
    assert refused.code == 2
    assert "sql/0002_drop.sql:1" in refused.err
    assert "nobody can be asked" in refused.err
    assert "--allow-destroy 0002" in refused.err
    for answer, code, applied in (("y", 2, 1), ("yes", 0, 2)):
        person, terminal = pty.openpty()
        os.write(person, f"{answer}\n".encode())
        done = subprocess.run(
            [PROGRAM, "up", "--env", "production", "--dir", folder],
            env=os.environ | {"DATABASE_URL": database},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            check=False,
        )
        os.close(terminal)
        said = os.read(person, 65536).decode()
        os.close(person)
        assert done.returncode == code, said
        assert "Type yes to do this on" in said
        assert len(history(database)) == applied
    # The same from a job, for the rollback.
    down = ("down", "--yes", "--env", "production")
    assert command(folder, *down).code == 0
    assert command(folder, *down).code == 2
    assert command(folder, *down, "--allow-destroy", "0001").code == 0


def test_what_is_for_development_and_a_missing_address_are_refused(
    command: Command, project_factory: ProjectFactory
) -> None:
    folder = project_factory(GOOD)
    for arguments in (["redo", "--yes"], ["up", "--watch"], ["up", "--allow-missing-rollback"]):
        assert command(folder, *arguments, "--env", "staging").code == 2
    answer = turnback("up", "--embedded", "--env", "production", folder=folder)
    assert (answer.code, "has no address of a database" in answer.err) == (2, True)
