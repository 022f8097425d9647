"""Addresses of databases: no part of a password is shown, or sent to a name server."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict
from turnback.cli.main import cli
from turnback.cli.output import SettingsError
from turnback.engine.session.connection import connect, describe, read_address
from turnback.engine.session.databases import split_password
from turnback.engine.session.events import Options
from turnback.engine.session.prisma_address import translated
from turnback.errors import ConfigurationError
from turnback.recovery.endpoint import Endpoint

# In each, the password has the parts "s3cret" and "t0ken", and a character that ends it too early.
MISREAD = [
    "postgresql://app:s3cret+t0ken/e4=@127.0.0.1:5618/db",
    "postgresql://app:s3cret@t0ken@127.0.0.1:5618/db",
    "postgresql://app:s3cret@t0ken/x@127.0.0.1:5618/db",
    "postgresql://app:5618/s3cret-t0ken@127.0.0.1/db",
    "postgresql://app:s3cret?t0ken/x@127.0.0.1:5618/db",
    "postgresql://app:s3cret@?t0ken@127.0.0.1:5618/db",
    "postgresql://app:s3cret@[t0ken@127.0.0.1:5618/db",
    "postgresql://app:s3cret%t0ken@127.0.0.1:5618/db",
    "postgres://app@example.org:s3cret-t0ken@127.0.0.1:5618/db",
    "host=app:s3cret-t0ken@127.0.0.1 dbname=db",
    "host=127.0.0.1 port=s3cret-t0ken dbname=db",
    "host=127.0.0.1 password=s3cret t0ken dbname=db",
    "host=127.0.0.1 dbname=postgresql://app:s3cret-t0ken@127.0.0.1/db",
    "app:s3cret-t0ken://x@127.0.0.1/db",
]
POOLED = "postgresql://app:s3cret@pooler:6543/orders?pgbouncer=true"
DIRECT = "postgresql://app:s3cret@direct:5432/orders"


@pytest.mark.parametrize("address", MISREAD)
@pytest.mark.parametrize(
    "command",
    [["up"], ["status"], ["db", "wait"], ["db", "drop", "--yes"], ["db", "create"], ["config"]],
)
def test_no_part_of_a_password_that_is_not_encoded_is_printed(
    address: str, command: list[str]
) -> None:
    done = CliRunner().invoke(
        cli, [*command, "--json", "--database-url", address], standalone_mode=False
    )
    assert "s3cret" not in done.output and "t0ken" not in done.output
    assert isinstance(done.exception, SettingsError) and done.exception.exit_code == 2
    assert "s3cret" not in str(done.exception) and "t0ken" not in str(done.exception)
    assert "percent-encode the password" in str(done.exception.error.hint)


@pytest.mark.parametrize("address", MISREAD)
def test_such_an_address_is_refused_wherever_it_is_read(address: str) -> None:
    for read in (
        read_address,
        split_password,
        Endpoint.from_url,
        lambda url: connect(url, application_name="test", options=Options()),
    ):
        with pytest.raises(ConfigurationError) as caught:
            read(address)
        assert "s3cret" not in f"{caught.value} {caught.value.__cause__}"
    assert describe(address) == "?"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://app:a%2Fb%40c%3Fd@db.example.org:5433/orders", "db.example.org:5433/orders"),
        ("postgresql://s3cret@localhost", "localhost:5432/"),
        ("postgresql://app:pa?ss@localhost/orders?sslmode=require", "localhost:5432/orders"),
        ("postgresql://h/orders?user=app@server", "h:5432/orders"),
        ("postgresql://a:1,b:2/orders", "a,b:1,2/orders"),
        ("postgresql:///orders?host=/run/of@me", "local socket/orders"),
        ("host=localhost password='a://b/c@d' dbname=orders", "localhost:5432/orders"),
        ("postgresql://[::1]:5433/a%40b", "::1:5433/a@b"),
    ],
)
def test_an_address_that_is_right_is_read_as_libpq_reads_it(address: str, shown: str) -> None:
    assert read_address(address) == conninfo_to_dict(address)
    assert describe(address) == shown


@pytest.mark.parametrize(
    ("parameters", "read", "named"),
    [
        ("schema=public&sslmode=require", {"sslmode": "require"}, []),
        ("schema=shop", {"options": '-csearch_path="shop"'}, []),
        (
            "options=-c%20geqo%3Doff&schema=My%20Shop",
            {"options": '-c geqo=off -csearch_path="My\\ Shop"'},
            [],
        ),
        (
            "connection_limit=5&pool_timeout=10&application_name=a+b&connect_timeout=7",
            {"application_name": "a+b", "connect_timeout": "7"},
            ["connection_limit, pool_timeout: left out"],
        ),
        ("pgbouncer=true", {}, ["DIRECT_URL"]),
        ("pgbouncer=false&socket_timeout=5", {}, ["statement-timeout"]),
        ("sslaccept=strict", {"sslmode": "verify-full", "sslrootcert": "system"}, []),
        (
            "sslmode=require&sslcert=/ca.pem&sslaccept=strict",
            {"sslmode": "verify-full", "sslrootcert": "/ca.pem"},
            [],
        ),
        (
            "sslmode=require&sslcert=ca.pem&sslaccept=accept_invalid_certs",
            {"sslmode": "require", "sslrootcert": "prisma/ca.pem"},
            [],
        ),
        # The words of libpq, where none is Prisma's.
        ("sslcert=/me.pem&sslkey=/me.key", {"sslcert": "/me.pem", "sslkey": "/me.key"}, []),
    ],
)
def test_parameters_of_prisma_are_translated_for_libpq_or_named(
    parameters: str,
    read: dict[str, str],
    named: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prisma").mkdir()
    (tmp_path / "prisma/ca.pem").touch()
    found = translated(f"postgresql://app:a%2Fb@h:5433/orders?{parameters}")
    # The judge is libpq, which refuses a parameter that it does not know.
    where = {"host": "h", "port": "5433", "dbname": "orders", "user": "app", "password": "a/b"}
    assert conninfo_to_dict(found.address) == {**where, **read}
    assert len(found.remarks) == len(named)
    assert all(word in remark for word, remark in zip(named, found.remarks, strict=True))


def test_an_identity_that_libpq_cannot_read_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError) as caught:
        translated("postgresql://app:s3cret@h/orders?sslidentity=me.p12&sslpassword=t0ken")
    assert "openssl pkcs12" in str(caught.value.hint)
    assert "s3cret" not in str(caught.value) and "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    ("env_file", "variables", "used"),
    [
        ("", {"DATABASE_URL": POOLED, "DIRECT_URL": DIRECT}, "direct:5432/orders"),
        (f"DATABASE_URL={POOLED}\nDIRECT_URL={DIRECT}\n", {}, "direct:5432/orders"),
        # Each may be of another database.
        (f"DIRECT_URL={DIRECT}\n", {"DATABASE_URL": POOLED}, "pooler:6543/orders"),
        ("", {"DIRECT_URL": DIRECT}, "the embedded Postgres in .turnback/"),
    ],
)
def test_the_address_of_the_server_is_preferred_to_that_of_its_pooler(
    env_file: str,
    variables: dict[str, str],
    used: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "DIRECT_URL"):
        # So that what .env sets is removed afterwards.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text(env_file)
    done = CliRunner().invoke(cli, ["config"], standalone_mode=False)
    assert used in done.output
    is_direct = used.startswith("direct")
    assert ("DIRECT_URL is used, and not DATABASE_URL" in done.output) == is_direct
    assert ("(DIRECT_URL" in done.output) == is_direct
