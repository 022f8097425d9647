"""Dumps: verified before they are relied on, and given up in time."""

from __future__ import annotations

import io
import json
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import psycopg
import pytest
from moto import mock_aws
from psycopg.conninfo import conninfo_to_dict
from turnback.aws import s3
from turnback.engine import Engine, RunContext
from turnback.errors import ConfigurationError, DatabaseRefused, SnapshotFailed, TurnbackError
from turnback.recovery.contents import counters, written_since
from turnback.recovery.dumps import programs
from turnback.recovery.dumps.catalog import DumpCatalog, read_record
from turnback.recovery.dumps.dump import DumpSnapshots
from turnback.recovery.dumps.store import FolderStore
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import RestoreState
from turnback.store import Store

from tests.dumps import EVERYTHING, Memory, contents, dump, others, request, restore
from tests.tls_proxy import certificate, demands_tls

KEY = "snapshots/orders/r-1.dump"


def snapshots(
    database: str, store: Store, *, seconds: float = 60, limit: int = 5000, **fields: Any
) -> DumpSnapshots:
    endpoint = replace(Endpoint.from_url(database), **{"tls": "disable", **fields})
    return DumpSnapshots(endpoint, store, lambda: seconds, limit_megabytes=limit)


def take(taker: DumpSnapshots) -> dict[str, Any]:
    return taker.take("orders", "r-1", {"run": "r-1", "release": "1.0.0"}).to_dict()


@pytest.fixture
def filled(database: str) -> str:
    """A database with something in it."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE TABLE orders AS SELECT n, md5(n::text) FROM generate_series(1, 9000) n"
        )
    return database


def test_a_dump_is_recorded_with_its_checksum_once_it_was_read_back(filled: str) -> None:
    store = Memory()
    taken = take(snapshots(filled, store))
    record = json.loads(store.objects[f"{KEY}.json"])
    assert record["bytes"] == len(store.objects[KEY]) > 100_000
    assert record["entries"] == 2
    assert (record["run"], record["release"]) == ("r-1", "1.0.0")
    assert record["encrypted"] == "AES256"
    assert taken == {
        "kind": "dump",
        "id": f"s3://bucket/{KEY}",
        "state": "available",
        "taken_at": record["taken_at"],
        "encrypted": True,
    }
    assert record["database_bytes"] > 1_000_000
    assert record["server_version"].startswith("18.")
    assert datetime.fromisoformat(record["taken_at"]).tzinfo is not None


def test_a_retry_finds_the_dump_that_is_there(filled: str) -> None:
    store = Memory()
    assert take(snapshots(filled, store)) == take(snapshots(filled, store))
    assert store.uploads == 1


def test_a_dump_that_was_not_verified_is_made_again(filled: str) -> None:
    store = Memory()
    store.objects[KEY] = b"what a function that was stopped left"
    take(snapshots(filled, store))
    assert store.uploads == 1


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (Memory(cut=-1), "reads back differently"),
        (Memory(cut=20), "cannot be read back"),
        (Memory(cut=0), "cannot be read back"),
        (Memory(before=b"x"), "cannot be read back"),
    ],
    ids=["last byte lost", "cut off", "empty", "not a dump"],
)
def test_a_dump_that_does_not_read_back_is_not_recorded(
    filled: str, store: Memory, said: str
) -> None:
    with pytest.raises(SnapshotFailed, match=said):
        take(snapshots(filled, store))
    assert f"{KEY}.json" not in store.objects


def test_a_dump_that_is_refused_leaves_nothing_and_says_why_without_the_password(
    filled: str,
) -> None:
    store = Memory()
    with pytest.raises(DatabaseRefused, match="authentication failed") as caught:
        take(snapshots(filled, store, password="hunter2"))
    assert "hunter2" not in str(caught.value)
    assert store.objects == {}


def test_a_dump_that_fails_in_the_middle_leaves_nothing_and_says_why(
    filled: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("CREATE ROLE r_blind LOGIN PASSWORD 'blind'")
    store = Memory()
    try:
        with pytest.raises(SnapshotFailed, match="permission denied for table orders"):
            take(snapshots(filled, store, user="r_blind", password="blind"))
    finally:
        admin.execute("DROP ROLE r_blind")
    assert store.objects == {}


def test_a_dump_gives_up_before_the_function_is_stopped(filled: str) -> None:
    store = Memory()
    with psycopg.connect(filled) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SnapshotFailed, match="the time that one function call has") as caught:
            take(snapshots(filled, store, seconds=0))
    assert "SnapshotKind" in str(caught.value.hint)
    assert store.objects == {}


def test_the_embedded_pg_dump_can_speak_tls(filled: str) -> None:
    """It is built without, and would refuse the option; psycopg's libpq asks the server."""
    program = programs.refuse_newer_server(180000)
    endpoint = replace(Endpoint.from_url(filled), tls="require")
    done = subprocess.run(
        [program],
        env=programs.environment_for(program, endpoint, ""),
        capture_output=True,
        text=True,
    )
    assert "server does not support SSL" in done.stderr


def test_the_record_and_the_tags_say_which_version_the_database_was_at(filled: str) -> None:
    store = Memory()
    with Engine(filled, context=RunContext("r-1")) as engine:
        engine.history.create()
    with psycopg.connect(filled) as connection:
        connection.execute(
            "INSERT INTO migrations (version, name, checksum, success, rolled_back_at, position) "
            "VALUES ('0009', 'a', '', true, NULL, 1), ('0010', 'b', '', true, NULL, 2), "
            "('0011', 'c', '', true, now(), 3), ('0012', 'd', '', false, NULL, 4)"
        )
    take(snapshots(filled, store))
    assert json.loads(store.objects[f"{KEY}.json"])["schema_version"] == "0010"
    assert store.tags[KEY] == {"run": "r-1", "release": "1.0.0", "schema_version": "0010"}


def test_a_table_of_another_tool_is_no_history(filled: str) -> None:
    store = Memory()
    with psycopg.connect(filled) as connection:
        connection.execute("CREATE TABLE migrations (id int)")
    take(snapshots(filled, store))
    assert json.loads(store.objects[f"{KEY}.json"])["schema_version"] is None


class Late(Memory):
    """Somebody writes while the dump is under way."""

    def __init__(self, write: Callable[[], None]) -> None:
        super().__init__()
        self._write = write

    def upload(self, key: str, tags: Any) -> Any:
        self._write()
        return super().upload(key, tags)


def test_what_is_written_during_the_dump_is_not_in_it(
    filled: str, admin: psycopg.Connection[Any]
) -> None:
    """So taken_at, the version and the counters of the record are those of the dump."""

    def write() -> None:
        with psycopg.connect(filled) as connection:
            connection.execute("INSERT INTO orders VALUES (0, 'late'); CREATE TABLE late ()")

    store, before = Late(write), contents(filled)
    record = dump(filled, store)
    assert datetime.fromisoformat(record.taken_at) < datetime.now(UTC)
    assert restore(filled, store, request(record)).state is RestoreState.RESTORED
    assert contents(filled) == before
    for name, _ in others(admin, filled):
        admin.execute(f"DROP DATABASE {name}".encode())


def test_a_database_over_the_limit_is_refused_before_any_work(filled: str) -> None:
    store = Memory()
    with pytest.raises(SnapshotFailed, match="a dump is made of up to 1 MB") as caught:
        take(snapshots(filled, store, limit=1))
    assert "rds or aurora" in str(caught.value.hint)
    assert store.uploads == 0
    take(snapshots(filled, store, limit=0))


def test_a_server_newer_than_pg_dump_is_refused_with_both_versions() -> None:
    with pytest.raises(SnapshotFailed, match="PostgreSQL 19, and pg_dump 18 cannot"):
        programs.refuse_newer_server(190001)
    assert programs.refuse_newer_server(140000).name == "pg_dump"


def by_tls(database: str, port: int, mode: str, certificates: Path) -> str:
    whole = Endpoint.from_url(database)
    return (
        f"postgresql://{whole.user}:{whole.password}@localhost:{port}/{whole.name}"
        f"?sslmode={mode}&sslrootcert={certificates}"
    )


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_server_that_demands_tls_is_dumped_and_restored(
    database: str, admin: psycopg.Connection[Any], tmp_path: Path, mode: str
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(EVERYTHING.encode())
    store, before = Memory(), contents(database)
    with demands_tls(Endpoint.from_url(database).port, tmp_path) as server:
        url = by_tls(database, server.port, mode, server.certificates)
        record = dump(url, store)
        with psycopg.connect(database) as connection:
            connection.execute("DROP TABLE customers CASCADE")
        assert restore(url, store, request(record)).state is RestoreState.RESTORED
        assert server.refused == 0
        assert server.sessions > 3
    assert contents(database) == before
    for name, _ in others(admin, database):
        admin.execute(f"DROP DATABASE {name}".encode())


def test_a_server_that_cannot_prove_who_it_is_gets_no_password(filled: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger, _ = certificate(tmp_path / "other", "localhost")
    with demands_tls(Endpoint.from_url(filled).port, tmp_path) as server:
        url = by_tls(filled, server.port, "verify-full", stranger)
        endpoint, program = Endpoint.from_url(url), programs.refuse_newer_server(180000)
        done = subprocess.run(
            [program],
            env=programs.environment_for(program, endpoint, ""),
            capture_output=True,
            text=True,
        )
        assert "certificate verify failed" in done.stderr
        with pytest.raises(TurnbackError, match="certificate verify failed"):
            dump(url, Memory())


def test_without_tls_such_a_server_refuses(filled: str, tmp_path: Path) -> None:
    with demands_tls(Endpoint.from_url(filled).port, tmp_path) as server:
        url = by_tls(filled, server.port, "disable", server.certificates)
        with pytest.raises(DatabaseRefused, match="no encryption"):
            dump(url, Memory())
        assert server.refused > 0


def test_a_dump_lies_in_a_bucket_of_s3_with_its_tags(
    filled: str, admin: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with mock_aws():
        import boto3
        from turnback.aws.s3 import Bucket

        client = boto3.client("s3")
        client.create_bucket(
            Bucket="dumps", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        store, before = Bucket("dumps"), contents(filled)
        record = dump(filled, store, "r-2")
        key = "snapshots/orders/r-2.dump"
        assert record.id == f"s3://dumps/{key}"
        tags = client.get_object_tagging(Bucket="dumps", Key=key)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"run": "r-2", "release": "1.0.0"}
        assert record.encrypted == client.head_object(Bucket="dumps", Key=key).get(
            "ServerSideEncryption"
        )
        catalog = DumpCatalog(store, "orders")
        assert list(catalog.records()) == [record]
        assert list(DumpCatalog(store, "other").records()) == []
        assert restore(filled, store, request(record)).state is RestoreState.RESTORED
        assert contents(filled) == before
        catalog.delete(record.id)
        assert list(store.keys("")) == []
    for name, _ in others(admin, filled):
        admin.execute(f"DROP DATABASE {name}".encode())


def test_an_upload_names_its_checksums_as_s3_asks_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fields are judged by botocore's model, which refuses others; the checksums by zlib."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 1024 * 1024)
    asked = []
    with mock_aws():
        store = s3.Bucket("dumps")
        store._s3.create_bucket(Bucket="dumps")
        events = store._s3.meta.events
        events.register("provide-client-params.s3.*", lambda params, **_: asked.append(params))
        parts = [b"a" * s3.PART_BYTES, b"b" * s3.PART_BYTES, b"the end"]
        with store.upload("key", {}) as upload:
            for part in parts:
                upload.send(part)
        assert b"".join(store.stream("key")) == b"".join(parts)
    sums = [b64encode(crc32(part).to_bytes(4, "big")).decode() for part in parts]
    begun, *sent, finished = asked[:5]
    assert begun["ChecksumAlgorithm"] == "CRC32"
    assert [one["ChecksumCRC32"] for one in sent] == sums
    assert [one["ChecksumCRC32"] for one in finished["MultipartUpload"]["Parts"]] == sums


def test_the_catalog_lists_what_can_be_restored_newest_first(filled: str) -> None:
    store = Memory()
    dumps = [dump(filled, store, f"r-{number}") for number in (2, 1, 3)]
    store.objects["snapshots/orders/r-4.dump"] = b"never read back, so it has no record"
    catalog = DumpCatalog(store, "orders")
    assert list(catalog.records()) == dumps[::-1]
    assert list(DumpCatalog(store).records()) == dumps[::-1]
    kept = catalog.list()
    assert [(one.run, one.available) for one in kept] == [
        ("r-3", True),
        ("r-1", True),
        ("r-2", True),
    ]
    catalog.delete(dumps[1].id)
    catalog.delete(dumps[1].id)
    assert [one.run for one in catalog.list()] == ["r-3", "r-2"]
    assert read_record(store, "snapshots/orders/r-1.dump") is None


def test_a_folder_keeps_whole_files_only_and_for_their_owner_only(
    filled: str, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path)
    with pytest.raises(RuntimeError), store.upload("a/b.dump", {}) as writer:
        writer.send(b"half of it")
        raise RuntimeError
    assert list(store.keys("")) == []
    record = dump(filled, store)
    path = Path(record.id)
    assert path.is_file()
    assert path.stat().st_mode & 0o077 == 0
    assert record.encrypted is None
    with pytest.raises(ConfigurationError, match="No such file"):
        list(store.stream("nothing"))


@pytest.mark.parametrize("full", ["/dev/full"])
def test_a_full_disk_fails_the_dump_and_leaves_no_half(
    filled: str, tmp_path: Path, full: str
) -> None:
    folder = tmp_path / "snapshots" / "orders"
    folder.mkdir(parents=True)
    (folder / ".r-1.dump.part").symlink_to(full)
    with pytest.raises(SnapshotFailed, match="No space left"):
        take(snapshots(filled, FolderStore(tmp_path)))
    assert list(folder.iterdir()) == []


def flushed(database: str, sql: str) -> None:
    """Run it, and have the session report what it did before it ends."""
    with psycopg.connect(database) as connection:
        connection.execute(sql.encode())


def test_the_counters_tell_how_much_was_written_and_where(filled: str) -> None:
    before = counters(Endpoint.from_url(filled))
    flushed(filled, "INSERT INTO orders SELECT n, '' FROM generate_series(1, 12) n")
    flushed(filled, "CREATE TABLE fresh AS SELECT 1 AS n")
    flushed(filled, "UPDATE orders SET md5 = 'x' WHERE n <= 4; DELETE FROM orders WHERE n = 5")
    now = counters(Endpoint.from_url(filled))
    assert written_since(before, now) == {
        "inserted": 13,
        "updated": 8,
        "deleted": 2,
        "approximate": True,
        "reset": False,
        "counted": "since_snapshot",
        "tables": [
            {"name": "public.orders", "inserted": 12, "updated": 8, "deleted": 2},
            {"name": "public.fresh", "inserted": 1, "updated": 0, "deleted": 0},
        ],
    }


def test_nothing_written_is_nothing_lost(filled: str) -> None:
    before = counters(Endpoint.from_url(filled))
    assert written_since(before, counters(Endpoint.from_url(filled)))["tables"] == []


def test_statistics_that_were_reset_are_counted_from_there_and_it_is_said(filled: str) -> None:
    before = counters(Endpoint.from_url(filled))
    flushed(filled, "SELECT pg_stat_reset()")
    flushed(filled, "DELETE FROM orders WHERE n <= 3")
    written = written_since(before, counters(Endpoint.from_url(filled)))
    assert written["reset"]
    assert written["tables"] == [
        {"name": "public.orders", "inserted": 0, "updated": 0, "deleted": 3}
    ]


def test_of_many_tables_those_written_most_are_named() -> None:
    tables = {f"public.t{number:02}": [number, 0, 0] for number in range(30)}
    written = written_since({}, {"tables": tables})
    assert [row["name"] for row in written["tables"]][:2] == ["public.t29", "public.t28"]
    assert (len(written["tables"]), written["inserted"]) == (20, sum(range(30)))


def test_the_error_of_pg_dump_is_shown_and_not_the_names_of_its_tables() -> None:
    tables = ", ".join(f"public.table_{number}" for number in range(500))
    said = io.BytesIO(
        b"pg_dump: warning: something else\n"
        b"pg_dump: error: query failed: ERROR:  permission denied for table pay\n"
        b"pg_dump: detail: Query was: LOCK TABLE " + tables.encode()
    )
    shown = programs.last_error(said)
    assert shown == "pg_dump: error: query failed: ERROR:  permission denied for table pay"
    said = io.BytesIO(
        b'pg_dump: error: Dumping the contents of table "t" failed: PQgetResult() failed.\n'
        b"pg_dump: detail: Error message from server: ERROR:  could not read block 7\n"
        b"pg_dump: detail: Command was: COPY public.t (id) TO stdout;"
    )
    assert programs.last_error(said).endswith("failed. ERROR:  could not read block 7")
    assert programs.last_error(io.BytesIO(b"Killed")) == "Killed"


def test_what_a_dump_cannot_hold_is_listed_in_its_record(
    database: str, admin: psycopg.Connection[Any]
) -> None:
    name = str(conninfo_to_dict(database)["dbname"])
    admin.execute("CREATE ROLE r_dumps LOGIN PASSWORD 'dumps'; CREATE ROLE r_mapped")
    admin.execute(f"GRANT pg_read_all_data TO r_dumps; ALTER DATABASE {name} OWNER TO r_dumps")
    try:
        with psycopg.connect(database) as connection:
            connection.execute(
                "CREATE EXTENSION hstore VERSION '1.4';"
                "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER s FOREIGN DATA WRAPPER nowhere;"
                "CREATE USER MAPPING FOR r_mapped SERVER s OPTIONS (password 'x');"
                "CREATE PUBLICATION everything FOR ALL TABLES"
            )
        store = Memory()
        role = {"user": "r_dumps", "password": "dumps"}
        with snapshots(database, store, **role).source() as source:
            found = source.limits.differs
        assert [limit.split(":")[0] for limit in found] == [
            "extension hstore",
            "user mapping r_mapped on server s",
        ]
        assert found[0].endswith("the database has 1.4")
        assert source.limits.needs == (
            "extension hstore, in the default version there",
            "roles r_dumps, r_mapped, with passwords, memberships and settings",
        )
        # A superuser can dump and restore all but the version.
        record = dump(database, store)
        assert [limit.split(":")[0] for limit in record.limits] == ["extension hstore"]
        assert read_record(store, f"snapshots/orders/{record.run}.dump") == record
    finally:
        with psycopg.connect(database) as connection:
            connection.execute("DROP USER MAPPING IF EXISTS FOR r_mapped SERVER s")
        admin.execute(f"ALTER DATABASE {name} OWNER TO postgres")
        admin.execute("DROP OWNED BY r_dumps; DROP ROLE r_dumps; DROP ROLE r_mapped")


def test_a_record_without_limits_can_be_read_by_an_older_turnback(database: str) -> None:
    store = Memory()
    dump(database, store)
    [key] = [key for key in store.objects if key.endswith(".json")]
    fields = json.loads(store.objects[key])
    assert fields["version"] == 2
    assert "limits" not in fields


# A dump is restored for a trial, all but its rows


@pytest.fixture
def owner(database: str, admin: psycopg.Connection[Any]) -> Iterator[str]:
    """The address of a database for its owner, who is no superuser."""
    name = database.rsplit("/", 1)[1]
    role = f"r_owner_{name}"
    admin.execute(f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD 'owns-it'".encode())
    admin.execute(f"GRANT pg_read_all_data TO {role}".encode())
    admin.execute(f"ALTER DATABASE {name} OWNER TO {role}".encode())
    url = psycopg.conninfo.make_conninfo(database, user=role, password="owns-it")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE mine (word text)")
    yield url
    admin.execute(f"ALTER DATABASE {name} OWNER TO postgres".encode())
    with psycopg.connect(database) as connection:
        connection.execute(f"DROP OWNED BY {role} CASCADE".encode())
    admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_a_dump_that_its_own_role_cannot_restore_is_refused_and_names_the_object(
    database: str, owner: str, admin: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE of_the_superuser (id int)")
    store = Memory()
    with pytest.raises(SnapshotFailed, match="TABLE of_the_superuser") as caught:
        take(snapshots(owner, store))
    assert "nothing was changed; restore as a user who owns" in str(caught.value.hint)
    # Without its record the dump counts for nothing, and the trial leaves nothing.
    assert f"{KEY}.json" not in store.objects
    assert others(admin, database) == []
    with psycopg.connect(database) as connection:
        connection.execute("DROP TABLE of_the_superuser")
    assert take(snapshots(owner, store))["state"] == "available"
    assert json.loads(store.objects[f"{KEY}.json"]).get("limits") is None
    assert others(admin, database) == []


def test_what_a_restore_could_do_without_is_a_limit(owner: str) -> None:
    with psycopg.connect(owner) as connection:
        connection.execute("CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM mine")
        connection.execute(
            "CREATE FUNCTION n() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';"
            "CREATE OR REPLACE VIEW v AS SELECT 1 AS n;"
            "CREATE MATERIALIZED VIEW later AS SELECT n FROM v;"
            "CREATE OR REPLACE VIEW v AS SELECT n() AS n"
        )
    store = Memory()
    take(snapshots(owner, store))
    [listed, tried] = json.loads(store.objects[f"{KEY}.json"])["limits"]
    assert listed.startswith("materialized views public.later, public.m: the rows are not in")
    assert tried.startswith("a restore cannot make it: MATERIALIZED VIEW DATA later")


def test_without_the_rights_for_a_trial_a_limit_says_so(
    owner: str, admin: psycopg.Connection[Any]
) -> None:
    role = str(conninfo_to_dict(owner)["user"])
    admin.execute(f"ALTER ROLE {role} NOCREATEDB".encode())
    store = Memory()
    take(snapshots(owner, store))
    [limit] = json.loads(store.objects[f"{KEY}.json"])["limits"]
    assert limit.startswith(f"whether it can be restored was not tried: {role} may not make")


def test_the_programs_ask_for_english_where_the_role_may(database: str, owner: str) -> None:
    program = programs.binary("pg_restore")
    for url, may in ((database, True), (owner, False)):
        endpoint = Endpoint.from_url(url)
        with psycopg.connect(url) as connection:
            options = programs.session_options(connection)
        assert ("lc_messages" in options) is may
        environment = programs.environment_for(program, endpoint, options)
        with psycopg.connect(url, options=environment["PGOPTIONS"]) as connection:
            row = connection.execute("SHOW lc_messages").fetchone()
        assert may is False or row == ("C",)
