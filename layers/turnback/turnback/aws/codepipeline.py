"""Jobs of CodePipeline: their results, and their artifacts, read with the job's credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from turnback.aws.clients import LIMITS, aws_errors, client, code_of
from turnback.errors import AwsError, InvalidArtifact, OutOfSpace

_CHUNK = 1024 * 1024
# Errors for a job that has ended: stopped, timed out, or answered before.
_OVER = {"InvalidJobStateException", "JobNotFoundException"}


class JobResults:
    """Results of jobs; each method returns whether the job was still waiting for one."""

    def __init__(self) -> None:
        self._pipelines = client("codepipeline")

    def go_on(self, job: str, token: str, summary: str, percent: int | None, run: str) -> bool:
        """The job continues: CodePipeline is to ask again, with this token.

        Raises:
            AwsError: CodePipeline does not answer, or refuses us.
        """
        details: dict[str, Any] = {"summary": summary, "externalExecutionId": run}
        if percent is not None:
            details["percentComplete"] = percent
        return self._success(jobId=job, continuationToken=token, executionDetails=details)

    def succeed(self, job: str, variables: Mapping[str, str], summary: str, run: str) -> bool:
        """The job has succeeded, with these output variables.

        Raises:
            AwsError: CodePipeline does not answer, or refuses us.
        """
        details = {"summary": summary, "externalExecutionId": run, "percentComplete": 100}
        return self._success(jobId=job, executionDetails=details, outputVariables=dict(variables))

    def fail(self, job: str, kind: str, message: str, run: str | None) -> bool:
        """The job has failed.

        Args:
            job: its id.
            kind: a word of CodePipeline's FailureType.
            message: at most 5,000 characters.
            run: the run, if there is one.

        Raises:
            AwsError: CodePipeline does not answer, or refuses us.
        """
        details = {"type": kind, "message": message}
        if run is not None:
            details["externalExecutionId"] = run
        with aws_errors(f"answer the job {job}"):
            try:
                self._pipelines.put_job_failure_result(jobId=job, failureDetails=details)
            except ClientError as error:
                return _is_over(error)
        return True

    def _success(self, **answer: Any) -> bool:
        with aws_errors(f"answer the job {answer['jobId']}"):
            try:
                self._pipelines.put_job_success_result(**answer)
            except ClientError as error:
                return _is_over(error)
        return True


class SourceArtifacts:
    """A pipeline's artifacts, read with the credentials of one of its jobs only."""

    def __init__(self, access_key_id: str, secret_access_key: str, session_token: str) -> None:
        session = boto3.session.Session(
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key,
            aws_session_token=session_token,
            region_name=os.environ.get("AWS_REGION") or None,
        )
        self._s3 = session.client("s3", config=LIMITS)

    def download(self, bucket: str, key: str, into: Path, *, most: int) -> datetime:
        """Write an artifact to a file, and return when the artifact was written.

        Args:
            bucket: the pipeline's bucket.
            key: the artifact.
            into: the file.
            most: the largest size in bytes that is accepted.

        Raises:
            AwsError: it does not exist, or may not be read.
            InvalidArtifact: it is too large.
            OutOfSpace: it is larger than what is free there.
        """
        place = f"s3://{bucket}/{key}"
        try:
            found = self._s3.get_object(Bucket=bucket, Key=key)
            _refuse_larger(int(found["ContentLength"]), most, place)
            OutOfSpace.refuse(str(into.parent), int(found["ContentLength"]), place)
            size = 0
            with into.open("wb") as file:
                for chunk in found["Body"].iter_chunks(_CHUNK):
                    size += len(chunk)
                    _refuse_larger(size, most, place)
                    file.write(chunk)
        except ClientError as error:
            message = error.response.get("Error", {}).get("Message", "")
            raise AwsError(
                f"could not read the source artifact {place}: {code_of(error)}: {message}",
                hint="retry the stage; if that fails too, allow the pipeline's role to read the "
                "artifact and to use the key that it is encrypted with",
            ) from error
        except BotoCoreError as error:
            raise AwsError(
                f"could not read the source artifact {place}: {error}", hint="retry the stage"
            ) from error
        written: datetime = found["LastModified"]
        return written


def _refuse_larger(size: int, most: int, place: str) -> None:
    if size > most:
        raise InvalidArtifact(
            f"the source artifact {place} is {size:,} bytes or more; at most {most:,} are read",
            hint="give the action an artifact with little more than the migrations",
        )


def _is_over(error: ClientError) -> bool:
    if code_of(error) in _OVER:
        return False
    raise error
