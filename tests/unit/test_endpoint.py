"""A database's address, in the forms that libpq takes."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from turnback.errors import ConfigurationError
from turnback.recovery.endpoint import Endpoint

SECRET: dict[str, Any] = {
    "engine": "postgres",
    "host": "db.example.com",
    "port": 5433,
    "username": "o'brien",
    "password": 'a b\\c\'d="e" sslmode=disable',
    "dbname": "orders",
}


def endpoint(secret: dict[str, Any], tls: str = "verify-full", **instead: Any) -> Endpoint:
    return Endpoint.from_secret(secret, instead, tls, "/certificates.pem")


def test_the_connection_string_says_what_the_secret_says() -> None:
    assert conninfo_to_dict(endpoint(SECRET).conninfo()) == {
        "host": "db.example.com",
        "port": "5433",
        "user": "o'brien",
        "password": SECRET["password"],
        "dbname": "orders",
        "sslmode": "verify-full",
        "sslrootcert": "/certificates.pem",
    }


def test_programs_get_it_as_variables() -> None:
    assert endpoint(SECRET, tls="disable").environment() == {
        "PGHOST": "db.example.com",
        "PGPORT": "5433",
        "PGUSER": "o'brien",
        "PGPASSWORD": SECRET["password"],
        "PGDATABASE": "orders",
        "PGSSLMODE": "disable",
    }


def test_the_password_is_in_no_representation() -> None:
    assert SECRET["password"] not in repr(endpoint(SECRET))


def test_what_a_secret_managed_by_rds_leaves_out_comes_from_the_parameters() -> None:
    managed = {"username": "postgres", "password": "p"}
    found = endpoint(managed, host="writer.example.com", port=5432, dbname="orders", username="")
    assert (found.host, found.port, found.user, found.name) == (
        "writer.example.com",
        5432,
        "postgres",
        "orders",
    )


def test_without_a_port_it_is_the_usual_one() -> None:
    assert endpoint({**SECRET, "port": None}).port == 5432


@pytest.mark.parametrize("name", ["host", "username", "password", "dbname"])
def test_a_missing_field_is_named_and_nothing_is_repeated(name: str) -> None:
    with pytest.raises(ConfigurationError, match=repr(name)) as caught:
        endpoint({**SECRET, name: ""})
    assert SECRET["password"] not in str(caught.value)


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="port"):
        endpoint({**SECRET, "port": "54x"})
