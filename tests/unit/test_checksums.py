"""``SHA256SUMS``: read, compared, written in the format of ``sha256sum -c``."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from turnback.errors import ChecksumMismatch, InvalidMigration
from turnback.migrations.checksums import (
    FILE,
    compare,
    digest,
    format_sums,
    parse_sums,
    scripts_of,
    write_sums,
)
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory

A, B = "a" * 64, "b" * 64
FILES = {
    "sql/0001_a.sql": "CREATE TABLE a ();\n",
    "rollback/0001_rollback.sql": "DROP TABLE a;\n",
    "verify/0001_verify.sql": "TABLE a;\n",
}


def test_the_digest_is_sha_256() -> None:
    # FIPS 180-2, appendix B.1.
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_is_written_is_read_back_sorted_one_line_a_file() -> None:
    text = format_sums({"sql/0002_b.sql": B, "rollback/0001_rollback.sql": A})
    assert text == f"{A}  rollback/0001_rollback.sql\n{B}  sql/0002_b.sql\n"
    assert parse_sums(text) == {"rollback/0001_rollback.sql": A, "sql/0002_b.sql": B}


@pytest.mark.parametrize(
    "line",
    [f"{A}  sql/0001_a.sql", f"{A} *sql/0001_a.sql", f"{A.upper()}  ./sql/0001_a.sql"],
)
def test_the_forms_that_sha256sum_writes_are_read(line: str) -> None:
    assert parse_sums(f"\n{line}\r\n\n") == {"sql/0001_a.sql": A}


@pytest.mark.parametrize("line", ["x", A, f"{A[1:]}  sql/x.sql", f"{A}sql/x.sql", f"g{A[1:]}  x"])
def test_a_line_that_is_none_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(InvalidMigration, match="not a checksum line") as caught:
        parse_sums(f"{A}  sql/0001_a.sql\n{line}\n")
    assert (caught.value.file, caught.value.line) == (FILE, 2)
    assert "turnback check --fix" in (caught.value.hint or "")


@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", "=======", ">>>>>>> other"])
def test_a_merge_conflict_is_called_one(mark: str) -> None:
    with pytest.raises(InvalidMigration, match="unresolved merge conflict") as caught:
        parse_sums(f"{A}  sql/0001_a.sql\n{mark}\n")
    assert caught.value.line == 2
    assert "decide which migration comes first" in (caught.value.hint or "")


def test_a_file_named_twice_is_refused() -> None:
    with pytest.raises(InvalidMigration, match=r"sql/a\.sql is named twice") as caught:
        parse_sums(f"{A}  sql/a.sql\n{A}  ./sql/a.sql\n")
    assert caught.value.line == 2


def test_scripts_of_all_three_kinds_are_compared(project_factory: ProjectFactory) -> None:
    project = load_project(project_factory(FILES))
    assert {script.path for script in scripts_of(project)} == set(FILES)
    assert compare(project) == []


def found(folder: Path) -> list[tuple[str | None, str]]:
    findings = compare(load_project(folder))
    assert all(isinstance(finding, ChecksumMismatch) for finding in findings)
    return [(finding.file, finding.message) for finding in findings]


def test_a_file_that_differs_is_found(project_factory: ProjectFactory) -> None:
    folder = project_factory(FILES)
    (folder / "verify/0001_verify.sql").write_text("TABLE a ;\n")
    [(file, message)] = found(folder)
    assert file == "verify/0001_verify.sql"
    assert message.startswith("differs from SHA256SUMS, which says ")


def test_a_file_that_the_sums_do_not_know_is_found(project_factory: ProjectFactory) -> None:
    folder = project_factory(FILES)
    (folder / "sql/0002_b.sql").write_text("")
    assert found(folder) == [("sql/0002_b.sql", "SHA256SUMS does not know this file")]


def test_a_file_that_only_the_sums_know_is_found(project_factory: ProjectFactory) -> None:
    folder = project_factory(FILES)
    (folder / "rollback/0001_rollback.sql").unlink()
    expected = "SHA256SUMS names this file, but it is not there"
    assert found(folder) == [("rollback/0001_rollback.sql", expected)]


def test_no_sums_at_all_is_one_finding(project_factory: ProjectFactory) -> None:
    assert found(project_factory(FILES, sums=False)) == [(FILE, "there is no SHA256SUMS")]


def test_sha256sum_itself_accepts_what_is_written(project_factory: ProjectFactory) -> None:
    folder = project_factory(FILES, sums=False)
    write_sums(folder, {s.path: s.checksum for s in scripts_of(load_project(folder))})

    # macOS has shasum in its place.
    program = ["sha256sum"] if shutil.which("sha256sum") else ["shasum", "-a", "256"]
    done = subprocess.run([*program, "-c", FILE], cwd=folder, capture_output=True, text=True)

    assert done.returncode == 0
    assert done.stdout.count(": OK") == len(FILES)


def test_writing_replaces_the_file_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    write_sums(tmp_path, {"sql/a.sql": A})
    write_sums(tmp_path, {"sql/b.sql": B})
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).read_text() == f"{B}  sql/b.sql\n"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o644


def test_a_name_in_another_form_of_unicode_is_reported_as_that(
    project_factory: ProjectFactory,
) -> None:
    folder = project_factory({"sql/0001_cafe\u0301.sql": "SELECT 1;"})
    (folder / "sql/0001_cafe\u0301.sql").rename(folder / "sql/0001_caf\u00e9.sql")
    [finding] = compare(load_project(folder))
    assert "another form of Unicode" in finding.message
