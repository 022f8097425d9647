"""A database that RDS runs, as far as the local AWS can: an instance, and a stack that names it.

The instance's endpoint leads to an embedded Postgres. Its snapshots hold no data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnback.local.aws import LocalAws
from turnback.local.database import Database

_STACK_SECONDS = 30


def make_managed(
    aws: LocalAws, database: Database, stack: str, instance: str, outputs: Mapping[str, str]
) -> None:
    """Make an instance whose endpoint leads to a database, and a stack with snapshots of it.

    Args:
        aws: where.
        database: what answers at the endpoint.
        stack: name of the stack; it has the parameters and outputs that commands read, no more.
        instance: identifier of the instance.
        outputs: of a stack of turnback: ``BucketName``, ``StateMachineArn``, ``TopicArn``.
    """
    secret = aws.client("secretsmanager").create_secret(
        Name=f"{stack}/{instance}", SecretString=database.as_secret()
    )
    aws.client("rds").create_db_instance(
        DBInstanceIdentifier=instance,
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=100,
        Port=database.port,
        MasterUsername=database.user,
        MasterUserPassword=database.password,
        Tags=[{"Key": "team", "Value": database.name}],
    )
    parameters = {
        "SnapshotKind": "rds",
        "Target": database.name,
        "DbInstanceIdentifier": instance,
        "DatabaseSecretArn": secret["ARN"],
        # The embedded Postgres speaks no TLS.
        "DatabaseTls": "disable",
        "RestorePollSeconds": "1",
    }
    needed = ("BucketName", "StateMachineArn", "TopicArn")
    template: dict[str, Any] = {
        "Parameters": {name: {"Type": "String"} for name in parameters},
        # A template must have a resource; this is one that is nothing.
        "Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
        "Outputs": {name: {"Value": outputs[name]} for name in needed},
    }
    cloud = aws.client("cloudformation")
    cloud.create_stack(
        StackName=stack,
        TemplateBody=json.dumps(template),
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
    )
    cloud.get_waiter("stack_create_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": _STACK_SECONDS}
    )
