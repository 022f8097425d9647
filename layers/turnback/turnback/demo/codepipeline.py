"""A local CodePipeline for Lambda actions: it hands out jobs and receives their results.

The local AWS has no CodePipeline. This one implements the two calls that report a result, accepts
one result a job, and starts a new job while the result has a continuation token. Functions reach it
by ``AWS_ENDPOINT_URL_CODEPIPELINE``.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.parsers import RpcV2CBORParser

from turnback.demo.http_server import Listener, QuietHandler
from turnback.errors import AwsError
from turnback.local.aws import LocalAws

POLL_SECONDS = 0.5
# Its API reference, PutJobSuccessResult and PutJobFailureResult.
LENGTHS = {"continuationToken": 2048, "summary": 2048, "externalExecutionId": 1500, "message": 5000}
_VARIABLE = re.compile(r"[A-Za-z0-9@_-]+")


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result that a function reported for one job.

    Attributes:
        job: the job's id.
        kind: ``continue``, ``success`` or ``failure``.
        text: the summary, or the message of the failure.
        percent: progress, if reported.
        variables: the output variables.
        token: continuation token, if there is another job to come.
        details: the execution or failure details.
    """

    job: str
    kind: str
    text: str
    percent: int | None
    variables: Mapping[str, str]
    token: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SourceArtifact:
    """An input artifact, and the credentials to read it."""

    bucket: str
    key: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    revision: str | None = None


class LocalCodePipeline(Listener):
    """A CodePipeline that listens on 127.0.0.1 while its ``with`` block runs.

    Attributes:
        results: every accepted result, in order.
        refused: every other result, with the error's name.
    """

    def __init__(self) -> None:
        self.results: list[JobResult] = []
        self.refused: list[tuple[str, str]] = []
        self._open: dict[str, bool] = {}
        self._lock = threading.Lock()
        pipeline = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                as_json = "json" in self.headers.get("Content-Type", "")
                name = self.headers.get("X-Amz-Target", self.path).replace("/", ".")
                request = json.loads(body) if as_json else _from_cbor(body)
                error = pipeline._accept(name.rsplit(".", 1)[-1], request)
                response = {"__type": error, "message": f"the local CodePipeline: {error}"}
                answer = (json.dumps if as_json else _to_cbor)(response if error else {})
                kind = f"application/{'x-amz-json-1.1' if as_json else 'cbor'}"
                sent = answer.encode() if isinstance(answer, str) else answer
                headers = {"Content-Type": kind, "smithy-protocol": "rpc-v2-cbor"}
                self.answer(400 if error else 200, sent, headers)

        super().__init__(Handler)

    @property
    def address(self) -> str:
        """The value for the function's variable ``AWS_ENDPOINT_URL_CODEPIPELINE``."""
        return self.root

    def job(
        self, source: SourceArtifact, parameters: str | Mapping[str, str], token: str | None = None
    ) -> dict[str, Any]:
        """The event of a new job.

        Args:
            source: its input artifact.
            parameters: the action's UserParameters; a mapping becomes JSON.
            token: of the job that this one continues.
        """
        job = str(uuid.uuid4())
        with self._lock:
            self._open[job] = True
        text = parameters if isinstance(parameters, str) else json.dumps(parameters)
        data: dict[str, Any] = {
            "actionConfiguration": {
                "configuration": {"FunctionName": "on_pipeline", "UserParameters": text}
            },
            "inputArtifacts": [
                {
                    "name": "Source",
                    "revision": source.revision,
                    "location": {
                        "type": "S3",
                        "s3Location": {"bucketName": source.bucket, "objectKey": source.key},
                    },
                }
            ],
            "outputArtifacts": [],
            "artifactCredentials": {
                "accessKeyId": source.access_key_id,
                "secretAccessKey": source.secret_access_key,
                "sessionToken": source.session_token,
                "expirationTime": int((time.time() + 3600) * 1000),
            },
        }
        if token is not None:
            data["continuationToken"] = token
        return {"CodePipeline.job": {"id": job, "accountId": "000000000000", "data": data}}

    def action(
        self,
        invoke: Callable[[dict[str, Any]], object],
        source: SourceArtifact,
        parameters: str | Mapping[str, str],
        *,
        poll_s: float = POLL_SECONDS,
    ) -> Iterator[JobResult]:
        """Play one action to its end; yields each result, the last one is final.

        Args:
            invoke: calls the function with an event and waits for it.
            source: the input artifact.
            parameters: the action's UserParameters.
            poll_s: seconds between a result and the next job.

        Raises:
            AwsError: the function reported no result.
        """
        token: str | None = None
        while True:
            event = self.job(source, parameters, token)
            invoke(event)
            job = event["CodePipeline.job"]["id"]
            with self._lock:
                self._open[job] = False
                result = next((item for item in self.results if item.job == job), None)
            if result is None:
                raise AwsError(
                    "The function reported no result for its job.",
                    hint="See the log of OnPipelineFunction.",
                )
            yield result
            if result.kind != "continue":
                return
            token = result.token
            time.sleep(poll_s)

    def revoke(self, job: str) -> None:
        """End a job, as stopping its pipeline does; a result for it is refused."""
        with self._lock:
            self._open[job] = False

    def _accept(self, operation: str, request: dict[str, Any]) -> str:
        """Record a result; returns the name of the error, or an empty string."""
        job = str(request.get("jobId"))
        with self._lock:
            if job not in self._open:
                error = "JobNotFoundException"
            elif not self._open[job]:
                error = "InvalidJobStateException"
            else:
                error = "" if _is_valid(operation, request) else "ValidationException"
            if error:
                self.refused.append((job, error))
                return error
            self._open[job] = False
            self.results.append(_result(operation, job, request))
        return ""


def _is_valid(operation: str, request: Mapping[str, Any]) -> bool:
    details = {
        **request,
        **request.get("executionDetails", {}),
        **request.get("failureDetails", {}),
    }
    variables = request.get("outputVariables", {})
    return (
        operation in ("PutJobSuccessResult", "PutJobFailureResult")
        and all(0 < len(details[name]) <= most for name, most in LENGTHS.items() if name in details)
        and all(_VARIABLE.fullmatch(name) for name in variables)
        and not ("continuationToken" in request and "outputVariables" in request)
    )


def _result(operation: str, job: str, request: Mapping[str, Any]) -> JobResult:
    details = request.get("executionDetails") or request.get("failureDetails") or {}
    token = request.get("continuationToken")
    kind = "failure" if operation == "PutJobFailureResult" else "continue" if token else "success"
    return JobResult(
        job=job,
        kind=kind,
        text=str(details.get("summary") or details.get("message") or ""),
        percent=details.get("percentComplete"),
        variables=request.get("outputVariables", {}),
        token=token,
        details=details,
    )


def _from_cbor(body: bytes) -> dict[str, Any]:
    parser = RpcV2CBORParser()
    found = parser.parse_data_item(parser.get_peekable_stream_from_bytes(body))
    return dict(found)


def _to_cbor(fields: Mapping[str, str]) -> bytes:
    """A map of short texts (RFC 8949, major types 5 and 3)."""
    body = bytes([0xA0 + len(fields)])
    for text in (part for item in fields.items() for part in item):
        encoded = text.encode()
        body += bytes([0x78, len(encoded)]) + encoded
    return body


NAME = "local-pipeline"
KEY = "learning/Source/source.zip"


def attach(aws: LocalAws, pipeline: LocalCodePipeline, function: str) -> None:
    """Make a function report its results to this pipeline.

    Args:
        aws: where the function is.
        pipeline: which is running.
        function: the function's physical name.
    """
    functions = aws.client("lambda")
    found = functions.get_function_configuration(FunctionName=function)
    # The local AWS returns numbers of the template as numbers.
    known = found.get("Environment", {}).get("Variables", {})
    variables = {name: str(value) for name, value in known.items()}
    functions.update_function_configuration(
        FunctionName=function,
        Environment={"Variables": {**variables, "AWS_ENDPOINT_URL_CODEPIPELINE": pipeline.address}},
    )


def calling(aws: LocalAws, function: str) -> Callable[[dict[str, Any]], None]:
    """A callable that invokes a function and waits for it, for ``LocalPipeline.action``.

    Args:
        aws: where the function is.
        function: the function's physical name.
    """
    functions = aws.client("lambda")

    def call(event: dict[str, Any]) -> None:
        functions.invoke(FunctionName=function, Payload=json.dumps(event))["Payload"].read()

    return call


def repository(migrations: Path, release: str | None = None) -> bytes:
    """The zip that a source action makes from a repository with these migrations.

    Args:
        migrations: the folder.
        release: for ``release.json``; without it, the action must name the release.
    """
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.md", "# An application, with its migrations\n")
        if release is not None:
            archive.writestr("release.json", json.dumps({"format": 1, "release": release}))
        for path in sorted(migrations.rglob("*")):
            if path.is_file():
                archive.write(path, f"migrations/{path.relative_to(migrations).as_posix()}")
    return body.getvalue()


def put_source(aws: LocalAws, archive: bytes, revision: str | None = None) -> SourceArtifact:
    """Upload a source artifact; returns it with credentials of the pipeline's role.

    The functions' own roles may not read the pipeline's bucket.

    Args:
        aws: where the bucket is.
        archive: the zip.
        revision: the commit it was made from.
    """
    s3, iam = aws.client("s3"), aws.client("iam")
    anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{NAME}/*"}
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=NAME)
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=_policy(anybody))
    iam.put_role_policy(RoleName=NAME, PolicyName="artifacts", PolicyDocument=_policy(may))
    role = iam.get_role(RoleName=NAME)["Role"]["Arn"]
    lent = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="job")["Credentials"]
    s3.put_object(Bucket=NAME, Key=KEY, Body=archive)
    return SourceArtifact(
        bucket=NAME,
        key=KEY,
        access_key_id=lent["AccessKeyId"],
        secret_access_key=lent["SecretAccessKey"],
        session_token=lent["SessionToken"],
        revision=revision,
    )


def _policy(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
