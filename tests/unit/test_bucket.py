"""A bucket: what S3 answers, by botocore's own model of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.stub import ANY, Stubber
from turnback.aws.s3 import Bucket


@pytest.mark.parametrize(
    ("answer", "version"), [({"VersionId": "v1"}, "v1"), ({"VersionId": "null"}, None), ({}, None)]
)
def test_an_object_has_no_version_while_versioning_is_suspended(
    answer: dict[str, str], version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    (tmp_path / "a.zip").write_bytes(b"PK")
    bucket = Bucket("turnback-orders")
    with Stubber(bucket._s3) as stubber:
        asked = {"Bucket": "turnback-orders", "Key": "a.zip", "Body": ANY}
        stubber.add_response("put_object", answer, asked)
        assert bucket.write_file("a.zip", tmp_path / "a.zip") == version
