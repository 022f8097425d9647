"""The local AWS: functions fail as on AWS, see nothing of the host, and end with it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from turnback.errors import AwsError
from turnback.local import emulator
from turnback.local.aws import REGION, LocalAws, local_aws_python
from turnback.local.scratch import processes_of, scratch

ROOT = Path(__file__).parents[2]
CODE = """
import os

class ChecksumMismatch(Exception):
    pass

def handler(event, context):
    if event.get("fail"):
        raise ChecksumMismatch("the file differs")
    return dict(os.environ)
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return local_aws_python(ROOT, print)


@pytest.fixture(scope="module")
def aws(python: Path) -> Iterator[LocalAws]:
    os.environ["SECRET_OF_THE_HOST"] = "must not leak"
    with scratch("aws-test") as folder, LocalAws.start(python, folder) as running:
        make_function(running)
        yield running
    del os.environ["SECRET_OF_THE_HOST"]


def make_function(aws: LocalAws) -> None:
    role = aws.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument="{}")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", CODE)
    aws.client("lambda").create_function(
        FunctionName="probe",
        Runtime="python3.13",
        Role=role["Role"]["Arn"],
        Handler="app.handler",
        Code={"ZipFile": archive.getvalue()},
        Environment={"Variables": {"OWN": "seen"}},
        Timeout=30,
    )


def invoke(aws: LocalAws, event: dict[str, Any]) -> dict[str, Any]:
    answer = aws.client("lambda").invoke(FunctionName="probe", Payload=json.dumps(event))
    payload: dict[str, Any] = json.loads(answer["Payload"].read())
    return payload


def test_an_exception_is_reported_by_the_name_of_its_class(aws):
    failed = invoke(aws, {"fail": True})
    assert failed["errorType"] == "ChecksumMismatch"
    assert failed["errorMessage"] == "the file differs"


def test_a_function_sees_its_own_variables_and_nothing_of_the_host(aws):
    seen = invoke(aws, {})
    assert seen["OWN"] == "seen"
    assert seen["AWS_ENDPOINT_URL"] == aws.endpoint
    assert "SECRET_OF_THE_HOST" not in seen
    assert "HOME" not in seen
    assert "STATE_DIR" not in seen


@pytest.mark.parametrize(
    "key",
    [
        {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        {"AWS_ACCESS_KEY_ID": "000000000000", "AWS_SECRET_ACCESS_KEY": "test"},
        {"AWS_ACCESS_KEY_ID": "AKIAAAAAAAAAAAAAAAAA", "AWS_SECRET_ACCESS_KEY": "test"},
        {"AWS_SECRET_ACCESS_KEY": "of somebody else"},
    ],
)
@pytest.mark.parametrize(
    ("service", "action"),
    [("lambda", "ListFunctions"), ("s3", "ListBuckets"), ("sts", "GetCallerIdentity")],
)
def test_it_refuses_every_key_but_that_of_this_start(aws, key, service, action):
    wrong = {**aws.variables(), **key}
    with pytest.raises(ClientError, match=r"invalid|Signature|InvalidAccessKeyId"):
        client(aws, service, wrong)._make_api_call(action, {})
    client(aws, service, aws.variables())._make_api_call(action, {})


@pytest.mark.parametrize("service", ["lambda", "s3"])
def test_it_refuses_calls_without_a_signature(aws, service):
    action = {"lambda": "list_functions", "s3": "list_buckets"}[service]
    unsigned = client(aws, service, aws.variables(), signature_version=UNSIGNED)
    with pytest.raises(ClientError):
        getattr(unsigned, action)()


def test_it_refuses_a_link_that_another_key_has_signed(aws):
    aws.client("s3").create_bucket(Bucket="links")
    aws.client("s3").put_object(Bucket="links", Key="a", Body=b"seen")
    for secret, status in ((aws.variables()["AWS_SECRET_ACCESS_KEY"], 200), ("guess", 403)):
        signer = client(aws, "s3", {**aws.variables(), "AWS_SECRET_ACCESS_KEY": secret})
        link = signer.generate_presigned_url("get_object", {"Bucket": "links", "Key": "a"})
        assert status_of(aws, link.removeprefix(aws.endpoint)) == status


def test_the_keys_of_a_function_cannot_be_computed_from_its_name(aws):
    seen = invoke(aws, {})
    arn = aws.client("lambda").get_function(FunctionName="probe")["Configuration"]["FunctionArn"]
    role = aws.client("iam").get_role(RoleName="any")["Role"]["Arn"]
    digest = hashlib.sha256(f"{arn}:{role}".encode()).hexdigest()
    secret = hashlib.sha256(f"secret:{digest}".encode()).hexdigest()
    assert seen["AWS_SECRET_ACCESS_KEY"] not in (secret, "test")
    assert seen["AWS_ACCESS_KEY_ID"] != aws.variables()["AWS_ACCESS_KEY_ID"]


@pytest.mark.parametrize("path", ["reset", "config", "lambda-code/probe", "ses/messages"])
def test_its_administration_answers_nobody(aws, path):
    for method in ("GET", "POST"):
        assert status_of(aws, f"/_ministack/{path}", method) == 403


def test_it_listens_on_this_machine_only_and_its_folders_are_private(aws):
    port = urlsplit(aws.endpoint).port
    # Address and port in hexadecimal, and 0A for a listening socket (proc_pid_net(5)).
    tables = [path.read_text() for path in Path("/proc/net").glob("tcp*")]
    rows = [line.split() for table in tables for line in table.splitlines()]
    listening = {row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    assert listening == {f"0100007F:{port:04X}"}
    home = aws.log.parent
    assert {(home / name).stat().st_mode & 0o777 for name in ("s3", "state")} == {0o700}
    assert aws.log.stat().st_mode & 0o777 == 0o600


def client(aws, service, variables, **config):
    return boto3.session.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    ).client(
        service,
        endpoint_url=aws.endpoint,
        config=Config(proxies={}, s3={"addressing_style": "path"}, **config),
    )


def status_of(aws, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(aws.endpoint).port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path)
        return connection.getresponse().status


def test_it_writes_into_its_own_folder_only(aws):
    assert (aws.log.parent / "tmp").is_dir()
    assert Path(invoke(aws, {})["TMPDIR"]).is_relative_to(aws.log.parent)


def test_functions_end_with_it(python):
    with scratch("aws-test") as folder:
        aws = LocalAws.start(python, folder)
        make_function(aws)
        invoke(aws, {})
        assert len(processes_of(folder)) > 1
        aws.stop()
        assert processes_of(folder) == []


def test_it_ends_with_whoever_started_it(python):
    code = f"""
import os, signal
from pathlib import Path
from turnback.local.aws import LocalAws
from turnback.local.scratch import scratch
with scratch("aws-orphan") as folder:
    LocalAws.start(Path({str(python)!r}), folder)
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    folder = Path(killed.stdout.strip())
    deadline = time.monotonic() + 60
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(folder) == []
    with scratch("aws-orphan"):
        assert not folder.exists()


def test_one_that_cannot_start_says_why():
    with scratch("aws-test") as folder, pytest.raises(AwsError, match="ministack"):
        # This environment has no ministack, on purpose.
        LocalAws.start(Path(sys.executable), folder)


def test_the_version_that_is_patched_is_the_one_that_is_pinned():
    pinned = (ROOT / "requirements" / "local-aws.txt").read_text()
    found = re.search(r"^ministack==(\S+)", pinned, re.MULTILINE)
    assert found
    assert found[1] == emulator.MINISTACK
