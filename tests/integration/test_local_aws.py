"""The local AWS: functions fail as on AWS, see nothing of the host, and end with it."""

from __future__ import annotations

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

import pytest
from turnback.errors import AwsError
from turnback.local import emulator
from turnback.local.aws import LocalAws, local_aws_python
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
