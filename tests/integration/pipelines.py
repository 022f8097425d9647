"""A pipeline in front of the deployed stack: its bucket, its jobs, and our handler that answers.

moto has no CodePipeline results, so the function's own client speaks to the local CodePipeline
over HTTP; only the pipeline behind that is not AWS's.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnback.demo.codepipeline import JobResult, LocalCodePipeline, SourceArtifact

from tests.integration.moto_stack import TARGET, Stack

BUCKET = "learning-pipeline-artifacts"
FUNCTION = "on_pipeline"
LENT = {
    "access_key_id": "ASIALENTTOTHISJOB",
    "secret_access_key": "secretOfTheJob/7aSe+cret",
    "session_token": "IQoJb3JpZ2luTokenOfTheJob",
}
PARAMETERS = {
    "path": "migrations",
    "release": "1.4.0",
    "target": TARGET,
    "mode": "migrate",
    "pipeline": "learning-database",
    "execution": "5d3f0a9c-1b7e-4246-80ac-e5d3f0a9c1b7",
}


@dataclass
class Pipeline:
    """A pipeline whose action is our function.

    Attributes:
        stack: what it releases to.
        codepipeline: where the function's answers go.
    """

    stack: Stack
    codepipeline: LocalCodePipeline

    def source(self, folder: Path | None = None, **files: str | bytes) -> SourceArtifact:
        """A zip of files, a project among them below ``migrations``, in the pipeline's bucket."""
        return self.put(zipped(folder, files))

    def put(self, body: bytes) -> SourceArtifact:
        """Any bytes, in the pipeline's bucket."""
        key = f"learning-database/Source/{len(body)}.zip"
        self.stack.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
        return SourceArtifact(BUCKET, key, revision="e0c7a1d2308c", **LENT)

    def job(self, source: SourceArtifact, token: str | None = None, **changed: str) -> Any:
        """The event of a new job."""
        return self.codepipeline.job(source, {**PARAMETERS, **changed}, token)

    def call(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """What our handler returns for an event; its error fails the test."""
        result, failed = self.called(event)
        assert not failed, result
        return result

    def called(self, event: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """What our handler returns or raises for an event, and which of the two."""
        answer = self.stack.client("lambda").invoke(
            FunctionName=FUNCTION, Payload=json.dumps(event)
        )
        return dict(json.loads(answer["Payload"].read())), "FunctionError" in answer

    def answers_go_to(self, address: str) -> None:
        """Where the function finds CodePipeline."""
        self.stack.set_variables(FUNCTION, AWS_ENDPOINT_URL_CODEPIPELINE=address)

    def play(self, source: SourceArtifact, **changed: str) -> list[JobResult]:
        """The answers to one action, from the first to the last."""
        parameters = {**PARAMETERS, **changed}
        return list(self.codepipeline.action(self.call, source, parameters, poll_s=0.05))


@contextmanager
def pipeline(stack: Stack) -> Iterator[Pipeline]:
    """A pipeline in front of a deployed stack."""
    stack.client("s3").create_bucket(Bucket=BUCKET)
    with LocalCodePipeline() as codepipeline:
        line = Pipeline(stack, codepipeline)
        line.answers_go_to(codepipeline.address)
        yield line


def zipped(folder: Path | None, files: Mapping[str, str | bytes]) -> bytes:
    """A zip of files; those of the folder are below ``migrations/``."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for path in sorted(folder.rglob("*")) if folder else []:
            if path.is_file():
                name = path.relative_to(folder).as_posix() if folder else ""
                archive.writestr(f"migrations/{name}", path.read_bytes())
        for name, content in files.items():
            archive.writestr(name, content)
    return body.getvalue()
