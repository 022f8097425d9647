"""Each place that a command prints: a path as seen from the current folder, with its line."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from turnback.cli.main import cli

from tests.integration.command_line import PROGRAM

FOLDER = Path("db/migrations")
# A file of the project that is named without the folder it is in, at the beginning of a place.
UNSEEN = re.compile(r"(?<![\w/.-])(?:sql|rollback|verify)/\w+\.sql:\d")
USERS = {
    "sql/0001_users.sql": "CREATE TABLE users (id int);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
}
BAD_SQL = {"sql/0002_bad.sql": "\nALTER TABEL users ADD a int;\n"}
BAD_HEADER = {"sql/0002_bad.sql": "-- turnback: no-such-thing\nSELECT 1;\n"}
BROKEN = {
    "sql/0002_broken.sql": "SELECT 1;\nALTER TABLE users ADD a int, ADD b no_such;\n",
    "rollback/0002_rollback.sql": "SELECT 2;\n",
}
ALONE = {**BROKEN, "sql/0002_broken.sql": "-- turnback: no-transaction\n" + "SELECT no;\n"}
UNVERIFIED = {
    **BROKEN,
    "sql/0002_broken.sql": "ALTER TABLE users ADD a int;\n",
    "verify/0002_verify.sql": "SELECT 1/0;\nSELECT no_such FROM users;\n",
}
NO_WAY_BACK = {**USERS, "rollback/0001_rollback.sql": "DROP TABLE users;\nDROP TABLE no_such;\n"}
OTHERS = {
    "sql/0002_more.sql": "CREATE TABLE more (id int);\n",
    "rollback/0002_rollback.sql": "DROP TABLE more;\nDROP TABLE users;\n",
}
LEFT = {
    "sql/0002_more.sql": "ALTER TABLE users ADD more int;\n",
    "rollback/0002_rollback.sql": "SELECT 1;\n",
}

# What it is about → files, commands that come first, the command, its places, what the caret is at.
CASES: dict[str, tuple[Mapping[str, str], list[str], str, str, str]] = {
    "check": (USERS | BAD_SQL, [], "check", "sql/0002_bad.sql:2:7", "TABEL"),
    "lint": (
        USERS | {"sql/0002_index.sql": "\nCREATE INDEX i ON users (id);\n"},
        [],
        "lint",
        "sql/0002_index.sql:2:1",
        "CREATE INDEX",
    ),
    "lint, unreadable": (USERS | BAD_SQL, [], "lint", "sql/0002_bad.sql:2:7", "TABEL"),
    "package": (USERS | BAD_HEADER, [], "package --release 1.0.0", "sql/0002_bad.sql:1", ""),
    "release": (
        USERS | BAD_HEADER,
        [],
        f"release {FOLDER} --release 1.0.0",
        "sql/0002_bad.sql:1",
        "",
    ),
    "repair": (
        USERS | BAD_HEADER,
        [],
        "repair 1 --applied --because x",
        "sql/0002_bad.sql:1",
        "",
    ),
    "up": (USERS | BROKEN, [], "up", "sql/0002_broken.sql:2:36", "no_such"),
    "up, alone": (USERS | ALONE, [], "up", "sql/0002_broken.sql:2:8", "no;"),
    "up, verify": (USERS | UNVERIFIED, [], "up", "verify/0002_verify.sql:1:", "SELECT 1/0"),
    "up, the plan": (USERS | LEFT, [], "up --dry-run", "sql/0002_more.sql)", ""),
    "up, SHA256SUMS": (
        USERS | {"SHA256SUMS": "0" * 64 + "  sql/0001_users.sql\n"},
        [],
        "up",
        "sql/0001_users.sql: ",
        "",
    ),
    "status": (USERS | BROKEN, ["up"], "status", "sql/0002_broken.sql:2:36", ""),
    "health": (USERS | BROKEN, ["up"], "health", "sql/0002_broken.sql:2:36", ""),
    "down": (NO_WAY_BACK, ["up"], "down --yes", "rollback/0001_rollback.sql:2:1", "DROP TABLE no"),
    "down, the plan": (
        USERS | OTHERS,
        ["up --allow-missing-rollback"],
        "down --dry-run",
        "rollback/0002_rollback.sql:2 ",
        "",
    ),
    "redo": (NO_WAY_BACK, ["up"], "redo --yes", "rollback/0001_rollback.sql:2:1", "DROP TABLE no"),
    "rehearse": (
        USERS | LEFT,
        [],
        "rehearse --all",
        # What fails the second time; what to add, and where; what the statement locks.
        "sql/0002_more.sql:1:1|rollback/0002_rollback.sql:\n|sql/0002_more.sql:1: ",
        "ALTER TABLE",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_place_is_seen_from_the_current_folder_with_a_caret_under_it(
    case: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, before, command, places, marked = CASES[case]
    for name, content in files.items():
        path = tmp_path / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("TURNBACK_DIR", str(FOLDER))
    monkeypatch.setenv("TURNBACK_SHADOW_URL", database)
    # Where SHA256SUMS is compared and not written.
    monkeypatch.setenv("CI", "true")
    for words in [*before, command]:
        said = CliRunner().invoke(cli, words.split(), standalone_mode=False).output
    for place in places.split("|"):
        assert f"{FOLDER.as_posix()}/{place}" in said, said
    assert not UNSEEN.search(said), said
    if marked:
        lines = said.splitlines()
        caret = next(number for number, line in enumerate(lines) if line.strip(" |") == "^")
        assert lines[caret - 1][lines[caret].index("^") :].startswith(marked)


def test_a_place_in_the_settings_is_seen_from_the_current_folder_and_its_line_is_not_shown(
    tmp_path: Path,
) -> None:
    """The line may have a password."""
    folder = tmp_path / "db/migrations"
    folder.mkdir(parents=True)
    (tmp_path / "db/turnback.toml").write_text('[database]\nurl = "postgres://u:secret@h\n')
    done = subprocess.run(
        [PROGRAM, "status", "--dir", "db/migrations"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stderr.startswith("error: db/turnback.toml:2:")
    assert "secret" not in done.stderr
