"""The template, the definition and the code agree, and nobody may do more than he needs."""

from __future__ import annotations

import ast
import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from turnback import errors
from turnback.local.deploy import read_template
from turnback.runs.status import Status

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers" / "turnback" / "turnback"
TEMPLATE = read_template(ROOT / "template.yaml")
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
MACHINE = RESOURCES["ReleaseStateMachine"]["Properties"]
DEFINITION: dict[str, Any] = json.loads((ROOT / MACHINE["DefinitionUri"]).read_text())
# The one that goes on with backfills.
BACKFILL_MACHINE = RESOURCES["BackfillStateMachine"]["Properties"]
BACKFILL_STATES: dict[str, dict[str, Any]] = json.loads(
    (ROOT / BACKFILL_MACHINE["DefinitionUri"]).read_text()
)["States"]
STATES: dict[str, dict[str, Any]] = DEFINITION["States"]
TASKS = {
    name: state for name, state in (STATES | BACKFILL_STATES).items() if state["Type"] == "Task"
}
FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::Serverless::Function"
}
# Names of AWS's own errors: of Step Functions, of Lambda's service, sandbox and runtime.
AWS_ERRORS = re.compile(r"(States|Lambda|Sandbox|Runtime)\.[A-Z][A-Za-z]+")
# The only actions that know no resources, and why.
EVERYWHERE = {
    "logs": "log delivery of Step Functions (its guide, 'Logging')",
    "xray": "traces (the guide of Step Functions, 'X-Ray')",
    "ecs": "task definitions (Service Authorization Reference, ECS)",
    "application-autoscaling": "describing what scales (its reference)",
    "codepipeline": "results of jobs (its reference)",
    "states": "answers to tasks (its reference)",
    "cloudwatch": "metrics (its reference)",
}


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a tree of JSON, Fn::If's branches included."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def announcements() -> dict[str, dict[str, Any]]:
    return {
        name: state
        for name, state in TASKS.items()
        if state["Parameters"]["FunctionName"] == "${AnnounceFunctionArn}"
    }


def test_every_function_folder_is_declared_and_the_other_way_round() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert folders == {item["CodeUri"].removeprefix("functions/") for item in FUNCTIONS.values()}


@pytest.mark.parametrize("machine", [MACHINE, BACKFILL_MACHINE], ids=["release", "backfill"])
def test_the_placeholders_are_the_substitutions_and_those_are_functions(
    machine: dict[str, Any],
) -> None:
    definition = (ROOT / machine["DefinitionUri"]).read_text()
    placeholders = set(re.findall(r"\$\{(\w+)\}", definition))
    substitutions = machine["DefinitionSubstitutions"]
    assert placeholders == set(substitutions)
    for name, value in substitutions.items():
        function, attribute = value["Ref"].split(".")
        assert (function in FUNCTIONS, attribute, name) == (True, "Version", f"{function}Arn")


def called_by(machine: dict[str, Any]) -> set[str]:
    return {value["Ref"].split(".")[0] for value in machine["DefinitionSubstitutions"].values()}


@pytest.mark.parametrize("name", sorted(called_by(MACHINE) | called_by(BACKFILL_MACHINE)))
def test_a_run_keeps_the_code_and_the_settings_that_it_began_with(name: str) -> None:
    function = FUNCTIONS[name]
    assert function["AutoPublishAlias"]
    # Whatever changes of the function, its layers and the values of the parameters, there is a new
    # version; and none where nothing has changed, which Lambda refuses to publish.
    assert function["AutoPublishAliasAllProperties"] is True
    revision = "Settings.StateMachineRevisionId"
    assert f"${{{revision}}}" in function["VersionDescription"]["Fn::Sub"]
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["SETTINGS_REVISION"] == {"Fn::GetAtt": revision.split(".")}
    for layer in function["Layers"]:
        assert RESOURCES[layer["Ref"]]["Properties"]["PublishLambdaVersion"] is True
    # The version before is kept: a run may wait for days.
    assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("machine", [MACHINE, BACKFILL_MACHINE], ids=["release", "backfill"])
def test_the_state_machine_may_call_every_version_of_its_functions(machine: dict[str, Any]) -> None:
    [granted] = [
        node["Resource"]
        for node in objects(machine["Policies"])
        if node.get("Action") == "lambda:InvokeFunction"
    ]
    versions = {f"${{{name}.Arn}}:*" for name in called_by(machine)}
    assert {one["Fn::Sub"] for one in granted} == versions


def test_the_revision_of_the_settings_changes_with_every_parameter() -> None:
    settings = RESOURCES["Settings"]["Properties"]["Definition"]
    assert {node["Ref"] for node in objects(settings) if "Ref" in node} == set(
        TEMPLATE["Parameters"]
    )


def test_every_error_that_is_waited_for_has_a_class_that_raises_it() -> None:
    ours = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.TurnbackError)
    }
    named = {
        error
        for state in STATES.values()
        for rule in [*state.get("Retry", []), *state.get("Catch", [])]
        for error in rule["ErrorEquals"]
    }
    assert {name for name in named - ours if not AWS_ERRORS.fullmatch(name)} == set()
    assert "TurnbackError" not in named, "Step Functions knows no inheritance"


# Calls whose answer nobody waits for.
SENT = {name for name, task in TASKS.items() if task["Parameters"].get("InvocationType") == "Event"}
AWAITED = sorted(set(TASKS) - SENT)
WAITING = {name for name, task in TASKS.items() if task["Resource"].endswith("waitForTaskToken")}


@pytest.mark.parametrize("name", AWAITED)
def test_a_task_has_a_limit_a_retry_and_a_catch_for_everything(name: str) -> None:
    task = TASKS[name]
    function = task["Parameters"]["FunctionName"].strip("${}").removesuffix("Arn")
    limit = FUNCTIONS[function].get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"])
    if name in WAITING:
        # Then the question is put again; a run that waits for its turn looks, at first each minute.
        if name == "WaitForTurn":
            assert task["TimeoutSecondsPath"] == "$.turn.look_seconds"
        else:
            assert task["TimeoutSeconds"] == 3600
        assert task["Catch"][0]["ErrorEquals"] == ["States.Timeout"]
        # Over a state of its own: what catches and goes to itself, the emulator does not follow.
        again = STATES[task["Catch"][0]["Next"]]
        assert (again["Type"], again["Next"]) == ("Pass", name)
    else:
        # Later than the function's own, whose error says more.
        assert limit < task["TimeoutSeconds"] <= limit + 60
    assert any("Lambda.TooManyRequestsException" in r["ErrorEquals"] for r in task["Retry"])
    # An idle function in a VPC is woken by a call that fails: at least three minutes of tries.
    [asleep] = [r for r in task["Retry"] if "Lambda.ResourceNotReadyException" in r["ErrorEquals"]]
    assert asleep["MaxAttempts"] * asleep["IntervalSeconds"] >= 180
    assert "Lambda.ResourceConflictException" in asleep["ErrorEquals"]
    assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


def test_the_retries_are_those_of_their_source() -> None:
    source = runpy.run_path(str(ROOT / "statemachine" / "retries.py"))
    for machine in (MACHINE, BACKFILL_MACHINE):
        text = (ROOT / machine["DefinitionUri"]).read_text()
        assert source["written"](text) == text, "run `make retries`"
    states = STATES | BACKFILL_STATES
    announcing = {name for name in states if name.startswith("Announce")}
    assert {name for name, state in states.items() if "Retry" in state} == (
        announcing | set(source["STATES"])
    )


def test_what_only_a_failure_calls_is_woken_before_anything_can_fail() -> None:
    woken = {TASKS[name]["Parameters"]["FunctionName"] for name in SENT}
    assert woken == {"${RollBackFunctionArn}", "${RestoreFunctionArn}"}
    for name in SENT:
        state = STATES[name]
        assert state["Parameters"]["Payload"] == {"only": "wake"}
        assert state["ResultPath"] is None
        # Whether it was asleep or not, the run goes on.
        [catch] = state["Catch"]
        assert catch == {"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": state["Next"]}
    # Every run that may change something comes by there.
    first = STATES[STATES["Decide"]["Default"]]
    assert first["Next"] in SENT


@pytest.mark.parametrize("name", [name for name in AWAITED if not name.startswith("Announce")])
def test_what_can_pass_is_tried_again(name: str) -> None:
    retried = {error for rule in TASKS[name]["Retry"] for error in rule["ErrorEquals"]}
    assert {"DatabaseUnreachable", "Lambda.ServiceException"} <= retried
    # Those that connect to the database wait for a failover: for minutes, before a change as well.
    connects = {"Validate", "Snapshot", "Apply", "Verify", "FindChanges", "RollBack", "Assess"}
    if name in connects | {"Restore", "GoOn"}:
        [rule] = [r for r in TASKS[name]["Retry"] if "DatabaseNotReady" in r["ErrorEquals"]]
        waits = [min(60, rule["IntervalSeconds"] * 2**n) for n in range(rule["MaxAttempts"])]
        assert sum(waits) / 2 >= 240
    if name in ("Apply", "RollBack"):
        assert {"RunnerBusy", "LockTimeout"} <= retried
    # Every step can be repeated, so a function that was killed is called again.
    if name not in WAITING:
        assert {"States.Timeout", "Sandbox.Timedout", "Runtime.ExitError"} <= retried
    assert not retried & {"States.ALL", "MigrationFailed", "MigrationIncomplete"}


@pytest.mark.parametrize("name", announcements())
def test_announcing_never_changes_the_path(name: str) -> None:
    state = announcements()[name]
    assert state["ResultPath"] is None
    (catch,) = state["Catch"]
    assert (catch["Next"], catch["ResultPath"]) == (state["Next"], "$.announce_error")


def test_the_words_of_the_definition_are_those_of_the_code() -> None:
    payloads = [state["Parameters"]["Payload"] for state in announcements().values()]
    said = {payload["status"] for payload in payloads if "status" in payload}
    # What waits for a person is said by the function that asks; how far a backfill is, with the
    # word that it answers.
    assert said | {Status.AWAITING_APPROVAL, Status.BACKFILLED} == set(Status)


def test_every_end_is_announced_with_its_own_word() -> None:
    ends = {name for name, state in STATES.items() if state["Type"] in ("Fail", "Succeed")}
    for end in ends:
        before = [
            name
            for name, state in STATES.items()
            if end
            in [
                state.get("Next"),
                state.get("Default"),
                *[choice["Next"] for choice in state.get("Choices", [])],
            ]
        ]
        assert before == [f"Announce{end}"]


def test_every_failure_tells_its_cause() -> None:
    fails = [state for state in STATES.values() if state["Type"] == "Fail"]
    assert len(fails) == 4
    for state in fails:
        assert "Error" in state or "ErrorPath" in state
        assert "CausePath" in state


def test_whatever_was_stopped_is_started_on_every_path() -> None:
    """From the stop on, an end is reached only by way of the start, or of its own failure."""
    seen: set[str] = set()
    left = ["StopApplication"]
    while left:
        name = left.pop()
        if name in seen or name == "MustStartApplication":
            continue
        seen.add(name)
        left += [
            value[key]
            for value in objects(STATES[name])
            for key in ("Next", "Default")
            if key in value
        ]
    assert not {name for name in seen if STATES[name]["Type"] in ("Fail", "Succeed")}
    assert not {name for name in seen if name.startswith("Announce")}


def test_a_restore_needs_an_assessment_and_the_policy_or_a_person() -> None:
    leads = {
        name
        for name, state in STATES.items()
        for value in objects(state)
        if value.get("Next") == "Restore"
    }
    assert leads == {"HowToComeBack", "AskRestore", "WaitForRestore"}


def test_every_state_can_be_reached() -> None:
    seen: set[str] = set()
    left = [DEFINITION["StartAt"]]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += [value["Next"] for value in objects(STATES[name]) if "Next" in value]
            left += [value["Default"] for value in objects(STATES[name]) if "Default" in value]
    assert seen == set(STATES)


def test_nothing_is_changed_before_the_snapshot_is_there() -> None:
    """Whatever leads to Apply, besides Apply itself, has a snapshot or may do without."""
    leads = [
        (name, value["Next"])
        for name, state in STATES.items()
        for value in objects(state)
        if value.get("Next") == "Apply"
    ]
    assert {name for name, _ in leads} == {
        "IsSnapshotThere",
        "AnnounceSnapshotTaken",
        "WaitForApply",
    }


def test_the_variables_that_are_read_are_the_variables_that_are_set() -> None:
    word = re.compile(r"[A-Z][A-Z_]{3,}")
    files = [
        PACKAGE / "runtime.py",
        *(PACKAGE / "wiring").glob("*.py"),
        *(PACKAGE / "settings").glob("[a-z]*.py"),
    ]
    read = {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if word.fullmatch(node.value)
    }
    environments = [TEMPLATE["Globals"]["Function"], *FUNCTIONS.values()]
    set_here = {
        name for item in environments for name in item.get("Environment", {}).get("Variables", {})
    }
    # So that a function changes with each parameter.
    set_here.remove("SETTINGS_REVISION")
    assert read == {name for name in set_here if not name.startswith("POWERTOOLS_")}


def test_every_reference_is_to_something_that_is_there() -> None:
    # SAM makes a role for each function, under this name.
    roles = {f"{name}Role" for name in FUNCTIONS}
    known = set(RESOURCES) | set(TEMPLATE["Parameters"]) | roles
    for node in objects(TEMPLATE):
        if isinstance(node.get("Ref"), str) and not node["Ref"].startswith("AWS::"):
            # SAM's own form for the version that it publishes.
            assert node["Ref"].removesuffix(".Version") in known
    used = {node["Ref"] for node in objects(TEMPLATE) if isinstance(node.get("Ref"), str)}
    for node in objects(RESOURCES):
        used |= set(re.findall(r"\$\{(\w+)", str(node.get("Fn::Sub", ""))))
    assert set(TEMPLATE["Parameters"]) <= used


def test_no_role_may_do_everything_or_anything_everywhere() -> None:
    statements = [
        node
        for node in objects(RESOURCES)
        if node.get("Effect") == "Allow" and node["Action"] != "sts:AssumeRole"
    ]
    assert len(statements) > 15
    for statement in statements:
        actions = listed(statement["Action"])
        assert not [action for action in actions if "*" in action]
        if "*" in listed(statement["Resource"]):
            assert {action.split(":")[0] for action in actions} <= set(EVERYWHERE)


def test_each_function_has_a_role_of_its_own() -> None:
    assert all("Role" not in item and item["Policies"] for item in FUNCTIONS.values())
    assert "Policies" not in TEMPLATE["Globals"]["Function"]


def denied(sid: str) -> dict[str, Any]:
    """A statement of the bucket's policy; nobody else is let off but the roles that it names."""
    statements = RESOURCES["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    [found] = [statement for statement in statements if statement["Sid"] == sid]
    assert (found["Effect"], found["Principal"]) == ("Deny", "*")
    return dict(found)


def test_the_bucket_is_private_versioned_encrypted_and_only_for_tls() -> None:
    bucket = RESOURCES["Bucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["BucketEncryption"]
    statement = denied("OnlyTls")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(
    ("sid", "place", "functions"),
    [
        ("OnlyApprovalsWriteApprovals", "runs/*/approvals/*", ("Ask", "Answer")),
        ("OnlyTurnWritesTurns", "targets/*/turn.json", ("Turn",)),
        ("OnlyAnnounceNamesStates", "states/names/*", ("Announce",)),
    ],
)
def test_only_one_kind_of_function_writes_what_others_believe(
    sid: str, place: str, functions: tuple[str, ...]
) -> None:
    statement = denied(sid)
    assert {"s3:PutObject", "s3:DeleteObject"} <= set(statement["Action"])
    assert statement["Resource"] == {"Fn::Sub": f"${{Bucket.Arn}}/{place}"}
    roles = statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    assert roles == [{"Fn::GetAtt": [f"{name}FunctionRole", "Arn"]} for name in functions]


def test_what_runs_the_sql_of_a_release_beside_itself_writes_nothing_that_others_believe() -> None:
    statements = list(objects(FUNCTIONS["RehearseFunction"]["Policies"]))
    [writing] = [node for node in statements if "s3:PutObject" in listed(node.get("Action"))]
    # A state of a shadow server is believed only with its name, which this function cannot write.
    assert [place["Fn::Sub"] for place in writing["Resource"]] == [
        "${Bucket.Arn}/runs/*/rehearsal.json",
        "${Bucket.Arn}/states/bodies/*",
    ]
    reading = [node for node in statements if "s3:GetObject" in listed(node.get("Action"))]
    places = [place["Fn::Sub"] for node in reading for place in listed(node["Resource"])]
    assert "${Bucket.Arn}/runs/*" not in places


def test_messages_and_logs_are_kept_safely_and_not_for_ever() -> None:
    assert RESOURCES["Topic"]["Properties"]["KmsMasterKeyId"]
    assert RESOURCES["DeadLetters"]["Properties"]["SqsManagedSseEnabled"] is True
    logs = [item for item in RESOURCES.values() if item["Type"] == "AWS::Logs::LogGroup"]
    assert logs and all("RetentionInDays" in item["Properties"] for item in logs)
    assert MACHINE["Logging"]["IncludeExecutionData"] is False


def test_what_is_called_asynchronously_has_a_dead_letter_queue() -> None:
    events = {name: item["Events"].values() for name, item in FUNCTIONS.items() if "Events" in item}
    # A queue has its own.
    called = {name for name, found in events.items() if "SQS" not in {one["Type"] for one in found}}
    # By itself, for a press in Slack; by the rule that the end of a run meets.
    called |= {"AnswerFunction", "TurnFunction"}
    # By the schedule.
    called |= {"StartBackfillsFunction"}
    assert called == {name for name, item in FUNCTIONS.items() if "DeadLetterQueue" in item}


def test_only_the_functions_that_reach_the_database_are_in_its_network() -> None:
    networks = {
        name: {node["Ref"] for node in objects(item["VpcConfig"]) if "Ref" in node}
        for name, item in FUNCTIONS.items()
        if "VpcConfig" in item
    }
    # With SQL that nobody has approved, and nothing to connect to.
    assert networks["RehearseFunction"] == {
        *("RehearseSubnetIds", "RehearseSecurityGroupIds", "AWS::NoValue")
    }
    inside = {name for name, refs in networks.items() if "SubnetIds" in refs}
    assert inside == {
        "ValidateFunction",
        "SnapshotFunction",
        "ApplyFunction",
        "BackfillFunction",
        "RollBackFunction",
        "RestoreFunction",
    }


def test_tls_is_verified_unless_somebody_says_otherwise() -> None:
    assert TEMPLATE["Parameters"]["DatabaseTls"]["Default"] == "verify-full"
    assert TEMPLATE["Parameters"]["Environment"]["Default"] == "production"


# What AWS's services do in the name of a function that calls another one: Secrets Manager decrypts
# secrets, RDS uses the database's key, and a login by IAM is a call of nothing.
NO_CALL = {"kms:Decrypt", "kms:CreateGrant", "rds-db:connect", "iam:PassRole"}
SERVICES = {
    "s3": "S3",
    "secretsmanager": "Secrets Manager",
    "rds": "RDS",
    "states": "Step Functions",
    "kms": "KMS",
}


def called_from_the_network() -> dict[str, set[str]]:
    """Function in the VPC → the services that it calls, by what it may do."""
    return {
        item["CodeUri"].removeprefix("functions/"): {
            action.split(":")[0]
            for node in objects(item["Policies"])
            if "kms:ViaService" not in str(node.get("Condition"))
            for action in listed(node.get("Action", []))
            if action not in NO_CALL and node["Effect"] == "Allow"
        }
        for item in FUNCTIONS.values()
        if "VpcConfig" in item
    }


def test_the_page_says_which_service_each_function_in_the_vpc_calls() -> None:
    page = (ROOT / "docs" / "aws.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (yes.*) \|$", page, re.MULTILINE)
    shown = {
        name: {
            service
            for service, cell in zip(SERVICES, cells.split(" | "), strict=True)
            if cell != "no"
        }
        for name, cells in rows
    }
    assert shown == called_from_the_network()
    assert "| function | " + " | ".join(SERVICES.values()) + " |" in page


def test_there_is_a_vpc_endpoint_for_every_service_that_is_called_from_the_vpc() -> None:
    network = read_template(ROOT / "network.yaml")["Resources"]
    endpoints = {
        str(item["Properties"]["ServiceName"]["Fn::Sub"]).rpartition(".")[2]
        for item in network.values()
        if item["Type"] == "AWS::EC2::VPCEndpoint"
    }
    assert endpoints == set().union(*called_from_the_network().values())
