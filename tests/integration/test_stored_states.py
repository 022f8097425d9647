"""A rehearsal that begins with a stored state says the same, and believes no other state."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from turnback.errors import ConfigurationError
from turnback.local import shadow as local
from turnback.local.programs import binaries
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal import stored
from turnback.rehearsal.cache import FolderStates
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.rights import AUTHENTICATION
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.stored import Chosen, Stored, build_of
from turnback.rehearsal.surroundings import Surroundings

from tests.conftest import ProjectFactory
from tests.other_servers import programs

# What is outside of the database, what depends on the time, what only a superuser may make, and
# what a crash would empty.
FILES = {
    "sql/0001_base.sql": "CREATE ROLE stored_reader; CREATE TABLE items (id serial PRIMARY KEY, "
    "made date DEFAULT DATE 'today', at timestamptz DEFAULT TIMESTAMPTZ 'now');"
    "INSERT INTO items DEFAULT VALUES; CREATE UNLOGGED TABLE fast AS SELECT 1 AS a;"
    "GRANT SELECT ON items TO stored_reader;",
    "rollback/0001_rollback.sql": "DROP TABLE items, fast; DROP ROLE stored_reader;",
    "sql/0002_seen.sql": "CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS "
    "'BEGIN END'; CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION seen();"
    "CREATE SCHEMA app; ALTER ROLE postgres SET search_path = app, public;",
    "rollback/0002_rollback.sql": "DROP EVENT TRIGGER watch; DROP FUNCTION seen();",
    # The time that a default has, and everything else, is as when it was applied.
    "sql/0003_default.sql": "ALTER TABLE items ALTER at DROP DEFAULT; DELETE FROM fast;"
    "CREATE EVENT TRIGGER more ON ddl_command_end EXECUTE FUNCTION seen();"
    "DO $$ BEGIN IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN "
    "RAISE 'superuser'; END IF; END $$;",
    "rollback/0003_rollback.sql": "DROP EVENT TRIGGER more;"
    "ALTER TABLE items ALTER at SET DEFAULT TIMESTAMPTZ 'now';",
    "sql/0004_left.sql": "CREATE TABLE left_over (a int); ALTER ROLE stored_reader LOGIN;",
    "rollback/0004_rollback.sql": "ALTER ROLE stored_reader NOLOGIN;",
    "sql/0005_last.sql": "CREATE TABLE last (a int);",
    "rollback/0005_rollback.sql": "DROP TABLE last;",
}
Rehearse = Callable[..., dict[str, Any]]


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the states are kept in this test; whatever time it took to apply, it is stored."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(stored, "SLOW_S", 0)
    return tmp_path / "turnback" / "states"


@pytest.fixture
def rehearsed(notes: list[str]) -> Rehearse:
    def run(project: Path, *versions: str, store: bool = True) -> dict[str, Any]:
        found = load_project(project)
        chosen = found.choose(versions)
        with local.throw_away(
            Chosen(found, chosen, "public"), None, store=store, note=notes.append, warn=pytest.fail
        ) as shadow:
            result = rehearse(found, chosen, shadow).to_dict()
        # Each run has its own times.
        text = re.sub(r"\d\d:\d\d:\d\d\.\d+", "", json.dumps(result))
        return dict(json.loads(re.sub(r'"ms": [\d.]+', '"ms": 0', text)))

    return run


def test_a_rehearsal_says_the_same_whether_it_begins_with_a_stored_state_or_not(
    rehearsed: Rehearse, project_factory: ProjectFactory, folder: Path
) -> None:
    project = project_factory(FILES)
    made = rehearsed(project, "0003", "0004")
    assert made.pop("stored_state") is None
    assert [one["rollback"] for one in made["migrations"]] == ["exact", "differs"]
    assert made["migrations"][1]["differences"][0].startswith("table app.left_over")
    [state] = folder.iterdir()

    begun = rehearsed(project, "0003", "0004")
    assert begun.pop("stored_state")["version"] == "0002"
    assert begun == made
    assert [*folder.iterdir()] == [state]

    anew = rehearsed(project, "0003", "0004", store=False)
    assert anew.pop("stored_state") is None
    assert anew == made

    # A later release begins with the same state, and stores what it has applied on top.
    assert rehearsed(project, "0005")["stored_state"]["version"] == "0002"
    assert len([*folder.iterdir()]) == 2


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return {
        "sql/0001_a.sql": "CREATE TABLE a (id int);\n",
        "rollback/0001_rollback.sql": "DROP TABLE a;\n",
        "sql/0002_b.sql": "CREATE TABLE b (id int);\n",
        "verify/0001_verify.sql": "SELECT 1;\n",
        "shadow.sql": "CREATE ROLE stored_user;\n",
    }


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    """What one store has, of all tests of this file."""
    return {}


class Kept:
    """A store in memory."""

    def __init__(self, kept: dict[str, bytes]) -> None:
        self.kept = kept

    def names(self) -> list[str]:
        return [*self.kept]

    def read(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def write(self, name: str, body: bytes) -> None:
        self.kept[name] = body


@pytest.fixture
def states(
    kept: dict[str, bytes],
    files: dict[str, str],
    project_factory: ProjectFactory,
    notes: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stored]:
    """The states of a project, of which the first migration's is stored."""
    monkeypatch.setattr(stored, "SLOW_S", 0)
    project = load_project(project_factory(files))
    found = Stored(
        Kept(kept),
        Chosen(project, project.choose(["0002"]), "public"),
        Surroundings(settings={"TimeZone": "UTC"}),
        build_of([binaries() / "postgres"], None),
        None,
        notes.append,
    )
    if not kept:
        with (
            scratch("stored") as folder,
            EmbeddedServer.start(
                folder / POSTGRES, fast=True, authentication=AUTHENTICATION
            ) as server,
        ):
            found.build_up(Shadow.on_throw_away(server.url()), server)
    yield found
    assert len(kept) == 1


def test_a_state_is_found_by_all_that_made_it(
    states: Stored, notes: list[str], tmp_path: Path
) -> None:
    parked = states.unpack(tmp_path / "data")
    assert parked is not None
    assert parked.versions == ("0001",)
    assert (tmp_path / "data" / "PG_VERSION").read_text() == "18\n"
    assert not notes


@pytest.mark.parametrize(
    "path", ["sql/0001_a.sql", "rollback/0001_rollback.sql", "verify/0001_verify.sql", "shadow.sql"]
)
def test_a_byte_of_an_applied_file_makes_another_state(
    states: Stored,
    files: dict[str, str],
    path: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
) -> None:
    project = load_project(project_factory({**files, path: files[path].replace(";", " ;", 1)}))
    other = replace(states, chosen=Chosen(project, project.choose(["0002"]), "public"))
    assert other.unpack(tmp_path / "data") is None
    assert not (tmp_path / "data").exists()


def test_a_state_of_another_server_or_target_or_version_of_turnback_is_not_used(
    states: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    contrib = tmp_path / "contrib"
    contrib.mkdir()
    (contrib / "pgcrypto.so").touch()
    server = binaries() / "postgres"
    chosen = states.chosen
    for other in (
        replace(states, build=build_of([programs(15) / "postgres"], None)),
        replace(states, build=build_of([server], contrib)),
        replace(states, surroundings=None),
        replace(states, surroundings=Surroundings(settings={"TimeZone": "Europe/Rome"})),
        replace(states, surroundings=replace(states.surroundings or Surroundings(), roles=("x",))),
        replace(states, chosen=Chosen(chosen.project, chosen.migrations, "history")),
    ):
        assert other.unpack(data) is None
    monkeypatch.setattr(stored, "__version__", "999")
    assert states.unpack(data) is None


def test_a_state_that_was_changed_or_renamed_or_is_old_is_not_used_and_named(
    states: Stored,
    kept: dict[str, bytes],
    notes: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = tmp_path / "data"
    [(name, body)] = kept.items()
    changed = bytearray(body)
    changed[-9] ^= 1
    # The same bytes with a checksum that fits them, of another state.
    other = stored._digest("0" * 64, body[32:]) + body[32:]
    for wrong in (bytes(changed), body[:-1], b"", other):
        assert replace(states, states=Kept({name: wrong})).unpack(data) is None
        assert notes.pop().startswith("the stored state of 0001 is not used: it was changed")
    monkeypatch.setattr(stored, "_DAYS", 0)
    assert states.unpack(data) is None
    assert notes == ["the stored state of 0001 is not used: it is older than 0 days"]

    def refused(_: object) -> list[str]:
        raise OSError("no answer")

    monkeypatch.setattr(Kept, "names", refused)
    assert states.unpack(data) is None
    assert notes[1:] == ["no stored state is used: no answer"]
    assert not data.exists()


def test_what_works_by_itself_when_a_server_starts_is_not_stored(
    folder: Path, rehearsed: Rehearse, project_factory: ProjectFactory
) -> None:
    subscription = (
        "CREATE SUBSCRIPTION quiet CONNECTION 'host=nowhere.invalid password=x' PUBLICATION p "
        "WITH (connect = false)"
    )
    project = project_factory(
        {
            "sql/0001_a.sql": f"-- turnback: no-transaction\n{subscription};\n",
            "sql/0002_b.sql": "CREATE TABLE b (id int);\n",
            "rollback/0002_rollback.sql": "DROP TABLE b;\n",
        }
    )
    assert rehearsed(project, "0002")["status"] == "proven"
    assert not folder.exists()


def test_two_that_store_the_same_state_at_once_keep_a_whole_one(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from turnback.rehearsal.cache import FolderStates\n"
        "states = FolderStates(Path(sys.argv[1])); body = sys.argv[2].encode() * 2**20\n"
        "for _ in range(20):\n"
        "    states.write('a' * 64, body); found = states.read('a' * 64)\n"
        "    assert found in (b'x' * 2**20, b'y' * 2**20), found[:9]\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path, letter]) for letter in ("x", "y")
    ]
    assert [one.wait() for one in both] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["a" * 64]


def test_a_rehearsal_that_is_killed_while_it_stores_leaves_nothing_that_is_believed(
    tmp_path: Path,
) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path;"
        "from turnback.rehearsal.cache import FolderStates;"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "FolderStates(Path(sys.argv[1])).write('a' * 64, b'half')"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path])
    assert done.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    states = FolderStates(tmp_path)
    assert states.names() == []
    # It may still be written; an hour later it is not.
    states.write("b" * 64, b"whole")
    assert left.exists()
    os.utime(left, (0, 0))
    states.write("b" * 64, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b" * 64]


def test_a_folder_keeps_what_was_used_last_and_belongs_to_nobody_else(tmp_path: Path) -> None:
    states = FolderStates(tmp_path / "states", limit=25)
    for number, letter in enumerate("abc"):
        states.write(letter * 64, b"0123456789")
        os.utime(tmp_path / "states" / (letter * 64), (number, number))
    assert sorted(states.names()) == ["b" * 64, "c" * 64]
    assert states.read("b" * 64) == b"0123456789"
    states.write("d" * 64, b"0123456789")
    assert sorted(states.names()) == ["b" * 64, "d" * 64]
    assert states.read("c" * 64) is None
    (tmp_path / "states").chmod(0o777)
    with pytest.raises(ConfigurationError, match="others can write"):
        states.read("b" * 64)
