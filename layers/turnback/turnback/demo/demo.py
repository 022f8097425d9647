"""``demo``: a release, a refused one and one that is restored, all the way, on this machine."""

from __future__ import annotations

import contextlib
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from turnback.cli.output import Output, reported
from turnback.demo import acts, acts_rds
from turnback.demo.stage import STACK, TARGET, Stage
from turnback.demo.story import Story
from turnback.errors import ConfigurationError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command(epilog="Example: turnback demo --keep")
@click.option("--keep", is_flag=True, help="Leave everything running at the end, until Ctrl-C.")
@reported
def demo(*, keep: bool, out: Output) -> None:
    """Show a release that succeeds, one that is refused and one that is turned back.

    In a checkout of turnback: builds the layers, starts a Postgres and a local AWS of its own,
    deploys template.yaml as it is, and makes three releases of the example project. The first comes
    by a pipeline. The second, from the terminal, has a rollback that does not bring the schema
    back. The third destroys something, so that it is approved first, in Slack; it fails on rows
    that are there, outside a transaction, and so does its rollback: a person is asked by mail, and
    the snapshot is restored. Last, an instance of RDS is restored by hand, and keeps its endpoint.
    Nothing is left running, and the user's own AWS settings and databases are not touched.
    """
    root = _checkout()
    story = Story(out)
    with _ending_well(), contextlib.ExitStack() as stack:
        stage = _set_up(root, story, stack)
        acts.first_release(stage)
        acts.application(stage)
        acts.unproven_release(stage)
        acts.failing_release(stage)
        acts_rds.restored_instance(stage)
        out.result(f"\nAll as expected, after {story.seconds:.0f} s.")
        if keep:
            stage.wait()
        story.step("Stopping everything")
        _ignore_signals()
        stack.close()
        story.done()


def _set_up(root: Path, story: Story, stack: contextlib.ExitStack) -> Stage:
    from turnback.demo.person import Person
    from turnback.demo.pipeline import LocalPipeline
    from turnback.demo.pipeline_source import attach
    from turnback.demo.subscriber import Subscriber
    from turnback.demo.webhook import Webhook
    from turnback.local.aws import LocalAws
    from turnback.local.build import build_layer
    from turnback.local.database import make_database
    from turnback.local.deploy import deploy, layers_of
    from turnback.local.environment import local_aws_python
    from turnback.local.scratch import POSTGRES, scratch
    from turnback.local.server import EmbeddedServer

    template = root / "template.yaml"
    story.step("The environment of the local AWS, in .turnback/local-aws")
    python = local_aws_python(root, story.say)
    story.done()

    story.step("The layers of the functions, built for this Python")
    for name, source in layers_of(template).items():
        built = build_layer(root, source, name)
        story.say(f"{name}: {built.stat().st_size / 1e6:.0f} MB")
    story.done()

    story.step("A Postgres of the demo's own, with a role and a password for the functions")
    folder = stack.enter_context(scratch("demo"))
    server = stack.enter_context(EmbeddedServer.start(folder / POSTGRES, tcp=True, fast=True))
    database = make_database(server, TARGET)
    story.done(f"listens on 127.0.0.1:{server.port}")

    story.step("The local AWS; a chat in Slack's place, a pipeline in CodePipeline's")
    aws = stack.enter_context(LocalAws.start(python, folder))
    chat = stack.enter_context(Webhook())
    pipeline = stack.enter_context(LocalPipeline())
    signing_secret = secrets.token_hex(16)
    story.done(f"listens on {aws.endpoint}")

    story.step("template.yaml, deployed as it is")
    manager = aws.client("secretsmanager")
    outputs = deploy(
        aws,
        template,
        STACK,
        {
            "Target": TARGET,
            "DatabaseSecretArn": _secret(manager, "database", database.as_secret()),
            # The embedded Postgres speaks no TLS.
            "DatabaseTls": "disable",
            "SlackWebhookSecretArn": _secret(manager, "slack", chat.bot_secret(signing_secret)),
            "Approvers": Person.as_parameter(),
            "RestorePollSeconds": "1",
        },
    )
    attach(aws, pipeline, outputs["OnPipelineFunctionName"])
    story.done(f"bucket {outputs['BucketName']}")
    topic = Subscriber(aws, outputs["TopicArn"])
    person = Person(aws, outputs["ApprovalTopicArn"])
    return Stage(
        root=root,
        folder=folder,
        story=story,
        server=server,
        database=database,
        aws=aws,
        pipeline=pipeline,
        chat=chat,
        signing_secret=signing_secret,
        topic=topic,
        person=person,
        outputs=outputs,
    )


def _secret(manager: Any, name: str, value: str) -> str:
    made = manager.create_secret(Name=f"{STACK}/{name}", SecretString=value)
    return str(made["ARN"])


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
def _ending_well() -> Iterator[None]:
    """Make every ending as orderly as Ctrl-C, and let nothing interrupt the cleaning up."""

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
