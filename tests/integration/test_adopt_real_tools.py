"""`turnback adopt` beside the tools themselves, which are installed and run anew.

The judge is each tool: it makes the project and its database, and still takes the folder then.
"""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import psycopg
import pytest

from tests.adopted import ALL, Fixture
from tests.fixtures.adopt.make.recording import MAJOR, Tool, copy_of
from tests.integration.terminal import turnback as run
from tests.other_servers import postgres

REAL = [one for one in ALL if one.status()]


@pytest.mark.slow
@pytest.mark.parametrize("fixture", REAL, ids=str)
def test_the_tool_still_takes_its_folder_after_a_new_migration_of_turnback(
    fixture: Fixture, tmp_path: Path
) -> None:
    if not (shutil.which("npm") and shutil.which("apt-get")):
        pytest.skip("the tools come from npm, PyPI and Debian")
    module = fixture.tool.replace("-", "_")
    tool: Tool = importlib.import_module(f"tests.fixtures.adopt.make.{module}")
    project = tmp_path / "project"
    project.mkdir()
    folder = (project / fixture.folder).resolve()
    with postgres(MAJOR) as base:
        with psycopg.connect(f"{base}/postgres", autocommit=True) as admin:
            admin.execute("CREATE DATABASE shop")
        url = f"{base}/shop"
        tool.make(project, url)
        place = ["--dir", str(folder), "--database-url", url]
        assert run("adopt", *place).code == 0
        said = tool.status(project, url)
        rows = run("status", *place, "--json").document["migrations"]
        assert [row["status"] for row in rows].count("pending") == 1
        assert fixture.said(fixture.pending, said) == ["archived"]
        made = run("generate", "add city", "--dir", str(folder), "--json").document
        fixture.write(folder, made["files"], "CREATE TABLE city (id bigint);", "DROP TABLE city;")
        # The tool runs what turnback has written, on a copy that turnback has not touched since.
        copy = copy_of(url)
        tool.apply(project, copy)
        with psycopg.connect(copy) as connection:
            assert connection.execute("TABLE city").fetchall() == []
        assert run("check", "--fix", "--dir", str(folder)).code == (0 if fixture.rollbacks else 3)
        assert run("up", *place, "--allow-missing-rollback").code == 0
        with psycopg.connect(url) as connection:
            assert connection.execute("TABLE city").fetchall() == []
