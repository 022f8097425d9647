"""Restoring a dump: everything comes back, the old database stays, nothing is done by halves."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from turnback.errors import DatabaseRefused, DatabaseUnreachable, RestoreFailed, RunnerBusy
from turnback.local.server import EmbeddedServer
from turnback.recovery.dumps import passes, server
from turnback.recovery.dumps.catalog import read_record
from turnback.recovery.dumps.dump import DumpSnapshots
from turnback.recovery.dumps.fill import Filling
from turnback.recovery.dumps.passes import Passes, advice_on, errors_in
from turnback.recovery.dumps.restore import RestoreDump
from turnback.recovery.dumps.server import leading_session
from turnback.recovery.dumps.successor import COMPLETE, KEPT, ROWS, Mark, Names
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import Place, RestoreState, Snapshot, SnapshotState

from tests.dumps import EVERYTHING, RUN, Memory, contents, dump, others, request, restore

Admin = psycopg.Connection[Any]


@pytest.fixture
def filled(database: str, admin: Admin) -> Iterator[str]:
    """A database with one of everything; what a restore leaves beside it is dropped."""
    with psycopg.connect(database) as connection:
        connection.execute(EVERYTHING.encode())
    yield database
    for name, _ in others(admin, database):
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def spoil(database: str) -> None:
    """What a release did that nobody can take back."""
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM sales.orders; DROP TABLE customers CASCADE")


def name_of(database: str) -> str:
    return database.rsplit("/", 1)[1]


def untouched(database: str, before: dict[str, list[Any]]) -> bool:
    """Whether the database answers and is as it was."""
    return contents(database) == before


def test_every_row_comes_back_and_the_old_database_is_kept(filled: str, admin: Admin) -> None:
    store, before = Memory(), contents(filled)
    record = dump(filled, store)
    spoil(filled)
    checked = []
    progress = restore(filled, store, request(record, checked.append))
    kept = Names.of(name_of(filled), RUN).kept
    assert contents(filled) == before
    assert (progress.kept, progress.restored_to) == (kept, record.taken_at)
    assert [place.name for place in checked] == [Names.of(name_of(filled), RUN).successor]
    assert others(admin, filled) == [(kept, False)]


def test_the_kept_database_still_has_what_the_restore_lost(filled: str, admin: Admin) -> None:
    store = Memory()
    record = dump(filled, store)
    with psycopg.connect(filled) as connection:
        connection.execute("INSERT INTO customers (name) VALUES ('came too late')")
    kept = restore(filled, store, request(record)).kept
    admin.execute(f"ALTER DATABASE {kept} WITH ALLOW_CONNECTIONS true".encode())
    with psycopg.connect(filled.replace(name_of(filled), str(kept))) as connection:
        found = connection.execute("SELECT count(*) FROM customers WHERE name LIKE 'came%'")
        assert found.fetchone() == (1,)


def test_a_restored_database_takes_new_rows(filled: str) -> None:
    store = Memory()
    restore(filled, store, request(dump(filled, store)))
    with psycopg.connect(filled) as connection:
        row = connection.execute(
            "INSERT INTO sales.orders (customer, amount) VALUES (1, 1) RETURNING id, note"
        ).fetchone()
        assert row == (2001, b"\x00\xff")
        assert connection.execute("SELECT nextval('tickets')").fetchone() == (42,)


def test_the_planner_knows_the_restored_tables(filled: str) -> None:
    """This server makes no statistics by itself."""
    store = Memory()
    restore(filled, store, request(dump(filled, store)))
    with psycopg.connect(filled) as connection:
        found = connection.execute("SELECT reltuples FROM pg_class WHERE relname = 'orders'")
        assert found.fetchone() == (2000,)


def test_asked_again_it_says_that_it_is_done_and_does_nothing(filled: str, admin: Admin) -> None:
    store = Memory()
    wanted = request(dump(filled, store))
    first = restore(filled, store, wanted)
    with psycopg.connect(filled) as connection:
        connection.execute("INSERT INTO customers (name) VALUES ('after the restore')")
    before, beside = contents(filled), others(admin, filled)
    assert restore(filled, store, wanted) == first
    assert (contents(filled), others(admin, filled)) == (before, beside)


def test_what_a_database_is_besides_its_contents_comes_along(
    filled: str, admin: Admin, server: EmbeddedServer
) -> None:
    name = name_of(filled)
    admin.execute("DROP ROLE IF EXISTS r_owner, r_reader")
    admin.execute("CREATE ROLE r_owner; CREATE ROLE r_reader")
    for statement in (
        f"ALTER DATABASE {name} OWNER TO r_owner",
        f"ALTER DATABASE {name} CONNECTION LIMIT 7",
        f'ALTER DATABASE {name} SET search_path TO sales, public, "a \'b\' ""c"""',
        f"ALTER DATABASE {name} SET work_mem TO '8MB'",
        f"ALTER DATABASE {name} SET app.greeting TO 'it''s {{braces}} \\ here'",
        f"ALTER ROLE r_reader IN DATABASE {name} SET statement_timeout TO '5s'",
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO r_reader WITH GRANT OPTION",
        f"COMMENT ON DATABASE {name} IS 'it''s the {{shop}}'",
    ):
        admin.execute(statement.encode())

    def properties() -> list[tuple[Any, ...]]:
        return admin.execute(
            "SELECT to_jsonb(d) - '{oid,datfrozenxid,datminmxid,datacl}'::text[], "
            "(SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a), "
            "shobj_description(oid, 'pg_database'), (SELECT array_agg(setrole::regrole::text || "
            "setconfig::text ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid) "
            "FROM pg_database d WHERE datname = %s",
            [name],
        ).fetchall()

    before, store = properties(), Memory()
    try:
        restore(filled, store, request(dump(filled, store)))
        assert properties() == before
    finally:
        for other, _ in others(admin, filled):
            admin.execute(f'DROP DATABASE "{other}"'.encode())
        admin.execute(f"ALTER DATABASE {name} OWNER TO postgres".encode())
        admin.execute(f"REVOKE ALL ON DATABASE {name} FROM r_reader".encode())
        admin.execute("DROP ROLE r_owner, r_reader")
    del server


@pytest.mark.parametrize(
    "locale",
    [
        "LOCALE_PROVIDER libc LOCALE 'C' ENCODING 'LATIN1'",
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C' LOCALE 'C'",
    ],
)
def test_encoding_and_collation_are_the_old_ones(
    admin: Admin, server: EmbeddedServer, locale: str
) -> None:
    admin.execute(f"CREATE DATABASE foreign_locale TEMPLATE template0 {locale}".encode())
    url, store = server.url("foreign_locale"), Memory()

    def found() -> list[tuple[Any, ...]]:
        return admin.execute(
            "SELECT encoding, datlocprovider, datcollate, datctype, datlocale FROM pg_database "
            "WHERE datname = 'foreign_locale'"
        ).fetchall()

    try:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE t AS SELECT 'é'::text AS word")
        before = found()
        restore(url, store, request(dump(url, store)))
        assert found() == before
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT word FROM t").fetchone() == ("é",)
    finally:
        for name, _ in [*others(admin, url), ("foreign_locale", True)]:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_sessions_are_ended_and_those_that_come_back_find_the_restored_one(filled: str) -> None:
    """An application whose pool reconnects without a pause, and one in a long transaction."""
    store = Memory()
    record = dump(filled, store)
    spoil(filled)
    over, complaints, answers = threading.Event(), [], []
    held = psycopg.connect(filled)
    held.execute("LOCK TABLE sales.orders")

    def pool() -> None:
        while not over.is_set():
            try:
                with psycopg.connect(filled, autocommit=True) as connection:
                    row = connection.execute(
                        "SELECT to_regclass('customers') IS NOT NULL"
                    ).fetchone()
                    answers.append(row)
            except psycopg.OperationalError as error:
                complaints.append(str(error))

    threads = [threading.Thread(target=pool) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        restore(filled, store, request(record))
    finally:
        restored_at = len(answers)
        while len(answers) < restored_at + 3:
            over.wait(0.01)
        over.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {(False,), (True,)}
    assert answers[-1] == (True,)
    with pytest.raises(psycopg.OperationalError):
        held.execute("SELECT 1")
    # Never that the database takes no connections: the name always leads to one that does.
    assert not [text for text in complaints if "not currently accepting" in text]


def test_two_at_once_restore_once(filled: str, admin: Admin) -> None:
    store, before = Memory(), contents(filled)
    record = dump(filled, store)
    spoil(filled)
    done = []
    threads = [
        threading.Thread(target=lambda: done.append(restore_patiently(filled, store, record)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2
    assert done[0] == done[1]
    assert contents(filled) == before
    assert len(others(admin, filled)) == 1


def restore_patiently(database: str, store: Memory, record: Any) -> Any:
    restoring = RestoreDump(Endpoint.from_url(database), store, lambda: 120)
    while (progress := restoring.advance(request(record))).state is not RestoreState.RESTORED:
        assert progress.state is RestoreState.RESTORING
        threading.Event().wait(0.05)
    return progress


def test_another_run_that_restores_this_database_is_named(filled: str) -> None:
    store, before = Memory(), contents(filled)
    record = dump(filled, store)
    with leading_session(Endpoint.from_url(filled), "r-other") as connection:
        assert connection is not None
        with pytest.raises(RunnerBusy, match="turnback restore r-other is restoring"):
            restore(filled, store, request(record))
    assert untouched(filled, before)


def test_a_session_whose_owner_is_frozen_loses_its_lock(
    filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Lambda function that was stopped in the middle never closes its socket."""
    monkeypatch.setattr(server, "_SILENT_MS", 100)
    monkeypatch.setattr(server, "_HEARTBEAT_S", 3600)
    store = Memory()
    record = dump(filled, store)
    with leading_session(Endpoint.from_url(filled), RUN) as frozen:
        assert frozen is not None
        monkeypatch.setattr(server, "_SILENT_MS", 60_000)
        restore_patiently(filled, store, record)
        with pytest.raises(psycopg.errors.IdleSessionTimeout):
            frozen.execute("SELECT 1")


def test_a_restored_database_that_is_not_the_expected_one_is_not_swapped_in(
    filled: str, admin: Admin
) -> None:
    def refuse(place: Place) -> None:
        raise RestoreFailed(f"the history of {place.name} is not the expected one")

    store, before = Memory(), contents(filled)
    record = dump(filled, store)
    with pytest.raises(RestoreFailed, match="not the expected one"):
        restore(filled, store, request(record, refuse))
    assert untouched(filled, before)
    # It stays, to be looked at; the next call goes on from it.
    assert others(admin, filled) == [(Names.of(name_of(filled), RUN).successor, True)]
    assert restore(filled, store, request(record)).state is RestoreState.RESTORED


def test_a_check_without_an_answer_yet_is_asked_again(filled: str) -> None:
    asked: list[Place] = []

    def answer(place: Place) -> None:
        asked.append(place)
        if len(asked) < 3:
            raise DatabaseUnreachable("no answer yet")

    store = Memory()
    restore(filled, store, request(dump(filled, store), answer))
    assert len(asked) == 3


def fails(database: str, store: Memory, wanted: Any, **options: Any) -> RestoreFailed:
    """The restore fails, and the database is as before, with nothing beside it."""
    before = contents(database)
    with pytest.raises(RestoreFailed) as caught:
        restore(database, store, wanted, **options)
    assert untouched(database, before)
    assert caught.value.hint
    return caught.value


def altered(store: Memory, change: dict[str, Any]) -> None:
    (key,) = (key for key in store.objects if key.endswith(".json"))
    store.objects[key] = json.dumps(json.loads(store.objects[key]) | change).encode()


def test_a_dump_that_was_changed_is_not_swapped_in(filled: str, admin: Admin) -> None:
    store = Memory()
    record = dump(filled, store)
    (key,) = (key for key in store.objects if key.endswith(".dump"))
    store.objects[key] += b"one more byte"
    error = fails(filled, store, request(record))
    assert "checksum differs" in error.message
    assert others(admin, filled) == []


@pytest.mark.parametrize("part", ["head", "middle", "end"])
def test_a_damaged_dump_says_so_and_leaves_nothing(filled: str, admin: Admin, part: str) -> None:
    store = Memory()
    record = dump(filled, store)
    (key,) = (key for key in store.objects if key.endswith(".dump"))
    body = bytearray(store.objects[key])
    place = {"head": 0, "middle": len(body) // 2, "end": len(body) - 40}[part]
    body[place : place + 40] = os.urandom(40)
    store.objects[key] = bytes(body[: None if part != "end" else place])
    error = fails(filled, store, request(record))
    assert "checksum differs" in error.message
    assert others(admin, filled) == []


def test_no_statement_of_a_changed_dump_is_run(
    filled: str, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_restore runs what it reads while it reads it, so it must not be started at all."""
    store = Memory()
    record = dump(filled, store)
    (key,) = (key for key in store.objects if key.endswith(".dump"))
    store.objects[key] = store.objects[key].replace(b"CREATE TABLE", b"CREATE TABLe", 1)
    started = list[str]()
    monkeypatch.setattr(passes, "binary", started.append)
    error = fails(filled, store, request(record))
    assert "checksum differs" in error.message
    assert started == []
    assert others(admin, filled) == []


def test_a_dump_that_is_gone_says_so(filled: str, admin: Admin) -> None:
    store = Memory()
    record = dump(filled, store)
    for key in list(store.objects):
        del store.objects[key]
    assert "no record of the dump" in fails(filled, store, request(record)).message
    assert others(admin, filled) == []


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"version": 2}', b'{"version": 99}'])
def test_a_wrong_record_says_so(filled: str, body: bytes) -> None:
    store = Memory()
    record = dump(filled, store)
    (key,) = (key for key in store.objects if key.endswith(".json"))
    store.objects[key] = body
    assert key in fails(filled, store, request(record)).message


def test_a_snapshot_of_another_kind_or_place_is_refused(filled: str) -> None:
    store = Memory()
    wanted = request(dump(filled, store))
    for snapshot, said in (
        (Snapshot("rds", "turnback-orders-r-1", SnapshotState.AVAILABLE), "no dump to restore"),
        (None, "a point in time"),
        (Snapshot("dump", "s3://elsewhere/x.dump", SnapshotState.AVAILABLE), "is not in s3://"),
    ):
        assert said in fails(filled, store, replace(wanted, snapshot=snapshot)).message


def test_an_extension_that_the_server_lacks_is_named(filled: str, admin: Admin) -> None:
    store = Memory()
    record = dump(filled, store)
    (key,) = (key for key in store.objects if key.endswith(".dump"))
    # The table of contents is not compressed.
    store.objects[key] = store.objects[key].replace(b"hstore", b"hstorx")
    altered(store, {"sha256": sha256(store.objects[key]).hexdigest()})
    error = fails(filled, store, request(record))
    assert 'extension "hstorx" is not available' in error.message
    assert "install the extension" in str(error.hint)
    assert others(admin, filled) == []


@pytest.mark.parametrize(
    ("complaint", "advice"),
    [
        ('could not extend file "base/5/1": No space left on device', "disk is full"),
        ('role "app" does not exist', "create the role"),
        ("must be owner of schema sales", "master user of RDS made a member"),
        ("something else", "server's log"),
    ],
)
def test_the_usual_causes_have_advice(complaint: str, advice: str) -> None:
    """The words are the server's; its disk cannot be filled here."""
    assert advice in advice_on(complaint)


@pytest.mark.parametrize("forged", [1, 2, 3], ids=["tables", "rows", "rest"])
def test_a_dump_that_is_replaced_for_one_pass_is_not_restored(
    filled: str, admin: Admin, forged: int
) -> None:
    class Replaced(Memory):
        """Gives another dump to one of its readers."""

        reads = 0

        def stream(self, key: str) -> Iterator[bytes]:
            self.reads += 1
            yield from super().stream("forged" if self.reads == forged else key)

    store = Memory()
    record = dump(filled, store)
    with psycopg.connect(filled) as connection:
        connection.execute("CREATE INDEX forged ON customers (name)")
    other = dump(filled, store, "r-other")
    changing = Replaced()
    changing.objects = store.objects
    changing.objects["forged"] = store.objects[other.id.removeprefix(store.prefix)]
    with pytest.raises(RestoreFailed, match="its checksum differs"):
        restore(filled, changing, request(record))
    assert others(admin, filled) == []


def test_the_error_of_an_old_server_is_known_by_its_command_in_every_language() -> None:
    said = (
        "pg_restore: error: could not execute query: FEHLER:  unbekannter "
        "Konfigurationsparameter »transaction_timeout«\n"
        "Command was: SET transaction_timeout = 0;\n\n"
        'pg_restore: creating TABLE "public.users"\n'
        "pg_restore: from TOC entry 7; 1259 16400 TABLE users app\n"
        "pg_restore: error: could not execute query: FEHLER:  keine Berechtigung\n"
        "pg_restore: warning: errors ignored on restore: 2"
    )
    [failure] = errors_in(said)
    assert (failure.entry, failure.what) == (7, "TABLE users app")
    assert "keine Berechtigung" in failure.whole


def test_a_restore_gives_up_before_the_function_is_stopped(filled: str, admin: Admin) -> None:
    store = Memory()
    record = dump(filled, store)
    error = fails(filled, store, request(record), seconds=10)
    assert "the time that one function call has" in error.message
    assert f"turnback restore {record.id}" in str(error.hint)
    assert others(admin, filled) == []


def test_a_name_that_is_taken_by_somebody_else_is_left_alone(filled: str, admin: Admin) -> None:
    store = Memory()
    record = dump(filled, store)
    for taken in (Names.of(name_of(filled), RUN).successor, Names.of(name_of(filled), RUN).kept):
        admin.execute(f"CREATE DATABASE {taken}".encode())
        error = fails(filled, store, request(record))
        assert f'there is a database "{taken}" already' in error.message
        assert others(admin, filled) == [(taken, True)]
        admin.execute(f"DROP DATABASE {taken}".encode())


@pytest.fixture
def planter(admin: Admin, filled: str) -> Iterator[str]:
    """A role of somebody else, who may create databases."""
    role = f"r_planter_{name_of(filled)}"
    admin.execute(f"CREATE ROLE {role} CREATEDB LOGIN PASSWORD 'planter'".encode())
    yield role
    admin.execute(f"REASSIGN OWNED BY {role} TO postgres".encode())
    admin.execute(f"DROP ROLE {role}".encode())


@pytest.mark.parametrize("owner", ["somebody else", "the same owner"])
@pytest.mark.parametrize("state", [ROWS, COMPLETE, KEPT])
def test_a_database_whose_comment_says_that_it_is_restored_is_not_believed(
    filled: str, admin: Admin, planter: str, state: str, owner: str
) -> None:
    """Its author knows all that a comment ever says of this dump, but not the record's secret."""
    store, before = Memory(), contents(filled)
    record = dump(filled, store)
    names = Names.of(name_of(filled), RUN)
    planted = names.kept if state == KEPT else names.successor
    admin.execute(f"CREATE DATABASE {planted} STRATEGY file_copy".encode())
    if owner == "somebody else":
        admin.execute(f"ALTER DATABASE {planted} OWNER TO {planter}".encode())
    mark = Mark(state, RUN, record.sha256, record.taken_at)
    # As it is on a real one, with the seal of that; and without one.
    row = admin.execute(
        "SELECT oid::bigint FROM pg_database WHERE datname = %s", [names.current]
    ).fetchone()
    assert row
    for sealed in (record, replace(record, secret=None)):
        comment = mark.text(row[0], sealed)
        admin.execute(f"COMMENT ON DATABASE {planted} IS '{comment}'".encode())
        error = fails(filled, store, request(record))
        assert f'there is a database "{planted}" already, and this restore' in error.message
        restoring = RestoreDump(Endpoint.from_url(filled), store, lambda: 120)
        assert restoring.unfinished(record) is None
    assert others(admin, filled) == [(planted, True)]
    assert untouched(filled, before)


def test_an_empty_database_of_somebody_else_is_not_dropped(
    filled: str, admin: Admin, planter: str
) -> None:
    store = Memory()
    record = dump(filled, store)
    left = Names.of(name_of(filled), RUN).successor
    admin.execute(f"CREATE DATABASE {left} OWNER {planter} ALLOW_CONNECTIONS false".encode())
    assert RestoreDump(Endpoint.from_url(filled), store, lambda: 120).unfinished(record) is None
    assert left in fails(filled, store, request(record)).message
    admin.execute(f"ALTER DATABASE {left} OWNER TO postgres".encode())
    assert restore(filled, store, request(record)).kept


def test_the_secret_of_a_record_is_in_no_list_and_an_old_record_has_none(filled: str) -> None:
    store = Memory()
    record = dump(filled, store)
    assert record.secret
    assert record.secret not in json.dumps(record.to_dict()) + repr(record)
    [key] = [key for key in store.objects if key.endswith(".json")]
    fields = json.loads(store.objects[key])
    del fields["counters"]["record"]
    store.objects[key] = json.dumps(fields).encode()
    old = read_record(store, key.removesuffix(".json"))
    assert old is not None
    assert (old.secret, old.counters) == (None, record.counters)
    assert restore(filled, store, request(old)).kept


def test_prepared_transactions_are_named_before_any_session_is_ended() -> None:
    from turnback.recovery.dumps.restore import swap
    from turnback.recovery.dumps.server import Properties

    class Prepared:
        """A server that allows prepared transactions; ours does not (it needs a restart)."""

        def execute(self, *_: object) -> Prepared:
            return self

        def fetchall(self) -> list[tuple[str]]:
            return [("transfer 7",)]

    with pytest.raises(RestoreFailed, match=r"prepared transactions.*transfer 7"):
        swap(
            Prepared(),  # type: ignore[arg-type]
            lambda: pytest.fail("a second session was opened"),
            Names("a", "b", "c"),
            Properties("a", 1, "", (), (), None, -1, False, None),
            mark="",
        )


@pytest.fixture
def plain_role(admin: Admin, filled: str) -> Iterator[str]:
    """The address of the database for a role that has no rights beyond it."""
    admin.execute("CREATE ROLE r_plain LOGIN PASSWORD 'plain'")
    name = name_of(filled)
    yield filled.replace(filled.split("@")[0], "postgresql://r_plain:plain")
    admin.execute(f"ALTER DATABASE {name} OWNER TO postgres".encode())
    for other, _ in others(admin, filled):
        admin.execute(f'DROP DATABASE "{other}" WITH (FORCE)'.encode())
    with psycopg.connect(filled) as connection:
        connection.execute("DROP OWNED BY r_plain")
    admin.execute("DROP OWNED BY r_plain")
    admin.execute("DROP ROLE r_plain")


def test_a_role_that_may_not_create_databases_is_shown_the_statement(
    filled: str, plain_role: str, admin: Admin
) -> None:
    store, before = Memory(), contents(filled)
    record = dump(filled, store)
    admin.execute(f"ALTER DATABASE {name_of(filled)} OWNER TO r_plain".encode())
    with pytest.raises(RestoreFailed, match="may not make databases") as caught:
        restore(plain_role, store, request(record))
    assert 'ALTER ROLE "r_plain" CREATEDB' in str(caught.value.hint)
    assert untouched(filled, before)


def test_a_role_that_does_not_own_the_database_is_shown_the_statement(
    filled: str, plain_role: str, admin: Admin
) -> None:
    store, before = Memory(), contents(filled)
    record = dump(filled, store)
    admin.execute("ALTER ROLE r_plain CREATEDB")
    with pytest.raises(RestoreFailed, match="not the owner") as caught:
        restore(plain_role, store, request(record))
    assert 'GRANT "postgres" TO "r_plain"' in str(caught.value.hint)
    assert untouched(filled, before)


@pytest.mark.parametrize("finding_out", [True, False], ids=["beforehand", "in the restore"])
def test_a_setting_that_the_role_may_not_give_is_named_with_its_statement(
    filled: str, plain_role: str, admin: Admin, finding_out: bool
) -> None:
    store, before, name = Memory(), contents(filled), name_of(filled)
    record = dump(filled, store)
    admin.execute(f"ALTER DATABASE {name} OWNER TO r_plain".encode())
    admin.execute("ALTER ROLE r_plain CREATEDB")
    admin.execute(f"ALTER DATABASE {name} SET work_mem = '8MB'".encode())
    admin.execute(f"ALTER DATABASE {name} SET log_min_duration_statement = 250".encode())
    restoring = RestoreDump(Endpoint.from_url(plain_role), store, lambda: 120)
    with pytest.raises(RestoreFailed, match="log_min_duration_statement") as caught:
        if finding_out:
            restoring.look(record)
        else:
            restoring.advance(request(record))
    assert f'ALTER DATABASE "{name}" SET "log_min_duration_statement" TO' in caught.value.message
    assert "GRANT SET ON PARAMETER" in str(caught.value.hint)
    assert untouched(filled, before)
    assert others(admin, filled) == []


def test_a_session_that_may_not_be_ended_stops_the_swap_and_is_named(
    database: str, admin: Admin, plain_role: str
) -> None:
    """The owner restores, and a superuser's session stays: only superusers may end it."""
    store, name = Memory(), name_of(database)
    with psycopg.connect(database) as connection:
        connection.execute("DROP SCHEMA sales CASCADE; DROP TABLE customers CASCADE")
        connection.execute("DROP EXTENSION hstore; DROP SEQUENCE tickets; DROP FUNCTION loud")
        connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
    admin.execute(f"ALTER DATABASE {name} OWNER TO r_plain".encode())
    admin.execute("ALTER ROLE r_plain CREATEDB")
    with psycopg.connect(plain_role) as connection:
        connection.execute("CREATE SCHEMA own; CREATE TABLE own.t AS SELECT 7 AS n")
    record = dump(plain_role, store)
    with psycopg.connect(database, application_name="the superuser's") as held:
        pid = held.info.backend_pid
        with pytest.raises(RestoreFailed, match=f"pid {pid} .*the superuser's") as caught:
            restore(plain_role, store, request(record))
        assert held.execute("SELECT n FROM own.t").fetchone() == (7,)
    assert "answers as before" in str(caught.value.hint)
    assert restore(plain_role, store, request(record)).state is RestoreState.RESTORED


@contextlib.contextmanager
def as_if_it_were_16(port: int) -> Iterator[int]:
    """A server of before 17, which has no transaction_timeout: by changing words on the way.

    No such server is here to test with. It was tried with a real 15, too (docs/backup.md).
    """
    to_server = (b"transaction_timeout", b"transaction_timeoux")
    to_client = (to_server[::-1], (b"server_version\0" + b"18.", b"server_version\0" + b"16."))

    def pump(source: socket.socket, sink: socket.socket, *words: tuple[bytes, bytes]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                for old, new in words:
                    data = data.replace(old, new)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def session(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=pump, args=(server, client, *to_client))
            back.start()
            pump(client, server, to_server)
            back.join()

    def serve(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=session, args=(listening.accept()[0],)).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_a_server_before_17_is_restored_although_it_lacks_a_setting(filled: str) -> None:
    store, before = Memory(), contents(filled)
    record = dump(filled, store)
    spoil(filled)
    port = Endpoint.from_url(filled).port
    with as_if_it_were_16(port) as old:
        url = filled.replace(f":{port}/", f":{old}/")
        with psycopg.connect(url) as connection:
            assert connection.info.server_version // 10000 == 16
        assert restore(url, store, request(record)).state is RestoreState.RESTORED
    assert contents(filled) == before


def test_any_other_error_of_a_server_before_17_fails_the_restore(filled: str) -> None:
    store = Memory()
    record = dump(filled, store)
    (key,) = (key for key in store.objects if key.endswith(".dump"))
    store.objects[key] = store.objects[key].replace(b"hstore", b"hstorx")
    altered(store, {"sha256": sha256(store.objects[key]).hexdigest()})
    port, before = Endpoint.from_url(filled).port, contents(filled)
    with as_if_it_were_16(port) as old, pytest.raises(RestoreFailed, match="hstorx"):
        restore(filled.replace(f":{port}/", f":{old}/"), store, request(record))
    assert contents(filled) == before


def test_beside_restores_and_swaps_nothing(filled: str, admin: Admin) -> None:
    store, before = Memory(), contents(filled)
    record = dump(filled, store)
    spoil(filled)
    spoilt, name = contents(filled), f"{name_of(filled)}_look"
    restoring = RestoreDump(Endpoint.from_url(filled), store, lambda: 120)
    wanted = request(record)
    assert wanted.snapshot is not None
    restoring.beside(wanted.snapshot, name, "r-look")
    assert contents(filled) == spoilt
    assert contents(filled.replace(name_of(filled), name)) == before
    assert others(admin, filled) == [(name, True)]
    with pytest.raises(RestoreFailed, match="already"):
        restoring.beside(wanted.snapshot, name, "r-again")


# Each works in the database, and fails under the empty search path or in the order of pg_restore.
HARD_TO_RESTORE = {
    "a check whose function reads a table that is filled later": """
        CREATE TABLE zones (id int PRIMARY KEY);
        INSERT INTO zones VALUES (1);
        CREATE FUNCTION known(z int) RETURNS boolean LANGUAGE sql STABLE
            AS 'SELECT EXISTS (SELECT FROM public.zones WHERE id = z)';
        CREATE TABLE addresses (zone int CHECK (known(zone)));
        INSERT INTO addresses VALUES (1);
    """,
    "a generated column whose function names another without its schema": """
        CREATE FUNCTION base(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)';
        CREATE FUNCTION slug(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE
            AS 'BEGIN RETURN base(t); END';
        CREATE TABLE pages (title text, slug text GENERATED ALWAYS AS (slug(title)) STORED);
        INSERT INTO pages VALUES ('Home');
    """,
    "a generated column that the server inlines when the table is made": """
        CREATE FUNCTION base(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)';
        CREATE FUNCTION slug(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT base(t)';
        CREATE TABLE pages (
            id serial PRIMARY KEY, title text, slug text GENERATED ALWAYS AS (slug(title)) STORED
        );
        INSERT INTO pages (title) VALUES ('Home');
    """,
}


@pytest.mark.parametrize("statements", HARD_TO_RESTORE.values(), ids=HARD_TO_RESTORE)
def test_rows_come_back_although_their_functions_need_a_search_path(
    database: str, admin: Admin, statements: str
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(statements.encode())
    store, before = Memory(), contents(database)
    functions = (
        "SELECT proname, proconfig FROM pg_proc "
        "WHERE pronamespace = 'public'::regnamespace ORDER BY 1"
    )
    with psycopg.connect(database) as connection:
        as_made = connection.execute(functions).fetchall()
    record = dump(database, store)
    assert restore(database, store, request(record)).state is RestoreState.RESTORED
    assert contents(database) == before
    with psycopg.connect(database) as connection:
        assert connection.execute(functions).fetchall() == as_made
    for name, _ in others(admin, database):
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_an_index_that_cannot_be_made_is_reported_and_the_rows_are_restored(
    database: str, admin: Admin
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            b"CREATE TABLE words (word text); INSERT INTO words VALUES ('a'); "
            b"CREATE FUNCTION low(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE "
            b"AS 'BEGIN RETURN lower(t); END'; CREATE INDEX words_low ON words (low(word)); "
            b"CREATE OR REPLACE FUNCTION low(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE "
            b"AS 'BEGIN RAISE ''not today''; END'"
        )
    store = Memory()
    record = dump(database, store)
    progress = restore(database, store, request(record))
    assert progress.state is RestoreState.RESTORED
    assert "not made" in progress.detail
    assert "words_low" in progress.detail
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT word FROM words").fetchall() == [("a",)]
    # The next call of the same run still says so.
    assert restore(database, store, request(record)).detail == progress.detail
    for name, _ in others(admin, database):
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


# Two rows that a constraint would not let in, because its function is another one now.
BROKEN = """
CREATE TABLE words (word text CHECK (word <> ''));
CREATE FUNCTION low(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN t; END';
CREATE TABLE pairs (word text, EXCLUDE USING btree (low(word) WITH =));
INSERT INTO pairs VALUES ('a'), ('A');
CREATE OR REPLACE FUNCTION low(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE
    AS 'BEGIN RETURN lower(t); END';
"""


@pytest.fixture
def fillings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The databases into which the rows of a dump were restored."""
    found, rows = list[str](), Filling.rows

    def counted(filling: Filling) -> list[str]:
        found.append(filling._endpoint.name)
        return rows(filling)

    monkeypatch.setattr(Filling, "rows", counted)
    return found


def test_a_filled_database_is_kept_where_a_constraint_fails_and_continued_without_its_cause(
    database: str, admin: Admin, fillings: list[str]
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(BROKEN.encode())
    store, before = Memory(), contents(database)
    record = dump(database, store)
    filled_one = Names.of(name_of(database), RUN).successor
    for _ in range(2):
        with pytest.raises(RestoreFailed, match=f'all rows are in "{filled_one}", but not'):
            restore(database, store, request(record))
        assert untouched(database, before)
        assert others(admin, database) == [(filled_one, True)]
    with psycopg.connect(database.replace(name_of(database), filled_one)) as connection:
        connection.execute("DELETE FROM pairs WHERE word = 'A'")
    assert restore(database, store, request(record)).state is RestoreState.RESTORED
    assert fillings == [filled_one]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT word FROM pairs").fetchall() == [("a",)]
        found = connection.execute("SELECT conname FROM pg_constraint WHERE contype = 'x'")
        assert found.fetchall() == [("pairs_low_excl",)]
    for name, _ in others(admin, database):
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_a_pg_restore_that_is_killed_among_the_indexes_takes_no_rows_with_it(
    filled: str, admin: Admin, fillings: list[str]
) -> None:
    """An index over a function that ends its own session, while a certain role exists."""
    with psycopg.connect(filled) as connection:
        connection.execute(
            b"CREATE FUNCTION ends(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN "
            b"IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'r_kill') THEN "
            b"PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid()); END IF; "
            b"RETURN t; END $$; CREATE INDEX by_name ON customers (ends(name))"
        )
    store, before = Memory(), contents(filled)
    record = dump(filled, store)
    admin.execute("CREATE ROLE r_kill")
    try:
        with pytest.raises(DatabaseUnreachable):
            restore(filled, store, request(record))
    finally:
        admin.execute("DROP ROLE r_kill")
    assert untouched(filled, before)
    assert restore(filled, store, request(record)).state is RestoreState.RESTORED
    assert contents(filled) == before
    assert len(fillings) == 1


def test_a_database_whose_writes_were_frozen_is_restored_and_remains_frozen(
    database: str, admin: Admin
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE words AS SELECT 'a' AS word")
    store = Memory()
    record = dump(database, store)
    frozen = f"ALTER DATABASE {name_of(database)} SET default_transaction_read_only = on"
    admin.execute(frozen.encode())
    assert restore(database, store, request(record)).state is RestoreState.RESTORED
    with psycopg.connect(database) as connection:
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
        assert connection.execute("SELECT word FROM words").fetchall() == [("a",)]
    for name, _ in others(admin, database):
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


class Rotating(Memory):
    """A store, and the password of the role r_login, which changes when the rows are there."""

    def __init__(self, admin: Admin) -> None:
        super().__init__()
        self.admin, self.password = admin, "one"

    def rotate(self) -> None:
        self.password = "two"
        self.admin.execute("ALTER ROLE r_login PASSWORD 'two'")


@pytest.fixture
def rotating(admin: Admin, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rotating]:
    """The role owns the database."""
    admin.execute("CREATE ROLE r_login LOGIN CREATEDB PASSWORD 'one'")
    admin.execute(f"ALTER DATABASE {name_of(database)} OWNER TO r_login".encode())
    rotating, rest = Rotating(admin), Filling.rest

    def after_a_rotation(filling: Filling) -> list[str]:
        rotating.rotate()
        return rest(filling)

    monkeypatch.setattr(Filling, "rest", after_a_rotation)
    # How long a rotation takes is AWS's matter.
    monkeypatch.setattr("turnback.recovery.endpoint.LOGIN_PAUSES_S", (0.0,) * 4)
    yield rotating
    admin.execute(f"ALTER DATABASE {name_of(database)} OWNER TO postgres".encode())
    for name, _ in others(admin, database):
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
    with psycopg.connect(database) as connection:
        connection.execute("DROP OWNED BY r_login")
    admin.execute("DROP ROLE r_login")


def owned(database: str, rotating: Rotating) -> Endpoint:
    """The database by the login of that role, with a table in it."""
    found = replace(Endpoint.from_url(database), user="r_login", password="one")
    with psycopg.connect(found.conninfo()) as connection:
        connection.execute("CREATE SCHEMA mine CREATE TABLE t (n int PRIMARY KEY)")
        connection.execute("INSERT INTO mine.t SELECT generate_series(1, 100)")
    DumpSnapshots(found, rotating, lambda: 60).record("orders", RUN, {"run": RUN})
    return found


def test_a_login_that_is_renewed_in_the_middle_does_not_stop_a_restore(
    database: str, rotating: Rotating
) -> None:
    fixed = owned(database, rotating)
    [key] = [key for key in rotating.objects if key.endswith(".dump")]
    record = read_record(rotating, key)
    assert record is not None
    renewing = replace(fixed, login=lambda _: ("r_login", rotating.password))
    progress = RestoreDump(renewing, rotating, lambda: 120).advance(request(record))
    assert progress.state is RestoreState.RESTORED


def test_a_login_that_is_being_rotated_is_asked_for_again_for_some_seconds(
    database: str, rotating: Rotating
) -> None:
    """The secret has the old password for a while."""
    fixed, given = owned(database, rotating), itertools.cycle(["three"] * 4 + ["one"])
    stale = replace(fixed, login=lambda _: ("r_login", next(given)))
    stale.open("turnback test").close()
    with pytest.raises(DatabaseRefused):
        replace(stale, login=lambda _: ("r_login", "three")).open("turnback test")
    with pytest.raises(DatabaseRefused):
        replace(fixed, password="three").open("turnback test")


def test_a_program_whose_login_was_rotated_at_its_start_is_run_once_more(
    database: str, rotating: Rotating
) -> None:
    """pg_dump and each pass of pg_restore get the old password, the sessions the new one."""
    owned(database, rotating)
    asked: list[str] = []

    def login(_: Endpoint) -> tuple[str, str]:
        # Only a program asks for a login by ``renewed`` alone.
        caller = inspect.stack()[2].function
        asked.append(caller)
        stale = caller in ("_dump", "run") and asked.count(caller) % 2 == 1
        return "r_login", "three" if stale else rotating.password

    renewing = replace(Endpoint.from_url(database), user="r_login", password="", login=login)
    snapshots = DumpSnapshots(renewing, rotating, lambda: 60)
    record = snapshots.record("orders", "r-2", {"run": "r-2"})
    assert asked.count("_dump") == 2
    progress = RestoreDump(renewing, rotating, lambda: 120).advance(request(record))
    assert progress.state is RestoreState.RESTORED
    assert asked.count("run") >= 6
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM mine.t").fetchone() == (100,)


def test_a_database_with_all_its_rows_is_continued_after_its_connection_was_lost(
    database: str, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of the last pass, so that all of it is there already and is made anew."""
    with psycopg.connect(database) as connection:
        connection.execute(EVERYTHING.encode())
    before, store, run = contents(database), Memory(), Passes.run
    record = dump(database, store)
    oid = "SELECT oid FROM pg_database WHERE datname = %s"
    name = Names.of(name_of(database), RUN).successor

    def cut(passes: Passes, *options: str, **more: Any) -> Any:
        found = run(passes, *options, **more)
        if "--section=post-data" in options:
            raise DatabaseUnreachable("the connection of pg_restore was lost")
        return found

    with monkeypatch.context() as only_here:
        only_here.setattr(Passes, "run", cut)
        with pytest.raises(DatabaseUnreachable):
            restore(database, store, request(record))
    made = admin.execute(oid, [name]).fetchone()
    assert made is not None
    assert restore(database, store, request(record)).state is RestoreState.RESTORED
    assert admin.execute(oid, [name_of(database)]).fetchone() == made
    assert contents(database) == before
    for other, _ in others(admin, database):
        admin.execute(f'DROP DATABASE "{other}" WITH (FORCE)'.encode())


def test_a_database_with_all_its_rows_is_kept_when_a_login_is_refused(
    database: str, admin: Admin, rotating: Rotating
) -> None:
    fixed = owned(database, rotating)
    [key] = [key for key in rotating.objects if key.endswith(".dump")]
    record = read_record(rotating, key)
    assert record is not None
    oid = "SELECT oid FROM pg_database WHERE datname = %s"
    name = Names.of(name_of(database), RUN).successor
    with pytest.raises(DatabaseRefused):
        RestoreDump(fixed, rotating, lambda: 120).advance(request(record))
    made = admin.execute(oid, [name]).fetchone()
    assert made is not None

    again = replace(fixed, password="two")
    progress = RestoreDump(again, rotating, lambda: 120).advance(request(record))
    assert progress.state is RestoreState.RESTORED
    assert admin.execute(oid, [name_of(database)]).fetchone() == made
    with psycopg.connect(again.conninfo()) as connection:
        assert connection.execute("SELECT count(*) FROM mine.t").fetchone() == (100,)
        keys = "SELECT count(*) FROM pg_index WHERE indrelid = 'mine.t'::regclass"
        assert connection.execute(keys).fetchone() == (1,)
