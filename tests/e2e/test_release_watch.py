"""``release --watch`` against the local AWS leaves with the exit code of how the run ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from turnback.demo.releases import ROWS, write_release
from turnback.engine.session.lock import lock_key
from turnback.local.aws import LocalAws
from turnback.local.database import Database, run_sql
from turnback.local.deploy import deploy
from turnback.local.server import EmbeddedServer

from tests.e2e.test_stack_update import until
from tests.local_target import local_target

ROOT = Path(__file__).parents[2]
FILL = """-- turnback: backfill table=users key=id
UPDATE users SET email = lower(email) WHERE {batch};
"""


@dataclass(frozen=True)
class Deployed:
    """The template on a local AWS, and the database it releases to."""

    folder: Path
    server: EmbeddedServer
    database: Database
    aws: LocalAws

    def release(self, migrations: Path, number: str) -> tuple[int, str]:
        """Exit code and output of ``release --watch``."""
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from turnback.cli.main import main; main()"),
                *("release", str(migrations), "--release", number, "--watch"),
            ],
            env={**self.aws.variables(), "PATH": os.defpath, "TURNBACK_STACK": "turnback"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    with local_target("release-test") as made:
        parameters = made.parameters | {"Approvals": "never", "RestorePolicy": "never"}
        deploy(made.aws, impatient(made.folder), "turnback", parameters)
        yield Deployed(made.folder, made.server, made.database, made.aws)


def impatient(folder: Path) -> Path:
    """The template, with a state machine that tries nothing more than twice and hardly waits."""
    root = folder / "checkout"
    root.mkdir()
    for name in ("functions", "layers", ".turnback"):
        (root / name).symlink_to(ROOT / name)
    template = (ROOT / "template.yaml").read_text()
    # A run waits at least 10 seconds for another one, and does so at each of its tries.
    wait, short = "RUNNER_WAIT_SECONDS: !Ref RunnerWaitSeconds", 'RUNNER_WAIT_SECONDS: "1"'
    assert wait in template
    (root / "template.yaml").write_text(template.replace(wait, short))
    (root / "statemachine").mkdir()
    for name in ("release.asl.json", "backfill.asl.json"):
        definition = json.loads((ROOT / "statemachine" / name).read_text())
        for state in definition["States"].values():
            for retry in state.get("Retry", []):
                retry |= {"MaxAttempts": 1, "IntervalSeconds": 1}
        (root / "statemachine" / name).write_text(json.dumps(definition))
    return root / "template.yaml"


def with_one_more(base: Path, folder: Path, forward: str, back: str) -> Path:
    """The migrations of a folder and another one, named as its own folder."""
    shutil.copytree(base, folder)
    version = f"{len(list(folder.glob('sql/*'))) + 1:04}"
    (folder / "sql" / f"{version}_{folder.name}.sql").write_text(forward)
    (folder / "rollback" / f"{version}_rollback.sql").write_text(back)
    command = [sys.executable, "-c", "from turnback.cli.main import main; main()"]
    subprocess.run([*command, "check", "--fix", "--dir", str(folder)], check=True)
    return folder


def backfilled(deployed: Deployed) -> list[tuple[str, bool]]:
    with psycopg.connect(deployed.database.url) as connection:
        return connection.execute("SELECT state, rows > 0 FROM migration_backfills").fetchall()


@contextmanager
def holding_the_lock(deployed: Deployed) -> Iterator[None]:
    """Be another runner, at work on the same history."""
    with psycopg.connect(deployed.database.url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [lock_key("public")])
        yield


def test_it_leaves_with_how_the_run_ended(deployed):
    """One after the other, for each finds what those before it left."""
    code, output = deployed.release(ROOT / "migrations", "1.0.0")
    assert (code, "release 1.0.0 on learning succeeded" in output) == (0, True), output
    run_sql(deployed.server, deployed.database.name, ROWS)

    # A backfill: the run does not wait for it, and an execution of its own ends it.
    base = with_one_more(ROOT / "migrations", deployed.folder / "lower", FILL, FILL)
    code, output = deployed.release(base, "1.0.1")
    assert (code, "the backfill of 0011 continues in the background" in output) == (0, True), output
    until(lambda: backfilled(deployed) == [("done", True)])

    failing = with_one_more(
        base,
        deployed.folder / "no_ada",
        "ALTER TABLE users ADD CONSTRAINT no_ada CHECK (email <> 'ada@example.com');\n",
        "ALTER TABLE users DROP CONSTRAINT no_ada;\n",
    )
    code, output = deployed.release(failing, "1.1.0")
    assert (code, "failed and was rolled back" in output) == (1, True), output

    made, dropped = "CREATE TABLE fine ();\n", "DROP TABLE fine;\n"
    fine = with_one_more(base, deployed.folder / "fine", made, dropped)
    with holding_the_lock(deployed):
        code, output = deployed.release(fine, "1.2.0")
    assert (code, "RunnerBusy" in output) == (4, True), output

    lost = write_release(base, deployed.folder / "lost", complete=True)
    code, output = deployed.release(lost.folder, "1.3.0")
    assert (code, "a person is needed" in output) == (6, True), output
