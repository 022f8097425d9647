"""``release``: an artifact to AWS, or the way back to an older release, as a run."""

from __future__ import annotations

import hashlib
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turnback.cli import options as opt
from turnback.cli.output import Output, count, reported
from turnback.cli.stack import Stack, open_stack, stack_option
from turnback.cli.watch import INTERRUPTED, watched
from turnback.errors import AwsError, ConfigurationError
from turnback.migrations.release import parse_release

if TYPE_CHECKING:
    from turnback.aws.stepfunctions import StateMachine

# S3 events can be late by a minute (S3 user guide, "Event notifications").
BEGIN_S = 180.0
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Package:
    """An artifact that was checked.

    Attributes:
        release: its number.
        zip: the file.
        migrations: how many are in it.
        sha256: of the file.
    """

    release: str
    zip: Path
    migrations: int
    sha256: str


@click.command(epilog="Example: turnback release 1.4.0.zip --watch")
@click.argument("artifact", required=False, type=click.Path(path_type=Path))
@click.option(
    "--release",
    "number",
    help="The release's number; needed for a folder, and for a zip without release.json.",
)
@click.option(
    "--rollback-to",
    metavar="RELEASE",
    help="Instead of an artifact: roll back what was applied after this release.",
)
@click.option("--dry-run", is_flag=True, help="Stop at the plan and its rehearsal; change nothing.")
@click.option("--watch", "watching", is_flag=True, help="Follow the run until it ends.")
@stack_option
@opt.as_json
@reported
def release(
    *,
    artifact: Path | None,
    number: str | None,
    rollback_to: str | None,
    dry_run: bool,
    watching: bool,
    stack: str,
    out: Output,
) -> int:
    """Release an artifact to the database of a stack.

    ARTIFACT is a zip of turnback package, or a folder of migrations, which is packed first. It is
    checked here as the functions check it, then uploaded, and the upload starts the run. With
    --watch it leaves with the run's exit code, as turnback watch does. --rollback-to needs no
    artifact: the rollback scripts are in the database, stored when their migrations were applied.
    """
    from turnback.aws.stepfunctions import StateMachine

    if (artifact is None) == (rollback_to is None):
        raise ConfigurationError(
            "name either an artifact or --rollback-to",
            hint="turnback release 1.4.0.zip, or turnback release --rollback-to 1.3.0",
        )
    if rollback_to is not None:
        parse_release(rollback_to)
        deployed = open_stack(stack)
        run = _start(deployed, None, rollback_to=rollback_to, dry_run=dry_run)
        what = f"the way back to release {rollback_to}"
        out.document |= {"release": None, "rollback_to": rollback_to}
    else:
        assert artifact is not None
        with _checked(artifact, number) as package:
            deployed = open_stack(stack)
            place, run = _send(deployed, package, dry_run)
        what = f"release {package.release} ({count(package.migrations, 'migration')})"
        out.document |= {"release": package.release, "rollback_to": None, "artifact": place}
    out.document |= {"run": run, "status": "started", "dry_run": dry_run, "error": None}
    dry = ", a dry run" if dry_run else ""
    out.result(f"{what} on {deployed.target}{dry}: run {run}")
    if not watching:
        out.result(f"watch it: turnback watch {run} --stack {deployed.name}")
        return 0
    executions = StateMachine(deployed.machine_arn)
    try:
        _await_start(executions, run)
    except KeyboardInterrupt:
        out.note(f"\nthe run begins all the same; watch it: turnback watch {run}")
        return INTERRUPTED
    outcome = watched(out, deployed, executions, run)
    return outcome.exit_code if outcome else INTERRUPTED


@contextmanager
def _checked(artifact: Path, number: str | None) -> Iterator[Package]:
    """The artifact, packed if it is a folder, and checked as the functions check it."""
    from turnback.migrations.artifact import open_artifact, pack
    from turnback.migrations.scaffold import source_of

    if number is not None:
        parse_release(number)
    if not artifact.exists():
        raise ConfigurationError(
            f"there is no {artifact}", hint="make it: turnback package --release 1.4.0"
        )
    with tempfile.TemporaryDirectory(prefix="turnback-") as folder:
        archive = artifact
        if artifact.is_dir():
            if number is None:
                raise ConfigurationError(
                    f"{artifact} is a folder, and no release is named",
                    hint=f"turnback release {artifact} --release 1.4.0",
                )
            archive = Path(folder) / "artifact.zip"
            pack(artifact, number, archive, source=source_of(artifact))
        into = Path(folder) / "release"
        into.mkdir()
        opened = open_artifact(archive, into, release=number)
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield Package(opened.release, archive, len(opened.project.migrations), digest)


def _send(stack: Stack, package: Package, dry_run: bool) -> tuple[dict[str, Any], str]:
    """Upload the artifact; where it is, and the id of the run it starts."""
    from turnback.aws.s3 import Bucket
    from turnback.runs.upload import run_id

    bucket = Bucket(stack.bucket)
    if dry_run:
        # Under artifacts/ it would start a run that is none.
        run = _new_run()
        key = f"runs/{run}/artifact.zip"
        bucket.write_file(key, package.zip)
        place = {"bucket": stack.bucket, "key": key, "sha256": package.sha256}
        return place, _start(stack, place, run=run, dry_run=True)
    key = f"artifacts/{stack.target}/{package.release}.zip"
    version = bucket.write_file(key, package.zip)
    if version is None:
        raise ConfigurationError(
            f"{key} was uploaded, but the bucket {stack.bucket} keeps no versions, so its run is "
            "not known by name",
            hint="find it by turnback runs; switch versioning on, as template.yaml does",
        )
    place = {"bucket": stack.bucket, "key": key, "version_id": version, "sha256": package.sha256}
    return place, run_id(stack.bucket, key, version)


def _start(
    stack: Stack,
    artifact: dict[str, Any] | None,
    *,
    dry_run: bool,
    rollback_to: str | None = None,
    run: str | None = None,
) -> str:
    """Start an execution ourselves; its run's id."""
    from turnback.aws.stepfunctions import StateMachine
    from turnback.aws.sts import caller

    order: dict[str, Any] = {
        "run": run or _new_run(),
        "target": stack.target,
        "artifact": artifact,
        "trigger": f"release:{caller().arn}",
        "dry_run": dry_run,
    }
    if rollback_to is not None:
        order["rollback_to"] = rollback_to
    StateMachine(stack.machine_arn).start(order["run"], order)
    return str(order["run"])


def _new_run() -> str:
    return f"r-{uuid.uuid4().hex[:20]}"


def _await_start(executions: StateMachine, run: str) -> None:
    deadline = time.monotonic() + BEGIN_S
    while executions.describe(run) is None:
        if time.monotonic() > deadline:
            raise AwsError(
                f"the upload has started no run in {BEGIN_S:.0f} s",
                hint="the log of OnUploadFunction, or the queue of dead letters, says why",
            )
        time.sleep(POLL_S)
