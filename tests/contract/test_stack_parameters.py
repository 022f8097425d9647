"""What commands read of a stack: its parameters, under the names that its functions get them by."""

from __future__ import annotations

from pathlib import Path

import pytest
from turnback.aws.cloudformation import Stack
from turnback.cli.recovery import StackDatabase
from turnback.local.deploy import read_template
from turnback.settings import DatabaseSettings, SnapshotSettings
from turnback.settings.recovery import RestoreSettings

TEMPLATE = read_template(Path(__file__).parents[2] / "template.yaml")
# Read by the settings of the database, of snapshots and of restores.
READ = {
    *("SNAPSHOT_KIND", "DB_INSTANCE_IDENTIFIER", "DB_CLUSTER_IDENTIFIER", "SNAPSHOT_POLL_SECONDS"),
    *("SNAPSHOT_ENCRYPTION_REQUIRED", "ENVIRONMENT", "RESTORE_POLL_SECONDS", "HISTORY_SCHEMA"),
    *("DATABASE_SECRET_ARN", "DATABASE_HOST", "DATABASE_PORT", "DATABASE_NAME", "DATABASE_USER"),
    "DATABASE_TLS",
}


def variables() -> dict[str, str]:
    """The variables of the functions that are a parameter: name → parameter."""
    found = {}
    functions = [
        resource["Properties"]
        for resource in TEMPLATE["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    for holder in [TEMPLATE.get("Globals", {}).get("Function", {}), *functions]:
        for name, value in holder.get("Environment", {}).get("Variables", {}).items():
            if isinstance(value, dict) and value.get("Ref") in TEMPLATE["Parameters"]:
                found[name] = value["Ref"]
    return found


@pytest.mark.parametrize("name", sorted(READ))
def test_a_parameter_has_the_name_of_the_functions_variable(name: str) -> None:
    parameter = variables()[name]
    stack = Stack("s", "r", "b", "m", "t", "main", "", "", {parameter: "the value"})
    assert StackDatabase(stack)._environment == {name: "the value"}


def test_a_stack_of_the_templates_defaults_can_be_read() -> None:
    defaults = {
        name: str(parameter["Default"])
        for name, parameter in TEMPLATE["Parameters"].items()
        if "Default" in parameter
    }
    stack = Stack("s", "r", "b", "m", "t", "main", "", "", defaults)
    database = StackDatabase(stack)
    environment = database._environment | {"DATABASE_SECRET_ARN": "arn:x"}
    assert isinstance(database.settings, SnapshotSettings)
    assert isinstance(database.restore_settings, RestoreSettings)
    assert isinstance(DatabaseSettings.read(environment), DatabaseSettings)
    assert database.kind == database.settings.kind
