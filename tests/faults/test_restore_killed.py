"""A restore that is killed, with -9, at each of its steps; then it is called again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from turnback.recovery.dumps.catalog import DumpRecord
from turnback.recovery.dumps.restore import RestoreDump
from turnback.recovery.dumps.store import FolderStore
from turnback.recovery.dumps.successor import Names
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import RestoreState

from tests.dumps import EVERYTHING, RUN, contents, dump, others, request

CHILD = Path(__file__).with_name("restore_child.py")
ROOT = CHILD.parents[2]
Admin = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """A database that was spoilt after its dump."""

    url: str
    store: FolderStore
    record: DumpRecord
    whole: dict[str, list[Any]]
    spoilt: dict[str, list[Any]]

    def run_child(self, place: str) -> subprocess.CompletedProcess[str]:
        """Restore in a process of its own, which kills itself at this place."""
        return subprocess.run(
            [
                *(sys.executable, CHILD, self.url, self.store.prefix, self.record.id),
                *(RUN, place),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    def advance_to_the_end(self) -> None:
        """As the state machine: call until it says restored."""
        restoring = RestoreDump(Endpoint.from_url(self.url), self.store, lambda: 120)
        for _ in range(200):
            if restoring.advance(request(self.record)).state is RestoreState.RESTORED:
                return
        raise AssertionError("never restored")


@pytest.fixture
def scene(database: str, admin: Admin, tmp_path: Path) -> Iterator[Scene]:
    with psycopg.connect(database) as connection:
        connection.execute(EVERYTHING.encode())
    store, whole = FolderStore(tmp_path), contents(database)
    record = dump(database, store)
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM sales.orders; CREATE TABLE halfway (n int)")
    yield Scene(database, store, record, whole, contents(database))
    for name, _ in others(admin, database):
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def assert_it_ends_well(scene: Scene, admin: Admin) -> None:
    """The database is one or the other, answering; the next call brings the restored one."""
    assert contents(scene.url) in (scene.spoilt, scene.whole)
    scene.advance_to_the_end()
    assert contents(scene.url) == scene.whole
    kept = Names.of(scene.url.rsplit("/", 1)[1], RUN).kept
    assert others(admin, scene.url) == [(kept, False)]
    admin.execute(f"ALTER DATABASE {kept} WITH ALLOW_CONNECTIONS true".encode())
    assert contents(scene.url.replace(scene.url.rsplit("/", 1)[1], kept)) == scene.spoilt


@pytest.mark.parametrize("place", ["stream", "check"])
def test_killed_outside_a_statement_it_is_taken_up_again(
    scene: Scene, admin: Admin, place: str
) -> None:
    assert scene.run_child(place).returncode == -9
    assert_it_ends_well(scene, admin)


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("moment", ["", "+"], ids=["before it", "after it"])
def test_killed_at_any_statement_it_is_taken_up_again(
    scene: Scene, admin: Admin, moment: str, step: int
) -> None:
    """All of them: those between CREATE DATABASE and its mark, and those of the swap."""
    undisturbed = scene.run_child("count")
    assert undisturbed.returncode == 0, undisturbed.stderr
    statements = int(undisturbed.stdout)
    assert statements > 15
    name = scene.url.rsplit("/", 1)[1]
    kept = Names.of(name, RUN).kept
    # What differs by the moment is which statements are left out, where not each is tried.
    for number in range(1 + 2 * bool(moment) % step, statements + 1, step):
        # Back to where it began: the kept one takes its place again.
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        admin.execute(f"ALTER DATABASE {kept} RENAME TO {name}".encode())
        admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true".encode())
        admin.execute(f"COMMENT ON DATABASE {name} IS NULL".encode())
        killed = scene.run_child(f"{number}{moment}")
        assert killed.returncode == -9, f"statement {number}: {killed.stderr}"
        assert_it_ends_well(scene, admin)
