"""``emergency``: the application that a run has left stopped."""

from __future__ import annotations

import time

import click

from turnback.aws.cloudformation import open_stack
from turnback.aws.functions import invoke
from turnback.aws.s3 import Bucket
from turnback.cli import options as opt
from turnback.cli.output import Output, reported
from turnback.errors import ConfigurationError
from turnback.runs.application import Stopped


@click.group(epilog="Example: turnback emergency start --stack turnback")
def emergency() -> None:
    """Start an application that a run has left stopped."""


@emergency.command(epilog="Example: turnback emergency start --stack turnback")
@opt.stack
@opt.as_json
@reported
def start(*, stack: str, out: Output) -> None:
    """Start the application as it was before a run stopped it.

    A run starts by itself what it has stopped, unless it was ended from outside before.
    turnback health --stack shows whether something is stopped.
    """
    deployed = open_stack(stack, reading=True)
    stopped = Stopped(Bucket(deployed.bucket), deployed.target).read()
    out.document |= {"stack": deployed.name, "status": "nothing_to_do", "started": []}
    if stopped is None:
        out.result("Nothing is stopped.")
        return
    if not deployed.application_function:
        raise ConfigurationError(
            f"the stack {deployed.name} cannot start it: it is of an older version of turnback",
            hint="deploy the template of this version, or start it by hand: "
            "docs/release.md#stop-the-application-during-a-rollback",
        )
    out.note(f"starting what {stopped.run} has stopped: {', '.join(stopped.names)}")
    while not (answer := invoke(deployed.application_function, {"do": "start"}))["done"]:
        out.note(f"waiting for {', '.join(answer['waiting_for'])}")
        time.sleep(answer["wait_seconds"])
    out.document |= {"status": "succeeded", "run": stopped.run, "started": stopped.names}
    out.result(f"Started as before {stopped.run}: {', '.join(stopped.names)}.")
