"""The local CodePipeline is as strict as AWS's: over HTTP, in both of its protocols."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import pytest
from turnback.aws.codepipeline import JobResults
from turnback.demo.codepipeline import LocalCodePipeline, SourceArtifact
from turnback.errors import AwsError

SOURCE = SourceArtifact("bucket", "key", "A", "B", "C")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCodePipeline]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with LocalCodePipeline() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CODEPIPELINE", running.address)
        yield running


def new(pipeline: LocalCodePipeline) -> str:
    return str(pipeline.job(SOURCE, "")["CodePipeline.job"]["id"])


def test_a_job_takes_one_answer(pipeline: LocalCodePipeline) -> None:
    job, results = new(pipeline), JobResults()
    assert results.go_on(job, "token", "at work", 40, "r-1")
    assert not results.succeed(job, {"run": "r-1"}, "done", "r-1")
    (answer,) = pipeline.results
    assert (answer.kind, answer.token, answer.percent) == ("continue", "token", 40)
    assert pipeline.refused == [(job, "InvalidJobStateException")]


def test_a_job_that_nobody_knows_takes_none(pipeline: LocalCodePipeline) -> None:
    assert not JobResults().fail("c0d76431-b0e7-4f6a-97e3-e8ee786eb6f6", "JobFailed", "x", None)
    assert [error for _, error in pipeline.refused] == ["JobNotFoundException"]


def test_variables_and_failures_arrive_as_they_were_said(pipeline: LocalCodePipeline) -> None:
    results = JobResults()
    assert results.succeed(new(pipeline), {"release": "1.4.0"}, "döne", "r-1")
    assert results.fail(new(pipeline), "JobFailed", "lösch\nhint: x", "r-2")
    good, bad = pipeline.results
    assert (good.kind, good.text, dict(good.variables)) == ("success", "döne", {"release": "1.4.0"})
    assert (bad.kind, bad.text, bad.details["type"]) == ("failure", "lösch\nhint: x", "JobFailed")


@pytest.mark.parametrize(
    "changed",
    [
        {"continuationToken": "t" * 2049},
        {"outputVariables": {"with space": "x"}},
        {"outputVariables": {"a": "x"}, "continuationToken": "t"},
        {"executionDetails": {"summary": "s" * 2049}},
    ],
)
def test_what_codepipeline_refuses_is_refused(
    pipeline: LocalCodePipeline, changed: dict[str, Any]
) -> None:
    job = new(pipeline)
    request = urllib.request.Request(
        pipeline.address,
        json.dumps({"jobId": job, **changed}).encode(),
        {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "CodePipeline_20150709.PutJobSuccessResult",
        },
    )
    with pytest.raises(HTTPError) as refused, urllib.request.urlopen(request):
        pass
    with refused.value as answer:
        assert json.loads(answer.read())["__type"] == "ValidationException"
    assert pipeline.results == []


def test_a_function_that_reports_no_result_is_an_error(pipeline: LocalCodePipeline) -> None:
    with pytest.raises(AwsError, match="reported no result"):
        list(pipeline.action(lambda _: None, SOURCE, ""))
