"""Each role's policies, as IAM would get them, for every combination of the template's conditions.

Two judges: moto's copy of IAM's grammar, and IAM's published quotas (IAM User Guide, "IAM and AWS
STS quotas": the inline policies of a role are 10,240 characters at most, white space not counted).
"""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from moto.iam.policy_validation import IAMPolicyDocumentValidator
from turnback.local.deploy import read_template
from turnback.recovery.model import STACK_TAG

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(ROOT / "template.yaml")
CONDITIONS: dict[str, Any] = TEMPLATE["Conditions"]
ROLES = {
    name: resource["Properties"]["Policies"]
    for name, resource in TEMPLATE["Resources"].items()
    if "Policies" in resource.get("Properties", {})
}
# Policies beside a function count for its role.
for resource in TEMPLATE["Resources"].values():
    if resource["Type"] == "AWS::IAM::Policy":
        [role] = resource["Properties"]["Roles"]
        ROLES[role["Ref"].removesuffix("Role")].append(resource["Properties"]["PolicyDocument"])
GONE = object()
PSEUDO = {
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "123456789012",
}
# Longer than most, so that sizes are honest.
PARAMETERS = {
    "AWS::StackName": "turnback-orders-production",
    "DbInstanceIdentifier": "orders-production-2026-primary",
    "DbClusterIdentifier": "orders-production-2026-cluster",
    "DatabaseResourceId": "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "DatabaseUser": "turnback_migrations",
    "EventBus": "default",
    "Target": "orders",
    "ApproversParameter": "/turnback/orders-production/approvers",
    **PSEUDO,
}


# The ARNs of what a template refers to, by the end of its name there.
ARNS = {
    "Function.Arn": "arn:aws:lambda:eu-central-1:123456789012:function:{}",
    "Bucket.Arn": "arn:aws:s3:::{}",
    "Topic": "arn:aws:sns:eu-central-1:123456789012:{}",
    "TopicArn": "arn:aws:sns:eu-central-1:123456789012:{}",
    "DeadLetters.Arn": "arn:aws:sqs:eu-central-1:123456789012:{}",
    "SecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:{}",
    "ApprovalKey": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:{}",
    "KmsKeyArn": "arn:aws:kms:eu-central-1:123456789012:key/{}",
    "EmergencyHookArn": "arn:aws:lambda:eu-central-1:123456789012:function:{}",
    "StateMachine": "arn:aws:states:eu-central-1:123456789012:stateMachine:{}",
}


def arn(name: str) -> str:
    [form] = [form for end, form in ARNS.items() if name.endswith(end)]
    return form.format(f"turnback-orders-production-{name.replace('.', '-')}-1A2B3C4D5E6F")


def value_of(name: str) -> str:
    return PARAMETERS.get(name) or arn(name)


def rendered(node: Any, truth: Mapping[str, bool]) -> Any:
    """A part of the template with its intrinsic functions replaced, as CloudFormation does."""
    if isinstance(node, list):
        return [value for item in node if (value := rendered(item, truth)) is not GONE]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Ref"}:
        return GONE if node["Ref"] == "AWS::NoValue" else value_of(node["Ref"])
    if node.keys() == {"Fn::GetAtt"}:
        return arn(".".join(node["Fn::GetAtt"]))
    if node.keys() == {"Fn::Sub"}:
        return re.sub(r"\$\{([\w.:]+)\}", lambda found: value_of(found[1]), node["Fn::Sub"])
    if node.keys() == {"Fn::If"}:
        condition, yes, no = node["Fn::If"]
        return rendered(yes if truth[condition] else no, truth)
    return {
        key: value for key, item in node.items() if (value := rendered(item, truth)) is not GONE
    }


def conditions_in(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*(conditions_in(item) for item in node))
    if isinstance(node, dict):
        found = {node["Fn::If"][0]} if "Fn::If" in node else set()
        return found.union(*(conditions_in(item) for item in node.values()))
    return set()


def policies_of(role: str) -> Iterator[tuple[dict[str, bool], list[Any]]]:
    """Every combination of the conditions that a role's policies depend on."""
    names = sorted(conditions_in(ROLES[role]))
    for values in itertools.product([True, False], repeat=len(names)):
        truth = dict(zip(names, values, strict=True))
        yield truth, rendered(ROLES[role], truth)


@pytest.mark.parametrize("role", ROLES)
def test_iam_accepts_every_policy_whatever_the_parameters_are(role: str) -> None:
    for truth, policies in policies_of(role):
        for policy in policies:
            if isinstance(policy, str):
                continue  # A managed policy of AWS, by its name.
            assert policy["Version"] == "2012-10-17", truth
            assert policy["Statement"], truth
            IAMPolicyDocumentValidator(json.dumps(policy)).validate()


@pytest.mark.parametrize("role", ROLES)
def test_the_inline_policies_of_a_role_fit_into_it(role: str) -> None:
    for truth, policies in policies_of(role):
        size = sum(len(json.dumps(policy, separators=(",", ":"))) for policy in policies)
        assert size <= 10_240, (truth, size)


def test_every_condition_is_one_of_the_template() -> None:
    assert set().union(*(conditions_in(item) for item in ROLES.values())) <= set(CONDITIONS)


def test_the_application_function_never_stops_turnback_and_no_function_of_others() -> None:
    policy = TEMPLATE["Resources"]["ApplicationSparesTurnback"]["Properties"]["PolicyDocument"]
    functions = {
        name
        for name, resource in TEMPLATE["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    [statement] = rendered(policy, {"HasSlack": True})["Statement"]
    assert statement["Effect"] == "Deny"
    assert set(statement["Resource"]) == {arn(f"{name}.Arn") for name in functions}


def test_the_function_that_takes_answers_may_invoke_itself_and_nothing_else() -> None:
    invoked = [
        statement["Resource"]
        for policy in rendered(ROLES["AnswerFunction"], dict.fromkeys(CONDITIONS, True))
        for statement in policy["Statement"]
        if "lambda:InvokeFunction" in str(statement["Action"])
    ]
    assert invoked == [arn("AnswerFunction.Arn")]


@pytest.mark.parametrize("kind", ["TakesRds", "TakesAurora"])
def test_a_stack_may_delete_no_snapshot_of_another_stack(kind: str) -> None:
    truth = {name: name == kind for name in CONDITIONS}
    deletions = [
        statement["Condition"]
        for role in ROLES
        for policy in rendered(ROLES[role], truth)
        if not isinstance(policy, str)
        for statement in policy["Statement"]
        if re.search(r"rds:Delete|rds:\*", str(statement["Action"]))
    ]
    assert deletions == [
        {
            "StringEquals": {
                "aws:ResourceTag/created-by": "turnback",
                f"aws:ResourceTag/{STACK_TAG}": "turnback-orders-production",
            }
        }
    ]


def test_a_restored_database_can_be_connected_to_with_an_iam_token() -> None:
    policies = rendered(ROLES["RestoreFunction"], dict.fromkeys(CONDITIONS, False))
    connect = [
        statement["Resource"]
        for policy in policies
        for statement in policy["Statement"]
        if statement["Action"] == "rds-db:connect"
    ]
    assert any(resource.endswith(":dbuser:*/turnback_migrations") for resource in connect)


# What the parameters may look like: value, and whether CloudFormation takes it.
VALUES = [
    ("DbInstanceIdentifier", "", True),
    ("DbInstanceIdentifier", "orders-2", True),
    ("DbInstanceIdentifier", "Orders", False),
    ("DbInstanceIdentifier", "orders--2", False),
    ("DbInstanceIdentifier", "orders-", False),
    ("DbClusterIdentifier", "2orders", False),
    ("ApproversParameter", "", True),
    ("ApproversParameter", "/turnback/approvers", True),
    ("ApproversParameter", "turnback", False),
    ("ApproversParameter", "/turnback/", False),
    ("Approvers", "[]", True),
    ("Approvers", '[{"name":"ann","slack":"U012"}]', True),
    ("Approvers", '[{"name":"ann"},\n {"name":"bob"}]', True),
    ("Approvers", "[{", False),
    ("Approvers", "ann", False),
]


@pytest.mark.parametrize(("parameter", "value", "accepted"), VALUES)
def test_a_parameter_is_refused_before_anything_is_made(
    parameter: str, value: str, accepted: bool
) -> None:
    # CloudFormation matches the whole value ("Parameters", AllowedPattern).
    pattern = TEMPLATE["Parameters"][parameter]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, value)) is accepted


def test_every_rule_compares_parameters_of_the_template() -> None:
    rules = json.dumps(TEMPLATE["Rules"])
    assert set(re.findall(r'"Ref": "(\w+)"', rules)) <= set(TEMPLATE["Parameters"])
    # The only functions that CloudFormation knows in a rule ("Rule-specific intrinsic functions").
    known = {"And", "Contains", "EachMemberEquals", "EachMemberIn", "Equals", "Not", "Or"}
    assert set(re.findall(r'"Fn::(\w+)"', rules)) <= known


def parameter_sets() -> list[dict[str, str]]:
    """The sets in samconfig.toml, the commented ones too."""
    text = (ROOT / "samconfig.toml").read_text()
    found = re.findall(r"parameter_overrides = \[(.*?)^(?:# )?\]", text, re.DOTALL | re.MULTILINE)
    return [dict(re.findall(r'"(\w+)=([^"]*)"', one)) for one in found]


@pytest.mark.parametrize("values", parameter_sets(), ids=lambda values: values["SnapshotKind"])
def test_the_sets_of_parameters_that_we_ship_can_be_deployed(values: dict[str, str]) -> None:
    assert tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]["deploy"]
    parameters = TEMPLATE["Parameters"]
    assert set(values) <= set(parameters)
    for name, value in values.items():
        declared = parameters[name]
        assert re.fullmatch(declared.get("AllowedPattern", r"[\s\S]*"), value), name
        assert value in declared.get("AllowedValues", [value]), name
    given = {name: str(item.get("Default", "")) for name, item in parameters.items()} | values

    def holds(rule: Any) -> bool:
        [(function, arguments)] = rule.items()
        if function == "Fn::Not":
            return not holds(arguments[0])
        left, right = [given[item["Ref"]] if isinstance(item, dict) else item for item in arguments]
        return bool(left == right if function == "Fn::Equals" else right in left.split(","))

    for name, rule in TEMPLATE["Rules"].items():
        if holds(rule["RuleCondition"]):
            assert all(holds(item["Assert"]) for item in rule["Assertions"]), name


def test_the_url_that_is_open_to_the_internet_is_there_only_where_it_is_used() -> None:
    resources = TEMPLATE["Resources"]
    urls = [item for item in resources.values() if item["Type"] == "AWS::Lambda::Url"]
    assert [url["Condition"] for url in urls] == ["HasAnswerUrl"]
    assert not [
        name
        for name, item in resources.items()
        if "FunctionUrlConfig" in item.get("Properties", {})
    ]
    # Both are needed since October 2025 (Lambda Developer Guide, "Control access to URLs").
    granted = {
        item["Properties"]["Action"]
        for item in resources.values()
        if item["Type"] == "AWS::Lambda::Permission"
    }
    assert granted == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}


def test_the_template_is_known_to_need_a_bucket_to_be_deployed() -> None:
    """CloudFormation takes 51,200 bytes directly and 1 MB from S3 ("CloudFormation quotas")."""
    assert (ROOT / "template.yaml").stat().st_size < 1_000_000


def test_every_test_that_the_security_page_names_is_there() -> None:
    page = (ROOT / "docs/security.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)`", page)
    assert len(named) > 15
    assert [name for name in named if not (ROOT / name).is_file()] == []
