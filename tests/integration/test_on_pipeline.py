"""A job of CodePipeline, answered by our handler, with real runs on a real Postgres behind it."""

from __future__ import annotations

import io
import json
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from turnback.aws.stepfunctions import StateMachine
from turnback.errors import AwsError
from turnback.runs.pipeline import jobs
from turnback.runtime import logger

from tests.conftest import ProjectFactory
from tests.integration.pipelines import LENT, Pipeline, pipeline, zipped
from tests.integration.releases import BROKEN, GOOD, Deploy, assert_untouched, health, tables
from tests.real_events import event

Piped = Callable[..., Pipeline]


@pytest.fixture
def piped(deploy: Deploy) -> Iterator[Piped]:
    """Deploys the stack with these parameters, and a pipeline in front of it."""
    with ExitStack() as opened:
        yield lambda **parameters: opened.enter_context(pipeline(deploy(**parameters)))


def executions(line: Pipeline) -> list[str]:
    """The names of all runs that were started."""
    listed = line.stack.client("stepfunctions").list_executions(stateMachineArn=line.stack.machine)
    return [item["name"] for item in listed["executions"]]


def order_of(line: Pipeline, run: str) -> dict[str, Any]:
    """What a run was started with."""
    arn = f"{line.stack.machine.replace(':stateMachine:', ':execution:')}:{run}"
    found = line.stack.client("stepfunctions").describe_execution(executionArn=arn)
    return dict(json.loads(found["input"]))


def artifact_of(line: Pipeline, run: str) -> bytes:
    """What a run was given."""
    client = line.stack.client("s3")
    got = client.get_object(Bucket=line.stack.bucket, Key=f"runs/{run}/artifact.zip")
    return bytes(got["Body"].read())


def test_a_job_runs_its_release_and_gives_its_variables_to_the_pipeline(
    piped: Piped, database: str, project_factory: ProjectFactory
) -> None:
    line = piped()
    *going, last = line.play(line.source(project_factory(GOOD)))

    assert tables(database) == {"users", "nodes", "edges"}
    assert going and {answer.kind for answer in going} == {"continue"}
    assert all(not answer.variables for answer in going)
    assert (last.kind, last.percent) == ("success", 100)
    run = last.variables["run"]
    assert executions(line) == [run]
    assert {answer.details["externalExecutionId"] for answer in [*going, last]} == {run}
    assert last.variables["release"] == "1.4.0"
    assert last.variables["status"] == "succeeded"
    assert last.variables["schema_version"] == "0003"
    assert last.variables["migrations"] == "3"
    assert f"prefix=runs/{run}/" in last.variables["report_url"]
    assert line.stack.record(run, "plan")["source"] == {"commit": "e0c7a1d2308c"}


def test_the_run_says_which_pipeline_started_it_and_runs_exactly_the_artifact_that_was_checked(
    piped: Piped, project_factory: ProjectFactory
) -> None:
    line = piped()
    last = line.play(line.source(project_factory(GOOD)))[-1]
    run = last.variables["run"]
    order = order_of(line, run)

    assert order["trigger"] == "pipeline:learning-database:5d3f0a9c-1b7e-4246-80ac-e5d3f0a9c1b7"
    assert order["artifact"]["key"] == f"runs/{run}/artifact.zip"
    assert order["artifact"]["sha256"] == line.stack.record(run, "plan")["artifact"]["sha256"]
    with zipfile.ZipFile(io.BytesIO(artifact_of(line, run))) as opened:
        assert set(opened.namelist()) == {
            "release.json",
            "migrations/SHA256SUMS",
            *(f"migrations/{name}" for name in GOOD),
        }


def test_a_rehearsal_stage_finds_everything_out_and_changes_nothing(
    piped: Piped, database: str, project_factory: ProjectFactory
) -> None:
    line = piped(Rehearse="always")
    last = line.play(line.source(project_factory(GOOD)), mode="rehearse")[-1]

    assert last.kind == "success"
    assert "nothing was changed" in last.text
    found = line.stack.record(last.variables["run"], "rehearsal")["migrations"]
    assert [verdict["rollback"] for verdict in found] == ["exact", "exact", "exact"]
    assert last.variables["schema_version"] == "0"
    assert_untouched(database)


def test_a_release_that_fails_fails_the_job_with_file_line_and_hint(
    piped: Piped, database: str, project_factory: ProjectFactory
) -> None:
    line = piped()
    last = line.play(line.source(project_factory(BROKEN)))[-1]

    assert (last.kind, last.details["type"]) == ("failure", "JobFailed")
    assert "was rolled back: the schema is as before" in last.text
    assert 'sql/0004_tags.sql:2: column "x" referenced in foreign key' in last.text
    assert "\nhint: " in last.text
    run = last.details["externalExecutionId"]
    assert f"turnback watch {run}" in last.text
    assert tables(database) == set()


def test_each_call_made_twice_is_one_run_and_no_error(
    piped: Piped, database: str, project_factory: ProjectFactory
) -> None:
    line = piped()
    source = line.source(project_factory(GOOD))

    def twice(event: dict[str, Any]) -> None:
        assert line.call(event)["took"] is True
        assert line.call(event)["took"] is False

    answers = list(line.codepipeline.action(twice, source, {"release": "1.4.0"}, poll_s=0.05))
    assert answers[-1].kind == "success"
    assert executions(line) == [answers[-1].variables["run"]]
    assert {error for _, error in line.codepipeline.refused} == {"InvalidJobStateException"}
    assert health(database) == dict.fromkeys(["0001", "0002", "0003"], "applied")


def test_calls_that_come_after_the_end_change_nothing(
    piped: Piped, project_factory: ProjectFactory
) -> None:
    line = piped()
    source = line.source(project_factory(GOOD))
    seen: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> None:
        seen.append(event)
        line.call(event)

    ended = list(line.codepipeline.action(keep, source, {"release": "1.4.0"}, poll_s=0.05))
    for old in reversed(seen):
        late = line.call(old)
        assert (late["answer"], late["took"]) == ("success", False)
    assert line.codepipeline.results == ended
    assert executions(line) == [ended[-1].variables["run"]]


def test_a_job_that_is_over_before_we_answer_starts_no_run(
    piped: Piped, database: str, project_factory: ProjectFactory
) -> None:
    line = piped()
    stopped = line.job(line.source(project_factory(GOOD)))
    line.codepipeline.revoke(stopped["CodePipeline.job"]["id"])
    unknown = event("pipeline_job")
    unknown["CodePipeline.job"]["data"]["inputArtifacts"] = stopped["CodePipeline.job"]["data"][
        "inputArtifacts"
    ]

    assert line.call(stopped)["took"] is False
    assert line.call(unknown)["took"] is False
    assert [error for _, error in line.codepipeline.refused] == [
        "InvalidJobStateException",
        "JobNotFoundException",
    ]
    assert executions(line) == []
    assert_untouched(database)


def test_the_retry_of_a_failed_stage_is_a_run_of_its_own(
    piped: Piped, project_factory: ProjectFactory
) -> None:
    line = piped()
    source = line.source(project_factory(BROKEN))
    first, again = line.play(source)[-1], line.play(source)[-1]

    assert (first.kind, again.kind) == ("failure", "failure")
    runs = {first.details["externalExecutionId"], again.details["externalExecutionId"]}
    assert set(executions(line)) == runs and len(runs) == 2


def test_a_job_sent_twice_at_once_stores_one_artifact(
    piped: Piped, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = piped()
    monkeypatch.setattr(StateMachine, "start", lambda *_: True)
    job = line.job(line.source(project_factory(GOOD)))
    run = line.call(job)["run"]
    stored = artifact_of(line, run)

    assert line.call(job)["run"] == run
    assert artifact_of(line, run) == stored


def test_a_run_that_cannot_be_started_is_started_by_the_next_call(
    piped: Piped, database: str, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = piped()
    start, refusals = StateMachine.start, [3]

    def throttled(self: StateMachine, name: str, order: Any) -> bool:
        refusals[0] -= 1
        if refusals[0] >= 0:
            raise AwsError("could not start the run: ThrottlingException: Rate exceeded")
        return start(self, name, order)

    monkeypatch.setattr(StateMachine, "start", throttled)
    answers = line.play(line.source(project_factory(GOOD)))

    assert "attempt 1 of 10 failed: could not start the run: ThrottlingException" in answers[1].text
    assert answers[-1].kind == "success"
    assert tables(database) == {"users", "nodes", "edges"}


def test_of_a_whole_repository_only_the_migrations_are_looked_at(
    piped: Piped, database: str, project_factory: ProjectFactory
) -> None:
    line = piped()
    body = io.BytesIO(
        zipped(project_factory(GOOD), {"README.md": "x", "src/app.py": "x", "sql/readme": "x"})
    )
    with zipfile.ZipFile(body, "a") as archive:
        for name in ("AGENTS.md", "src/link"):
            link = zipfile.ZipInfo(name)
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "README.md")
    *_, last = line.play(line.put(body.getvalue()))

    assert last.kind == "success"
    assert tables(database) == {"users", "nodes", "edges"}


def test_a_job_whose_artifact_may_not_be_read_says_so_and_is_read_with_its_own_credentials(
    piped: Piped, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = piped()
    source = line.source(project_factory(GOOD))
    with _denying_s3() as (address, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        (only,) = line.play(source)

    assert (only.kind, only.details["type"]) == ("failure", "PermissionError")
    assert "AccessDenied" in only.text and "allow the pipeline's role to read" in only.text
    assert f"Credential={LENT['access_key_id']}/" in asked[0]["Authorization"]
    assert asked[0]["X-Amz-Security-Token"] == LENT["session_token"]


def test_neither_the_event_nor_a_credential_is_ever_logged_or_answered(
    piped: Piped,
    project_factory: ProjectFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = piped()
    logged = io.StringIO()
    logger.registered_handler.setStream(logged)
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    try:
        line.play(line.source(project_factory(GOOD)))
        line.play(line.source(project_factory(BROKEN)))
        line.play(line.put(b"no zip"))
        missing = line.job(line.put(b"gone"))
        artifact = missing["CodePipeline.job"]["data"]["inputArtifacts"][0]
        artifact["location"]["s3Location"]["objectKey"] = "gone.zip"
        line.call(missing)
        broken = line.job(line.put(b"gone"))
        broken["CodePipeline.job"]["data"]["inputArtifacts"] = 3
        answer, failed = line.called(broken)
        assert failed
    finally:
        logger.registered_handler.setStream(sys.__stdout__)

    lines = [json.loads(text) for text in logged.getvalue().splitlines()]
    ours = [found for found in lines if found["function"] == "on_pipeline"]
    assert {found.get("run") for found in ours if found["message"] == "done"} - {None}
    assert all(found["job"] for found in ours if found["message"] == "done")
    answers = json.dumps([dict(answer.details) for answer in line.codepipeline.results])
    everything = logged.getvalue() + capsys.readouterr().out + answers + json.dumps(answer)
    for secret in (LENT["secret_access_key"], LENT["session_token"], "artifactCredentials"):
        assert secret not in everything


def test_when_codepipeline_takes_no_answer_lambda_calls_again(
    piped: Piped, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = piped()
    job = line.job(line.source(project_factory(GOOD)))
    line.answers_go_to("http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    answer, failed = line.called(job)
    assert failed and answer["errorType"] == "AwsError"
    assert executions(line) == []

    line.answers_go_to(line.codepipeline.address)
    assert line.call(job)["took"] is True
    assert len(executions(line)) == 1


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (zipfile.ZIP_DEFLATED, "is not a sound zip file"),
        (zipfile.ZIP_BZIP2, "is not a sound zip file"),
        # What is damaged is the size of its dictionary, which is looked at first.
        (zipfile.ZIP_LZMA, "its LZMA dictionary takes 1,440,044,373 bytes"),
    ],
)
def test_a_damaged_source_fails_the_job_whatever_it_is_compressed_with(
    piped: Piped, project_factory: ProjectFactory, how: int, reason: str
) -> None:
    line, folder, body = piped(), project_factory(GOOD), io.BytesIO()
    with zipfile.ZipFile(body, "w", how) as archive:
        for path in [*sorted(folder.rglob("*.sql")), folder / "SHA256SUMS"]:
            name = f"migrations/{path.relative_to(folder).as_posix()}"
            archive.writestr(name, path.read_bytes(), how)
    damaged = bytearray(body.getvalue())
    at = damaged.find(b".sql") + 8
    damaged[at : at + 10] = bytes(byte ^ 0x55 for byte in damaged[at : at + 10])
    [only] = line.play(line.put(bytes(damaged)))
    assert only.kind == "failure"
    assert reason in only.text
    assert "no run was started, and nothing was changed" in only.text


def test_a_job_is_failed_whatever_its_call_raises(
    piped: Piped, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    line = piped()
    monkeypatch.setattr(jobs, "prepare", exhausted)
    job = line.job(line.source(project_factory(GOOD)))
    answer, failed = line.called(job)
    # Raised again, so that Lambda counts it, and calls twice more.
    assert failed and answer["errorType"] == "UnexpectedError"
    assert line.called(job)[1]
    [only] = line.codepipeline.results
    assert (only.kind, "MemoryError" in only.text) == ("failure", True)
    assert executions(line) == []


def test_a_job_whose_event_cannot_be_read_is_failed(piped: Piped) -> None:
    line = piped()
    job = line.job(line.put(b"gone"))
    job["CodePipeline.job"]["data"]["inputArtifacts"] = 3
    assert line.called(job)[1]
    assert [result.kind for result in line.codepipeline.results] == ["failure"]


def given_up(line: Pipeline, job: dict[str, Any], **how: str) -> dict[str, Any]:
    """What final_word returns for a call that Lambda gave up."""
    address = line.codepipeline.address
    line.stack.set_variables("final_word", AWS_ENDPOINT_URL_CODEPIPELINE=address)
    record = event("lambda_failed") | {"requestPayload": job, "responsePayload": how}
    return line.stack.invoke("final_word", record)


def test_the_job_of_a_call_that_was_killed_each_time_is_failed(
    piped: Piped, project_factory: ProjectFactory
) -> None:
    line = piped()
    job = line.job(line.source(project_factory(GOOD)))
    killed = {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: 1 Error: signal: killed",
    }
    assert given_up(line, job, **killed)["took"] is True
    [only] = line.codepipeline.results
    assert only.kind == "failure"
    assert "no run was started" in only.text and "signal: killed" in only.text
    assert "may need more memory" in only.text


def test_of_a_run_that_can_no_more_be_followed_the_job_says_which(
    piped: Piped, project_factory: ProjectFactory
) -> None:
    line = piped()
    source = line.source(project_factory(GOOD))
    run = line.call(line.job(source))["run"]
    again = line.job(source, token=line.codepipeline.results[0].token)
    late = {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 300.00 seconds"}
    given_up(line, again, **late)
    text = line.codepipeline.results[-1].text
    assert f"the run {run} could not be followed, and may be at work" in text
    assert f"turnback watch {run}" in text


@contextmanager
def _denying_s3() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An S3 that refuses everybody, and keeps the headers of who asked."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers.items()))
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
