"""Addresses of databases: no part of a password is shown, or sent to a name server."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict
from turnback.cli.main import cli
from turnback.cli.output import SettingsError
from turnback.engine.session.connection import connect, describe, read_address
from turnback.engine.session.databases import split_password
from turnback.engine.session.events import Options
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
