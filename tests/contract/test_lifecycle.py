"""What the stack keeps, and for how long: nothing for ever, and nothing too short.

moto checks the rules as S3 does (S3 API reference, "PutBucketLifecycleConfiguration").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from turnback.local.deploy import read_template
from turnback.rehearsal import stored

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(ROOT / "template.yaml")
PARAMETERS = TEMPLATE["Parameters"]
BUCKET = TEMPLATE["Resources"]["Bucket"]["Properties"]
EXECUTION_S = json.loads((ROOT / "statemachine/release.asl.json").read_text())["TimeoutSeconds"]
# "Redriving executions in Step Functions": within 14 days of the end of an execution.
REDRIVE_DAYS = 14


def rules(values: Mapping[str, int]) -> list[dict[str, Any]]:
    """The rules as S3's API has them (CloudFormation, "AWS::S3::Bucket Rule")."""
    found = []
    for rule in BUCKET["LifecycleConfiguration"]["Rules"]:
        made: dict[str, Any] = {"ID": rule["Id"], "Status": rule["Status"]}
        made["Filter"] = {"Prefix": rule.get("Prefix", "")}
        expiration = {}
        if "ExpirationInDays" in rule:
            days = rule["ExpirationInDays"]
            expiration["Days"] = values[days["Ref"]] if isinstance(days, dict) else days
        if "ExpiredObjectDeleteMarker" in rule:
            expiration["ExpiredObjectDeleteMarker"] = rule["ExpiredObjectDeleteMarker"]
        if expiration:
            made["Expiration"] = expiration
        if "NoncurrentVersionExpiration" in rule:
            days = rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
            days = values[days["Ref"]] if isinstance(days, dict) else days
            made["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
        if "AbortIncompleteMultipartUpload" in rule:
            made["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
        found.append(made)
    return found


def accepted(values: Mapping[str, int]) -> list[dict[str, Any]]:
    """The rules as S3 keeps them, once it has checked them."""
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="turnback-learning")
        s3.put_bucket_lifecycle_configuration(
            Bucket="turnback-learning", LifecycleConfiguration={"Rules": rules(values)}
        )
        return list(s3.get_bucket_lifecycle_configuration(Bucket="turnback-learning")["Rules"])


def kept_days(key: str, values: Mapping[str, int], *, replaced: bool = False) -> int | None:
    """For how many days an object is kept; None for ever."""
    word, field = ("NoncurrentVersionExpiration", "NoncurrentDays")
    if not replaced:
        word, field = "Expiration", "Days"
    found = [
        rule[word][field]
        for rule in accepted(values)
        if key.startswith(rule["Filter"]["Prefix"]) and field in rule.get(word, {})
    ]
    return min(found, default=None)


NAMES = ("RunRecordDays", "ArtifactDays", "OldVersionDays")
LEAST = {name: int(PARAMETERS[name]["MinValue"]) for name in NAMES}
DEFAULTS = {name: int(PARAMETERS[name]["Default"]) for name in NAMES}


@pytest.mark.parametrize("values", [LEAST, DEFAULTS], ids=["least", "defaults"])
def test_what_a_run_may_need_for_its_rollback_outlives_the_run(values: dict[str, int]) -> None:
    needed = EXECUTION_S / 86_400 + REDRIVE_DAYS
    for key in (
        "artifacts/orders/1.4.0.zip",
        "runs/r-1/plan.json",
        "runs/r-1/report.json",
        "runs/r-1/schema-before.json",
        "runs/r-1/artifact.zip",
        "runs/r-1/approvals/release.json",
    ):
        kept = kept_days(key, values)
        assert kept is not None and kept > needed, key
        # The artifact is pinned by its version, and somebody uploads another one under its key.
        replaced = kept_days(key, values, replaced=True)
        assert replaced is not None and replaced > needed, key


def test_no_rule_removes_a_dump() -> None:
    """Retention does, which knows what runs need and keeps the newest."""
    assert kept_days("snapshots/orders/r-1.dump", LEAST) is None


def test_a_stored_state_is_kept_as_long_as_a_rehearsal_uses_it() -> None:
    kept = kept_days("states/bodies/x", DEFAULTS)
    assert kept is not None
    assert kept == stored._DAYS + 1


def test_nothing_grows_for_ever() -> None:
    known = accepted(DEFAULTS)
    assert any(rule.get("Expiration", {}).get("ExpiredObjectDeleteMarker") for rule in known)
    assert any("AbortIncompleteMultipartUpload" in rule for rule in known)
    for prefix in ("runs/", "artifacts/", "states/names/", "states/bodies/"):
        assert kept_days(f"{prefix}x", DEFAULTS) is not None
    assert kept_days("snapshots/x", DEFAULTS, replaced=True) is not None
    groups = [
        item["Properties"]["RetentionInDays"]
        for item in TEMPLATE["Resources"].values()
        if item["Type"] == "AWS::Logs::LogGroup"
    ]
    assert groups == [{"Ref": "LogRetentionDays"}] * 2
    assert TEMPLATE["Resources"]["DeadLetters"]["Properties"]["MessageRetentionPeriod"]
