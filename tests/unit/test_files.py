"""Reading a folder of migrations: what is found, how it is paired, what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from turnback.cli.main import cli
from turnback.errors import (
    DuplicateVersion,
    InvalidMigration,
    ProjectNotFound,
    TurnbackError,
)
from turnback.migrations.discovery import load_project, scan
from turnback.migrations.text import decode, position

from tests.conftest import ProjectFactory


def findings(folder: Path) -> list[tuple[type[TurnbackError], str | None]]:
    return [(type(finding), finding.file) for finding in scan(folder)[1]]


def test_migrations_are_ordered_by_their_number_not_by_their_name(
    project_factory: ProjectFactory,
) -> None:
    names = ["10_ten", "9_nine", "0002_two", "20240115093000_stamped"]
    project = load_project(project_factory({f"sql/{name}.sql": "" for name in names}))
    assert [m.name for m in project.migrations] == ["two", "nine", "ten", "stamped"]
    assert [m.version for m in project.migrations] == ["0002", "9", "10", "20240115093000"]


def test_a_version_is_found_by_its_number(project_factory: ProjectFactory) -> None:
    project = load_project(project_factory({"sql/0012_a.sql": ""}))
    assert project.find("12") is project.find("0012") is project.migrations[0]
    assert project.find("1") is None


@pytest.mark.parametrize("kind", ["rollback", "verify"])
@pytest.mark.parametrize("name", ["0002_{kind}", "0002_user_preferences", "2_{kind}"])
def test_a_second_script_is_named_after_its_kind_or_its_migration(
    kind: str, name: str, project_factory: ProjectFactory
) -> None:
    path = f"{kind}/{name.format(kind=kind)}.sql"
    files = {"sql/0002_user_preferences.sql": "SELECT 1;", path: "SELECT 2;"}
    [migration] = load_project(project_factory(files)).migrations
    script = getattr(migration, kind)
    assert (script.path, script.sql) == (path, "SELECT 2;")


def test_a_migration_alone_has_neither_rollback_nor_verify_script(
    project_factory: ProjectFactory,
) -> None:
    [migration] = load_project(project_factory({"sql/0001_a.sql": ""})).migrations
    assert (migration.rollback, migration.verify) == (None, None)


def test_the_checksum_is_of_the_bytes_and_the_text_keeps_its_line_ends(
    project_factory: ProjectFactory,
) -> None:
    # The checksum is what sha256sum says of these bytes.
    data = b"\xef\xbb\xbfSELECT 1;\r\n"
    [migration] = load_project(project_factory({"sql/0001_a.sql": data})).migrations
    assert migration.forward.sql == "SELECT 1;\r\n"
    assert (
        migration.forward.checksum
        == "1ffc3c6acdbb610bcc942c606c787270e7c9d149c473e9d9aaa4fe597d5e402d"
    )


@pytest.mark.parametrize("name", [".hidden.sql", "README.md", "0002_b.sql.orig", "0002_b.sql~"])
def test_hidden_files_and_others_than_sql_are_passed_over(
    name: str, project_factory: ProjectFactory
) -> None:
    project = load_project(project_factory({"sql/0001_a.sql": "", f"sql/{name}": "not SQL \0"}))
    assert [m.version for m in project.migrations] == ["0001"]


@pytest.mark.parametrize("kind", ["sql", "rollback", "verify"])
@pytest.mark.parametrize("below", ["2026", "2026/02", "old.d"])
def test_scripts_in_a_subfolder_are_refused_because_they_would_never_run(
    kind: str, below: str, project_factory: ProjectFactory
) -> None:
    path = f"{kind}/{below}/0002_b.SQL"
    folder = project_factory({"sql/0001_a.sql": "", path: "", f"{kind}/{below}/0003_c.sql": ""})
    with pytest.raises(InvalidMigration, match="2 SQL files in a subfolder") as caught:
        load_project(folder)
    assert caught.value.file == path
    assert f"to {kind}/ itself" in (caught.value.hint or "")


def test_scripts_behind_a_link_to_a_folder_are_refused(
    project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = project_factory({"sql/0001_a.sql": ""})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0002_b.sql").touch()
    (folder / "sql" / "linked").symlink_to(elsewhere)
    assert findings(folder) == [(InvalidMigration, "sql/linked/0002_b.sql")]


def test_a_subfolder_without_scripts_is_no_fault(project_factory: ProjectFactory) -> None:
    files = {"sql/0001_a.sql": "", "sql/notes/why.md": "", "sql/.old/0002_b.sql": ""}
    assert findings(project_factory(files)) == []


def test_a_file_in_the_place_of_a_folder_is_refused(project_factory: ProjectFactory) -> None:
    folder = project_factory({"sql/0001_a.sql": "", "rollback": ""})
    assert findings(folder) == [(InvalidMigration, "rollback")]


@pytest.mark.parametrize(
    "name",
    [
        "users.sql",
        "\u0661_arabic.sql",
        "0001.sql",
        "0001_.sql",
        "V1__users.sql",
        "0001-users.sql",
        "0001_users.SQL",
    ],
)
def test_a_sql_file_of_another_name_is_refused(name: str, project_factory: ProjectFactory) -> None:
    folder = project_factory({"sql/0002_b.sql": "", f"sql/{name}": ""})
    with pytest.raises(InvalidMigration, match=r"not VERSION_name\.sql") as caught:
        load_project(folder)
    assert caught.value.file == f"sql/{name}"
    assert "0002_user_preferences.sql" in (caught.value.hint or "")


def test_a_version_of_more_than_20_digits_is_refused(project_factory: ProjectFactory) -> None:
    assert findings(project_factory({f"sql/{'1' * 20}_a.sql": ""})) == []
    long = f"sql/{'1' * 21}_a.sql"
    assert findings(project_factory({long: ""})) == [(InvalidMigration, long)]


@pytest.mark.parametrize("twin", ["sql/1_b.sql", "sql/0001_b.sql"])
def test_two_files_with_one_version_are_refused(twin: str, project_factory: ProjectFactory) -> None:
    folder = project_factory({"sql/0001_a.sql": "", twin: ""})
    with pytest.raises(DuplicateVersion, match=r"taken by sql/") as caught:
        load_project(folder)
    assert {caught.value.file, *caught.value.message.split()} >= {"sql/0001_a.sql", twin}


@pytest.mark.parametrize("kind", ["rollback", "verify"])
def test_a_second_script_without_its_migration_is_refused(
    kind: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory({"sql/0001_a.sql": "", f"{kind}/0002_{kind}.sql": ""})
    assert findings(folder) == [(InvalidMigration, f"{kind}/0002_{kind}.sql")]


def test_a_rollback_with_the_name_of_another_migration_is_refused(
    project_factory: ProjectFactory,
) -> None:
    folder = project_factory({"sql/0001_users.sql": "", "rollback/0001_user.sql": ""})
    with pytest.raises(InvalidMigration, match="0001 is 'users'") as caught:
        load_project(folder)
    assert caught.value.hint == "name it rollback/0001_rollback.sql"


def test_two_rollbacks_of_one_migration_are_refused(project_factory: ProjectFactory) -> None:
    files = {"sql/0001_a.sql": "", "rollback/0001_a.sql": "", "rollback/0001_rollback.sql": ""}
    assert findings(project_factory(files)) == [(DuplicateVersion, "rollback/0001_rollback.sql")]


def test_everything_wrong_is_found_at_once(project_factory: ProjectFactory) -> None:
    folder = project_factory(
        {
            "sql/0001_a.sql": b"\xff",
            "sql/0002_b.sql": "-- turnback: lock-timeout\n",
            "sql/b.sql": "",
            "rollback/0009_rollback.sql": "",
            "verify/0002_verify.sql": "\0",
        }
    )
    (folder / "SHA256SUMS").write_text("nonsense\n")
    assert {file for _, file in findings(folder)} == {
        "sql/0001_a.sql",
        "sql/0002_b.sql",
        "sql/b.sql",
        "rollback/0009_rollback.sql",
        "verify/0002_verify.sql",
        "SHA256SUMS",
    }


def test_a_folder_that_is_no_file_is_refused(project_factory: ProjectFactory) -> None:
    folder = project_factory({"sql/0001_a.sql/inner.txt": ""})
    with pytest.raises(InvalidMigration, match="cannot be read") as caught:
        load_project(folder)
    assert caught.value.file == "sql/0001_a.sql"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
@pytest.mark.parametrize(
    "name",
    [
        *("sql/0001_a.sql", "rollback/0001_rollback.sql", "verify/0001_verify.sql", "shadow.sql"),
        "../turnback.toml",
    ],
)
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(
    project_factory: ProjectFactory, name: str
) -> None:
    folder = project_factory({"sql/0001_a.sql": "SELECT 1;\n"})
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(TurnbackError, match="it is a pipe or a device") as caught:
        load_project(folder)
    assert caught.value.file == name.removeprefix("../")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_pipe_in_place_of_the_sums_is_refused(project_factory: ProjectFactory) -> None:
    folder = project_factory({"sql/0001_a.sql": ""}, sums=False)
    os.mkfifo(folder / "SHA256SUMS")
    # As a folder of that name is.
    with pytest.raises(OSError, match=r"it is a pipe or a device.*SHA256SUMS"):
        load_project(folder)


def test_a_project_without_sums_says_so(project_factory: ProjectFactory) -> None:
    assert load_project(project_factory({"sql/0001_a.sql": ""}, sums=False)).sums is None
    assert load_project(project_factory({"sql/0001_a.sql": ""})).sums != {}


def test_no_folder_no_folder_sql_and_no_migrations_have_errors_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(ProjectNotFound, match=r"no folder .*nowhere"):
        load_project(tmp_path / "nowhere")
    with pytest.raises(ProjectNotFound, match="no folder 'sql' in"):
        load_project(tmp_path)
    (tmp_path / "sql").mkdir()
    with pytest.raises(ProjectNotFound, match=r"no migrations in .*sql"):
        load_project(tmp_path)


def test_a_byte_order_mark_is_dropped_and_only_at_the_beginning() -> None:
    assert decode("a.sql", b"\xef\xbb\xbfSELECT '\xef\xbb\xbf';") == "SELECT '\ufeff';"


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"\xff", 1, 1),
        (b"SELECT 1;\r\n-- \xf0\x9f\x90\x98\xe9 \n", 2, 5),
        (b"\xef\xbb\xbfa\xc3", 1, 2),
        # A surrogate, and a byte that says four and is followed by two.
        (b"\n\n\xed\xa0\x80", 3, 1),
        (b"'\xf0\x9f\x90", 1, 2),
    ],
)
def test_a_byte_that_is_not_utf_8_is_refused_with_line_and_column(
    data: bytes, line: int, column: int
) -> None:
    with pytest.raises(InvalidMigration, match="is not UTF-8") as caught:
        decode("sql/0001_a.sql", data)
    error = caught.value
    assert (error.file, error.line, error.column) == ("sql/0001_a.sql", line, column)
    assert "iconv -f LATIN1 " in (error.hint or "")


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_called_by_its_name(codec: str) -> None:
    data = "\ufeffSELECT 1;".encode(codec)
    with pytest.raises(InvalidMigration, match="UTF-16, not UTF-8") as caught:
        decode("a.sql", data)
    # The judge is iconv itself: its command makes the file what it was.
    [command] = re.findall(r"iconv .*", caught.value.hint or "")
    made = subprocess.run(command.split(), input=data, capture_output=True, check=True).stdout
    assert decode("a.sql", made) == "SELECT 1;"


def test_a_nul_byte_is_refused_with_line_and_column() -> None:
    with pytest.raises(InvalidMigration, match="NUL byte") as caught:
        decode("a.sql", "-- é🐘\nSELECT '\0';".encode())
    assert (caught.value.line, caught.value.column) == (2, 9)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, (1, 1)), (1, (1, 2)), (2, (1, 3)), (3, (2, 1)), (4, (3, 1)), (6, (3, 3))],
)
def test_a_position_counts_lines_and_characters_from_one(
    offset: int, expected: tuple[int, int]
) -> None:
    assert position("a🐘\n\nb\r\n", offset) == expected


@pytest.mark.parametrize("character", "\u2028\u0085\n\t\x1b\u202e")
def test_a_file_name_with_a_character_that_nobody_sees_is_refused(
    character: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory({f"sql/0001_a{character}b.sql": "SELECT 1;"}, sums=False)
    [error] = scan(folder)[1]
    assert type(error) is InvalidMigration
    assert "a character that nobody sees" in error.message


def test_a_rollback_script_is_kept_whose_migration_cannot_be_read_or_is_left_out(
    project_factory: ProjectFactory,
) -> None:
    folder = project_factory(
        {
            "sql/0001_a.sql": "-- turnback: lock-timeout 0\nSELECT 1;\n",
            "rollback/0001_rollback.sql": "SELECT 1;\n",
            "sql/0002_b.sql": "SELECT 1;\n",
            "verify/0002_verify.sql": "SELECT 1;\n",
        },
        sums=False,
    )
    (folder.parent / "turnback.toml").write_text('[ignore]\nfiles = ["sql/0002_b.sql"]\n')
    unread, left_out = scan(folder)[1]
    assert unread.file == "sql/0001_a.sql"
    assert left_out.file == "verify/0002_verify.sql"
    assert (
        left_out.hint == "[ignore] in turnback.toml leaves out sql/0002_b.sql: add this file to it"
    )


def test_check_does_not_say_of_a_file_that_is_there_that_it_is_not(
    project_factory: ProjectFactory,
) -> None:
    folder = project_factory(
        {
            "sql/0001_a.sql": "-- turnback: lock-timeout 0\nSELECT 1;\n",
            "rollback/0001_rollback.sql": "SELECT 1;\n",
            "rollback/0002_rollback.sql": "SELECT 1;\n",
        }
    )
    done = CliRunner().invoke(cli, ["check", "--json", "--dir", str(folder)], standalone_mode=False)
    found = json.loads(done.stdout)["findings"]
    assert [one["file"] for one in found] == ["sql/0001_a.sql", "rollback/0002_rollback.sql"]
