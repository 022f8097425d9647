"""The policy for whoever deploys: IAM takes it, AWS knows its actions, and it is enough.

What a kind of resource needs is what its handlers in CloudFormation's registry call; it is written
down here, so a resource of a new kind in the template is a failing test.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from moto.iam.policy_validation import IAMPolicyDocumentValidator
from turnback.local.deploy import read_template

from tests.contract.test_grants import faults_of, listed

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "deployer-policy.json").read_text()
POLICY: dict[str, Any] = json.loads(
    TEXT.replace("REGION", "eu-central-1")
    .replace("ACCOUNT", "123456789012")
    .replace("STACK", "learning-turnback")
)
GRANTED = {action for row in POLICY["Statement"] for action in listed(row["Action"])}
RESOURCES = read_template(ROOT / "template.yaml")["Resources"]
ROLE = ["iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:DeleteRole"]
FUNCTION = [
    *("lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
    *("lambda:DeleteFunction", "lambda:GetFunction", "lambda:TagResource", "iam:PassRole"),
    *("lambda:PublishVersion", "lambda:PutFunctionConcurrency", "ec2:DescribeSubnets"),
    *("lambda:AddPermission", "lambda:RemovePermission", "lambda:CreateAlias", *ROLE),
    *("iam:AttachRolePolicy", "iam:DetachRolePolicy", "lambda:CreateEventSourceMapping"),
]
MACHINE = [
    *("states:CreateStateMachine", "states:UpdateStateMachine", "states:DeleteStateMachine"),
    *("states:DescribeStateMachine", "states:TagResource", "iam:PassRole"),
]
# What each kind needs to be made, changed and deleted.
NEEDED = {
    "AWS::Serverless::Function": FUNCTION,
    "AWS::Serverless::LayerVersion": ["lambda:PublishLayerVersion", "lambda:DeleteLayerVersion"],
    "AWS::Serverless::StateMachine": [*MACHINE, *ROLE],
    "AWS::StepFunctions::StateMachine": MACHINE,
    "AWS::Lambda::Permission": ["lambda:AddPermission", "lambda:RemovePermission"],
    "AWS::Lambda::Url": ["lambda:CreateFunctionUrlConfig", "lambda:DeleteFunctionUrlConfig"],
    "AWS::IAM::Policy": ["iam:PutRolePolicy", "iam:DeleteRolePolicy"],
    "AWS::IAM::Role": ROLE,
    "AWS::S3::Bucket": [
        *("s3:CreateBucket", "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration"),
        *("s3:PutBucketPublicAccessBlock", "s3:PutBucketOwnershipControls"),
        *("s3:PutLifecycleConfiguration", "s3:PutBucketNotification"),
    ],
    "AWS::S3::BucketPolicy": ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy"],
    "AWS::SNS::Topic": ["sns:CreateTopic", "sns:SetTopicAttributes", "sns:DeleteTopic"],
    "AWS::SNS::Subscription": ["sns:Subscribe", "sns:Unsubscribe"],
    "AWS::SQS::Queue": ["sqs:CreateQueue", "sqs:SetQueueAttributes", "sqs:DeleteQueue"],
    "AWS::SQS::QueuePolicy": ["sqs:SetQueueAttributes"],
    "AWS::SecretsManager::Secret": [
        *("secretsmanager:CreateSecret", "secretsmanager:GetRandomPassword"),
        *("secretsmanager:DeleteSecret", "secretsmanager:TagResource"),
    ],
    "AWS::Logs::LogGroup": [
        *("logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup"),
    ],
    "AWS::CloudWatch::Alarm": ["cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"],
    "AWS::Events::Rule": [
        *("events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:DeleteRule"),
    ],
}


def test_iam_takes_the_policy() -> None:
    IAMPolicyDocumentValidator(json.dumps(POLICY)).validate()
    # Of a managed policy, white space not counted (IAM User Guide, "IAM and AWS STS quotas").
    assert len(re.sub(r"\s", "", TEXT)) <= 6144


def test_aws_knows_every_action_on_these_resources() -> None:
    faults = {
        (action, fault)
        for row in POLICY["Statement"]
        for action in listed(row["Action"])
        for fault in faults_of(
            action,
            listed(row["Resource"]),
            {key for keys in row.get("Condition", {}).values() for key in keys},
        )
        # Of a transform, a change set is made (CloudFormation User Guide, "Control access with
        # IAM"); a subscription is no topic; a template is looked at before there is a stack.
        if row["Sid"] not in ("Transform", "TemplateBeforeThereIsAStack")
        and action != "sns:Unsubscribe"
    }
    assert faults == set()


@pytest.mark.parametrize("kind", sorted({row["Type"] for row in RESOURCES.values()}))
def test_every_kind_of_resource_can_be_made_and_deleted(kind: str) -> None:
    assert set(NEEDED[kind]) <= GRANTED


def test_the_policy_gives_no_access_to_anything_of_others() -> None:
    own = ("learning-turnback", "aws-sam-cli-managed-default", "ApprovalKey", "Layer", "Serverless")
    for row in POLICY["Statement"]:
        for resource in listed(row["Resource"]):
            mapping = resource.endswith(":event-source-mapping:*")
            assert resource == "*" or mapping or any(name in resource for name in own)
    [passing] = [row for row in POLICY["Statement"] if row["Action"] == "iam:PassRole"]
    assert passing["Condition"]["StringEquals"]["iam:PassedToService"]


def test_every_state_machine_of_the_stack_may_be_made() -> None:
    named = {
        item["Properties"]["Name"]["Fn::Sub"].replace("${AWS::StackName}", "STACK")
        for item in RESOURCES.values()
        if item["Type"] == "AWS::Serverless::StateMachine"
    }
    assert len(named) > 1
    machines = set(re.findall(r":stateMachine:(STACK-\w+)", TEXT))
    assert named <= machines
