"""The pipeline's own template: it says what our function reads, and may do no more than it must."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from turnback.local.deploy import read_template
from turnback.runs.pipeline.job import Parameters
from turnback.runs.reporting.pipeline import DOING

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(ROOT / "pipeline" / "template.yaml")
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
PIPELINE: dict[str, Any] = RESOURCES["Pipeline"]["Properties"]
STAGES = {stage["Name"]: stage["Actions"] for stage in PIPELINE["Stages"]}
# CodePipeline's user guide, "Quotas".
LONGEST_USER_PARAMETERS = 1000
LONGEST = {
    "Target": "t" * 31,
    "MigrationsPath": "m" * 200,
    "Release": "1.4.0-" + "r" * 58,
    "Repository": "owner/" + "n" * 100,
    "AWS::StackName": "s" * 128,
}


def objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


def user_parameters(stage: str, values: dict[str, str]) -> str:
    """What CodePipeline sends for a stage, with the parameters' values in it."""
    (action,) = STAGES[stage]
    text = str(action["Configuration"]["UserParameters"]["Fn::Sub"])
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    execution = "5d3f0a9c-1b7e-4246-80ac-e5d3f0a9c1b7"
    return text.replace("#{codepipeline.PipelineExecutionId}", execution)


def defaults() -> dict[str, str]:
    known = {name: str(item.get("Default", "")) for name, item in TEMPLATE["Parameters"].items()}
    return {**known, "AWS::StackName": "learning-database"}


def test_each_change_is_rehearsed_before_it_is_released() -> None:
    assert list(STAGES) == ["Source", "Rehearse", "Migrate"]
    assert PIPELINE["ExecutionMode"] == "QUEUED"


@pytest.mark.parametrize(("stage", "mode"), [("Rehearse", "rehearse"), ("Migrate", "migrate")])
def test_the_user_parameters_are_those_that_our_function_reads(stage: str, mode: str) -> None:
    for values in (defaults(), {**defaults(), **LONGEST}):
        text = user_parameters(stage, values)
        assert "${" not in text and "#{" not in text
        assert len(text) <= LONGEST_USER_PARAMETERS
        read = Parameters.parse(text)
        assert (read.mode, read.target) == (mode, values["Target"])
        assert (read.folder, read.release) == (values["MigrationsPath"], values["Release"])
        assert read.pipeline == values["AWS::StackName"]
        assert read.execution == "5d3f0a9c-1b7e-4246-80ac-e5d3f0a9c1b7"


@pytest.mark.parametrize(("stage", "name"), [("Rehearse", "Rehearsal"), ("Migrate", "Migration")])
def test_a_stage_invokes_our_function_with_the_source_and_names_its_variables(
    stage: str, name: str
) -> None:
    (action,) = STAGES[stage]
    assert action["ActionTypeId"]["Provider"] == "Lambda"
    assert action["Configuration"]["FunctionName"] == {"Ref": "TurnbackFunction"}
    assert action["InputArtifacts"] == [{"Name": "Source"}]
    assert action["Namespace"] == name


def test_every_source_puts_out_a_zip_and_is_not_asked_again_and_again() -> None:
    (choice,) = STAGES["Source"]
    condition, repository, bucket = choice["Fn::If"]
    assert condition == "FromRepository"
    assert repository["Configuration"]["OutputArtifactFormat"] == "CODE_ZIP"
    assert bucket["Configuration"]["PollForSourceChanges"] is False
    for source in (repository, bucket):
        assert source["OutputArtifacts"] == [{"Name": "Source"}]


def test_the_function_is_an_output_of_turnbacks_stack() -> None:
    outputs = read_template(ROOT / "template.yaml")["Outputs"]
    assert outputs["OnPipelineFunctionName"]["Value"] == {"Ref": "OnPipelineFunction"}
    description = TEMPLATE["Parameters"]["TurnbackFunction"]["Description"]
    assert "OnPipelineFunctionName" in description


def test_turnbacks_own_template_has_no_pipeline() -> None:
    types = {item["Type"] for item in read_template(ROOT / "template.yaml")["Resources"].values()}
    assert not {name for name in types if name.startswith("AWS::CodePipeline")}


def test_no_role_may_do_everything_or_anything_everywhere() -> None:
    statements = [node for node in objects(RESOURCES) if node.get("Effect") == "Allow"]
    assert len(statements) >= 8
    for statement in statements:
        actions = statement["Action"]
        actions = actions if isinstance(actions, list) else [actions]
        assert not [action for action in actions if "*" in action]
        if statement.get("Resource") == "*":
            assert actions == ["lambda:ListFunctions"]


def test_a_role_can_be_taken_by_its_own_service_for_this_account_only() -> None:
    roles = [item for item in RESOURCES.values() if item["Type"] == "AWS::IAM::Role"]
    assert len(roles) == 2
    for role in roles:
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        account = statement["Condition"]["StringEquals"]["aws:SourceAccount"]
        assert account == {"Ref": "AWS::AccountId"}


def test_the_bucket_is_private_encrypted_and_only_for_tls() -> None:
    bucket = RESOURCES["Artifacts"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    (statement,) = RESOURCES["ArtifactsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_reference_is_to_something_that_is_there() -> None:
    known = set(RESOURCES) | set(TEMPLATE["Parameters"])
    used = {
        str(node["Ref"])
        for node in objects(TEMPLATE)
        if isinstance(node.get("Ref"), str) and not node["Ref"].startswith("AWS::")
    }
    for node in objects(RESOURCES):
        used |= set(re.findall(r"\$\{(\w+)\}", str(node.get("Fn::Sub", ""))))
    assert used - {"Bucket", "AWS"} <= known
    assert set(TEMPLATE["Parameters"]) <= used


def test_every_state_that_the_stage_can_show_is_one_of_the_definition() -> None:
    definition = json.loads((ROOT / "statemachine" / "release.asl.json").read_text())
    states = definition["States"]
    assert set(DOING) <= set(states)
    slow = {name for name, state in states.items() if state["Type"] in ("Task", "Wait")}
    assert {name for name in slow if not name.startswith("Announce")} <= set(DOING)


def test_the_action_that_the_page_shows_is_one_that_the_function_reads() -> None:
    page = (ROOT / "docs/release.md").read_text()
    block = page.partition("### In your own pipeline")[2].partition("```yaml\n")[2]
    [action] = yaml.safe_load(block.partition("```")[0])
    [ours] = [one for one in STAGES["Migrate"] if one["ActionTypeId"]["Provider"] == "Lambda"]
    assert action["ActionTypeId"] == ours["ActionTypeId"]
    found = Parameters.parse(action["Configuration"]["UserParameters"])
    assert (found.mode, found.path, found.release) == ("migrate", "migrations", "1.4.0")
