"""``backup``, ``snapshots`` and ``restore``, as a user runs them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from click.testing import CliRunner
from moto import mock_aws
from psycopg.conninfo import conninfo_to_dict
from turnback.aws import cloudformation
from turnback.aws.cloudformation import StackDescription
from turnback.cli.main import cli
from turnback.cli.recovery import Where, open_bucket, open_dumps
from turnback.errors import ConfigurationError
from turnback.recovery.dumps import restore as restore_of_dumps
from turnback.recovery.dumps.catalog import find_dump
from turnback.recovery.dumps.dump import DumpSnapshots
from turnback.recovery.dumps.fill import Filling
from turnback.recovery.endpoint import Endpoint

from tests.conftest import ProjectFactory
from tests.dumps import contents, dump, others
from tests.integration.command_line import PROGRAM, Answer, history, query, turnback

Admin = psycopg.Connection[Any]
FILES = {
    "sql/0001_users.sql": "CREATE TABLE users (id int PRIMARY KEY, name text);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
    "sql/0002_rows.sql": "INSERT INTO users SELECT n, 'u' || n FROM generate_series(1, 50) n;\n",
    "rollback/0002_rollback.sql": "DELETE FROM users;\n",
}


@pytest.fixture
def folder(database: str, admin: Admin, project_factory: ProjectFactory) -> Iterator[Path]:
    """A project that is applied."""
    folder = project_factory(FILES)
    assert turnback("up", url=database, folder=folder).code == 0
    yield folder
    for name, _ in others(admin, database):
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def taken(answer: Answer) -> dict[str, Any]:
    assert answer.code == 0, answer.err
    found: dict[str, Any] = answer.document["snapshot"]
    return found


def test_a_backup_is_restored_by_the_id_that_the_list_shows(
    database: str, folder: Path, admin: Admin
) -> None:
    before = contents(database)
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    assert record["schema_version"] == "0002"
    assert Path(record["id"]).stat().st_mode & 0o077 == 0
    [listed] = turnback("snapshots", "--json", folder=folder).document["snapshots"]
    assert listed == record
    assert turnback("down", "0", "--yes", url=database, folder=folder).code == 0

    answer = turnback(
        "restore", listed["run"], "--yes", "--json", "-v", url=database, folder=folder
    )
    assert answer.code == 0, answer.err
    assert contents(database) == before
    assert history(database) == [("0001", "applied"), ("0002", "applied")]
    document = answer.document
    assert (document["status"], document["restored_to"]) == ("restored", record["taken_at"])
    assert others(admin, database) == [(document["kept"], False)]
    assert f'DROP DATABASE "{document["kept"]}"' in answer.err


def test_a_restore_says_first_how_much_is_lost(database: str, folder: Path) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM users WHERE id <= 7; INSERT INTO users VALUES (99, 'new')")
    before = contents(database)
    answer = turnback(
        "restore", record["run"], "--dry-run", "--json", "-v", url=database, folder=folder
    )
    assert answer.code == 0
    loss = answer.document["loss"]
    assert (loss["since"], loss["approximate"]) == (record["taken_at"], True)
    assert loss["tables"] == [{"name": "public.users", "inserted": 1, "updated": 0, "deleted": 7}]
    assert "public.users: 1 inserted, 0 updated, 7 deleted" in answer.err
    assert contents(database) == before


def test_what_the_numbers_of_lost_rows_are_is_said_where_the_database_was_restored_since(
    database: str, folder: Path
) -> None:
    """The server counts what a restore writes as well."""
    run = taken(turnback("backup", "--json", "-v", url=database, folder=folder))["run"]
    assert turnback("restore", run, "--yes", url=database, folder=folder).code == 0
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM users WHERE id <= 7")
    answer = turnback("restore", run, "--dry-run", "--json", "-v", url=database, folder=folder)
    loss = answer.document["loss"]
    assert (loss["counted"], loss["reset"]) == ("since_made", True)
    assert loss["tables"] == [{"name": "public.users", "inserted": 50, "updated": 0, "deleted": 7}]
    assert "by that restore as well" in answer.err
    assert "counters were reset" not in answer.err


def test_of_another_database_all_is_replaced_and_no_time_is_compared(
    database: str, folder: Path
) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    place = Path(record["id"] + ".json")
    fields = json.loads(place.read_text())
    fields["counters"]["record"]["first"] = "0001 orders"
    place.write_text(json.dumps(fields))
    arguments = ("restore", record["run"], "--dry-run", "--of-another-database")
    answer = turnback(*arguments, "--json", "-v", url=database, folder=folder)
    assert answer.code == 0, answer.err
    loss = answer.document["loss"]
    assert (loss["counted"], loss["since"], loss["inserted"]) == ("everything", None, 50)
    assert "replaces all that is in it now" in answer.err
    assert "since" not in answer.err
    assert "reset" not in answer.err


@pytest.mark.parametrize(
    ("place", "state", "next_step"),
    [
        ((Filling, "rows"), "nothing is left of the restore", "begins it again"),
        ((Filling, "rest"), "has all its rows", "makes what is missing in it"),
        ((restore_of_dumps, "swap"), "is restored whole, and was not swapped", "swaps them"),
    ],
    ids=["rows", "rest", "swap"],
)
def test_after_ctrl_c_the_state_of_each_database_is_said_and_the_command_goes_on(
    database: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[Any, str],
    state: str,
    next_step: str,
) -> None:
    before = contents(database)
    run = taken(turnback("backup", "--json", url=database, folder=folder))["run"]

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    arguments = ["restore", run, "--yes", "--dir", str(folder), "--database-url", database]
    with monkeypatch.context() as patch:
        patch.setattr(*place, interrupted)
        done = CliRunner().invoke(cli, arguments)
    said = f'"{conninfo_to_dict(database)["dbname"]}" is unchanged'
    assert all(text in done.stderr for text in (said, state, next_step)), done.stderr
    assert contents(database) == before
    assert turnback("restore", run, "--yes", url=database, folder=folder).code == 0
    assert contents(database) == before


def test_without_a_terminal_a_restore_needs_to_be_meant(database: str, folder: Path) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    before = contents(database)
    answer = turnback("restore", record["run"], url=database, folder=folder)
    assert answer.code == 2
    assert "--yes" in answer.err
    assert contents(database) == before


def test_a_no_to_the_question_changes_nothing(database: str, folder: Path) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    before = contents(database)
    person, terminal = pty.openpty()
    os.write(person, b"n\n")
    asked = subprocess.run(
        [PROGRAM, "restore", record["run"], "--dir", folder],
        env=os.environ | {"DATABASE_URL": database},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        check=False,
    )
    os.close(terminal)
    said = os.read(person, 65536).decode()
    os.close(person)
    assert asked.returncode == 2
    assert "Put it in place of" in said
    assert "the answer was no" in said
    assert contents(database) == before


def test_a_dump_in_a_folder_of_ones_own_is_restored_by_its_path(
    database: str, folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "elsewhere"
    record = taken(turnback("backup", "--json", "-v", "--into", place, url=database, folder=folder))
    assert Path(record["id"]).is_relative_to(place)
    [listed] = turnback("snapshots", "--from", place, "--json", folder=folder).document["snapshots"]
    assert listed == record
    before = contents(database)
    query(database, "UPDATE users SET name = '' RETURNING 1")
    answer = turnback("restore", record["id"], "--yes", url=database, folder=folder)
    assert answer.code == 0, answer.err
    assert contents(database) == before


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"system": "7000000000000000001"}, "on the server with the system identifier 70000000000"),
        ({"first": "0001 orders"}, "whose first migration is 0001 orders, and that of the target"),
    ],
)
def test_the_dump_of_another_database_of_the_same_name_needs_a_flag_of_its_own(
    database: str, folder: Path, known: dict[str, str], reason: str
) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    place = Path(record["id"] + ".json")
    fields = json.loads(place.read_text())
    fields["counters"]["record"] |= known
    place.write_text(json.dumps(fields))
    before = contents(database)
    for arguments in (("--yes",), ("--dry-run",)):
        answer = turnback("restore", record["run"], *arguments, url=database, folder=folder)
        assert answer.code == 2
        assert reason in answer.err
        assert "--of-another-database" in answer.err
    assert contents(database) == before
    meant = turnback(
        *("restore", record["run"], "--yes", "--of-another-database"), url=database, folder=folder
    )
    assert meant.code == 0, meant.err
    assert "warning: the snapshot is of another database: it is of" in meant.err
    assert contents(database) == before


def test_the_dump_of_a_database_of_another_name_is_not_put_in_its_place_by_yes(
    database: str, folder: Path, admin: Admin
) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    name = str(conninfo_to_dict(database)["dbname"])
    other = f"{name}_other"
    admin.execute(f"CREATE DATABASE {other} STRATEGY file_copy".encode())
    url = database.replace(f"/{name}", f"/{other}")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE mine ()")
    refused = turnback("restore", record["run"], "--yes", url=url, folder=folder)
    assert refused.code == 2
    assert f'it is of "{name}", and the target is "{other}"' in refused.err
    assert query(url, "SELECT to_regclass('mine')::text") == [("mine",)]
    arguments = ("restore", record["run"], "--yes", "--of-another-database")
    assert turnback(*arguments, url=url, folder=folder).code == 0
    assert contents(url) == contents(database)


def test_a_dump_is_restored_into_an_empty_database_of_its_name_without_the_flag(
    database: str, folder: Path
) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    before = contents(database)
    with psycopg.connect(database) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    assert turnback("restore", record["run"], "--yes", url=database, folder=folder).code == 0
    assert contents(database) == before


def test_into_restores_beside_and_swaps_nothing(database: str, folder: Path, admin: Admin) -> None:
    whole = contents(database)
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    query(database, "DELETE FROM users RETURNING 1")
    before, name = contents(database), str(conninfo_to_dict(database)["dbname"])
    beside = ("restore", record["run"], "--into", f"{name}_look")
    assert turnback(*beside, url=database, folder=folder).code == 0
    assert contents(database) == before
    assert contents(database.replace(name, f"{name}_look")) == whole
    for again in (beside, (*beside, "--dry-run")):
        refused = turnback(*again, url=database, folder=folder)
        assert refused.code == 2
        assert f'there is a database "{name}_look" already' in refused.err
    assert others(admin, database) == [(f"{name}_look", True)]


def test_a_dry_run_of_a_backup_writes_nothing(database: str, folder: Path) -> None:
    answer = turnback("backup", "--dry-run", "--json", "-v", url=database, folder=folder)
    assert answer.code == 0
    assert answer.document["snapshot"]["schema_version"] == "0002"
    assert answer.document["snapshot"]["database_bytes"] > 1_000_000
    assert not (folder.parent / ".turnback").exists()


def test_a_dump_of_the_wrong_version_is_not_swapped_in(database: str, folder: Path) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    beside = Path(f"{record['id']}.json")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {"schema_version": "0009"}))
    before = contents(database)
    answer = turnback(
        "restore", record["run"], "--yes", "--json", "-v", url=database, folder=folder
    )
    assert answer.code == 6
    assert answer.document["status"] == "needs_a_person"
    assert "at version 0002, and the snapshot was taken at 0009" in answer.err
    assert contents(database) == before


def test_a_restore_that_failed_is_taken_up_again(database: str, folder: Path, admin: Admin) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    beside = Path(f"{record['id']}.json")
    right = beside.read_text()
    beside.write_text(json.dumps(json.loads(right) | {"schema_version": "0009"}))
    assert turnback("restore", record["run"], "--yes", url=database, folder=folder).code == 6
    [(successor, _)] = others(admin, database)
    beside.write_text(right)
    answer = turnback(
        "restore", record["run"], "--yes", "--json", "-v", url=database, folder=folder
    )
    assert answer.code == 0, answer.err
    assert successor not in [name for name, _ in others(admin, database)]
    assert len(others(admin, database)) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("restore", "r-none"), "there is no snapshot 'r-none'"),
        (("restore",), "name a snapshot, or a point in time"),
        (("restore", "r-none", "--until", "2026-11-22T15:04:05Z"), "one of them"),
        (("restore", "--until", "2026-11-22T15:04:05Z"), "for snapshots of RDS"),
        (("restore", "r-none", "--again"), "for snapshots of RDS"),
        (("backup", "--into", "ftp://x/y"), "neither a folder nor s3://"),
        (("backup", "--into", "/proc/nowhere"), "cannot be written"),
        (("snapshots", "--from", "ftp://x"), "neither a folder nor s3://"),
    ],
)
def test_a_place_or_snapshot_that_is_none_is_said(
    database: str, folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    answer = turnback(*arguments, url=database, folder=folder)
    assert answer.code == 2
    assert said in answer.err
    assert "hint:" in answer.err


def test_a_file_without_its_record_is_not_restored(
    database: str, folder: Path, tmp_path: Path
) -> None:
    lonely = tmp_path / "lonely.dump"
    lonely.write_bytes(b"PGDMP")
    answer = turnback("restore", lonely, "--yes", url=database, folder=folder)
    assert answer.code == 2
    assert "docs/backup.md#how-do-i-restore-a-dump-by-hand" in answer.err


def test_there_may_be_no_snapshots(folder: Path) -> None:
    answer = turnback("snapshots", folder=folder)
    assert answer.code == 0
    assert answer.out.startswith("0 snapshots in ")


def test_the_embedded_postgres_is_backed_up_and_restored(
    project_factory: ProjectFactory,
) -> None:
    folder = project_factory(FILES)
    assert turnback("up", folder=folder).code == 0
    record = taken(turnback("backup", "--json", "-v", folder=folder))
    assert record["id"].startswith(str(folder.parent / ".turnback" / "snapshots"))
    assert turnback("down", "0", "--yes", folder=folder).code == 0
    assert turnback("restore", record["run"], "--yes", folder=folder).code == 0
    statuses = turnback("status", "--json", folder=folder).document["migrations"]
    assert [one["status"] for one in statuses] == ["applied", "applied"]


def test_a_restore_cut_off_before_its_database_was_marked_leaves_none(
    database: str, folder: Path, admin: Admin
) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    name = str(conninfo_to_dict(database)["dbname"])
    left = f"{name}_restore_r_20261122t101112z_a1b2c3"
    admin.execute(f"CREATE DATABASE {left} TEMPLATE template0 ALLOW_CONNECTIONS false".encode())
    answer = turnback(
        "restore", record["run"], "--yes", "--json", "-v", url=database, folder=folder
    )
    assert answer.code == 0, answer.err
    assert answer.document["run"] == "r-20261122T101112Z-a1b2c3"
    assert others(admin, database) == [(answer.document["kept"], False)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore", "r-1", "--into", "", "--yes"),
        ("restore", "", "--yes"),
        ("backup", "--into", ""),
        ("backup", "--database-url", ""),
        ("backup", "--stack", ""),
        ("cancel", ""),
        ("approve", "", "--yes"),
        ("up", "--database-url", ""),
    ],
)
def test_a_variable_of_the_shell_that_is_not_set_is_refused(
    arguments: tuple[str, ...],
) -> None:
    answer = turnback(*arguments)
    assert answer.code == 2
    assert "it is empty" in answer.err


def test_a_backup_makes_no_database_to_be_dumped(tmp_path: Path) -> None:
    answer = turnback("backup", "--json", "-v", folder=tmp_path / "migrations")
    assert answer.code == 2
    assert "no database is named" in answer.document["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_right_that_a_restore_lacks_is_said_by_its_dry_run(
    database: str, folder: Path, admin: Admin
) -> None:
    record = taken(turnback("backup", "--json", "-v", url=database, folder=folder))
    admin.execute("CREATE ROLE r_small LOGIN PASSWORD 'tiny-7'")
    try:
        url = conninfo_to_dict(database)
        small = f"postgresql://r_small:tiny-7@{url['host']}:{url['port']}/{url['dbname']}"
        for way in ((), ("--into", "look")):
            answer = turnback("restore", record["run"], "--dry-run", *way, url=small, folder=folder)
            assert answer.code == 6
            assert 'ALTER ROLE "r_small" CREATEDB' in answer.err
    finally:
        admin.execute("DROP ROLE r_small")


@pytest.fixture
def make_stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A stack named prod whose snapshots are of this kind.

    CloudFormation's answer is made up: moto's needs a package that is not installed here.
    """
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-central-1")

    def make(kind: str) -> None:
        where = {"LocationConstraint": "eu-central-1"}
        boto3.client("s3").create_bucket(Bucket="kept", CreateBucketConfiguration=where)
        outputs = {"BucketName": "kept", "StateMachineArn": "m", "TopicArn": "t"}
        parameters = {"SnapshotKind": kind, "Target": "orders"}
        answer = StackDescription("prod", "eu-central-1", "CREATE_COMPLETE", outputs, parameters)
        monkeypatch.setattr(cloudformation, "describe_stack", lambda _: answer)

    with mock_aws():
        yield make


def test_the_dumps_of_a_stack_are_those_of_its_target_in_its_bucket(
    database: str, make_stack: Callable[[str], None], tmp_path: Path
) -> None:
    make_stack("dump")
    dumps = open_dumps(Where(tmp_path, stack="prod"))
    record = dump(database, dumps.store, "r-1")
    other = DumpSnapshots(Endpoint.from_url(database), dumps.store, lambda: 60)
    other.record("other", "r-2", {})
    assert record.id.startswith("s3://")
    assert dumps.record("r-1") == record
    assert find_dump(record.id, lambda: dumps, open_bucket)[1] == record
    with pytest.raises(ConfigurationError, match="there is no snapshot 'r-2'"):
        dumps.find("r-2")


def test_a_stack_without_snapshots_says_so(
    make_stack: Callable[[str], None], tmp_path: Path
) -> None:
    make_stack("none")
    with pytest.raises(ConfigurationError, match="of the kind none"):
        open_dumps(Where(tmp_path, stack="prod"))
