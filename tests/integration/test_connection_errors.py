"""What a user reads when a connection fails: what is wrong, and which setting to change.

The certificates are real, and libpq verifies them; the server behind them is a real one.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from turnback.engine.session import connection
from turnback.engine.session.connect_errors import bundled_libpq
from turnback.engine.session.connection import (
    connect,
    connect_for_own,
    describe,
    describe_session,
    lock_timeout_of,
)
from turnback.engine.session.events import Options
from turnback.errors import (
    DatabaseNotReady,
    DatabaseRefused,
    DatabaseUnreachable,
    TurnbackError,
)
from turnback.recovery.endpoint import Endpoint

from tests.conftest import ProjectFactory
from tests.integration import terminal
from tests.integration.command_line import turnback
from tests.other_servers import postgres
from tests.refusing_server import refuses
from tests.tls_proxy import TlsServer, certificate, demands_tls


def error_of(address: str) -> TurnbackError:
    with pytest.raises(TurnbackError) as caught:
        connect_for_own(address, application_name="test").close()
    assert caught.value.hint
    return caught.value


@pytest.fixture
def tls(database: str, tmp_path: Path) -> Iterator[TlsServer]:
    with demands_tls(Endpoint.from_url(database).port, tmp_path) as server:
        yield server


@pytest.mark.parametrize(
    ("mode", "message", "hint"),
    [
        ("sslmode=disable", "no encryption", "sslmode=require"),
        (
            "sslmode=verify-full sslrootcert={other}",
            "of an authority that is not trusted here",
            "set sslrootcert to the file of the authority that issued it",
        ),
        (
            "sslmode=verify-full sslrootcert={own} host=orders.example.com hostaddr=127.0.0.1",
            "for another host name",
            "connect by a name that is in the certificate",
        ),
        (
            "sslmode=verify-full sslrootcert={folder}/none.pem",
            "the file of the authorities to trust is missing",
            "set sslrootcert to a file that exists",
        ),
        (
            "sslmode=verify-full sslrootcert={garbage}",
            "the file of the authorities to trust cannot be read",
            "in PEM format",
        ),
        (
            "sslmode=require sslcert={own} sslkey={folder}/none.key",
            "the client's TLS certificate cannot be used",
            "correct sslcert and sslkey",
        ),
    ],
)
def test_what_tls_refuses_is_said_as_tls_and_is_not_tried_again(
    mode: str, message: str, hint: str, tls: TlsServer, database: str, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other", "localhost")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate\n")
    places = {"other": other, "own": tls.certificates, "garbage": garbage, "folder": tmp_path}
    found = Endpoint.from_url(database)
    host = "" if "host=" in mode else "host=localhost "
    address = f"{host}port={tls.port} user={found.user} password={found.password} dbname=postgres "
    error = error_of(address + mode.format(**places))
    assert type(error) is DatabaseRefused
    assert message in error.message
    assert hint in (error.hint or "")
    assert "network" not in error.message + (error.hint or "")


@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        ("57P01", DatabaseNotReady, "being shut down"),
        ("57P02", DatabaseNotReady, "has crashed"),
        ("57P03", DatabaseNotReady, "starting, stopping or recovering"),
        ("53300", DatabaseNotReady, "no connection left"),
        ("28P01", DatabaseRefused, "check user and password"),
        ("3D000", DatabaseRefused, "check the database name"),
        ("42501", DatabaseRefused, "GRANT CONNECT"),
        ("28000", DatabaseRefused, "pg_hba.conf"),
        ("42704", DatabaseRefused, "PostgreSQL 14 or later"),
        ("XX000", DatabaseRefused, "check user, password and database name"),
    ],
)
def test_a_refusal_is_understood_by_its_code_in_any_language(
    code: str, kind: type[TurnbackError], hint: str
) -> None:
    with refuses(code, "подключиться нельзя") as port:
        error = error_of(f"host=127.0.0.1 port={port} user=app dbname=orders")
    assert (type(error), error.sqlstate) == (kind, code)
    assert f"127.0.0.1:{port}/orders refuses the connection: ВАЖНО:" in error.message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("orders.cluster-abc.eu-central-1.rds.amazonaws.com", DatabaseNotReady),
        ("orders.example.com", DatabaseRefused),
    ],
)
def test_no_entry_in_pg_hba_conf_passes_on_rds_where_nobody_edits_it(
    host: str, kind: type[TurnbackError], tmp_path: Path
) -> None:
    with refuses("28000", "no pg_hba.conf entry", certificate(tmp_path, host)) as port:
        error = error_of(
            f"host={host} hostaddr=127.0.0.1 port={port} user=app dbname=orders sslmode=require"
        )
        assert type(error) is kind
        # Without TLS it is rds.force_ssl that refuses.
        error = error_of(
            f"host={host} hostaddr=127.0.0.1 port={port} user=app dbname=orders sslmode=disable"
        )
        assert type(error) is DatabaseRefused
        assert "sslmode=require" in (error.hint or "")


def test_a_wrong_password_a_missing_database_and_a_missing_right_are_told_apart(
    database: str, admin: psycopg.Connection
) -> None:
    name, rest = database.rpartition("/")[2], database.partition("@")[2]
    admin.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC".encode())
    admin.execute("CREATE ROLE nobody_knows LOGIN PASSWORD 'right'")
    try:
        wrong = error_of(f"postgresql://nobody_knows:wrong@{rest}")
        assert "check user and password" in (wrong.hint or "")
        missing = error_of(f"postgresql://nobody_knows:right@{rest}_missing")
        assert "check the database name" in (missing.hint or "")
        forbidden = error_of(f"postgresql://nobody_knows:right@{rest}")
        assert "GRANT CONNECT" in (forbidden.hint or "")
        none = error_of(f"postgresql://nobody_knows@{rest}")
        assert "asks for a password, and there is none" in none.message
        assert "PGPASSWORD" in (none.hint or "")
    finally:
        admin.execute("DROP ROLE nobody_knows")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_host_that_does_not_answer_is_a_matter_of_the_network() -> None:
    for place in (f"127.0.0.1:{closed_port()}", "no-such-host.invalid:5432"):
        error = error_of(f"postgresql://app:pw@{place}/orders")
        assert type(error) is DatabaseUnreachable
        assert f"{place}/orders does not answer" in error.message
        assert "check host and port" in (error.hint or "")


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("sslmode=bogus", 'sslmode value: "bogus"'),
        ("channel_binding=maybe", 'channel_binding value: "maybe"'),
        ("target_session_attrs=best", 'target_session_attrs value: "best"'),
        ("sslrootcert=system&sslmode=prefer", "sslmode"),
    ],
)
def test_a_setting_of_the_address_that_cannot_be_used_is_named(
    setting: str, named: str, database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory({"sql/0001_a.sql": "SELECT 1;\n"})
    answer = turnback("status", url=f"{database}?{setting}", folder=folder)
    assert answer.code == 2
    assert named in answer.err
    assert "correct it in the address" in answer.err


@pytest.mark.parametrize("address", ["garbage", "host", "postgres:/localhost/app", "5432"])
def test_what_is_no_address_is_said_with_the_form_of_one(
    address: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory({"sql/0001_a.sql": "SELECT 1;\n"})
    answer = turnback("status", url=address, folder=folder)
    assert answer.code == 2
    assert "the form is postgresql://user:password@host:5432/database" in answer.err
    assert "percent-encode" not in answer.err


@pytest.mark.parametrize("schema", ["pg_catalog", "information_schema", "pg_toast", "pg_mine"])
def test_a_schema_of_the_server_is_no_place_for_the_history(
    schema: str, database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory({"sql/0001_a.sql": "SELECT 1;\n"})
    answer = turnback(
        "up", "--allow-missing-rollback", "--history-schema", schema, url=database, folder=folder
    )
    assert answer.code == 2
    assert re.search(f"{schema}.* belongs to PostgreSQL", answer.err)
    assert "--history-schema turnback" in answer.err


def test_the_codes_come_from_the_libpq_that_psycopg_has_loaded() -> None:
    found = bundled_libpq()
    maps = Path("/proc/self/maps")
    assert found
    # The judge of which file is loaded is the system; macOS has no such file.
    assert not maps.exists() or str(found) in maps.read_text()


@pytest.mark.slow
def test_a_server_older_than_postgresql_14_is_refused() -> None:
    with postgres(13) as base:
        answer = turnback("health", url=f"{base}/postgres")
    assert answer.code == 5
    assert "turnback needs PostgreSQL 14 or later" in answer.err


def test_a_server_newer_than_those_that_are_supported_is_used_with_a_warning(
    database: str, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As PostgreSQL 18 was, before it was tested; there is no 19 yet.
    monkeypatch.setattr(connection, "NEWEST_MAJOR", 17)
    folder = project_factory({"sql/0001_t.sql": "CREATE TABLE t ();\n"})
    answer = terminal.turnback("status", "--database-url", database, "--dir", folder)
    assert answer.code == 0
    assert "warning: the server is PostgreSQL 18" in answer.err
    assert "tested with 14 to 17" in answer.err


def test_a_session_is_described_where_the_user_has_no_home(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    with connect(database, application_name="test", options=Options()) as session:
        monkeypatch.setattr(Path, "home", nowhere)
        assert describe_session(session) == describe(database)
        assert lock_timeout_of(session) >= 0
