"""Every command as a user runs it: what it says, what it changes, and the code it leaves with."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
import pytest
from turnback.local.scratch import scratch
from turnback.local.server import read_running
from turnback.migrations.artifact import open_artifact
from turnback.migrations.checksums import compare
from turnback.migrations.discovery import load_project

from tests.conftest import ProjectFactory
from tests.integration.command_line import (
    Answer,
    fingerprint,
    history,
    query,
    tables,
    turnback,
)

Command = Callable[..., Answer]


def table(number: int) -> dict[str, str]:
    """A migration that makes the table of this number, and its rollback script."""
    return {
        f"sql/{number:04}_t{number}.sql": f"CREATE TABLE t{number} (id int);\n",
        f"rollback/{number:04}_rollback.sql": f"DROP TABLE t{number};\n",
    }


THREE = table(1) | table(2) | table(3)


@pytest.fixture
def folder(project_factory: ProjectFactory) -> Path:
    """A project of three migrations."""
    return project_factory(THREE)


@pytest.fixture
def run(database: str, folder: Path) -> Command:
    """Runs a command on the project and the database of the test."""

    def command(*arguments: str) -> Answer:
        return turnback(*arguments, url=database, folder=folder)

    return command


@pytest.fixture
def applied(run: Command) -> Command:
    """The same, after ``turnback up``."""
    answer = run("up")
    assert answer.code == 0, answer.err
    return run


def add(folder: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)


# init and generate


def test_init_and_generate_make_a_project_that_check_accepts(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    assert turnback("init", folder=folder).code == 0
    assert {p.name for p in folder.iterdir()} == {
        *("sql", "rollback", "verify"),
        *("SHA256SUMS", ".gitattributes"),
    }

    assert turnback("generate", "add users", folder=folder).code == 0
    answer = turnback("generate", "Knowledge-Nodes: 2nd!", "--json", folder=folder)
    assert answer.document["files"] == [
        "sql/0002_knowledge_nodes_2nd.sql",
        "rollback/0002_rollback.sql",
    ]
    assert answer.document["version"] == "0002"

    project = load_project(folder)
    assert [(m.version, m.name) for m in project.migrations] == [
        ("0001", "add_users"),
        ("0002", "knowledge_nodes_2nd"),
    ]
    assert compare(project) == []
    header = (folder / "sql/0001_add_users.sql").read_text().splitlines()
    assert header[:2] == ["-- Migration: add_users", "-- Version: 0001"]
    assert re.fullmatch(r"-- Date: \d{4}-\d{2}-\d{2}", header[2])
    assert turnback("check", folder=folder).code == 0


def test_init_leaves_what_is_there_as_it_is(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    answer = turnback("init", folder=folder)
    assert answer.code == 0
    assert all(path.read_bytes() == data for path, data in before.items())
    assert turnback("init", folder=folder).out == "Nothing to do.\n"


@pytest.mark.parametrize(
    ("last", "expected"),
    [("0009", "0010"), ("9999", "10000"), ("00042", "00043")],
)
def test_generate_goes_on_with_the_next_number_in_the_same_width(
    last: str, expected: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory({f"sql/{last}_x.sql": "", f"rollback/{last}_rollback.sql": ""})
    answer = turnback("generate", "next", "--json", folder=folder)
    assert answer.document["version"] == expected


def test_generate_numbers_by_time_when_asked_and_where_it_is_the_custom(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    turnback("init", folder=folder)
    first = turnback("generate", "a", "--timestamp", "--json", folder=folder).document["version"]
    second = turnback("generate", "b", "--json", folder=folder).document["version"]
    assert re.fullmatch(r"20\d{12}", first)
    assert re.fullmatch(r"20\d{12}", second)
    assert int(second) > int(first)


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        *(
            (name, "gives no name for a file", "use letters and digits")
            for name in ("!!!", "", "日本")
        ),
        ("x" * 201, "'xxxxxxxxxxxxxxxxxxxx…' has 201 characters", "at most 200"),
    ],
)
def test_generate_refuses_a_name_that_no_file_can_have(
    name: str, said: str, hint: str, folder: Path
) -> None:
    answer = turnback("generate", name, folder=folder)
    assert answer.code == 2
    assert said in answer.err
    assert hint in answer.err


def test_generate_keeps_the_letters_of_a_name_without_their_accents(folder: Path) -> None:
    made = turnback("generate", "Añadir dirección", "--json", folder=folder).document
    assert made["files"][0].endswith("_anadir_direccion.sql")


def test_generate_needs_the_folders(tmp_path: Path) -> None:
    answer = turnback("generate", "users", folder=tmp_path / "migrations")
    assert answer.code == 2
    assert "turnback init" in answer.err
    assert list(tmp_path.iterdir()) == []


# status


def test_status_tells_each_migration_by_one_of_six_words(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(
        THREE | table(4) | table(5) | {"sql/0005_t5.sql": "CREATE TABLE t5 ();\nSELECT 1 / 0;\n"}
    )
    assert turnback("up", url=database, folder=folder).code == 1
    assert turnback("down", "--yes", "3", url=database, folder=folder).code == 0
    add(folder, table(6) | {"sql/0002_t2.sql": "CREATE TABLE t2 (id bigint);\n"})
    # Its rollback script remains, which is no reason to hide what is missing.
    (folder / "sql/0003_t3.sql").unlink()
    before = fingerprint(database)

    answer = turnback("status", "--json", url=database, folder=folder)

    assert answer.code == 0
    assert answer.document["status"] == "succeeded"
    assert answer.document["pending"] == 3
    found = answer.document["migrations"]
    assert [(item["version"], item["name"], item["status"]) for item in found] == [
        ("0001", "t1", "applied"),
        ("0002", "t2", "changed"),
        ("0003", "t3", "missing"),
        ("0004", "t4", "rolled_back"),
        ("0005", "t5", "failed"),
        ("0006", "t6", "pending"),
    ]
    for item in found:
        assert item.keys() == {
            "version",
            "name",
            "status",
            "applied_at",
            "execution_ms",
            "checksum",
            "kind",
        }
        assert re.fullmatch(r"[0-9a-f]{64}", item["checksum"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found[0]["applied_at"])
    assert (found[5]["applied_at"], found[5]["execution_ms"]) == (None, None)

    lines = turnback("status", url=database, folder=folder).out
    for word in ("applied", "changed", "missing", "rolled_back", "failed", "pending"):
        assert re.search(rf"^  {word} +000\d t\d", lines, re.MULTILINE)
    assert "division by zero" in lines
    assert lines.endswith("6 migrations, 3 pending.\n")
    assert fingerprint(database) == before


# up and down


def test_up_goes_to_the_version_asked_for_and_then_on(run: Command, database: str) -> None:
    assert run("up", "2").code == 0
    assert tables(database) == {"t1", "t2"}
    assert run("up", "0001").out == "Nothing to do.\n"

    answer = run("up", "--json")

    assert answer.document["status"] == "succeeded"
    assert [(d["version"], d["name"]) for d in answer.document["applied"]] == [("0003", "t3")]
    assert isinstance(answer.document["applied"][0]["execution_ms"], int)
    assert tables(database) == {"t1", "t2", "t3"}
    assert run("up", "--json").document["status"] == "nothing_to_do"


def test_down_goes_back_to_the_version_asked_for_newest_first(
    applied: Command, database: str
) -> None:
    answer = applied("down", "--yes", "1", "--json")
    assert answer.code == 0
    assert [done["version"] for done in answer.document["rolled_back"]] == ["0003", "0002"]
    assert (answer.document["status"], answer.document["error"]) == ("succeeded", None)
    assert tables(database) == {"t1"}
    assert history(database) == [
        ("0001", "applied"),
        ("0002", "rolled_back"),
        ("0003", "rolled_back"),
    ]


@pytest.mark.parametrize(
    ("back", "lost"),
    [
        ("DROP SCHEMA app CASCADE;", ["schema app of 0001", "table app.a of 0001"]),
        ("DO $$BEGIN EXECUTE 'DROP TABLE app.b; DROP VIEW v'; END$$;", ["view public.v of 0001"]),
        ("ALTER TABLE app.b DROP note; DROP TABLE app.b;", []),
    ],
)
def test_down_names_what_a_rollback_has_dropped_of_the_migrations_before_it(
    database: str, project_factory: ProjectFactory, back: str, lost: list[str]
) -> None:
    folder = project_factory(
        {
            "sql/0001_a.sql": "CREATE SCHEMA app; CREATE TABLE app.a (id serial PRIMARY KEY); "
            "CREATE VIEW v AS SELECT 1 AS one;",
            "rollback/0001_rollback.sql": "DROP SCHEMA app CASCADE; DROP VIEW v;",
            "sql/0002_b.sql": "CREATE TABLE app.b (id int, note text);",
            "rollback/0002_rollback.sql": back,
        }
    )
    assert turnback("up", url=database, folder=folder).code == 0
    answer = turnback("down", "--yes", "1", "--json", url=database, folder=folder)
    assert [done["version"] for done in answer.document["rolled_back"]] == ["0002"]
    said = (answer.document["error"] or {"message": ""})["message"].rpartition(": ")[2]
    assert (answer.code, said) == (6 if lost else 0, ", ".join(lost))
    assert turnback("down", "--yes", "0", url=database, folder=folder).code == (1 if lost else 0)


def test_down_0_is_all_the_way_and_up_applies_everything_again(
    applied: Command, database: str
) -> None:
    assert applied("down", "--yes", "0").code == 0
    assert tables(database) == set()
    assert applied("down", "--yes", "0").out == "Nothing to do.\n"
    assert applied("up").code == 0
    assert tables(database) == {"t1", "t2", "t3"}


def test_down_0_takes_a_migration_with_the_number_0_back_as_well(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(table(0) | table(1))
    assert turnback("up", url=database, folder=folder).code == 0
    assert turnback("down", "--yes", "0", url=database, folder=folder).code == 0
    assert tables(database) == set()


def test_down_on_a_database_without_history_has_nothing_to_do(run: Command, database: str) -> None:
    before = fingerprint(database)
    answer = run("down", "--yes", "0")
    assert answer.code == 0
    assert "Nothing to do." in answer.out
    assert fingerprint(database) == before


def test_a_rollback_that_fails_points_into_its_file_and_leaves_the_migration_applied(
    database: str, project_factory: ProjectFactory
) -> None:
    broken = "DROP TABLE t2;\nDROP TABLE nope;\n"
    folder = project_factory(THREE | {"rollback/0002_rollback.sql": broken})
    assert turnback("up", url=database, folder=folder).code == 0

    answer = turnback("down", "--yes", "0", "--json", url=database, folder=folder)

    assert answer.code == 1
    error = answer.document["error"]
    assert (error["type"], error["file"], error["line"]) == (
        "RollbackFailed",
        "rollback/0002_rollback.sql",
        2,
    )
    assert "0002 is still applied" in error["hint"]
    assert [done["version"] for done in answer.document["rolled_back"]] == ["0003"]
    assert tables(database) == {"t1", "t2"}
    assert history(database)[1:] == [("0002", "applied"), ("0003", "rolled_back")]


def test_up_dry_run_prints_the_sql_of_the_user_with_v_that_of_turnback_and_changes_nothing(
    run: Command, database: str
) -> None:
    before = fingerprint(database)

    answer = run("up", "--dry-run")

    assert answer.code == 0
    shown = [
        f"-- up 000{number} t{number} (migrations/sql/000{number}_t{number}.sql)\n"
        f"CREATE TABLE t{number} (id int);\n\n"
        for number in (1, 2, 3)
    ]
    assert answer.out.startswith("".join(shown))
    assert "3 migrations proven: up, down and up again" in answer.out
    assert "nothing was changed" in answer.err
    whole = run("up", "--dry-run", "-v").out
    assert "CREATE TABLE t3 (id int);\n" in whole and "INSERT INTO" in whole
    assert fingerprint(database) == before


def test_the_sql_of_a_dry_run_does_what_the_run_would_do(run: Command, database: str) -> None:
    run("up", "1")
    for command, expected in [
        (["up", "2"], [("0001", "applied"), ("0002", "applied")]),
        (["down", "1"], [("0001", "applied"), ("0002", "rolled_back")]),
    ]:
        before = fingerprint(database)
        document = run(*command, "--dry-run", "--json").document
        assert fingerprint(database) == before
        assert document["status"] == "dry_run"
        [step] = document["plan"]

        with psycopg.connect(database, autocommit=True) as connection:
            for message in step["sql"]:
                connection.execute(message.encode())

        assert history(database) == expected
    assert tables(database) == {"t1"}


def test_a_dry_run_shows_what_runs_outside_a_transaction_statement_by_statement(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = "CREATE TABLE t4 (id int);\nCREATE INDEX CONCURRENTLY i ON t4 (id);\n"
    folder = project_factory(table(4) | {"sql/0004_t4.sql": sql})
    answer = turnback("up", "--dry-run", "--json", url=database, folder=folder)
    [step] = answer.document["plan"]
    assert step["in_transaction"] is False
    shown = [message.split(";")[0] for message in step["sql"]]
    for statement in ("CREATE TABLE t4 (id int)", "CREATE INDEX CONCURRENTLY i ON t4 (id)"):
        assert [text for text in shown if text.endswith(statement)]
    assert "outside a transaction" in turnback("up", "--dry-run", url=database, folder=folder).out


# The stored rollback script


def test_the_rollback_stored_in_the_database_is_used_when_its_file_is_gone(
    applied: Command, folder: Path, database: str
) -> None:
    (folder / "rollback/0003_rollback.sql").unlink()
    # Of a migration whose own file is gone, the stored script is the one that fits.
    (folder / "sql/0002_t2.sql").unlink()
    (folder / "rollback/0002_rollback.sql").write_text("SELECT 1 / 0;\n")
    assert "(rollback/0003_rollback.sql (stored))" in applied("down", "0", "--dry-run").out
    assert applied("down", "--yes", "0").code == 0
    assert tables(database) == set()


def test_the_rollbacks_stored_in_the_database_are_used_when_the_whole_folder_is_gone(
    applied: Command, folder: Path, database: str
) -> None:
    shutil.rmtree(folder)
    answer = applied("down", "--yes", "0", "--json")
    assert answer.code == 0, answer.err
    assert [done["version"] for done in answer.document["rolled_back"]] == ["0003", "0002", "0001"]
    assert tables(database) == set()


def test_the_file_is_used_before_the_stored_rollback(
    applied: Command, folder: Path, database: str
) -> None:
    sql = "DROP TABLE t3;\nCREATE TABLE fixed ();\n"
    (folder / "rollback/0003_rollback.sql").write_text(sql)
    answer = applied("down", "--yes", "2")
    assert tables(database) == {"t1", "t2", "fixed"}
    assert (answer.code, "table public.fixed: left over" in answer.err) == (6, True)


# verify scripts


def with_verify(project_factory: ProjectFactory, sql: str) -> Path:
    return project_factory(table(1) | {"verify/0001_verify.sql": sql})


def test_a_verify_script_that_fails_takes_its_migration_with_it_and_is_pointed_at(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = "SELECT 1;\n\nDO $$ BEGIN ASSERT false, 'no index'; END $$;\n"
    folder = with_verify(project_factory, sql)

    answer = turnback("up", url=database, folder=folder)

    assert answer.code == 1
    assert "error: migrations/verify/0001_verify.sql:3:1: no index" in answer.err
    assert "nothing of 0001 was kept" in answer.err
    assert tables(database) == set()
    assert history(database) == [("0001", "failed")]


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE t1;\n",
        "INSERT INTO t1 VALUES (1);\n",
        "DO $$ BEGIN EXECUTE 'DROP TABLE t1'; END $$;\n",
        "SET LOCAL transaction_read_only = off;\nDROP TABLE t1;\n",
    ],
)
def test_a_verify_script_cannot_write(
    sql: str, database: str, project_factory: ProjectFactory
) -> None:
    answer = turnback("up", url=database, folder=with_verify(project_factory, sql))
    assert answer.code == 1
    assert "error: migrations/verify/0001_verify.sql:" in answer.err
    assert "read-only" in answer.err or "read-write" in answer.err
    assert tables(database) == set()


def test_a_verify_script_that_writes_is_reported_as_that_and_not_as_a_read_only_server(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = with_verify(project_factory, "DROP TABLE t1;\n")
    answer = turnback("up", url=database, folder=folder)
    assert "hint: " in answer.err
    assert "endpoint of the writer" not in answer.err


def test_a_verify_script_that_is_content_lets_its_migration_pass(
    database: str, project_factory: ProjectFactory
) -> None:
    sql = "SELECT 1 / (1 - count(*)) FROM pg_class WHERE relname = 'nope' -- the end"
    folder = with_verify(project_factory, sql)
    assert turnback("up", url=database, folder=folder).code == 0
    assert tables(database) == {"t1"}


@pytest.mark.parametrize("sql", ["VACUUM;", "SAVEPOINT s;", "SELECT 1;\nCOMMIT;\nSELECT 2;"])
def test_a_verify_script_that_would_leave_the_transaction_is_refused(
    sql: str, database: str, project_factory: ProjectFactory
) -> None:
    before = fingerprint(database)
    answer = turnback("up", url=database, folder=with_verify(project_factory, sql))
    assert answer.code == 3
    assert "error: migrations/verify/0001_verify.sql" in answer.err
    assert fingerprint(database) == before


# check


def test_check_fix_records_files_that_no_history_knows(folder: Path) -> None:
    add(folder, table(4) | {"sql/0001_t1.sql": "CREATE TABLE t1 (id bigint);\n"})
    answer = turnback("check", folder=folder)
    assert answer.code == 3
    assert "sql/0001_t1.sql: differs from SHA256SUMS" in answer.out
    assert "sql/0004_t4.sql: SHA256SUMS does not know this file" in answer.out
    assert "turnback check --fix" in answer.out

    assert turnback("check", "--fix", folder=folder).code == 0

    assert compare(load_project(folder)) == []
    assert turnback("check", folder=folder).code == 0


def test_check_fix_refuses_to_bless_an_applied_file_that_was_edited(
    applied: Command, folder: Path
) -> None:
    sums = (folder / "SHA256SUMS").read_bytes()
    add(folder, {"sql/0002_t2.sql": "CREATE TABLE t2 (id bigint);\n"})
    answer = applied("check", "--fix")
    assert answer.code == 3
    assert "0002 is applied, and was edited since" in answer.out
    assert "turnback repair 0002 --accept-checksum" in answer.out
    assert (folder / "SHA256SUMS").read_bytes() == sums


def test_rebase_does_not_renumber_what_the_database_has(
    applied: Command, database: str, folder: Path
) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        subprocess.run(["git", *who, *arguments], cwd=folder.parent, check=True)

    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "--message=three")
    git("switch", "--quiet", "--create=change")
    mine = {
        "sql/0004_mine.sql": "-- Version: 0004\n\nCREATE TABLE mine ();\n",
        "rollback/0004_mine.sql": "DROP TABLE mine;\n",
    }
    add(folder, mine)
    assert applied("check", "--fix").code == applied("up").code == 0
    git("add", ".")
    git("commit", "--quiet", "--message=mine")
    git("switch", "--quiet", "main")
    add(folder, table(4))
    git("add", ".")
    git("commit", "--quiet", "--message=theirs")
    git("switch", "--quiet", "change")

    before = fingerprint(database)
    answer = applied("rebase", "--base", "main")
    assert answer.code == 3
    assert "0004 mine is applied to the database, and cannot be renumbered" in answer.err
    assert "turnback down" in answer.err
    assert {path: (folder / path).read_text() for path in mine} == mine
    assert fingerprint(database) == before

    assert applied("down", "--yes").code == applied("rebase", "--base", "main").code == 0
    # Both run: the base's migration has the number, and this one the next.
    git("merge", "--quiet", "--no-edit", "main")
    assert applied("check", "--fix", "--base", "main").code == applied("up").code == 0
    assert history(database)[-2:] == [("0004", "applied"), ("0005", "applied")]


def test_check_fix_settles_a_merge_conflict_in_the_sums(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    first, *rest = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(["<<<<<<< HEAD\n", first, "=======\n", *rest, ">>>>>>> branch\n"]))
    assert turnback("check", folder=folder).code == 3

    answer = turnback("check", "--fix", folder=folder)

    assert compare(load_project(folder)) == []
    assert answer.code == 0, answer.out


def test_check_says_where_header_and_name_disagree(project_factory: ProjectFactory) -> None:
    files = table(1) | table(2)
    files["sql/0001_t1.sql"] = "-- Migration: t1\n-- Version: 0002\nSELECT 1;\n"
    files["sql/0002_t2.sql"] = "-- Version: \u00b2\nSELECT 1;\n"
    answer = turnback("check", folder=project_factory(files))
    assert answer.code == 3
    assert "sql/0001_t1.sql:2: the header says version 0002, the name says 0001" in answer.out
    assert "sql/0002_t2.sql:1: the header says version \u00b2" in answer.out


def test_check_as_json_lists_its_findings(project_factory: ProjectFactory) -> None:
    files = table(1) | table(3) | {"sql/0003_t3.sql": "SELECT 1;\nCOMMIT;\nSELECT 2;\n"}
    answer = turnback("check", "--json", folder=project_factory(files))
    assert answer.code == 3
    document = answer.document
    assert (document["status"], document["migrations"]) == ("findings", 2)
    assert document["notes"] == ["the numbers jump from 1 to 3"]
    [finding] = document["findings"]
    assert (finding["type"], finding["file"], finding["line"]) == (
        "InvalidMigration",
        "sql/0003_t3.sql",
        2,
    )


# repair


def last_log(database: str) -> tuple[str, str, str, str]:
    [row] = query(
        database,
        "SELECT version, direction, error, actor FROM migration_log ORDER BY id DESC LIMIT 1",
    )
    version, direction, text, actor = row
    return version, direction, text, actor


def repaired(run: Command, database: str, version: str, change: str) -> str:
    """Repair in this way; what the log says of it, besides who and why."""
    answer = run("repair", version, f"--{change}", "--because", "it's so; I looked")
    assert answer.code == 0, answer.err
    known, direction, text, actor = last_log(database)
    assert (known, direction) == (version.zfill(4), "repair")
    assert actor.startswith(f"{getpass.getuser()}@")
    assert "it's so; I looked" in text
    assert change in text
    return answer.out


def test_repair_accepts_the_checksum_of_an_edited_file(
    applied: Command, folder: Path, database: str
) -> None:
    add(folder, {"sql/0002_t2.sql": "CREATE TABLE t2 (id int); -- a comment\n"})
    assert applied("up").code == 3
    assert "checksum" in repaired(applied, database, "2", "accept-checksum")
    assert applied("up").code == 0
    assert tables(database) == {"t1", "t2", "t3"}


def test_repair_records_as_applied_what_was_done_by_hand(
    applied: Command, folder: Path, database: str
) -> None:
    add(folder, table(4))
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE t4 (id int)")
    assert applied("up").code == 1
    assert "nothing was run" in repaired(applied, database, "0004", "applied")
    assert applied("up").out == "Nothing to do.\n"
    assert history(database)[-1] == ("0004", "applied")
    # The rollback script is stored with it, as with any other.
    shutil.rmtree(folder)
    assert applied("down", "--yes", "3").code == 0
    assert "t4" not in tables(database)


def test_repair_records_as_rolled_back_what_was_undone_by_hand(
    applied: Command, database: str
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("DROP TABLE t3")
    assert "nothing was run" in repaired(applied, database, "0003", "rolled-back")
    assert history(database)[-1] == ("0003", "rolled_back")
    assert applied("up").code == 0
    assert tables(database) == {"t1", "t2", "t3"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["2"], "say what to repair"),
        (["2", "--applied"], "0002 is applied already"),
        (["2", "--accept-checksum"], "has the recorded checksum already"),
        (["9", "--applied"], "neither files nor history know 9"),
        (["9", "--rolled-back"], "neither files nor history know 9"),
    ],
)
def test_repair_refuses_what_is_not_so_and_writes_nothing(
    arguments: list[str], message: str, applied: Command, database: str
) -> None:
    before = fingerprint(database)
    answer = applied("repair", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert fingerprint(database) == before


# health


def test_health_is_0_when_all_is_well_and_writes_nothing(run: Command, database: str) -> None:
    before = fingerprint(database)
    assert run("health").code == 0
    assert fingerprint(database) == before
    run("up")

    answer = run("health", "--json")

    assert answer.code == 0
    assert (answer.document["status"], answer.document["problems"]) == ("healthy", [])
    assert answer.document["schema_version"] == "0003"
    assert [row["version"] for row in answer.document["newest"]] == ["0003", "0002", "0001"]


def test_health_is_3_when_a_migration_failed(applied: Command, folder: Path) -> None:
    add(folder, table(4) | {"sql/0004_t4.sql": "SELECT 1 / 0;\n"})
    applied("up")
    answer = applied("health")
    assert answer.code == 3
    assert "problem: 0004 t4 failed" in answer.err
    assert "division by zero" in answer.out


def test_health_is_3_when_an_index_is_invalid(applied: Command, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO t1 VALUES (1), (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY t1_id ON t1 (id)")
    answer = applied("health", "--json")
    assert answer.code == 3
    assert answer.document["problems"] == ["index public.t1_id is invalid"]


# package


def test_package_makes_an_artifact_of_all_migrations(folder: Path) -> None:
    answer = turnback("package", "--release", "1.4.0", "--json", folder=folder)
    assert answer.code == 0, answer.err
    archive = folder.parent / "1.4.0.zip"
    assert answer.document["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert answer.document["migrations"] == 3
    opened = open_artifact(archive, release="1.4.0")
    assert opened.project.migrations == load_project(folder).migrations


def test_package_writes_to_the_path_given(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.zip"
    answer = turnback("package", "--release", "1.4.0", "--out", target, folder=folder)
    assert answer.code == 0
    assert target.is_file()
    assert hashlib.sha256(target.read_bytes()).hexdigest() in answer.out
    assert "artifacts/TARGET/1.4.0.zip" in answer.out


def test_package_refuses_files_that_are_not_what_the_sums_say(folder: Path) -> None:
    add(folder, {"sql/0002_t2.sql": "CREATE TABLE other ();\n"})
    answer = turnback("package", "--release", "1.4.0", folder=folder)
    assert answer.code == 3
    assert "sql/0002_t2.sql: differs from SHA256SUMS" in answer.err
    assert not list(folder.parent.glob("*.zip"))


def test_files_that_are_not_what_the_sums_say_are_one_warning_in_a_ci_job(
    run: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    add(folder, {f"sql/000{number}_t{number}.sql": "SELECT 1;\n" for number in (1, 2, 3)})
    add(folder, {"rollback/0001_rollback.sql": "SELECT 1;\n"})
    warnings = [line for line in run("up").err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert warnings[0].count("differs from SHA256SUMS") == 3
    assert warnings[0].endswith("and 1 more; if this is intended: turnback check --fix")


def test_what_config_shows_is_what_a_command_uses(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "postgresql://nobody@localhost:1/nowhere"
    (folder.parent / "turnback.toml").write_text(
        f'[database]\nurl = "{wrong}"\n[history]\nschema = "of_file"\n'
        f'[rehearsal]\nshadow-url = "{wrong}"\n'
    )
    # The address of the file is used where nothing has precedence over it.
    assert "localhost:1" in turnback("status", folder=folder).err
    assert turnback("rehearse", "--all", "--database-url", database, folder=folder).code == 5
    monkeypatch.setenv("TURNBACK_SHADOW_URL", database)
    assert turnback("rehearse", "0001", url=database, folder=folder).code == 0
    # The variable names the database, the file the schema, and then an option names another.
    assert turnback("up", "1", url=database, folder=folder).code == 0
    with psycopg.connect(database) as connection:
        [[applied]] = connection.execute("SELECT count(*) FROM of_file.migrations")
    assert applied == 1
    other = ("--history-schema", "of_option")
    document = turnback("status", "--json", *other, url=database, folder=folder).document
    assert {one["status"] for one in document["migrations"]} == {"pending"}


def test_package_refuses_a_release_that_is_no_semantic_version(folder: Path) -> None:
    answer = turnback("package", "--release", "v1", folder=folder)
    assert answer.code == 2
    assert "for example 1.4.0" in answer.err
    assert not list(folder.parent.glob("*.zip"))


# The embedded Postgres


def test_without_a_database_url_the_projects_own_postgres_is_used_and_stopped() -> None:
    # pytest's own folders are closed to the account of the server.
    with scratch("cli") as place:
        folder = place / "migrations"
        add_all(folder, THREE)
        assert not (place / ".turnback").exists()

        answer = turnback("up", "--json", folder=folder)

        assert answer.code == 0, answer.err
        assert answer.document["database"] == "embedded"
        assert answer.err == ""
        data = place / ".turnback/postgres/data"
        assert (data / "PG_VERSION").is_file()
        assert read_running(data) is None

        # What was written is there for the next command.
        again = turnback("status", "--json", folder=folder)
        assert [item["status"] for item in again.document["migrations"]] == ["applied"] * 3
        assert again.err == ""
        answer = turnback("down", "--yes", "0", folder=folder)
        assert answer.code == 0
        assert "No --database-url and no DATABASE_URL: the embedded Postgres of" in answer.err
        assert turnback("health", folder=folder).code == 0
        assert read_running(data) is None


def add_all(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir()
    add(folder, files)


# Usage


def test_an_unknown_command_is_answered_with_the_nearest() -> None:
    answer = turnback("stauts")
    assert answer.code == 2
    assert "Did you mean 'status'?" in answer.err


@pytest.mark.parametrize("arguments", [["up", "--nope"], ["repair"], ["up", "--wait", "5"]])
def test_wrong_usage_is_2(arguments: list[str], folder: Path) -> None:
    answer = turnback(*arguments, folder=folder)
    assert (answer.code, answer.out) == (2, "")
    assert "Error: " in answer.err


def test_with_json_nothing_but_the_document_is_on_stdout(run: Command) -> None:
    for command in (
        ["up"],
        ["status"],
        ["health"],
        ["down", "1", "--yes"],
        ["check"],
        ["up", "--dry-run"],
    ):
        assert isinstance(json.loads(run(*command, "--json").out), dict)


# checklist


def test_checklist_answers_from_the_artifact_and_says_what_it_cannot_know(folder: Path) -> None:
    turnback("package", "--release", "1.4.0", folder=folder)
    answer = turnback("checklist", folder.parent / "1.4.0.zip", "--json")
    answers = {row["item"]: row["answer"] for row in answer.document["checklist"]}
    assert answers["migration tested"] == answers["rollback proven"] == "yes"
    assert answers["backup taken"] == answers["alarms in place"] == "unknown"
    assert all(row["evidence"] for row in answer.document["checklist"])
    assert answer.code == (3 if "no" in answers.values() else 0)
