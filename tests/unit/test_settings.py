"""Settings: typed, with an error that names the variable."""

from __future__ import annotations

import pytest
from turnback.errors import ConfigurationError
from turnback.settings import DatabaseSettings, Policy, SnapshotSettings, text


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigurationError, match="TOPIC_ARN") as caught:
        text({"TOPIC_ARN": " "}, "TOPIC_ARN")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("environment", "demands"),
    [
        ({}, False),
        ({"ENVIRONMENT": "development"}, False),
        ({"ENVIRONMENT": "staging"}, True),
        ({"ENVIRONMENT": "production"}, True),
        ({"ENVIRONMENT": "production", "SNAPSHOT_REQUIRED": "by-environment"}, True),
    ],
)
def test_an_environment_decides_what_is_demanded(
    environment: dict[str, str], demands: bool
) -> None:
    policy = Policy.read(environment)
    assert (policy.snapshot_required, policy.rollback_required) == (demands, demands)


def test_each_rule_can_be_set_alone() -> None:
    policy = Policy.read({"ENVIRONMENT": "production", "SNAPSHOT_REQUIRED": "no"})
    assert (policy.snapshot_required, policy.rollback_required) == (False, True)
    policy = Policy.read({"ENVIRONMENT": "development", "ROLLBACK_REQUIRED": "yes"})
    assert (policy.snapshot_required, policy.rollback_required) == (False, True)


def test_no_snapshot_is_refused_only_where_one_is_demanded() -> None:
    Policy.read({"ENVIRONMENT": "development"}).check_snapshot_kind("none")
    Policy.read({"ENVIRONMENT": "production"}).check_snapshot_kind("dump")
    with pytest.raises(ConfigurationError, match="production demands a snapshot"):
        Policy.read({"ENVIRONMENT": "production"}).check_snapshot_kind("none")


@pytest.mark.parametrize(
    ("name", "value"),
    [("ENVIRONMENT", "prod"), ("SNAPSHOT_REQUIRED", "true"), ("ROLLBACK_REQUIRED", "0")],
)
def test_a_word_that_is_not_known_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is '{value}'"):
        Policy.read({name: value})


def test_with_a_secret_nothing_else_is_needed() -> None:
    settings = DatabaseSettings.read({"DATABASE_SECRET_ARN": "arn:x"})
    assert (settings.secret_arn, settings.tls, settings.history_schema) == (
        "arn:x",
        "verify-full",
        "",
    )


@pytest.mark.parametrize("name", ["DATABASE_HOST", "DATABASE_USER", "DATABASE_NAME"])
def test_without_a_secret_the_database_has_to_be_named(name: str) -> None:
    whole = {"DATABASE_HOST": "h", "DATABASE_USER": "u", "DATABASE_NAME": "n"}
    DatabaseSettings.read(whole)
    with pytest.raises(ConfigurationError, match=name):
        DatabaseSettings.read({**whole, name: ""})


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "٣"])
def test_a_number_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="SNAPSHOT_POLL_SECONDS"):
        SnapshotSettings.read({"SNAPSHOT_POLL_SECONDS": value})


@pytest.mark.parametrize(
    ("kind", "name"), [("rds", "DB_INSTANCE_IDENTIFIER"), ("aurora", "DB_CLUSTER_IDENTIFIER")]
)
def test_a_snapshot_by_aws_needs_to_know_of_what(kind: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        SnapshotSettings.read({"SNAPSHOT_KIND": kind})


@pytest.mark.parametrize(
    ("environment", "rehearse", "required"),
    [
        ("development", "", False),
        ("development", "always", True),
        ("staging", "auto", True),
        ("production", "", True),
        ("production", "never", False),
    ],
)
def test_staging_and_production_demand_a_proof_unless_configured_otherwise(
    environment: str, rehearse: str, required: bool
) -> None:
    policy = Policy.read({"ENVIRONMENT": environment, "REHEARSE": rehearse})
    assert policy.proof_required is required
