"""``backup``, ``snapshots`` and ``restore`` of RDS against the local AWS, as a user runs them.

The real adapters talk to the emulator over HTTP, and a real Postgres answers at the instance's
endpoint. What this cannot show: the emulator's snapshots hold no data (the restored instance leads
to the same Postgres), every state is ``available`` at once, and it knows neither points in time nor
the restore of a cluster. Renaming, and port and tags of a restored instance, are fixed in
``turnback.local.emulator``. moto has the states, the failures and the clusters:
tests/integration/test_managed_commands.py, test_restore_rds.py and test_restore_aurora.py.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from turnback.demo.scenarios import create_instance_stack
from turnback.local.aws import LocalAws, local_aws_python
from turnback.local.database import Database, make_database
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer

from tests.conftest import ProjectFactory
from tests.integration.command_line import PROGRAM
from tests.integration.test_backup_commands import FILES

ROOT = Path(__file__).parents[2]
LIVE = "orders"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "states.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
NOTHING = {"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}}


@dataclass(frozen=True, slots=True)
class World:
    """The local AWS with a stack named prod, and its database."""

    aws: LocalAws
    database: Database
    folder: Path

    def turnback(self, *arguments: str) -> Any:
        """What ``turnback ARGUMENTS --stack prod --json`` says, when it goes well."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        settings = {
            **self.aws.variables(),
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [PROGRAM, *arguments, "--stack", "prod", "--json", "--dir", str(self.folder)],
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert self.database.password not in done.stdout + done.stderr
        return done

    def instances(self) -> dict[str, dict[str, Any]]:
        """The instances by their names."""
        rows = self.aws.client("rds").describe_db_instances()["DBInstances"]
        return {row["DBInstanceIdentifier"]: row for row in rows}


@pytest.fixture
def world(project_factory: ProjectFactory) -> Iterator[World]:
    folder = project_factory(FILES)
    python = local_aws_python(ROOT, print)
    with (
        scratch("local-rds-test") as place,
        EmbeddedServer.start(place / POSTGRES, tcp=True, fast=True) as server,
        LocalAws.start(python, place) as aws,
    ):
        database = make_database(server, "shop")
        subprocess.run(
            [PROGRAM, "up", "--dir", folder],
            env=os.environ | {"DATABASE_URL": database.url},
            check=True,
            capture_output=True,
        )
        aws.client("s3").create_bucket(Bucket="kept")
        role = aws.client("iam").create_role(
            RoleName="release", AssumeRolePolicyDocument=json.dumps(TRUST)
        )
        machine = aws.client("stepfunctions").create_state_machine(
            name="release", definition=json.dumps(NOTHING), roleArn=role["Role"]["Arn"]
        )
        topic = aws.client("sns").create_topic(Name="reports")
        outputs = {
            "BucketName": "kept",
            "StateMachineArn": machine["stateMachineArn"],
            "TopicArn": topic["TopicArn"],
        }
        create_instance_stack(aws, database, "prod", LIVE, outputs)
        yield World(aws, database, folder)


def test_an_instance_is_restored_under_its_endpoint_and_the_old_one_kept(world: World) -> None:
    before = world.instances()[LIVE]
    taken = world.turnback("backup")["snapshot"]
    assert (taken["schema_version"], taken["state"]) == ("0002", "available")
    assert world.turnback("snapshots")["snapshots"] == [taken]

    planned = world.turnback("restore", taken["run"], "--dry-run")
    assert set(world.instances()) == {LIVE}
    done = world.run("restore", taken["run"], "--yes", "-v")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)

    after = world.instances()
    assert set(after) == {LIVE, document["kept"]}
    assert document["kept"] == planned["kept"]
    assert after[LIVE]["Endpoint"] == before["Endpoint"]
    assert after[document["kept"]]["DbiResourceId"] == before["DbiResourceId"]
    tags = {tag["Key"]: tag["Value"] for tag in after[LIVE]["TagList"]}
    assert tags["team"] == "shop"
    assert tags["turnback-restored-by"] == document["run"]
    assert "answers, at version 0002" in done.stderr

    again = world.turnback("restore", taken["run"], "--yes")
    assert again["already"] is True
    assert set(world.instances()) == set(after)
