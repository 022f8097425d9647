"""An update of the stack while a run waits for its approval, on the local AWS.

The emulator transforms the template with AWS's own SAM translator, and refuses a version of a
function that has not changed, as Lambda does.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from turnback.local.aws import LocalAws
from turnback.local.deploy import deploy
from turnback.migrations.artifact import pack
from turnback.migrations.checksums import digest, write_sums

from tests.local_target import local_target

ROOT = Path(__file__).parents[2]
DEADLINE_S = 90.0
ANN = {"arn": "arn:aws:iam::123456789012:user/ann", "user_id": "AIDAANN"}
# What `functions/apply` becomes: the second code of this test.
SECOND = """
class SecondCode(Exception):
    pass

def handler(event, context):
    raise SecondCode("this is the code after the update")
"""


@dataclass
class Updated:
    """A checkout, and its stack."""

    root: Path
    aws: LocalAws
    parameters: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)

    def deploy(self, **parameters: str) -> None:
        self.parameters |= parameters
        self.outputs = deploy(self.aws, self.root / "template.yaml", "turnback", self.parameters)

    def upload(self, number: str) -> str:
        """Upload a release of one migration more; the ARN of its execution."""
        before = self.executions()
        folder = self.root / "migrations"
        version = len(list(folder.glob("sql/*"))) + 1
        (folder / f"sql/{version:04}_t.sql").write_text(f"CREATE TABLE t{version} ();\n")
        (folder / f"rollback/{version:04}_rollback.sql").write_text(f"DROP TABLE t{version};\n")
        write_sums(
            folder,
            {
                str(path.relative_to(folder)): digest(path.read_bytes())
                for path in sorted(folder.rglob("*.sql"))
            },
        )
        self.aws.client("s3").put_object(
            Bucket=self.outputs["BucketName"],
            Key=f"artifacts/learning/{number}.zip",
            Body=pack(folder, number, self.root / f"{number}.zip").read_bytes(),
        )
        until(lambda: bool(self.executions() - before))
        return (self.executions() - before).pop()

    def executions(self) -> set[str]:
        listed = self.aws.client("stepfunctions").list_executions(
            stateMachineArn=self.outputs["StateMachineArn"]
        )
        return {one["executionArn"] for one in listed["executions"]}

    def is_asked(self, execution: str) -> bool:
        prefix = f"runs/{execution.rpartition(':')[2]}/approvals/"
        found = self.aws.client("s3").list_objects_v2(
            Bucket=self.outputs["BucketName"], Prefix=prefix
        )
        return bool(found.get("Contents"))

    def approve(self, execution: str) -> None:
        """As ``turnback approve`` does."""
        order = {"run": execution.rpartition(":")[2], "gate": "release", "decision": "approved"}
        self.aws.client("lambda").invoke(
            FunctionName=self.outputs["AnswerFunctionName"],
            Payload=json.dumps({**order, "person": ANN, "comment": ""}),
        )

    def end_of(self, execution: str) -> dict[str, Any]:
        client = self.aws.client("stepfunctions")
        until(lambda: client.describe_execution(executionArn=execution)["status"] != "RUNNING")
        return dict(client.describe_execution(executionArn=execution))

    def versions(self) -> dict[str, int]:
        """How many versions each function has that runs call."""
        client = self.aws.client("lambda")
        names = [one["FunctionName"] for one in client.list_functions()["Functions"]]
        found = {
            name: len(client.list_versions_by_function(FunctionName=name)["Versions"]) - 1
            for name in names
        }
        return {name: number for name, number in found.items() if number}


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def updated() -> Iterator[Updated]:
    with local_target("update-test") as made:
        made.aws.client("ssm").put_parameter(
            Name="/turnback/approvers",
            Type="String",
            Value=json.dumps([{"name": "ann", "aws": "AIDAANN"}], indent=2),
        )
        root = made.folder / "checkout"
        for part in ("sql", "rollback"):
            (root / "migrations" / part).mkdir(parents=True)
        for name in ("layers", ".turnback", "statemachine", "template.yaml"):
            (root / name).symlink_to(ROOT / name)
        shutil.copytree(ROOT / "functions", root / "functions")
        parameters = made.parameters | {
            "Environment": "development",
            "SnapshotKind": "none",
            "RestorePolicy": "never",
            "Approvals": "one",
            "ApproveAlways": "yes",
            "ApproversParameter": "/turnback/approvers",
        }
        yield Updated(root, made.aws, parameters)


def test_a_run_that_waits_ends_with_the_code_and_the_settings_it_began_with(updated):
    updated.deploy()
    first = updated.upload("1.0.0")
    until(lambda: updated.is_asked(first))

    # Other code, and only the value of another parameter.
    (updated.root / "functions" / "apply" / "app.py").write_text(SECOND)
    updated.deploy(Approvals="never")
    assert set(updated.versions().values()) == {2}, updated.versions()
    assert len(updated.versions()) == 12

    updated.approve(first)
    assert updated.end_of(first)["status"] == "SUCCEEDED"

    # What begins now has the new code, and is asked no more.
    second = updated.end_of(updated.upload("1.1.0"))
    assert (second["status"], second["error"]) == ("FAILED", "SecondCode")

    updated.deploy(Approvals="one")
    third = updated.upload("1.2.0")
    until(lambda: updated.is_asked(third))
