"""What a command found, as GitHub, GitLab and a comment show it."""

from __future__ import annotations

import json
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from turnback.cli.annotations import Annotation, Annotations, folder_in
from turnback.errors import ConfigurationError, InvalidMigration


def one(**changes: str | int) -> Annotation:
    values: dict[str, str | int] = {
        "level": "error",
        "rule": "TB101",
        "name": "index",
        "title": "t",
        "why": "Long.",
        "file": "sql/0002_a.sql",
        "line": 3,
        "column": 7,
        "message": "50% of a|b,\nat *_<x>_*",
        "sql": "SELECT 1;",
        "page": "docs/rules/TB101.md",
    }
    return Annotation(**{**values, **changes})  # type: ignore[arg-type]


def shown(form: str, *found: Annotation, folder: str = "db") -> str:
    return Annotations("lint", "1 error in 2 migrations", folder, found).render(form)


def test_githubs_command_is_one_line_with_its_marks_escaped() -> None:
    """GitHub's toolkit, command.ts: data escapes %, CR and LF; a property : and , as well."""
    [line] = shown("github", one(message="50% of\r\nit: a,b"), folder="db/a,b:c").splitlines()
    assert line == (
        "::error file=db/a%2Cb%3Ac/sql/0002_a.sql,line=3,col=7,title=TB101 index"
        "::50%25 of%0D%0Ait: a,b%0ALong.%0ASELECT 1;%0Adocs/rules/TB101.md"
    )


def test_each_level_has_its_word_on_github_and_its_severity_on_gitlab() -> None:
    found = [one(level=level) for level in ("error", "warning", "info")]
    commands = [line.split()[0] for line in shown("github", *found).splitlines()]
    assert commands == ["::error", "::warning", "::notice"]
    severities = [issue["severity"] for issue in json.loads(shown("gitlab", *found))]
    assert severities == ["major", "minor", "info"]


def test_gitlabs_report_has_the_documented_fields() -> None:
    """GitLab's documentation, "Code Quality report format"; a path begins with no ``./``."""
    issues = json.loads(shown("gitlab", one(), one(level="info", sql="", why="", page="")))
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["description"] and issue["check_name"] and issue["fingerprint"]
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert issue["location"] == {"path": "db/sql/0002_a.sql", "lines": {"begin": 3}}


def test_gitlabs_fingerprint_is_the_same_when_the_line_moves_and_of_no_other_finding() -> None:
    def fingerprints(*found: Annotation) -> list[str]:
        return [issue["fingerprint"] for issue in json.loads(shown("gitlab", *found))]

    both = fingerprints(one(), one(line=9))
    assert len(set(both)) == 2
    assert fingerprints(one(line=4), one(line=10)) == both
    others = [one(message="m"), one(rule="TB102"), one(file="sql/0003_b.sql"), one(name="n")]
    assert len({*fingerprints(*others), *both}) == 6


def test_the_comment_has_a_row_and_the_details_of_each_finding() -> None:
    text = shown("markdown", one())
    assert text.startswith("<!-- turnback lint -->\n### turnback lint: 1 error in 2 migrations")
    assert "| error | TB101 | `db/sql/0002_a.sql:3` | 50% of a\\|b, at \\*\\_&lt;x>\\_\\* |" in text
    assert "```sql\nSELECT 1;\n```" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_the_comment_is_below_the_limit_of_github() -> None:
    text = shown("markdown", *[one(why="x" * 500)] * 400)
    assert len(text) < 65_536
    assert "more: run `turnback lint`" in text


def test_an_error_is_beside_the_line_of_its_file_and_one_in_the_settings_is_not() -> None:
    errors = [
        InvalidMigration("no header", file="sql/0001_a.sql", line=2, hint="write one"),
        InvalidMigration("no file"),
        ConfigurationError("unknown key", file="turnback.toml", line=1),
    ]
    [found] = Annotations.of_errors("check", errors, "migrations").found
    assert (found.file, found.line, found.message) == ("sql/0001_a.sql", 2, "no header")
    assert (found.rule, found.name, found.why) == ("check", "InvalidMigration", "write one")
    assert found.page.endswith("/docs/trouble.md#invalidmigration")


@pytest.mark.parametrize(
    ("root", "folder", "expected"),
    [
        (PurePosixPath("/r"), PurePosixPath("/r/db/migrations"), "db/migrations"),
        (PureWindowsPath(r"C:\r"), PureWindowsPath(r"c:\R\db\migrations"), "db/migrations"),
        (PurePosixPath("/r"), PurePosixPath("/elsewhere"), "../elsewhere"),
    ],
)
def test_a_folder_is_named_as_in_the_repository(
    root: PurePosixPath, folder: PurePosixPath, expected: str
) -> None:
    assert folder_in(root, folder, PurePosixPath("../elsewhere")) == expected
