"""What a pipeline on this machine has besides jobs: its bucket, its role, and a source in it."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from turnback.demo.pipeline import LocalPipeline, SourceArtifact
from turnback.local.aws import LocalAws

NAME = "local-pipeline"
KEY = "learning/Source/source.zip"


def attach(aws: LocalAws, pipeline: LocalPipeline, function: str) -> None:
    """Let a function send the results of its jobs to this pipeline.

    Args:
        aws: where the function is.
        pipeline: which listens.
        function: the function's physical name.
    """
    functions = aws.client("lambda")
    found = functions.get_function_configuration(FunctionName=function)
    # The local AWS keeps a number of the template as a number.
    known = found.get("Environment", {}).get("Variables", {})
    variables = {name: str(value) for name, value in known.items()}
    functions.update_function_configuration(
        FunctionName=function,
        Environment={"Variables": {**variables, "AWS_ENDPOINT_URL_CODEPIPELINE": pipeline.address}},
    )


def calling(aws: LocalAws, function: str) -> Callable[[dict[str, Any]], None]:
    """What calls a function with an event and waits for it, for ``LocalPipeline.action``.

    Args:
        aws: where the function is.
        function: the function's physical name.
    """
    functions = aws.client("lambda")

    def call(event: dict[str, Any]) -> None:
        functions.invoke(FunctionName=function, Payload=json.dumps(event))["Payload"].read()

    return call


def repository(migrations: Path, release: str | None = None) -> bytes:
    """The zip that a source action makes of a repository with these migrations.

    Args:
        migrations: the folder.
        release: for ``release.json``; without it, the action has to name the release.
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
    """A source in the pipeline's bucket, with credentials of the pipeline's role for it.

    The functions' own roles may not read that bucket.

    Args:
        aws: where the bucket is.
        archive: the zip.
        revision: the commit that it was made from.
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
