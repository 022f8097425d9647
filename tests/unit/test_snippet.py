"""The line that an error points at, with a caret under the place."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import click
import pytest
from rich.cells import cell_len
from turnback.cli.snippet import located, snippet
from turnback.errors import MigrationFailed


def shown(folder: Path, line: str, at: str) -> tuple[str, str]:
    """The two lines for an error at the first ``at`` in the second line of a file."""
    (folder / "sql").mkdir(parents=True, exist_ok=True)
    (folder / "sql/0001_a.sql").write_text(f"SELECT 1;\n{line}\nSELECT 2;\n", encoding="utf-8")
    error = MigrationFailed("no", file="sql/0001_a.sql", line=2, column=line.index(at) + 1)
    context = click.Context(click.Command("up"))
    context.params["directory"] = folder
    with context:
        text, caret = snippet(error)
        assert located(error).endswith(f"sql/0001_a.sql:2:{error.column}: no")
    return text, caret


@pytest.mark.parametrize(
    "line",
    [
        "CREATE TABEL second ();",
        "\tSELECT\tTABEL;",
        "SELECT '日本語', 'e\u0301', TABEL;",
        "SELECT " + "x, " * 200 + "TABEL, " + "y, " * 200,
        "SELECT '" + "日" * 300 + "', TABEL",
        "SELECT '\x1b[2K', TABEL",
        "TABEL",
    ],
)
def test_the_caret_is_under_the_place_as_a_terminal_draws_it(tmp_path: Path, line: str) -> None:
    text, caret = shown(tmp_path / "migrations", line, "TABEL")
    before = text[: text.index("TABEL")]
    # rich measures by its own tables of widths.
    assert cell_len(before) == caret.index("^")
    assert cell_len(text) < 120 and not any(unicodedata.category(one) == "Cc" for one in text)


def test_the_path_is_the_one_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown(tmp_path / "db/migrations", "x", "x")
    monkeypatch.chdir(tmp_path / "db")
    error = MigrationFailed("no", file="sql/0001_a.sql", line=2)
    context = click.Context(click.Command("up"))
    context.params["directory"] = tmp_path / "db/migrations"
    with context:
        assert located(error) == "migrations/sql/0001_a.sql:2: no"
    assert located(error) == "sql/0001_a.sql:2: no"


def test_a_file_that_is_gone_has_no_line(tmp_path: Path) -> None:
    context = click.Context(click.Command("up"))
    context.params["directory"] = tmp_path
    with context:
        assert snippet(MigrationFailed("no", file="sql/0001_a.sql", line=1, column=1)) == []
