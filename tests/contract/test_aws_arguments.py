"""What RDS is asked for, where everything that RDS can say of a database is set.

No local AWS fills each field of a description, and each is an argument of the restore. The row is
made from botocore's model of the answer; botocore validates the request by its model of the call:
the names, the types, what is required, and the enumerations that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ParamValidationError
from botocore.model import Shape
from turnback.aws.rds_clusters import Clusters
from turnback.aws.rds_instances import Instances
from turnback.aws.rds_snapshots import ClusterSnapshots, InstanceSnapshots

MOMENT = datetime(2026, 11, 30, tzinfo=UTC)
DESCRIBED = {
    "DescribeDBInstances": "DBInstances",
    "DescribeDBClusters": "DBClusters",
    "DescribeDBSnapshots": "DBSnapshots",
    "DescribeDBClusterSnapshots": "DBClusterSnapshots",
}
# What the code looks for in a row, as RDS has it.
VALUES = {"StorageType": "gp3", "AllocatedStorage": 500, "MaxAllocatedStorage": 900}


def full(shape: Shape, name: str = "") -> Any:
    """A value of this shape, with every member of it set."""
    if name in VALUES:
        return VALUES[name]
    if shape.type_name == "structure":
        return {key: full(member, key) for key, member in shape.members.items()}  # type: ignore[attr-defined]
    if shape.type_name == "list":
        return [full(shape.member, name)]  # type: ignore[attr-defined]
    if shape.type_name == "map":
        return {"a": full(shape.value)}  # type: ignore[attr-defined]
    enumerated: list[str] = getattr(shape, "enum", [])
    simple: dict[str, Any] = {
        "string": enumerated[0] if enumerated else f"a-{name.lower()}",
        "boolean": True,
        "timestamp": MOMENT,
        "double": 0.5,
        "float": 0.5,
    }
    return simple.get(shape.type_name, 7)


class Rds:
    """boto3's client, whose requests are validated, and answered before they are sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.client = boto3.client(
            "rds", "eu-central-1", aws_access_key_id="none", aws_secret_access_key="none"
        )
        self.client.meta.events.register("provide-client-params.rds", self._note)
        self.client.meta.events.register("before-call.rds", self._answer)

    def _note(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        self.asked.append((model.name, dict(params)))

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        answer: dict[str, Any] = {}
        if rows := DESCRIBED.get(model.name):
            answer[rows] = [full(model.output_shape.members[rows].member)]
            if model.name == "DescribeDBInstances" and self.restored:
                answer[rows] = [{"DBInstanceIdentifier": "new", "DBInstanceArn": "arn:aws:rds:new"}]
            if model.name == "DescribeDBClusters" and self.restored:
                answer[rows] = [{"DBClusterIdentifier": "new", "DBClusterArn": "arn:aws:rds:new"}]
            # Only the first look of finish() is at the new one.
            self.restored = False
        return SimpleNamespace(status_code=200), answer

    restored = False

    def arguments(self, operation: str) -> dict[str, Any]:
        [found] = [params for name, params in self.asked if name == operation]
        return found


@pytest.fixture
def rds() -> Iterator[Rds]:
    yield Rds()


TAGS = {"turnback-run": "r-1"}
RESTORES: dict[str, Callable[[Any], Any]] = {
    "RestoreDBInstanceFromDBSnapshot": lambda c: Instances(rds=c).restore_snapshot(
        "new", "old", "snapshot", TAGS
    ),
    "RestoreDBInstanceToPointInTime": lambda c: Instances(rds=c).restore_time(
        "new", "old", MOMENT, TAGS
    ),
    "RestoreDBClusterFromSnapshot": lambda c: Clusters(rds=c).restore_snapshot(
        "new", "old", "snapshot", TAGS
    ),
    "RestoreDBClusterToPointInTime": lambda c: Clusters(rds=c).restore_time(
        "new", "old", MOMENT, TAGS
    ),
    "CreateDBInstance": lambda c: Clusters(rds=c).add_member("new", "cluster", "old", TAGS),
    "CreateDBSnapshot": lambda c: InstanceSnapshots("old", rds=c).create("turnback-1", TAGS),
    "CreateDBClusterSnapshot": lambda c: ClusterSnapshots("old", rds=c).create("turnback-1", TAGS),
    "DeleteDBSnapshot": lambda c: InstanceSnapshots("old", rds=c).delete("turnback-1"),
    "DeleteDBClusterSnapshot": lambda c: ClusterSnapshots("old", rds=c).delete("turnback-1"),
}


@pytest.mark.parametrize("operation", RESTORES)
def test_rds_knows_every_argument_of(operation: str, rds: Rds) -> None:
    RESTORES[operation](rds.client)
    given = rds.arguments(operation)
    assert None not in given.values()


@pytest.mark.parametrize("kind", [Instances, Clusters])
def test_rds_knows_every_setting_that_is_given_afterwards(
    kind: type[Instances | Clusters], rds: Rds
) -> None:
    rds.restored = True
    assert kind(rds=rds.client).finish("new", "old")
    noun = kind.names.prefix
    settings = rds.arguments(f"Modify{noun}")
    assert {"BackupRetentionPeriod", "PreferredBackupWindow"} <= set(settings)
    assert rds.arguments("AddTagsToResource")["ResourceName"] == "arn:aws:rds:new"


@pytest.mark.parametrize("kind", [Instances, Clusters])
def test_rds_knows_every_argument_of_a_rename(kind: type[Instances | Clusters], rds: Rds) -> None:
    kind(rds=rds.client).rename("old", "older")
    assert rds.arguments(f"Modify{kind.names.prefix}")["ApplyImmediately"] is True


def test_an_argument_that_rds_does_not_know_is_found(rds: Rds) -> None:
    """The judge itself: a mistyped name does not pass."""
    with pytest.raises(ParamValidationError, match="Unknown parameter"):
        rds.client.modify_db_instance(DBInstanceIdentifier="old", ApplyImmediatly=True)
