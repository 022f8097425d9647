"""Uploads: what an S3 event stands for."""

from __future__ import annotations

from copy import deepcopy

import pytest
from aws_lambda_powertools.utilities.data_classes.s3_event import S3Event
from turnback.runs.order import Order
from turnback.runs.upload import orders, run_id

from tests.real_events import event


def order_of(upload: dict[str, object]) -> Order:
    (found,) = orders(S3Event(upload), "learning")
    assert isinstance(found, Order)
    return found


def test_an_upload_is_an_order_for_exactly_this_version() -> None:
    found = order_of(event("s3_upload"))
    assert found.target == "learning"
    assert found.artifact.key == "artifacts/learning/1.0.0+build.7.zip"
    assert found.artifact.version_id == "3HL4kqtJvjVBH40Nrjfkd9cJ2mYbS1Yz"
    assert found.trigger == "upload:AWS:AIDAJDPLRKLG7UEXAMPLE"
    assert not found.dry_run


def test_the_same_event_is_the_same_run_whenever_it_comes() -> None:
    late = deepcopy(event("s3_upload"))
    late["Records"][0]["eventTime"] = "2026-11-23T00:00:00.000Z"
    assert order_of(event("s3_upload")).run == order_of(late).run
    assert order_of(late).uploaded_at == "2026-11-23T00:00:00.000Z"


def test_another_version_key_or_bucket_is_another_run() -> None:
    runs = {
        run_id(bucket, key, version)
        for bucket in ("a", "ab")
        for key in ("k", "bk")
        for version in ("v", "")
    }
    assert len(runs) == 8


def test_a_run_id_is_an_executions_name() -> None:
    run = run_id("b" * 63, "k" * 1024, "v" * 1024)
    assert len(run) <= 80 and run.isascii() and run.replace("-", "").isalnum()


@pytest.mark.parametrize("version", [None, "null"], ids=["never on", "suspended"])
def test_without_versions_the_sequencer_tells_uploads_apart(version: str | None) -> None:
    first, second = deepcopy(event("s3_upload")), deepcopy(event("s3_upload"))
    for upload, number in ((first, "01"), (second, "02")):
        stored = upload["Records"][0]["s3"]["object"]
        del stored["versionId"]
        if version:
            stored["versionId"] = version
        stored["sequencer"] = number
    assert order_of(first).run != order_of(second).run
    assert order_of(first).location.version_id is None


def test_what_is_no_upload_is_no_order() -> None:
    removed = deepcopy(event("s3_upload"))
    removed["Records"][0]["eventName"] = "ObjectRemoved:Delete"
    assert list(orders(S3Event(removed), "learning")) == []
    assert list(orders(S3Event(event("s3_test_event")), "learning")) == []
