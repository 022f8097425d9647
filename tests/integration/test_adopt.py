"""`turnback adopt` on the fixtures of other tools, from their folder to `turnback status`.

The judge is each tool itself: its files, its database and what it said of them, in
tests/fixtures/adopt.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.adopted import ALL, NAMES, digests, names_in
from tests.integration.terminal import turnback as run

KEEPS_CHECKSUMS = {"atlas", "drizzle", "graphile-migrate", "prisma", "sqlx", "supabase"}
# Their tools have no rollbacks.
FORWARD_ONLY = {"atlas", "drizzle", "graphile-migrate", "prisma", "supabase"}
TOOLS = {fixture.tool: fixture for fixture in ALL}

Adopted = Callable[[str], tuple[Path, str]]


@pytest.fixture
def adopted(database: str, tmp_path: Path) -> Adopted:
    """A copy of a tool's project, with the database on which the tool ran; nothing adopted yet."""

    def make(name: str) -> tuple[Path, str]:
        folder = TOOLS[name].copy(tmp_path, settings=False)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute((TOOLS[name].path / "database.sql").read_bytes())
        return folder, database

    return make


@pytest.mark.parametrize("name", TOOLS)
def test_a_project_is_taken_over_as_its_tool_left_it_and_goes_on_from_there(
    name: str, adopted: Adopted
) -> None:
    folder, url = adopted(name)
    before = digests(folder)
    place = ["--dir", str(folder), "--database-url", url]
    # The names of the files of some tools are those of others: their history decides.
    done = run("adopt", *place, "--json")
    assert done.code == 0, done.err + done.out
    assert done.document["layout"] == name
    assert done.document["applied"] == 5
    assert done.document["compared"] == (5 if name in KEEPS_CHECKSUMS else 0)
    rows = run("status", *place, "--json").document["migrations"]
    assert [(row["name"].replace("-", "_"), row["status"]) for row in rows] == [
        *((one, "applied") for one in NAMES[:-1]),
        (NAMES[-1], "pending"),
    ]
    fixture = TOOLS[name]
    assert names_in(fixture.applied, fixture.status()) in ([], NAMES[:-1])
    assert names_in(fixture.pending, fixture.status()) in ([], NAMES[-1:])
    again = run("adopt", *place, "--json")
    assert (again.code, again.document["status"]) == (0, "nothing_to_do")
    # From now on the rules of turnback apply: a new migration needs a rollback script.
    assert run("check", "--dir", str(folder)).code == (0 if name not in FORWARD_ONLY else 3)
    forward = [] if name not in FORWARD_ONLY else ["--allow-missing-rollback"]
    assert run("up", *place, *forward).code == 0
    assert digests(folder) == before
    if name not in FORWARD_ONLY:
        assert run("down", *place, "--yes").code == 0
        rows = run("status", *place, "--json").document["migrations"]
        assert rows[-1]["status"] == "rolled_back"


@pytest.mark.parametrize("name", sorted(KEEPS_CHECKSUMS))
def test_a_file_with_one_byte_edited_is_named_and_nothing_is_taken_over(
    name: str, adopted: Adopted
) -> None:
    folder, url = adopted(name)
    [edited] = [
        path for path in folder.rglob("*.sql") if "notes" in str(path) and "down" not in path.name
    ]
    before, _, behind = edited.read_bytes().rpartition(b"note")
    edited.write_bytes(before + b"nota" + behind)
    place = ["--dir", str(folder), "--database-url", url]
    done = run("adopt", *place, "--json")
    assert done.code == 3, done.out
    [finding] = done.document["findings"]
    assert finding["file"] == edited.relative_to(folder).as_posix()
    assert "edited since" in finding["message"]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('migration_log')").fetchone() == (None,)
    assert not (folder.parent / "turnback.toml").exists()
    accepted = run("adopt", *place, "--accept-differences", "--json")
    assert (accepted.code, accepted.document["applied"]) == (0, 5)
    assert accepted.document["differences"] == [finding]


@pytest.mark.parametrize(
    ("name", "spoil", "said", "hint"),
    [
        (
            "golang-migrate",
            "UPDATE schema_migrations SET dirty = true",
            "marked version 20260105090005 as dirty",
            "migrate force VERSION",
        ),
        (
            "prisma",
            "UPDATE _prisma_migrations SET finished_at = NULL WHERE migration_name ~ '0005'",
            "begun 20260105090005_active_accounts and not finished it",
            "prisma migrate resolve --rolled-back",
        ),
        (
            "sqlx",
            "UPDATE _sqlx_migrations SET success = false WHERE version = 20260105090005",
            "20260105090005 did not succeed",
            "set success in _sqlx_migrations",
        ),
        (
            "dbmate",
            "INSERT INTO schema_migrations VALUES ('20250101000000')",
            "20250101000000 is applied, as public.schema_migrations says, but has no file",
            "restore the file",
        ),
    ],
)
def test_what_the_tool_left_half_done_is_refused_with_what_to_do(
    name: str, spoil: str, said: str, hint: str, adopted: Adopted
) -> None:
    folder, url = adopted(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(spoil)
    done = run("adopt", "--dir", str(folder), "--database-url", url)
    assert done.code == 3
    assert said in done.out
    assert hint in done.out


def test_a_prisma_row_that_was_rolled_back_does_not_count(adopted: Adopted) -> None:
    folder, url = adopted("prisma")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name ~ '0005'"
        )
    done = run("adopt", "--dir", str(folder), "--database-url", url, "--json")
    assert (done.code, done.document["applied"]) == (0, 4)


def test_of_two_histories_both_are_shown_and_one_is_chosen(adopted: Adopted) -> None:
    folder, url = adopted("golang-migrate")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE SCHEMA old; CREATE TABLE old.schema_migrations (version varchar)"
        )
        connection.execute("CREATE TABLE old.versions (version bigint, dirty boolean)")
    place = ["--dir", str(folder), "--database-url", url]
    done = run("adopt", *place)
    assert done.code == 2
    assert "a history of dbmate: old.schema_migrations" in done.err
    assert "several histories of golang-migrate: old.versions, public.schema_migrations" in done.err
    done = run("adopt", *place, "--table", "public.schema_migrations", "--json")
    assert (done.code, done.document["applied"]) == (0, 5)
    assert {one["table"] for one in done.document["histories"]} == {
        *("old.schema_migrations", "old.versions", "public.schema_migrations")
    }


def test_init_in_a_folder_of_another_tool_names_adopt(adopted: Adopted) -> None:
    folder, _ = adopted("goose")
    done = run("init", "--dir", str(folder))
    assert done.code == 2
    assert f"turnback adopt --dir {folder}" in done.err
    assert not (folder / "sql").exists()


def test_a_dry_run_writes_nothing(adopted: Adopted) -> None:
    folder, url = adopted("dbmate")
    done = run("adopt", "--dir", str(folder), "--database-url", url, "--dry-run", "--json")
    assert (done.code, done.document["status"]) == (0, "dry_run")
    assert {path.name for path in folder.parent.iterdir()} == {"migrations"}
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('migration_log')").fetchone() == (None,)


@pytest.mark.parametrize("name", ["dbmate", "diesel"])
def test_converted_files_are_the_same_migrations_with_a_map(
    name: str, adopted: Adopted, tmp_path: Path
) -> None:
    folder, url = adopted(name)
    new = tmp_path / "new" / "migrations"
    place = ["--dir", str(folder), "--database-url", url]
    done = run("adopt", *place, "--convert", str(new), "--json")
    assert done.code == 0, done.err
    place = ["--dir", str(new), "--database-url", url]
    rows = run("status", *place, "--json").document["migrations"]
    assert [row["status"] for row in rows] == ["applied"] * 5 + ["pending"]
    assert run("check", "--dir", str(new)).code == 0
    assert run("up", *place).code == 0
    moves = json.loads((new / "map.json").read_text())
    for move in moves:
        old = (folder / move["from"]).read_bytes().split(b"\n")
        for number, line in enumerate((new / move["to"]).read_bytes().split(b"\n"), 1):
            if line.strip() and not line.startswith(b"-- turnback:"):
                assert old[number + move["lines"] - 1] == line
    again = run("adopt", "--dir", str(folder), "--database-url", url, "--convert", str(new))
    assert again.code == 0, again.err


def test_a_thousand_files_are_adopted(database: str, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for number in range(1, 1001):
        text = (
            f"-- migrate:up\nCREATE TABLE t{number} ();\n-- migrate:down\nDROP TABLE t{number};\n"
        )
        (folder / f"2026{number:010}_t.sql").write_text(text)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO "
            "schema_migrations SELECT 2026 || lpad(n::text, 10, '0') FROM generate_series(1, 999) n"
        )
    done = run("adopt", "--dir", str(folder), "--database-url", database, "--json")
    assert (done.code, done.document["applied"]) == (0, 999)
