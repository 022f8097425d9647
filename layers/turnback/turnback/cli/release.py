"""``release``: send an artifact to AWS, or roll back to an older release, as a run."""

from __future__ import annotations

from pathlib import Path

import click

from turnback.aws.cloudformation import Stack, open_stack
from turnback.aws.s3 import Bucket
from turnback.aws.stepfunctions import StateMachine
from turnback.aws.sts import caller
from turnback.cli import options as opt
from turnback.cli.output import INTERRUPTED, Output, reported
from turnback.cli.watch import watched
from turnback.errors import ConfigurationError
from turnback.migrations.release import parse_release
from turnback.runs.release import Releaser, checked_package
from turnback.wording import counted


@click.command(epilog="Example: turnback release 1.4.0.zip --watch")
@click.argument("artifact", required=False, type=click.Path(path_type=Path))
@click.option(
    "--release",
    "number",
    metavar="RELEASE",
    help="The release number; needed for a folder, and for a zip without release.json.",
)
@click.option(
    "--rollback-to",
    metavar="RELEASE",
    help="Instead of an artifact: roll back what was applied after this release.",
)
@click.option("--dry-run", is_flag=True, help="Stop at the plan and its rehearsal; change nothing.")
@click.option("--watch", "watching", is_flag=True, help="Follow the run until it ends.")
@opt.stack
@opt.verbose
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
    --watch it exits with the run's exit code, as turnback watch does. --rollback-to needs no
    artifact: the rollback scripts were stored in the database when their migrations were applied.
    """
    if (artifact is None) == (rollback_to is None):
        raise ConfigurationError(
            "name either an artifact or --rollback-to",
            hint="turnback release 1.4.0.zip, or turnback release --rollback-to 1.3.0",
        )
    if artifact is None:
        assert rollback_to is not None
        parse_release(rollback_to)
        deployed = open_stack(stack)
        releaser = _releaser(deployed)
        run = releaser.roll_back_to(rollback_to, dry_run=dry_run)
        what = f"the rollback to release {rollback_to}"
        out.document |= {"release": None, "rollback_to": rollback_to}
    else:
        with checked_package(artifact, number) as package:
            deployed = open_stack(stack)
            releaser = _releaser(deployed)
            place, run = (releaser.dry_run if dry_run else releaser.upload)(package)
        what = f"release {package.release} ({counted(package.migrations, 'migration')})"
        out.document |= {"release": package.release, "rollback_to": None}
        out.document["artifact"] = place.to_state()
    out.document |= {"run": run, "status": "started", "dry_run": dry_run, "error": None}
    dry = ", a dry run" if dry_run else ""
    out.result(f"{what} on {deployed.target}{dry}: run {run}")
    if not watching:
        out.result(f"watch it: turnback watch {run} --stack {deployed.name}")
        return 0
    try:
        releaser.await_start(run)
    except KeyboardInterrupt:
        out.note(f"\nthe run starts anyway; watch it: turnback watch {run}")
        return INTERRUPTED
    outcome = watched(out, deployed, StateMachine(deployed.machine_arn), run)
    return outcome.exit_code if outcome else INTERRUPTED


def _releaser(stack: Stack) -> Releaser:
    machine, bucket = StateMachine(stack.machine_arn), Bucket(stack.bucket)
    return Releaser(bucket, stack.bucket, machine, stack.target, lambda: caller().arn)
