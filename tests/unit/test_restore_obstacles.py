"""What Validate says of a database that RDS may have to restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from turnback.aws.kms import Key, describe_key
from turnback.aws.rds_clusters import Clusters
from turnback.aws.rds_instances import Instances
from turnback.errors import AwsError, ConfigurationError, RestoreFailed
from turnback.recovery.managed.obstacles import obstacles

ARN = "arn:aws:rds:eu-central-1:123456789012:db:orders"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/one"
ROW = {
    "DBInstanceIdentifier": "orders",
    "DBInstanceArn": ARN,
    "DBInstanceStatus": "available",
    "Engine": "postgres",
    "StorageEncrypted": True,
    "KmsKeyId": KEY,
}


class Rds:
    """A client with this one instance."""

    def __init__(self, **changes: Any) -> None:
        self.row = {**ROW, **changes}
        self.deployments: list[dict[str, str]] = []
        self.maintenance: list[dict[str, Any]] = []

    def describe_db_instances(self, **_: Any) -> Any:
        return {"DBInstances": [self.row]}

    def describe_pending_maintenance_actions(self, **given: Any) -> Any:
        found = {**given, "PendingMaintenanceActionDetails": self.maintenance}
        return {"PendingMaintenanceActions": [found]}

    def modify_db_instance(self, **_: Any) -> Any:
        answer = {"Error": {"Code": "InvalidDBInstanceState", "Message": "not now"}}
        raise ClientError(answer, "ModifyDBInstance")

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self) -> Any:
        return [{"BlueGreenDeployments": self.deployments}]


class Kms:
    def __init__(self, **metadata: str) -> None:
        self.metadata = {"Arn": KEY, "KeyManager": "AWS", "KeyState": "Enabled", **metadata}

    def describe_key(self, **_: Any) -> Any:
        return {"KeyMetadata": self.metadata}


@dataclass
class Member:
    id: str
    tags: dict[str, str]


def said(
    rds: Rds, kms: Kms | None = None, known: Sequence[str] = (), members: Sequence[Any] = ()
) -> list[str]:
    def look(arn: str) -> Key:
        if kms is None:
            raise AwsError("no route to KMS")
        return describe_key(arn, kms=kms)

    return obstacles(
        Instances(rds=rds),
        "orders",
        known_keys=known,
        describe_key=look,
        members=members,
        stack="prod",
    )


def test_nothing_is_said_of_a_database_that_can_be_restored() -> None:
    assert said(Rds(), Kms()) == []
    assert said(Rds(StorageEncrypted=False, KmsKeyId=None)) == []
    assert said(Rds(), Kms(KeyManager="CUSTOMER"), known=[KEY]) == []
    assert said(Rds(), known=[KEY]) == []


def test_a_key_that_turnback_may_not_use_refuses_the_release() -> None:
    with pytest.raises(ConfigurationError, match=KEY) as refused:
        said(Rds(), Kms(KeyManager="CUSTOMER"))
    assert "DatabaseKmsKeyArn" in str(refused.value.hint)
    with pytest.raises(ConfigurationError, match="key/pi"):
        said(
            Rds(PerformanceInsightsKMSKeyId="arn:aws:kms:eu-central-1:123456789012:key/pi"),
            Kms(KeyManager="CUSTOMER"),
            known=[KEY],
        )


def test_a_key_that_is_switched_off_refuses_the_release() -> None:
    with pytest.raises(ConfigurationError, match="PendingDeletion"):
        said(Rds(), Kms(KeyManager="CUSTOMER", KeyState="PendingDeletion"), known=[KEY])


def test_where_kms_cannot_be_asked_that_is_said() -> None:
    [note] = said(Rds())
    assert "no route to KMS" in note and "DatabaseKmsKeyArn" in note


def test_a_blue_green_deployment_and_pending_maintenance_are_said() -> None:
    rds = Rds(PendingModifiedValues={"EngineVersion": "17.2"})
    rds.deployments = [
        {"BlueGreenDeploymentName": "to-17", "Status": "AVAILABLE", "Source": ARN, "Target": "x"},
        {"BlueGreenDeploymentName": "other", "Status": "AVAILABLE", "Source": "y", "Target": "x"},
    ]
    rds.maintenance = [
        {"Action": "system-update", "AutoAppliedAfterDate": datetime(2026, 12, 1, tzinfo=UTC)}
    ]
    switch, pending = said(rds, Kms())
    assert "to-17 (AVAILABLE)" in switch and "other" not in switch
    assert "the change of EngineVersion, system-update from 2026-12-01 on" in pending


def test_instances_that_a_restore_may_not_rename_are_said() -> None:
    members = [
        Member("orders-1", {}),
        Member("writer", {}),
        Member("reader", {"turnback-stack": "prod"}),
        Member("foreign", {"turnback-stack": "another"}),
    ]
    [note] = said(Rds(), Kms(), members=members)
    assert "names of writer, foreign: give them the tag turnback-stack" in note


def test_a_rename_that_a_blue_green_deployment_prevents_is_not_waited_for() -> None:
    rds = Rds()
    assert "not now" in str(Instances(rds=rds).rename("orders", "new"))
    rds.deployments = [
        {"BlueGreenDeploymentName": "to-17", "Status": "AVAILABLE", "Source": ARN, "Target": "x"}
    ]
    with pytest.raises(RestoreFailed, match="to-17"):
        Instances(rds=rds).rename("orders", "new")


def test_a_cluster_is_asked_by_its_own_names() -> None:
    class Aurora(Rds):
        def describe_db_clusters(self, **_: Any) -> Any:
            return {"DBClusters": [{"DBClusterArn": ARN, "StorageEncrypted": False}]}

    clusters = Clusters(rds=Aurora())
    found = obstacles(
        clusters, "orders", known_keys=[], describe_key=lambda _: Key("", True, ""), stack="prod"
    )
    assert found == []


def test_a_password_that_rds_manages_is_a_note_before_anything_happens() -> None:
    [note] = said(Rds(MasterUserSecret={"SecretArn": "arn:x"}), Kms())
    assert "RDS manages the master password of orders" in note
    assert "turnback-before-orders-" in note
