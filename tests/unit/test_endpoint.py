"""A database's address, in the forms that libpq takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from turnback.errors import ConfigurationError
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import Place
from turnback.settings import DatabaseSettings

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


@pytest.mark.parametrize(
    ("name", "hint"),
    [("host", "DatabaseHost"), ("dbname", "DatabaseName"), ("password", "add it to the secret")],
)
def test_a_missing_field_is_one_of_the_stack_or_of_the_secret(name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        endpoint({**SECRET, name: ""})
    assert hint in str(caught.value.hint)


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="port"):
        endpoint({**SECRET, "port": "54x"})


SETTINGS = DatabaseSettings(
    secret_arn="",
    host="db.example.com",
    port=5432,
    user="release",
    name="orders",
    tls="verify-full",
    history_schema="public",
    runner_wait_seconds=60,
)


def of_settings(settings: DatabaseSettings, place: Place | None = None) -> Endpoint:
    return Endpoint.of_settings(
        settings,
        "/certificates.pem",
        secret=lambda arn: SECRET | {"password": f"of {arn}"},
        token=lambda host, port, user: f"token of {user} at {host}:{port}",
        place=place,
    )


def test_without_a_secret_the_password_is_a_token_of_the_host_that_is_reached() -> None:
    found = of_settings(SETTINGS).renewed()
    assert found.password == "token of release at db.example.com:5432"
    restored = of_settings(SETTINGS, Place(host="restored.example.com")).renewed()
    assert restored.password == "token of release at restored.example.com:5432"
    assert (restored.host, restored.name) == ("restored.example.com", "orders")


def test_a_restored_database_is_reached_with_the_login_of_the_secret() -> None:
    found = of_settings(
        replace(SETTINGS, secret_arn="arn:x"), Place(host="restored.example.com", port=5439)
    )
    assert found.password == "of arn:x"
    assert (found.host, found.port, found.user) == ("restored.example.com", 5439, "o'brien")


def test_each_connection_after_the_first_asks_for_the_login_of_its_time() -> None:
    asked: list[str] = []

    def secret(arn: str) -> dict[str, object]:
        asked.append(arn)
        return SECRET | {"username": f"user{len(asked)}", "password": f"secret{len(asked)}"}

    found = Endpoint.of_settings(
        replace(SETTINGS, secret_arn="arn:x"),
        "/certificates.pem",
        secret=secret,
        token=lambda *_: pytest.fail("there is a secret"),
    )
    assert "user='user1' password='secret1'" in found.conninfo()
    assert asked == ["arn:x"]
    assert "user='user2' password='secret2'" in found.conninfo()
    other = replace(found, name="postgres").environment()
    assert (other["PGUSER"], other["PGPASSWORD"]) == ("user3", "secret3")
    assert found.host in found.address
    assert len(asked) == 3
    assert "secret" not in repr(found)


def test_a_token_is_made_anew_for_the_host_of_each_connection() -> None:
    made: list[str] = []

    def token(host: str, port: int, user: str) -> str:
        made.append(f"{user}@{host}:{port}")
        return f"token{len(made)}"

    found = Endpoint.of_settings(SETTINGS, "/certificates.pem", secret=lambda _: {}, token=token)
    # A person may think about a question for longer than a token is good for.
    assert found.address == "db.example.com:5432/orders"
    assert made == []
    assert "password='token1'" in found.conninfo()
    assert "password='token2'" in found.at(Place(host="restored.example.com")).conninfo()
    assert made == ["release@db.example.com:5432", "release@restored.example.com:5432"]
