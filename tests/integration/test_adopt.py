"""`turnback adopt` on the fixtures of other tools, from their folder to `turnback status`.

The judge is each tool itself: its files, its database and what it said of them, in
tests/fixtures/adopt.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.adopted import ALL, BY_TOOL, Fixture, digests, plain
from tests.integration.releases import Deploy, by_version
from tests.integration.terminal import turnback as run

Adopted = Callable[[str], tuple[Path, str]]


@pytest.fixture
def adopted(database: str, tmp_path: Path) -> Adopted:
    """A copy of a tool's project, with the database on which the tool ran; nothing adopted yet."""

    def make(name: str) -> tuple[Path, str]:
        fixture = BY_TOOL[name]
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute((fixture.path / "database.sql").read_bytes())
        return fixture.copy(tmp_path, settings=False), database

    return make


def states(place: Sequence[str]) -> list[tuple[str, str]]:
    """The names of all migrations, with their status."""
    rows = run("status", *place, "--json").document["migrations"]
    return [(plain(row["name"]), row["status"]) for row in rows]


@pytest.mark.parametrize("fixture", ALL, ids=str)
def test_a_project_is_taken_over_as_its_tool_left_it_and_goes_on_from_there(
    fixture: Fixture, adopted: Adopted
) -> None:
    folder, url = adopted(fixture.tool)
    before = digests(folder)
    place = ["--dir", str(folder), "--database-url", url]
    # The names of the files of some tools are those of others: their history decides.
    done = run("adopt", *place, "--json")
    assert done.code == 0, done.err + done.out
    assert done.document["layout"] == fixture.tool
    applied = len(fixture.names) - 1
    assert done.document["applied"] == applied
    assert done.document["compared"] == (applied if fixture.compared else 0)
    found = states(place)
    assert found == [*((name, "applied") for name in fixture.names[:-1]), ("archived", "pending")]
    # The judge: what the tool itself said; some list only what is pending.
    said = fixture.status()
    applied_names = sorted(fixture.names[:-1]) if fixture.applied else []
    assert sorted(fixture.said(fixture.applied, said)) == applied_names
    assert fixture.said(fixture.pending, said) == (["archived"] if fixture.pending else [])
    again = run("adopt", *place, "--json")
    assert (again.code, again.document["status"]) == (0, "nothing_to_do")
    # From now on the rules of turnback apply: a new migration needs a rollback script.
    checked = 0 if fixture.rollbacks else 3
    assert run("check", "--dir", str(folder)).code == checked
    forward = [] if fixture.rollbacks else ["--allow-missing-rollback"]
    assert run("up", *place, *forward).code == 0
    assert digests(folder) == before
    # A new one is in the form of the tool.
    made = run("generate", "add city", "--dir", str(folder), "--json").document
    fixture.write(folder, made["files"], "CREATE TABLE city (id bigint);", "DROP TABLE city;")
    assert run("check", "--fix", "--dir", str(folder)).code == checked
    assert run("up", *place, *forward).code == 0
    with psycopg.connect(url) as connection:
        assert connection.execute("TABLE city").fetchall() == []
    assert states(place)[-2:] == [("archived", "applied"), ("add_city", "applied")]
    assert run("down", *place, "--yes").code == 0
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('city')").fetchone() == (None,)
    if fixture.rollbacks:
        assert run("down", *place, "--yes").code == 0
    last = "rolled_back" if fixture.rollbacks else "applied"
    assert states(place)[-2:] == [("archived", last), ("add_city", "rolled_back")]


@pytest.mark.parametrize("fixture", [one for one in ALL if one.compared], ids=str)
def test_a_file_with_one_byte_edited_is_named_and_nothing_is_taken_over(
    fixture: Fixture, adopted: Adopted
) -> None:
    folder, url = adopted(fixture.tool)
    [edited] = [
        path
        for path in folder.rglob("*.sql")
        if "notes" in str(path) and not _BESIDE.search(path.relative_to(folder).as_posix())
    ]
    edited.write_bytes(edited.read_bytes().replace(b"note ", b"nota ", 1))
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
    assert (accepted.code, accepted.document["applied"]) == (0, len(fixture.names) - 1)
    assert accepted.document["differences"] == [finding]


# Scripts that are not forward scripts.
_BESIDE = re.compile(r"^(?:revert|verify)/|down\.sql$|^U[0-9]")


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
            "atlas",
            "UPDATE atlas_schema_revisions.atlas_schema_revisions SET applied = 1 "
            "WHERE version = '20260105090005'",
            "has run 1 of 2 statements of 20260105090005",
            "atlas migrate apply",
        ),
        (
            "drizzle",
            "DELETE FROM drizzle.__drizzle_migrations WHERE id = 3",
            "has never run 0002_email_index.sql, and never will",
            "'when' in meta/_journal.json",
        ),
        (
            "flyway",
            "UPDATE flyway_schema_history SET success = false WHERE version = '1.5'",
            "V1_5__active_accounts.sql has failed",
            "flyway repair",
        ),
        (
            "flyway",
            "UPDATE flyway_schema_history SET type = 'JDBC' WHERE version = '1.5'",
            "is of the type JDBC, which is code",
            "what it did",
        ),
        (
            "sqitch",
            "UPDATE sqitch.changes SET change_id = 'other' WHERE change = 'notes'",
            "the plan has another notes than the one that is deployed",
            "restore sqitch.plan",
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


def test_the_next_database_of_a_project_keeps_the_later_baseline(adopted: Adopted) -> None:
    folder, url = adopted("dbmate")
    place = ["--dir", str(folder), "--database-url", url]
    assert run("adopt", *place).code == 0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = '20260105090005'")
    done = run("adopt", *place, "--history-schema", "staging", "--json")
    assert (done.code, done.document["applied"]) == (0, 4)
    assert done.document["baseline"] == "20260105090005"
    assert done.document["written"] == []


def test_a_repeatable_migration_of_flyway_is_applied_whenever_it_changes(adopted: Adopted) -> None:
    folder, url = adopted("flyway")
    view = folder / "views" / "R__cities.sql"
    view.parent.mkdir()
    view.write_text("CREATE OR REPLACE VIEW cities AS SELECT 1 AS n;\n")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO flyway_schema_history VALUES (6, NULL, 'cities', 'SQL', "
            "'views/R__cities.sql', 1, 'postgres', now(), 1, true)"
        )
        place = ["--dir", str(folder), "--database-url", url]
        done = run("adopt", *place, "--json")
        assert (done.code, done.document["applied"]) == (0, 5)
        for number in (1, 2):
            view.write_text(f"CREATE OR REPLACE VIEW cities AS SELECT {number} AS n;\n")
            assert run("check", "--fix", "--dir", str(folder)).code == 0
            assert run("up", *place).code == 0
            assert connection.execute("TABLE cities").fetchall() == [(number,)]


def test_init_in_a_folder_of_another_tool_names_adopt(adopted: Adopted) -> None:
    folder, _ = adopted("goose")
    done = run("init", "--dir", str(folder))
    assert done.code == 2
    assert f"turnback adopt --dir {folder}" in done.err
    assert not (folder / "sql").exists()


@pytest.mark.parametrize("kind", ["a cast", "a policy"])
def test_a_planted_history_runs_nothing_when_it_is_read(kind: str, adopted: Adopted) -> None:
    folder, url = adopted("prisma")
    raising = "LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'planted'; END$$;"
    role = conninfo_to_dict(url)["dbname"]
    with psycopg.connect(url, autocommit=True) as connection:
        table = "ALTER TABLE _prisma_migrations"
        connection.execute(
            f"CREATE TYPE moment AS (at timestamptz); CREATE FUNCTION at(moment) RETURNS "
            f"timestamptz {raising} CREATE CAST (moment AS timestamptz) WITH FUNCTION at(moment) "
            f"AS IMPLICIT; {table} ALTER finished_at TYPE moment USING ROW(finished_at)"
            if kind == "a cast"
            else f"CREATE FUNCTION yes() RETURNS boolean {raising} {table} ENABLE ROW LEVEL "
            f"SECURITY; {table} FORCE ROW LEVEL SECURITY; CREATE POLICY p ON _prisma_migrations "
            f"USING (yes()); CREATE ROLE {role} LOGIN PASSWORD 'r'; GRANT ALL ON SCHEMA public, "
            f"TABLE _prisma_migrations TO {role}".replace(", TABLE", f" TO {role}; GRANT ALL ON")
        )
    other = url if kind == "a cast" else make_conninfo(url, user=role, password="r")
    done = run("adopt", "--dir", folder, "--database-url", other, "--dry-run")
    assert "planted" not in done.out + done.err
    assert (done.code, "has no history of prisma" in done.err) in [(0, True), (2, False)]
    assert kind == "a cast" or "row-level security hides rows" in done.err


def test_a_dry_run_writes_nothing(adopted: Adopted) -> None:
    folder, url = adopted("dbmate")
    done = run("adopt", "--dir", str(folder), "--database-url", url, "--dry-run", "--json")
    assert (done.code, done.document["status"]) == (0, "dry_run")
    assert {path.name for path in folder.parent.iterdir()} == {"migrations"}
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('migration_log')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("settings", "target", "said"),
    [
        ("", "other", "is there already, with other contents"),
        ('layout = {name = "dbmate"}\n', None, "cannot be changed in this form"),
        ('layout.name = "dbmate"\n', None, "cannot be changed in this form"),
    ],
)
def test_what_stops_the_files_stops_the_history_too(
    settings: str, target: str | None, said: str, adopted: Adopted
) -> None:
    folder, url = adopted("dbmate")
    beside = folder.parent
    (beside / "turnback.toml").write_text(settings)
    (beside / "other/sql").mkdir(parents=True)
    (beside / "other/sql/20260105090001_accounts.sql").write_text("SELECT 1;")
    before = digests(beside)
    convert = ["--convert", str(beside / target)] if target else []
    for more in (["--dry-run"], []):
        done = run("adopt", "--dir", str(folder), "--database-url", url, *convert, *more)
        assert (done.code, said in done.err) == (2, True), done.err
    assert digests(beside) == before
    assert (beside / "turnback.toml").read_text() == settings
    assert not (folder / "SHA256SUMS").exists()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('migration_log')").fetchone() == (None,)


def test_without_the_right_to_write_nothing_is_taken_over(
    adopted: Adopted, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = adopted("dbmate")
    # root, who runs the tests, may write everywhere: what the system answers to others.
    monkeypatch.setattr("os.access", lambda place, mode: mode != os.W_OK or place != folder)
    done = run("adopt", "--dir", str(folder), "--database-url", url)
    assert (done.code, "SHA256SUMS cannot be written" in done.err) == (2, True), done.err
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('migration_log')").fetchone() == (None,)


def test_a_name_with_a_line_end_makes_no_line_of_its_own(adopted: Adopted) -> None:
    folder, url = adopted("dbmate")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (E'0\\nplanted')")
    place = ["--dir", str(folder), "--database-url", url]
    done = run("adopt", *place)
    assert done.code == 3
    assert "0\\nplanted is applied" in done.out
    (folder / "1_a\nplanted.sql").touch()
    done = run("adopt", *place)
    assert (done.code, "1_a\\nplanted.sql: the file's name has" in done.err) == (3, True)


def test_settings_outside_of_the_repository_are_named(adopted: Adopted) -> None:
    folder, url = adopted("sqitch")
    run("adopt", "--dir", str(folder), "--database-url", url)
    (folder / ".git").mkdir()
    done = run("adopt", "--dir", str(folder), "--database-url", url)
    assert done.code == 0
    assert f"{folder.parent / 'turnback.toml'} is outside of the repository" in done.err


def test_the_next_commands_can_be_copied_and_the_baseline_without_a_database_is_named(
    tmp_path: Path,
) -> None:
    folder = BY_TOOL["dbmate"].copy(tmp_path / "a b", settings=False)
    done = run("adopt", "--dir", str(folder))
    assert "the last file ends the baseline" in done.err
    [line] = [line for line in done.out.splitlines() if line.startswith("Next: ")]
    command = shlex.split(line.removeprefix("Next: ").split(",")[0])
    assert command == ["turnback", "status", "--dir", str(folder)]


@pytest.mark.parametrize("name", ["dbmate", "diesel", "liquibase", "sqitch"])
def test_converted_files_are_the_same_migrations_with_a_map(
    name: str, adopted: Adopted, tmp_path: Path
) -> None:
    folder, url = adopted(name)
    new = tmp_path / "new" / "migrations"
    place = ["--dir", str(folder), "--database-url", url]
    done = run("adopt", *place, "--convert", str(new), "--json")
    assert done.code == 0, done.err
    place = ["--dir", str(new), "--database-url", url]
    names = BY_TOOL[name].names
    assert states(place) == [*((one, "applied") for one in names[:-1]), ("archived", "pending")]
    assert run("check", "--dir", str(new)).code == 0
    assert run("up", *place).code == 0
    moves = json.loads((new / "map.json").read_text())
    for move in moves:
        old = (folder / move["from"]).read_bytes().split(b"\n")
        for number, line in enumerate((new / move["to"]).read_bytes().split(b"\n"), 1):
            if line.strip() and not line.startswith(b"-- turnback:"):
                # In Liquibase it is behind '--rollback'.
                assert line.strip() in old[number + move["lines"] - 1]
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


def test_a_release_of_an_adopted_project_runs_on_aws_from_the_files_of_its_tool(
    adopted: Adopted, deploy: Deploy, tmp_path: Path
) -> None:
    folder, url = adopted("dbmate")
    assert run("adopt", "--dir", str(folder), "--database-url", url).code == 0
    stack = deploy()
    done = stack.release(folder, "1.0.0", tmp_path)
    assert done.status == "SUCCEEDED"
    assert by_version(done.messages[-1]) == {"20260105090006": "applied"}
    broken = (
        "-- migrate:up\nCREATE TABLE a (id bigint);\nSELECT oops;\n-- migrate:down\nDROP TABLE a;\n"
    )
    (folder / "20260105090007_a.sql").write_text(broken)
    assert run("check", "--fix", "--dir", str(folder)).code == 0
    done = stack.release(folder, "1.1.0", tmp_path)
    error = done.messages[-1]["error"]
    assert (error["file"], error["line"]) == ("20260105090007_a.sql", 3)
