"""The project's own template, deployed to the local AWS as ``sam deploy`` deploys it to AWS.

Only the paths of local code become addresses in a bucket; everything else is left to
CloudFormation, the SAM transform included.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnback.errors import AwsError, ConfigurationError
from turnback.local.aws import LocalAws
from turnback.local.build import build_layer, zip_function

BUCKET = "local-deployment"
POLL_SECONDS = 0.1
DEPLOY_SECONDS = 120.0


def deploy(
    aws: LocalAws, template: Path, stack: str, parameters: Mapping[str, str]
) -> dict[str, str]:
    """Deploy a SAM template with its functions, layers and state machines.

    Args:
        aws: where to.
        template: the file; its relative paths start from its folder.
        stack: the stack's name.
        parameters: values for the template's parameters; the others keep their defaults.

    Returns:
        The stack's outputs by their names.

    Raises:
        AwsError: a resource cannot be made; the message has each failure.
    """
    body = read_template(template)
    bucket = aws.client("s3")
    bucket.create_bucket(Bucket=BUCKET)
    for name, resource in body["Resources"].items():
        _upload_code(bucket, template.parent, name, resource)
    cloud = aws.client("cloudformation")
    cloud.create_change_set(
        StackName=stack,
        ChangeSetName="create",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps(body),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
    )
    _await(lambda: cloud.describe_change_set(StackName=stack, ChangeSetName="create")["Status"])
    cloud.execute_change_set(StackName=stack, ChangeSetName="create")
    _await(lambda: cloud.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
    made = cloud.describe_stacks(StackName=stack)["Stacks"][0]
    if made["StackStatus"] != "CREATE_COMPLETE":
        failures = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'failed')}"
            for event in cloud.describe_stack_events(StackName=stack)["StackEvents"]
            if event["ResourceStatus"].endswith("FAILED")
        ]
        raise AwsError("\n".join(["The template could not be deployed.", *failures]))
    return {item["OutputKey"]: item["OutputValue"] for item in made.get("Outputs", [])}


def layers_of(template: Path) -> dict[str, Path]:
    """The folders of a template's layers, by the layers' names."""
    return {
        name: template.parent / resource["Properties"]["ContentUri"]
        for name, resource in read_template(template)["Resources"].items()
        if resource["Type"] == "AWS::Serverless::LayerVersion"
    }


def resources(aws: LocalAws, stack: str) -> dict[str, str]:
    """The physical name of each resource of a stack, by its name in the template."""
    found = aws.client("cloudformation").describe_stack_resources(StackName=stack)
    return {
        item["LogicalResourceId"]: item["PhysicalResourceId"] for item in found["StackResources"]
    }


def read_template(template: Path) -> dict[str, Any]:
    """A template with its short forms (``!Ref``, ``!GetAtt``, …) written out.

    Raises:
        ConfigurationError: there is no YAML parser in this environment.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "The local AWS needs PyYAML.", hint="make setup installs it with all the rest."
        ) from error

    class Loader(yaml.SafeLoader):
        """YAML with CloudFormation's tags."""

    def intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
        value: Any
        if isinstance(node, yaml.ScalarNode):
            value = loader.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            assert isinstance(node, yaml.MappingNode)
            value = loader.construct_mapping(node, deep=True)
        if suffix in ("Ref", "Condition"):
            return {suffix: value}
        if suffix == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {f"Fn::{suffix}": value}

    Loader.add_multi_constructor("!", intrinsic)
    # A version like 2010-09-09 is meant as text.
    Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)
    loaded: dict[str, Any] = yaml.load(template.read_text(), Loader)
    return loaded


def _upload_code(bucket: Any, root: Path, name: str, resource: dict[str, Any]) -> None:
    kind, properties = resource["Type"], resource.get("Properties", {})
    if kind == "AWS::Serverless::Function" and isinstance(properties.get("CodeUri"), str):
        code = zip_function(root / properties["CodeUri"])
        properties["CodeUri"] = f"s3://{BUCKET}/{_put(bucket, code)}"
    elif kind == "AWS::Serverless::LayerVersion" and isinstance(properties.get("ContentUri"), str):
        layer = build_layer(root, root / properties["ContentUri"], name)
        properties["ContentUri"] = f"s3://{BUCKET}/{_put(bucket, layer.read_bytes())}"
    elif kind == "AWS::Serverless::StateMachine" and isinstance(
        properties.get("DefinitionUri"), str
    ):
        definition = (root / properties["DefinitionUri"]).read_bytes()
        properties["DefinitionUri"] = {"Bucket": BUCKET, "Key": _put(bucket, definition)}


def _put(bucket: Any, body: bytes) -> str:
    key = hashlib.sha256(body).hexdigest()
    bucket.put_object(Bucket=BUCKET, Key=key, Body=body)
    return key


def _await(status: Any) -> None:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while (found := status()).endswith(("PENDING", "IN_PROGRESS")):
        if time.monotonic() > deadline:
            raise AwsError(f"The template is not deployed after {DEPLOY_SECONDS:.0f} s: {found}.")
        time.sleep(POLL_SECONDS)
    if found.startswith("FAILED"):
        raise AwsError("The template was refused.")
