"""What a pipeline's job is answered: the table of a run's states, and of everything refused."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.code_pipeline_job_event import (
    CodePipelineJobEvent,
)
from turnback.aws.stepfunctions import Execution
from turnback.errors import AwsError, ConfigurationError, MigrationFailed
from turnback.runs.pipeline.job import Credentials, Job, Parameters, Token
from turnback.runs.pipeline.jobs import TRIES, Jobs
from turnback.runs.reporting.pipeline import MESSAGE_LENGTH, message_of
from turnback.runs.reporting.progress import Progress
from turnback.runs.state import RunError
from turnback.settings.environment import PipelineSettings

from tests.conftest import ProjectFactory
from tests.real_events import event

NOW = 1_795_340_000
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:turnback-release"
FILES = {
    "sql/0001_users.sql": "CREATE TABLE users (id bigint);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
}
Reported = dict[str, Any]


@dataclass
class Aws:
    """CodePipeline, Step Functions and S3, as far as jobs need them."""

    source: bytes = b""
    status: str | None = None
    error: str = ""
    cause: str = ""
    state: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    started: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    reported: list[Reported] = field(default_factory=list)
    over: bool = False
    denied: str = ""
    deaf: bool = False
    name: str = "turnback-bucket"

    def start(self, name: str, order: Mapping[str, Any]) -> bool:
        if self.deaf:
            raise AwsError("could not start the run: ThrottlingException: Rate exceeded")
        self.started[name] = order
        return True

    def execution_arn(self, name: str) -> str:
        return f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"

    def describe(self, name: str) -> Execution | None:
        if self.status is None:
            return None
        return Execution(
            name,
            self.execution_arn(name),
            self.status,
            datetime(2026, 11, 22, 9, 15, tzinfo=UTC),
            error=self.error,
            cause=self.cause,
        )

    def last_state(self, name: str) -> str:
        if self.deaf:
            raise AwsError(f"could not look at the run {name}: ThrottlingException: Rate exceeded")
        return self.state

    def go_on(self, job: str, token: str, summary: str, percent: int | None, run: str) -> bool:
        return self._tell("continue", job=job, token=token, text=summary, percent=percent, run=run)

    def succeed(self, job: str, variables: Mapping[str, str], summary: str, run: str) -> bool:
        return self._tell("success", job=job, variables=variables, text=summary, run=run)

    def fail(self, job: str, kind: str, message: str, run: str | None) -> bool:
        return self._tell("failure", job=job, kind=kind, text=message, run=run)

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write_file(self, key: str, file: Path) -> str | None:
        self.write(key, file.read_bytes())
        return None

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body

    def download(self, bucket: str, key: str, into: Path, *, most: int) -> datetime:
        if self.denied:
            raise AwsError(f"could not read s3://{bucket}/{key}: {self.denied}", hint="retry")
        assert len(self.source) <= most
        into.write_bytes(self.source)
        return datetime(2026, 11, 22, 9, 15, tzinfo=UTC)

    def _tell(self, answer: str, **reported: Any) -> bool:
        self.reported.append({"answer": answer, **reported})
        return not self.over

    def answer(self, job: Job, *, now: float = NOW) -> Reported:
        """What a call of this job is answered."""
        settings = PipelineSettings.read({"TARGET": "learning"})
        Jobs(settings, self, self, self, lambda _: self, lambda: now).answer(job)
        return self.reported[-1]

    def keep(self, run: str, name: str, record: Any) -> None:
        """A record of the run."""
        self.objects[f"runs/{run}/{name}.json"] = json.dumps(record).encode()


def job(name: str = "pipeline_job", **parameters: str | None) -> Job:
    """The job of one of the events, with these UserParameters changed."""
    changed = event(name)
    configuration = changed["CodePipeline.job"]["data"]["actionConfiguration"]["configuration"]
    if parameters:
        merged = {**json.loads(configuration.get("UserParameters") or "{}"), **parameters}
        configuration["UserParameters"] = json.dumps(merged)
    return Job.read(CodePipelineJobEvent(changed))


CONTINUED = job("pipeline_job_continued")
RUN = Token.parse(CONTINUED.continuation_token or "").run


def source(folder: Path, **files: str) -> bytes:
    """The zip of a repository with the project in ``migrations``."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for path in folder.rglob("*"):
            if path.is_file():
                archive.write(path, f"migrations/{path.relative_to(folder).as_posix()}")
        for name, text in files.items():
            archive.writestr(name, text)
    return body.getvalue()


def test_the_event_is_read_as_powertools_reads_it() -> None:
    read = job()
    assert read.id == "c0d76431-b0e7-4f6a-97e3-e8ee786eb6f6"
    assert read.source("").key == "learning-database/Source/TdOSFRV.zip"
    assert read.continuation_token is None
    assert Parameters.parse(read.user_parameters).trigger(read) == (
        "pipeline:learning-database:5d3f0a9c-1b7e-4246-80ac-e5d3f0a9c1b7"
    )


def test_a_job_never_shows_its_credentials() -> None:
    read = job()
    assert read.credentials.secret_access_key.startswith("6CGtmA")
    for text in (repr(read), str(read.credentials)):
        for secret in ("6CGtmA", "IQoJb3", "ASIAIOSF"):
            assert secret not in text


def test_the_run_is_of_the_job_and_of_its_artifact() -> None:
    assert job().run() == job().run()
    other = event("pipeline_job")
    other["CodePipeline.job"]["id"] = "c0d76431-b0e7-4f6a-97e3-e8ee786eb6f7"
    assert Job.read(CodePipelineJobEvent(other)).run() != job().run()


def test_a_first_call_stores_the_artifact_answers_and_starts(
    project_factory: ProjectFactory,
) -> None:
    aws = Aws(source(project_factory(FILES)))
    reported = aws.answer(job())

    run = job().run()
    assert (reported["answer"], reported["run"]) == ("continue", run)
    assert list(aws.started) == [run]
    order = aws.started[run]
    assert order["artifact"]["key"] == f"runs/{run}/artifact.zip"
    assert (order["target"], order["dry_run"]) == ("learning", False)
    token = Token.parse(reported["token"])
    assert (token.run, token.started, token.sha256) == (run, NOW, order["artifact"]["sha256"])


def test_the_same_source_gives_the_same_bytes(project_factory: ProjectFactory) -> None:
    aws = Aws(source(project_factory(FILES)))
    aws.answer(job())
    before = dict(aws.objects)
    aws.answer(job())
    assert aws.objects == before


def test_a_job_that_is_over_starts_nothing(project_factory: ProjectFactory) -> None:
    aws = Aws(source(project_factory(FILES)), over=True)
    aws.answer(job())
    assert aws.started == {}


def test_a_rehearsal_is_a_dry_run(project_factory: ProjectFactory) -> None:
    aws = Aws(source(project_factory(FILES)))
    aws.answer(job(mode="rehearse"))
    assert [order["dry_run"] for order in aws.started.values()] == [True]


def test_a_source_that_names_its_release_needs_no_parameters(
    project_factory: ProjectFactory,
) -> None:
    manifest = {"format": 1, "release": "2.0.0", "created_at": "2026-11-20T08:00:00+00:00"}
    manifest |= {"rollback_to": "1.9.0", "source": {"commit": "abc"}}
    aws = Aws(source(project_factory(FILES), **{"release.json": json.dumps(manifest)}))
    assert aws.answer(job("pipeline_job_no_parameters"))["answer"] == "continue"
    (body,) = aws.objects.values()
    with zipfile.ZipFile(io.BytesIO(body)) as opened:
        assert json.loads(opened.read("release.json")) == manifest


def test_the_migrations_may_be_the_root_of_the_source(project_factory: ProjectFactory) -> None:
    folder = project_factory(FILES)
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("README.md", "hello")
        for path in folder.rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    for path in (".", ""):
        aws = Aws(body.getvalue())
        assert aws.answer(job(path=path))["answer"] == "continue", aws.reported


def test_of_several_folders_one_must_be_chosen(
    project_factory: ProjectFactory,
) -> None:
    folder = project_factory(FILES)
    both = source(folder).replace(b"migrations/", b"databaseA0/")
    other = {f"databaseB0/{name}": text for name, text in FILES.items()}
    body = io.BytesIO(both)
    with zipfile.ZipFile(body, "a") as archive:
        for name, text in other.items():
            archive.writestr(name, text)
    aws = Aws(body.getvalue())
    reported = aws.answer(job(path=""))
    assert (
        "several folders of migrations in the source artifact: databaseA0, databaseB0"
        in (reported["text"])
    )
    assert aws.answer(job(path="databaseA0/"))["answer"] == "continue"


@pytest.mark.parametrize(
    ("files", "changed", "kind", "reported", "hint"),
    [
        (None, {}, "JobFailed", "not a zip file", "CODE_ZIP"),
        ({}, {"path": "db/x"}, "JobFailed", "no folder 'db/x/sql'", '"path"'),
        ({}, {"path": "../../etc"}, "ConfigurationError", "leaves the source", '"path"'),
        ({}, {"path": "/etc"}, "ConfigurationError", "leaves the source", '"path"'),
        ({}, {"release": ""}, "JobFailed", "the release has no number", '"release"'),
        ({}, {"release": "v1"}, "ConfigurationError", "'v1' is not a release", "1.4.0"),
        ({}, {"mode": "apply"}, "ConfigurationError", "the mode 'apply'", '"mode"'),
        (
            {},
            {"realease": "1.4.0"},
            "ConfigurationError",
            "'realease', which is unknown",
            "release",
        ),
        ({}, {"path": 3}, "ConfigurationError", "a 'path' that is not text", '"path"'),
        ({}, {"target": "other"}, "ConfigurationError", "releases to 'learning'", "correct"),
        ({}, {"artifact": "Build"}, "ConfigurationError", "it has: Source", "InputArtifacts"),
        (
            {"migrations/sql/0004_x.sql": "SELECT 1;"},
            {},
            "JobFailed",
            "sql/0004_x.sql: SHA256SUMS does not know this file",
            "check --fix",
        ),
        (
            {"db/sql/0001_x.sql": "SELECT 1;"},
            {"path": "db"},
            "JobFailed",
            "there is no SHA256SUMS",
            "check --fix",
        ),
        (
            {"release.json": '{"format": 1, "release": "1.3.9"}'},
            {},
            "JobFailed",
            "release.json: release.json says release 1.3.9, the UserParameters of the action say "
            "1.4.0",
            "only one of the two",
        ),
        ({"release.json": "{"}, {}, "JobFailed", "release.json is not JSON", ""),
        ({"migrations/../x": "x"}, {}, "JobFailed", "leaves the folder", ""),
    ],
)
def test_what_cannot_be_used_fails_the_job_and_starts_no_run(
    project_factory: ProjectFactory,
    files: dict[str, str] | None,
    changed: dict[str, Any],
    kind: str,
    reported: str,
    hint: str,
) -> None:
    aws = Aws(b"no zip" if files is None else source(project_factory(FILES), **files))
    found = aws.answer(job(**changed))

    assert (found["answer"], found["kind"], found["run"]) == ("failure", kind, None)
    assert found["text"].startswith("no run was started, and nothing was changed\n")
    assert reported in found["text"] and hint in found["text"]
    assert aws.started == aws.objects == {}


def test_a_source_without_migrations_fails_the_job() -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("README.md", "hello")
    reported = Aws(body.getvalue()).answer(job(path=""))
    assert "there is no folder 'migrations/sql' in the source artifact" in reported["text"]


def test_parameters_that_are_no_json_fail_the_job_with_an_example() -> None:
    reported = Aws().answer(job("pipeline_job_plain_text"))
    assert reported["kind"] == "ConfigurationError"
    assert "are not JSON" in reported["text"]
    assert '{"path": "migrations", "release": "1.4.0", "mode": "migrate"}' in reported["text"]


@pytest.mark.parametrize(
    ("denied", "kind"),
    [("AccessDenied", "PermissionError"), ("InternalError", "SystemUnavailable")],
)
def test_a_source_that_cannot_be_read_fails_the_job(denied: str, kind: str) -> None:
    aws = Aws(denied=denied)
    reported = aws.answer(job())
    assert (reported["answer"], reported["kind"]) == ("failure", kind)
    assert aws.started == {}


def test_a_run_that_goes_on_is_reported_with_its_percent() -> None:
    aws = Aws(status="RUNNING", state="Apply")
    steps = [{"version": f"000{n}", "name": "x"} for n in range(1, 5)]
    aws.keep(RUN, "plan", {"migrations": steps})
    aws.keep(RUN, "report", {"applied": [{"version": "0001"}]})
    working = Progress(applied=("0002",), version="0003", name="edges", text="index: 40 %")
    aws.objects[f"runs/{RUN}/progress.json"] = working.to_json()
    reported = aws.answer(CONTINUED)

    assert reported["text"] == (
        f"run {RUN}: applying migrations, 2 of 4 done; now 0003 edges: index: 40 %"
    )
    assert (reported["answer"], reported["percent"]) == ("continue", 50)
    assert (
        Token.parse(reported["token"]).started == Token.parse(CONTINUED.continuation_token).started
    )


@pytest.mark.parametrize("state", ["AskApproval", "AskRestore"])
def test_a_run_that_waits_for_a_person_says_how_to_answer(state: str) -> None:
    reported = Aws(status="RUNNING", state=state).answer(CONTINUED)
    assert f"turnback approve {RUN}" in reported["text"]
    assert (reported["answer"], reported["percent"]) == ("continue", None)


@pytest.mark.parametrize(
    ("plan", "mode", "version", "summary"),
    [
        ({"direction": "up", "migrations": ["0003"]}, "migrate", "0003", "1 migration done"),
        ({"direction": "up", "migrations": []}, "migrate", "0002", "nothing to do"),
        ({"direction": "up", "migrations": ["0003"]}, "rehearse", "0002", "nothing was changed"),
        ({"direction": "down", "migrations": ["0002"]}, "migrate", "0001", "1 migration done"),
        ({"direction": "up", "migrations": ["0009", "0010"]}, "migrate", "0010", "2 migrations"),
    ],
)
def test_a_run_that_succeeded_gives_its_variables(
    plan: dict[str, Any], mode: str, version: str, summary: str
) -> None:
    aws = Aws(status="SUCCEEDED")
    steps = [{"version": step, "name": "x"} for step in plan["migrations"]]
    history = [["0001", "a" * 64], ["0002", "b" * 64]]
    aws.keep(RUN, "plan", {**plan, "release": "1.4.0", "history": history, "migrations": steps})
    reported = aws.answer(job("pipeline_job_continued", mode=mode))

    assert reported["answer"] == "success"
    assert summary in reported["text"]
    assert reported["variables"] == {
        "run": RUN,
        "status": "succeeded",
        "release": "1.4.0",
        "schema_version": version,
        "migrations": str(len(steps)),
        "report_url": "https://eu-central-1.console.aws.amazon.com/s3/buckets/turnback-bucket"
        f"?region=eu-central-1&prefix=runs/{RUN}/",
    }


CAUSE = str(
    MigrationFailed(
        'column "grade" does not exist', file="sql/0013_grades.sql", line=12, hint="fix the file"
    ).machine_readable()
)


@pytest.mark.parametrize(
    ("status", "state", "reported"),
    [
        ("FAILED", "Refused", "was refused: nothing was changed"),
        ("FAILED", "RolledBack", "failed and was rolled back: what it had done was undone"),
        ("FAILED", "Restored", "failed and was restored"),
        ("FAILED", "NeedsAPerson", "a person is needed"),
        ("ABORTED", "Apply", "was ended from outside (ABORTED)"),
        ("TIMED_OUT", "Apply", "timed out"),
    ],
)
def test_a_run_that_failed_fails_the_job_with_the_outcome_the_place_and_the_hint(
    status: str, state: str, reported: str
) -> None:
    cause = json.dumps({"errorMessage": CAUSE, "errorType": "MigrationFailed"})
    aws = Aws(status=status, state=state, error="MigrationFailed", cause=cause)
    found = aws.answer(CONTINUED)

    assert (found["answer"], found["kind"], found["run"]) == ("failure", "JobFailed", RUN)
    first, place, hint, more = found["text"].splitlines()
    assert reported in first
    assert place == 'sql/0013_grades.sql:12: column "grade" does not exist'
    assert (hint, more) == ("hint: fix the file", f"more: turnback watch {RUN}")


def test_the_message_of_a_failure_keeps_its_hint_however_long_it_is() -> None:
    error = RunError("E", "x" * 9000, file="a.sql", line=1, hint="fix it")
    text = message_of("it failed", error, "r-1")
    assert len(text) == MESSAGE_LENGTH
    assert text.endswith("\nhint: fix it\nmore: turnback watch r-1")


def test_near_the_limit_of_codepipeline_the_job_ends_and_the_run_goes_on() -> None:
    aws = Aws(status="RUNNING", state="AskApproval")
    began = Token.parse(CONTINUED.continuation_token or "").started
    assert aws.answer(CONTINUED, now=began + 23 * 3600)["answer"] == "continue"
    reported = aws.answer(CONTINUED, now=began + 23.6 * 3600)
    assert reported["answer"] == "failure"
    assert f"the run {RUN} goes on without it" in reported["text"]
    assert "waiting for an approval" in reported["text"]
    assert f"turnback watch {RUN}" in reported["text"]


@pytest.mark.parametrize("status", [None, "RUNNING", "FAILED"])
def test_while_aws_does_not_answer_the_job_goes_on_but_not_for_ever(status: str | None) -> None:
    aws, asked = Aws(status=status, deaf=True), CONTINUED
    for _ in range(TRIES - 1):
        reported = aws.answer(asked)
        assert (reported["answer"], "ThrottlingException" in reported["text"]) == ("continue", True)
        changed = event("pipeline_job_continued")
        changed["CodePipeline.job"]["data"]["continuationToken"] = reported["token"]
        asked = Job.read(CodePipelineJobEvent(changed))
    reported = aws.answer(asked)
    assert reported["answer"] == "failure"
    assert f"the state of the run {RUN} is unknown" in reported["text"]
    assert "retry the stage" in reported["text"]


def test_one_answer_of_aws_and_the_tries_begin_anew() -> None:
    changed = event("pipeline_job_continued")
    data = changed["CodePipeline.job"]["data"]
    data["continuationToken"] = data["continuationToken"].replace('"tries":0', '"tries":9')
    reported = Aws(status="RUNNING").answer(Job.read(CodePipelineJobEvent(changed)))
    assert Token.parse(reported["token"]).tries == 0


@pytest.mark.parametrize(
    "token",
    ["", "x", "[]", "{}", '{"version":2}', '{"version":1,"run":"../x"}', "[" * 2000],
)
def test_a_token_that_is_not_ours_fails_the_job(token: str) -> None:
    changed = event("pipeline_job_continued")
    changed["CodePipeline.job"]["data"]["continuationToken"] = token
    reported = Aws(status="RUNNING").answer(Job.read(CodePipelineJobEvent(changed)))
    assert reported["kind"] == "ConfigurationError"
    assert "was not written by turnback" in reported["text"]
    assert "no run was started" not in reported["text"]


@pytest.mark.parametrize("changed", ['"r-5d3f0a9c1b7e24680ace"', '"9f86', "1795336542"])
def test_a_token_that_was_changed_is_refused(changed: str) -> None:
    text = (CONTINUED.continuation_token or "").replace(changed, '"x')
    with pytest.raises(ConfigurationError):
        Token.parse(text)


def test_a_token_fits_into_codepipeline() -> None:
    arn = f"arn:aws-us-gov:states:us-gov-west-1:123456789012:execution:{'n' * 80}:r-{'0' * 20}"
    token = Token("r-" + "0" * 20, "f" * 64, NOW, arn, TRIES)
    assert len(token.to_text()) < 500
    assert Token.parse(token.to_text()) == token


def test_credentials_are_not_shown() -> None:
    assert repr(Credentials("A", "B", "C")) == "Credentials()"
