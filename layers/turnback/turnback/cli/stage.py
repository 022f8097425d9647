"""The demo's stage: all that was started, and what can be done and seen on it."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnback.cli.story import Story
from turnback.errors import AwsError, CheckFailed

if TYPE_CHECKING:
    from turnback.local.aws import LocalAws
    from turnback.local.database import Database
    from turnback.local.person import Person
    from turnback.local.server import EmbeddedServer
    from turnback.local.subscriber import Subscriber
    from turnback.local.webhook import Webhook

STACK = "turnback"
TARGET = "learning"
MESSAGE_SECONDS = 60.0
# The states of the state machine that wait for a person.
QUESTIONS = ("AskApproval", "AskRestore")


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole database at one moment: two that are equal hold the same.

    Attributes:
        schema: as pg_dump writes it.
        rows: table → number and checksum of its rows.
    """

    schema: str
    rows: dict[str, str]

    @property
    def counted(self) -> int:
        """How many rows there are in all."""
        return sum(int(state.split()[0]) for state in self.rows.values())


@dataclass(slots=True)
class Stage:
    """All that was started."""

    root: Path
    folder: Path
    story: Story
    server: EmbeddedServer
    database: Database
    aws: LocalAws
    chat: Webhook
    topic: Subscriber
    person: Person
    outputs: dict[str, str]

    def release(self, release: str, migrations: Path) -> str:
        """Upload a release and follow its run; the execution's status at the end.

        Where the run waits for a person, the person is asked, and says yes.

        Raises:
            AwsError: no run begins, or it does not end.
        """
        from turnback.aws.executions import Executions
        from turnback.cli.follow_states import await_run, follow_steps
        from turnback.migrations.artifact import pack

        states = self.aws.client("stepfunctions")
        executions = Executions(self.outputs["StateMachineArn"], states)
        known = set(executions.names())
        artifact = pack(migrations, release, self.folder / f"{release}.zip")
        key = f"artifacts/{TARGET}/{release}.zip"
        self.aws.client("s3").upload_file(str(artifact), self.outputs["BucketName"], key)
        self.story.say(f"uploaded {key}; the state machine:")
        run = await_run(executions, known)
        try:
            for event in follow_steps(executions, run):
                self.story.state(event)
                if event.name in QUESTIONS and event.seconds is None:
                    self._answer()
        except AwsError:
            self._last_words()
            raise
        execution = executions.describe(run)
        return execution.status if execution else ""

    def _answer(self) -> None:
        """Be the person who is asked: by mail, with a link to a page that has two buttons."""
        from turnback.local.person import NAME

        mail = self.person.next_mail()
        self.story.say(f"  what {NAME} got by mail:")
        for line in mail.strip().splitlines():
            # The link holds a signed token that nobody reads.
            shown = f"{line[:72]}…" if line.startswith("https://") else line
            self.story.say(f"    │ {shown}")
        said = self.person.approve(mail)
        self.story.say(f"  {NAME} follows the link and says yes: {said}")

    def standing(self) -> Standing:
        """The database as it is now."""
        from turnback.local.database import rows_of, schema_of

        name = self.database.name
        return Standing(schema_of(self.server, name), rows_of(self.server, name))

    def words(self, migrations: Path) -> dict[str, str]:
        """The status of each migration in the database, by its version."""
        from turnback.engine import Engine, RunContext
        from turnback.migrations.discovery import load_project

        with Engine(self.database.url, context=RunContext(run="demo")) as engine:
            return {item.version: item.status for item in engine.status(load_project(migrations))}

    def told(self, last: str) -> dict[str, Any]:
        """See that the run told of itself and ended with this word; returns its last status."""
        told = self.topic.hear(last)
        words = [status["status"] for status in told]
        self.expect(words[-1] == last, f"SNS told: {', '.join(words)}")
        return told[-1]

    def message(self, expected: list[str]) -> None:
        """Await the message in the chat that says all of this, and show it."""
        from turnback.local.webhook import readable

        deadline = time.monotonic() + MESSAGE_SECONDS
        seen: list[str] = []
        while (left := deadline - time.monotonic()) > 0:
            message = self.chat.next_message(left)
            if message is None:
                break
            seen = readable(message)
            if all(part in "\n".join(seen) for part in expected):
                break
        self.story.say("what Slack got:")
        for line in seen:
            self.story.say(f"  │ {line}")
        for part in expected:
            self.expect(part in "\n".join(seen), f"The message says {part!r}")

    def expect(self, right: bool, fact: str) -> None:
        """Tell a fact.

        Raises:
            CheckFailed: it is none.
        """
        if right:
            self.story.right(fact)
            return
        self._last_words()
        raise CheckFailed(f"Not as expected: {fact}.", findings=[])

    def _last_words(self) -> None:
        self.story.say("the functions' last words:")
        for line in self.aws.last_words(f"/turnback/{STACK}"):
            self.story.say(f"  {line}")

    def wait(self) -> None:
        """Leave everything running until Ctrl-C."""
        say = self.story.say
        say(f"AWS        {self.aws.endpoint} (key and secret: test, Region us-east-1)")
        say(f"database   {self.server.socket_url(self.database.name)}")
        with contextlib.suppress(KeyboardInterrupt):
            say("Ctrl-C stops everything.")
            signal.pause()
