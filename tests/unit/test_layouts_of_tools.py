"""The fixtures of other tools as turnback reads them, and what it refuses of their formats.

The files are the tools' own (tests/fixtures/adopt); their formats are those of their sources.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from turnback.errors import TurnbackError
from turnback.migrations.artifact import open_artifact, pack
from turnback.migrations.checksums import checksums_of, compare, write_sums
from turnback.migrations.discovery import load_project, scan
from turnback.migrations.files import Folder
from turnback.migrations.layouts import layout
from turnback.migrations.scaffold import new_migration

from tests.adopted import ALL, NAMES, Fixture

each = pytest.mark.parametrize("fixture", ALL, ids=str)


@each
def test_the_migrations_are_read_in_the_order_of_the_tool(fixture: Fixture, tmp_path: Path) -> None:
    folder = fixture.copy(tmp_path)
    found = load_project(folder).migrations
    assert [one.name.replace("-", "_") for one in found] == NAMES
    outside = [one.forward.directives.no_transaction for one in found]
    assert outside == [fixture.outside and name == "email_index" for name in NAMES]
    known = layout(fixture.tool).recognise(Folder(folder))
    assert known is not None


@each
def test_a_new_migration_is_in_the_form_of_the_tool_and_the_artifact_has_it(
    fixture: Fixture, tmp_path: Path
) -> None:
    folder = fixture.copy(tmp_path)
    before = load_project(folder)
    write_sums(folder, checksums_of(before))
    version, files = new_migration(folder, "Add city")
    after = load_project(folder)
    assert after.migrations[:-1] == before.migrations
    assert after.migrations[-1].version == version
    assert after.migrations[-1].name.replace("-", "_") == "add_city"
    assert not compare(after)
    assert all((folder / path).is_file() for path in files)
    opened = open_artifact(pack(folder, "1.0.0", tmp_path / "a.zip"))
    assert opened.project.migrations == after.migrations


def findings(tool: str, folder: Path, path: str, old: str, new: str) -> list[TurnbackError]:
    """What is found in a file of a fixture that has other text."""
    [fixture] = [one for one in ALL if one.tool == tool]
    file = fixture.copy(folder) / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return scan(folder / "project" / fixture.folder)[1]


GRAPHILE = "committed/000002-audit.sql"


@pytest.mark.parametrize(
    ("tool", "path", "old", "new", "line", "message"),
    [
        (
            "node-pg-migrate",
            "1767603600001_accounts.sql",
            "-- Up Migration\n",
            "",
            7,
            "there is '-- Down Migration', and no line '-- Up Migration'",
        ),
        (
            "node-pg-migrate",
            "1767603600001_accounts.sql",
            "-- Up Migration",
            "SELECT 1;\n-- Up Migration",
            1,
            "a statement precedes '-- Up Migration'",
        ),
        ("graphile-migrate", GRAPHILE, "--! Hash", "-- Hash", 1, "no line '--! Hash"),
        ("graphile-migrate", GRAPHILE, "Previous: sha1:b", "Previous: sha1:a", 1, "it follows"),
        ("graphile-migrate", GRAPHILE, "note_change()", ":APP_USER()", 7, "placeholder :APP_USER"),
        (
            "graphile-migrate",
            GRAPHILE,
            "'; '",
            "':DATABASE_NAME'",
            9,
            "the placeholder :DATABASE_NAME",
        ),
        ("drizzle", "meta/_journal.json", "0001_audit", "0001_gone", None, "lists 0001_gone"),
        ("drizzle", "meta/_journal.json", '"when"', '"at"', None, "the journal cannot be read"),
        (
            "atlas",
            "20260105090002_audit.sql",
            "-- atlas:delimiter",
            "-- atlas:txtar\n-- atlas:delimiter",
            1,
            "the directive 'atlas:txtar ' is not obeyed",
        ),
    ],
)
def test_what_the_tool_or_turnback_does_not_obey_is_refused_with_its_line(
    tool: str, path: str, old: str, new: str, line: int | None, message: str, tmp_path: Path
) -> None:
    found = findings(tool, tmp_path, path, old, new)[0]
    assert message in str(found)
    assert (found.file, found.line) == (path, line)


def test_a_file_that_the_journal_of_drizzle_does_not_list_is_refused(tmp_path: Path) -> None:
    [fixture] = [one for one in ALL if one.tool == "drizzle"]
    folder = fixture.copy(tmp_path)
    (folder / "0009_more.sql").write_text("SELECT 1;\n")
    [found] = scan(folder)[1]
    assert found.file == "0009_more.sql"


def test_the_delimiter_of_atlas_becomes_a_semicolon_on_the_same_line(tmp_path: Path) -> None:
    [fixture] = [one for one in ALL if one.tool == "atlas"]
    folder = fixture.copy(tmp_path)
    text = "-- atlas:delimiter \\n\\n\\n\n\nSELECT 1 -- one\n\n\nSELECT '\n\n\n'\n"
    (folder / "20270101000000_cut.sql").write_text(text)
    script = load_project(folder).migrations[-1].forward
    assert script.sql.splitlines()[1:] == ["", "SELECT 1 -- one", ";", "", "SELECT '", "", "", "'"]
    assert script.checksum == hashlib.sha256(text.encode()).hexdigest()


def test_a_new_migration_has_the_sums_that_atlas_itself_would_write(tmp_path: Path) -> None:
    [fixture] = [one for one in ALL if one.tool == "atlas"]
    folder = fixture.copy(tmp_path)
    before = (folder / "atlas.sum").read_text().splitlines()
    new_migration(folder, "Add city")
    after = (folder / "atlas.sum").read_text().splitlines()
    # The judge: the lines that its library wrote are as they were.
    assert after[1:-1] == before[1:]
    names = b"".join(line.replace(" h1:", "").encode() for line in before[1:])
    assert before[0] == f"h1:{base64.b64encode(hashlib.sha256(names).digest()).decode()}"
