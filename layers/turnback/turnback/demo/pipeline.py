"""CodePipeline on this machine, as a Lambda action sees it: jobs go out, results come back.

The local AWS has no CodePipeline. This one knows the two calls that a function answers with, takes
each job's answer once, and calls the function again, as a new job, while it gets a token. A
function speaks to it where ``AWS_ENDPOINT_URL_CODEPIPELINE`` is its address.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.parsers import RpcV2CBORParser

from turnback.demo.listener import Listener, QuietHandler
from turnback.errors import AwsError

POLL_SECONDS = 0.5
# Its API reference, PutJobSuccessResult and PutJobFailureResult.
LENGTHS = {"continuationToken": 2048, "summary": 2048, "externalExecutionId": 1500, "message": 5000}
_VARIABLE = re.compile(r"[A-Za-z0-9@_-]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function answered to one call.

    Attributes:
        job: the job's id.
        kind: ``continue``, ``success`` or ``failure``.
        text: the summary, or the message of the failure.
        percent: how far it is, where that was said.
        variables: the output variables.
        token: with what it wants to be called again.
        details: the whole answer.
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
    """An input artifact, and the credentials that open it."""

    bucket: str
    key: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    revision: str | None = None


class LocalPipeline(Listener):
    """A CodePipeline that listens on 127.0.0.1 while its ``with`` block runs.

    Attributes:
        answers: every answer that was taken, in order.
        refused: every answer that was not, with the error's name.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
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
                error = pipeline._take(name.rsplit(".", 1)[-1], request)
                told = {"__type": error, "message": f"the local CodePipeline: {error}"}
                answer = (json.dumps if as_json else _to_cbor)(told if error else {})
                kind = f"application/{'x-amz-json-1.1' if as_json else 'cbor'}"
                sent = answer.encode() if isinstance(answer, str) else answer
                headers = {"Content-Type": kind, "smithy-protocol": "rpc-v2-cbor"}
                self.answer(400 if error else 200, sent, headers)

        super().__init__(Handler)

    @property
    def address(self) -> str:
        """For the function's variable ``AWS_ENDPOINT_URL_CODEPIPELINE``."""
        return self.root

    def job(
        self, source: SourceArtifact, parameters: str | Mapping[str, str], token: str | None = None
    ) -> dict[str, Any]:
        """The event of a new job.

        Args:
            source: its input artifact.
            parameters: the action's UserParameters; a mapping becomes JSON.
            token: of a job that goes on.
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
    ) -> Iterator[Answer]:
        """Play one action to its end: each answer as it comes, the last one is final.

        Args:
            invoke: calls the function with an event, and returns when it is done.
            source: the input artifact.
            parameters: the action's UserParameters.
            poll_s: seconds between an answer and the next call.

        Raises:
            AwsError: the function did not answer a call.
        """
        token: str | None = None
        while True:
            event = self.job(source, parameters, token)
            invoke(event)
            job = event["CodePipeline.job"]["id"]
            with self._lock:
                self._open[job] = False
                answer = next((item for item in self.answers if item.job == job), None)
            if answer is None:
                raise AwsError(
                    "The function did not answer its job.",
                    hint="The log of OnPipelineFunction says why.",
                )
            yield answer
            if answer.kind != "continue":
                return
            token = answer.token
            time.sleep(poll_s)

    def revoke(self, job: str) -> None:
        """End a job, as stopping its pipeline does: it takes no answer any more."""
        with self._lock:
            self._open[job] = False

    def _take(self, operation: str, request: dict[str, Any]) -> str:
        """Keep an answer; return the name of the error, or an empty string."""
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
            self.answers.append(_answer(operation, job, request))
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


def _answer(operation: str, job: str, request: Mapping[str, Any]) -> Answer:
    details = request.get("executionDetails") or request.get("failureDetails") or {}
    token = request.get("continuationToken")
    kind = "failure" if operation == "PutJobFailureResult" else "continue" if token else "success"
    return Answer(
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
