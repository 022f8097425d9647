"""The acts of the demo: a release that succeeds, one that is refused, one that is rolled back."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turnback.cli.output import Output, count
from turnback.errors import CheckFailed

if TYPE_CHECKING:
    from turnback.local.aws import LocalAws
    from turnback.local.database import Database
    from turnback.local.next_release import NewRelease
    from turnback.local.server import EmbeddedServer
    from turnback.local.subscriber import Subscriber
    from turnback.local.webhook import Webhook

STACK = "turnback"
TARGET = "learning"
MESSAGE_SECONDS = 60.0


class Story:
    """The steps as they are told: numbered, and each with its time."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._number = 0
        self._began = self._step_began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._number += 1
        self._step_began = time.monotonic()
        self._out.result(click.style(f"\n{self._number}. {title}", bold=True))

    def say(self, text: str) -> None:
        """Tell something of the current step."""
        self._out.result(f"   {text}".rstrip())

    def done(self, text: str = "done") -> None:
        """End the current step."""
        took = time.monotonic() - self._step_began
        self._out.result(f"   {click.style(text, fg='green')} ({took:.1f} s)")


@dataclass(slots=True)
class Stage:
    """All that was started, and the acts that are played on it."""

    root: Path
    folder: Path
    story: Story
    server: EmbeddedServer
    database: Database
    aws: LocalAws
    chat: Webhook
    topic: Subscriber
    outputs: dict[str, str]

    def first_release(self) -> None:
        """Upload 1.0.0, and see that all of it is applied.

        Raises:
            CheckFailed: something is not as it should be.
        """
        migrations = self.root / "migrations"
        self.story.step("Release 1.0.0: the example project in migrations/")
        status = self._release("1.0.0", migrations)
        words = self._words(migrations)
        self._expect(status == "SUCCEEDED", f"The execution ended as {status}")
        self._told("succeeded")
        self._expect(
            set(words.values()) == {"applied"}, f"All {count(len(words), 'migration')} are applied"
        )
        self._message(["1.0.0", "succeeded"])
        self.story.done()

    def application(self) -> None:
        """Let the application write rows: no rehearsal on an empty database knows them."""
        from turnback.local.database import run_sql
        from turnback.local.next_release import ROWS

        self.story.step("The application writes rows; two authors choose the same title")
        run_sql(self.server, self.database.name, ROWS)
        self.story.done()

    def unproven_release(self) -> None:
        """Upload 1.1.0, and see that its rehearsal refuses it before anything is touched.

        Raises:
            CheckFailed: something is not as it should be.
        """
        from turnback.local.next_release import FORGOTTEN, write_release

        self.story.step("Release 1.1.0: three more migrations; a rollback forgets an index")
        release = write_release(
            self.root / "migrations", self.folder / "migrations-1.1.0", mended=False
        )
        last = self._unchanged("1.1.0", release, "refused")
        found = last["error"]["message"].splitlines()[-1].removeprefix("- ")
        self._expect(last["snapshot"] is None, "Not even a snapshot was taken")
        self._expect(
            last["error"]["file"] == release.forgetful and FORGOTTEN in found,
            f"The status says what {release.forgetful} forgets: {found}",
        )
        self._message(["1.1.0", "refused", release.forgetful, FORGOTTEN])
        self.story.done("refused")

    def failing_release(self) -> None:
        """Upload 1.2.0, and see that it is rolled back without a trace in the schema.

        Raises:
            CheckFailed: something is not as it should be.
        """
        from turnback.local.next_release import write_release

        self.story.step(
            "Release 1.2.0: that rollback is mended; the third migration fails on the real rows"
        )
        release = write_release(
            self.root / "migrations", self.folder / "migrations-1.2.0", mended=True
        )
        last = self._unchanged("1.2.0", release, "rolled_back")
        error = last["error"]
        found, where = f"{error['file']}:{error['line']}", f"{release.file}:{release.line}"
        self._expect(last["rehearsal"]["status"] == "proven", "Its rollbacks were proven before")
        self._expect(found == where, f"The status says where it failed: {found}")
        self._message(["1.2.0", "rolled back", where])
        self.story.done("rolled back")

    def _unchanged(self, number: str, release: NewRelease, word: str) -> dict[str, Any]:
        """Release, and see that the database is as before; returns the last status."""
        from turnback.local.database import schema_of

        before = schema_of(self.server, self.database.name)
        status = self._release(number, release.folder)
        after = schema_of(self.server, self.database.name)
        words = self._words(release.folder)
        self._expect(status == "FAILED", f"The execution ended as {status}")
        last = self._told(word)
        left = [version for version in release.versions if words[version] == "applied"]
        self._expect(not left, "None of its three migrations is applied")
        self._expect(before == after, "pg_dump --schema-only is as before, byte for byte")
        return last

    def wait(self) -> None:
        """Leave everything running until Ctrl-C."""
        say = self.story.say
        say(f"AWS        {self.aws.endpoint} (key and secret: test, Region us-east-1)")
        say(f"database   {self.server.socket_url(self.database.name)}")
        with contextlib.suppress(KeyboardInterrupt):
            say("Ctrl-C stops everything.")
            signal.pause()

    def _release(self, release: str, migrations: Path) -> str:
        from turnback.local.execution import await_execution, follow
        from turnback.migrations.artifact import pack

        machine = self.outputs["StateMachineArn"]
        states = self.aws.client("stepfunctions")
        known = {
            run["executionArn"]
            for run in states.list_executions(stateMachineArn=machine)["executions"]
        }
        artifact = pack(migrations, release, self.folder / f"{release}.zip")
        key = f"artifacts/{TARGET}/{release}.zip"
        self.aws.client("s3").upload_file(str(artifact), self.outputs["BucketName"], key)
        self.story.say(f"uploaded {key}; the state machine:")
        execution = await_execution(states, machine, known)
        for event in follow(states, execution):
            if event.seconds is None:
                click.echo(f"     {event.name:<24}", nl=False)
                sys.stdout.flush()
            else:
                error = click.style(f"  {event.error}", fg="red") if event.error else ""
                click.echo(f"{event.seconds:5.1f} s{error}")
                if event.detail:
                    click.echo(f"       {event.detail}")
        return str(states.describe_execution(executionArn=execution)["status"])

    def _words(self, migrations: Path) -> dict[str, str]:
        """The status of each migration in the database, by its version."""
        from turnback.engine import Engine, RunContext
        from turnback.migrations.discovery import load_project

        with Engine(self.database.url, context=RunContext(run="demo")) as engine:
            return {item.version: item.status for item in engine.status(load_project(migrations))}

    def _told(self, last: str) -> dict[str, Any]:
        """See that the run told of itself and ended with this word; returns its last status."""
        told = self.topic.hear(last)
        words = [status["status"] for status in told]
        self._expect(words[-1] == last, f"SNS told: {', '.join(words)}")
        return told[-1]

    def _message(self, expected: list[str]) -> None:
        """Show the next message in the chat, and see that it says what it should."""
        from turnback.local.webhook import readable

        message = self.chat.next_message(MESSAGE_SECONDS)
        if message is None:
            self._expect(False, "Slack got a message")
            return
        self.story.say("what Slack got:")
        lines = readable(message)
        for line in lines:
            self.story.say(f"  │ {line}")
        text = "\n".join(lines)
        for part in expected:
            self._expect(part in text, f"The message says {part!r}")

    def _expect(self, right: bool, fact: str) -> None:
        if right:
            self.story.say(f"{click.style('✓', fg='green')} {fact}")
            return
        self.story.say("the functions' last words:")
        for line in self.aws.last_words(f"/turnback/{STACK}"):
            self.story.say(f"  {line}")
        raise CheckFailed(f"Not as expected: {fact}.", findings=[])
