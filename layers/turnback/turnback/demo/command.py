"""``demo``: three releases on this machine; one succeeds, one is refused, one is restored."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import click

from turnback.cli.output import Output, reported
from turnback.errors import ConfigurationError

# Everything that the demo prints with --verbose, from the root of the checkout.
TRANSCRIPT = ".turnback/demo.txt"
SUMMARY = f"""
All as expected, after {{seconds:.0f}} s. This was shown:
  1.0.0  A pipeline releases ten migrations: rehearsed, snapshot taken, applied, verified.
  1.1.0  A rollback script forgets an index: refused before anything is touched.
  1.2.0  It destroys data, so a person approves it. It fails, and so does its rollback: the snapshot
         is restored, with every row of it. Rows written since are announced, and kept aside.
  RDS    An instance is restored from a snapshot, and keeps its endpoint.
PostgreSQL was real, AWS a stand-in. The transcript: {TRANSCRIPT}. In pictures: docs/slack.svg
Try it with a folder of your own, in an empty one:
  turnback init && turnback generate add_users     write the two files, then
  turnback rehearse --all && turnback up           docs/start.md; on AWS: docs/aws.md"""
SIGNALS = [
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


@click.command(epilog="Example: turnback demo --keep")
@click.option("--keep", is_flag=True, help="Leave everything running at the end, until Ctrl-C.")
@click.option("--verbose", is_flag=True, help=f"Print the whole transcript, as in {TRANSCRIPT}.")
@reported
def demo(*, keep: bool, verbose: bool, out: Output) -> None:
    """Show a release that succeeds, one that is refused and one that is restored.

    In a checkout of turnback: builds the layers, starts a Postgres and a local AWS of its own,
    deploys template.yaml as it is, and makes three releases of the example project. A pipeline
    starts the first one. The second, from the terminal, has a rollback script that does not restore
    the schema. The third drops data, so it is first approved in Slack; it fails on existing rows,
    outside a transaction, and so does its rollback: a person is asked by mail, and the snapshot is
    restored. Last, an RDS instance is restored from the command line and keeps its endpoint.
    Nothing is left running, and your own AWS settings and databases are not touched.
    """
    root = _checkout()
    # Here, because `turnback --help` imports this module, and these need boto3.
    from turnback.demo import scenarios
    from turnback.demo.environment import Transcript, start

    transcript = Transcript(out, root / TRANSCRIPT, verbose=verbose)
    with _orderly_exit(), contextlib.ExitStack() as stack:
        environment = start(root, transcript, stack)
        scenarios.first_release(environment)
        scenarios.application(environment)
        scenarios.unproven_release(environment)
        scenarios.failing_release(environment)
        scenarios.restored_instance(environment)
        if keep:
            environment.wait()
        transcript.step("Stopping everything")
        _ignore_signals()
        stack.close()
        transcript.done()
    out.result(SUMMARY.format(seconds=transcript.seconds))


def _checkout() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "template.yaml").is_file() and (folder / "layers" / "turnback").is_dir():
            return folder
    raise ConfigurationError(
        f"{here} is not in a checkout of turnback: there is no template.yaml.",
        hint="Clone turnback, and run make demo in it.",
    )


@contextlib.contextmanager
def _orderly_exit() -> Iterator[None]:
    """Treat every signal like Ctrl-C, and let none interrupt the cleaning up."""

    def interrupt(*_: object) -> None:
        _ignore_signals()
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in SIGNALS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _ignore_signals() -> None:
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)
