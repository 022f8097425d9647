"""What the demo runs in: a Postgres, a local AWS with the deployed stack, a chat, a pipeline."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import sys
import time
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from turnback.cli.output import Output
from turnback.demo.codepipeline import LocalCodePipeline, attach
from turnback.demo.slack import LocalSlack, readable
from turnback.demo.subscribers import Approver, StatusSubscriber
from turnback.engine import Engine, RunContext
from turnback.errors import CheckFailed
from turnback.local.aws import LocalAws, local_aws_python
from turnback.local.database import Database, make_database, rows_of, schema_of
from turnback.local.deploy import build_layer, deploy, layers_of
from turnback.local.scratch import POSTGRES, scratch
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project

STACK = "turnback"
TARGET = "learning"
MESSAGE_SECONDS = 60.0
POLL_SECONDS = 0.05
# The last message in the chat; `make picture` draws it.
MESSAGE = ".turnback/slack.json"


class Transcript:
    """What happens in the demo: numbered steps, each with the time it took.

    All of it goes to a file; the terminal shows the steps, the facts and the essential lines.
    """

    def __init__(self, out: Output, file: Path, *, verbose: bool) -> None:
        """Begin it.

        Args:
            out: the terminal.
            file: for the whole transcript; an older one is replaced.
            verbose: print all of it on the terminal as well.
        """
        self._out = out
        self._file = file
        self._verbose = verbose
        file.parent.mkdir(exist_ok=True)
        file.write_text("", encoding="utf-8")
        self._number = 0
        self._began = self._step_began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def step(self, title: str, *, setup: bool = False) -> None:
        """Begin the next step; before one of the setup, no line is left empty."""
        self._number += 1
        self._step_began = time.monotonic()
        space = "" if setup else "\n"
        self._print(click.style(f"{space}{self._number}. {title}", bold=True))

    def say(self, text: str = "", *, essential: bool = True) -> None:
        """A line of the current step; on the terminal if it is essential."""
        self._print(f"   {text}".rstrip(), essential=essential)

    def done(self, text: str = "done") -> None:
        """End the current step."""
        took = time.monotonic() - self._step_began
        self._print(f"   {click.style(text, fg='green')} ({took:.1f} s)")

    def quote(self, lines: Iterable[str], essential: Container[str] = ()) -> None:
        """Somebody's words as they are; on the terminal those that are essential."""
        for line in lines:
            self.say(f"  │ {line}", essential=line in essential)

    def _print(self, text: str, *, essential: bool = True) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{click.unstyle(text)}\n")
        if essential or self._verbose:
            self._out.result(text)
            # Into a pipe as well, line by line.
            sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The whole database at one moment, for comparison.

    Attributes:
        schema: as pg_dump writes it.
        rows: table → number and checksum of its rows.
    """

    schema: str
    rows: dict[str, str]

    @property
    def row_count(self) -> int:
        """The number of rows in all tables."""
        return sum(int(state.split()[0]) for state in self.rows.values())


@dataclass(slots=True)
class Environment:
    """Everything that was started.

    Attributes:
        root: the checkout.
        folder: for the files that the demo writes.
        transcript: what is printed.
        server, database: the Postgres, and the database that is released to.
        aws: the local AWS.
        pipeline: calls the pipeline function and receives its results.
        chat: stands in for Slack.
        signing_secret: of the Slack app.
        topic: receives the statuses.
        approver: the person who is asked.
        outputs: of the stack.
    """

    root: Path
    folder: Path
    transcript: Transcript
    server: EmbeddedServer
    database: Database
    aws: LocalAws
    pipeline: LocalCodePipeline
    chat: LocalSlack
    signing_secret: str
    topic: StatusSubscriber
    approver: Approver
    outputs: dict[str, str]

    def database_state(self) -> DatabaseState:
        """The database as it is now."""
        name = self.database.name
        return DatabaseState(schema_of(self.server, name), rows_of(self.server, name))

    def migration_statuses(self, migrations: Path) -> dict[str, str]:
        """The status of each migration in the database, by its version."""
        with Engine(self.database.url, context=RunContext(run="demo")) as engine:
            return {item.version: item.status for item in engine.status(load_project(migrations))}

    def expect_final_status(self, last: str) -> dict[str, Any]:
        """Check that the run's last published status has this word, and return that status."""
        published = self.topic.receive(last)
        words = [status["status"] for status in published]
        self.expect(words[-1] == last, f"SNS published: {', '.join(words)}")
        return published[-1]

    def expect_message(self, run: str, expected: list[str]) -> dict[str, Any]:
        """Wait until the chat's one message of a run contains all of this, and return it."""
        deadline = time.monotonic() + MESSAGE_SECONDS
        while True:
            message = self.chat.message_of(run) or {}
            text = "\n".join(readable(message))
            missing = [part for part in expected if part not in text]
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        said = ", ".join(expected)
        lacks = f", but lacks {', '.join(missing)}" if missing else ""
        self.expect(not missing, f"Slack's one message of the run says: {said}{lacks}")
        return message

    def show(self, message: dict[str, Any]) -> None:
        """Print a message of the chat as it looks, and keep it for the picture."""
        lines = readable(message)
        # The title, and what failed.
        self.transcript.quote(lines, essential=[line for line in lines if line][:4])
        kept = self.root / MESSAGE
        kept.write_text(json.dumps(message, indent=2, ensure_ascii=False) + "\n")

    def expect(self, right: bool, fact: str) -> None:
        """Print a fact.

        Raises:
            CheckFailed: it is not true.
        """
        if right:
            self.transcript.say(f"{click.style('✓', fg='green')} {fact}")
            return
        self.print_logs()
        raise CheckFailed(f"Not as expected: {fact}.", findings=[])

    def print_logs(self) -> None:
        """Print the newest log lines of the functions."""
        self.transcript.say("the newest log lines of the functions:")
        for line in self.aws.newest_log_lines(f"/turnback/{STACK}"):
            self.transcript.say(f"  {line}")

    def wait(self) -> None:
        """Print how to use everything from another terminal, and keep it running until Ctrl-C."""
        say = self.transcript.say
        self.transcript.step("Yours to try, from another terminal")
        for name, value in {**self.aws.variables(), "TURNBACK_STACK": STACK}.items():
            say(f"export {name}={value}")
        say()
        say("turnback runs")
        say("turnback watch")
        say("turnback release migrations --release 1.3.0 --dry-run --watch")
        say("turnback release --rollback-to 1.0.0 --watch")
        say(f"psql '{self.server.socket_url(self.database.name)}'")
        say()
        with contextlib.suppress(KeyboardInterrupt):
            say("Ctrl-C stops everything.")
            signal.pause()


def start(root: Path, transcript: Transcript, stack: contextlib.ExitStack) -> Environment:
    """Build the layers, start the servers and deploy template.yaml.

    Args:
        root: the checkout.
        transcript: where each step is printed.
        stack: stops everything when it closes.
    """
    template = root / "template.yaml"
    transcript.step("The environment of the local AWS, in .turnback/local-aws", setup=True)
    python = local_aws_python(root, transcript.say)
    transcript.done()

    transcript.step("The layers of the functions, built for this Python", setup=True)
    for name, source in layers_of(template).items():
        built = build_layer(root, source, name)
        transcript.say(f"{name}: {built.stat().st_size / 1e6:.0f} MB", essential=False)
    transcript.done()

    transcript.step(
        "A Postgres for the demo, with a role and a password for the functions", setup=True
    )
    folder = stack.enter_context(scratch("demo"))
    server = stack.enter_context(EmbeddedServer.start(folder / POSTGRES, tcp=True, fast=True))
    database = make_database(server, TARGET)
    transcript.done(f"listens on 127.0.0.1:{server.port}")

    transcript.step("The local AWS, with stand-ins for Slack and CodePipeline", setup=True)
    aws = stack.enter_context(LocalAws.start(python, folder))
    chat = stack.enter_context(LocalSlack())
    pipeline = stack.enter_context(LocalCodePipeline())
    signing_secret = secrets.token_hex(16)
    transcript.done(f"listens on {aws.endpoint}")

    transcript.step("template.yaml, deployed as it is", setup=True)
    manager = aws.client("secretsmanager")

    def secret(name: str, value: str) -> str:
        return str(manager.create_secret(Name=f"{STACK}/{name}", SecretString=value)["ARN"])

    parameters = {
        "Target": TARGET,
        "DatabaseSecretArn": secret("database", database.as_secret()),
        # The embedded Postgres has no TLS.
        "DatabaseTls": "disable",
        "SlackWebhookSecretArn": secret("slack", chat.bot_secret(signing_secret)),
        "Approvers": Approver.as_parameter(),
        "ApprovalLinks": "yes",
        "RestorePollSeconds": "1",
    }
    outputs = deploy(aws, template, STACK, parameters)
    attach(aws, pipeline, outputs["OnPipelineFunctionName"])
    transcript.done(f"bucket {outputs['BucketName']}")
    return Environment(
        root=root,
        folder=folder,
        transcript=transcript,
        server=server,
        database=database,
        aws=aws,
        pipeline=pipeline,
        chat=chat,
        signing_secret=signing_secret,
        topic=StatusSubscriber(aws, outputs["TopicArn"]),
        approver=Approver(aws, outputs["ApprovalTopicArn"]),
        outputs=outputs,
    )
