"""The demo's stage: all that was started, and what can be seen on it."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnback.demo.story import Story
from turnback.errors import CheckFailed

if TYPE_CHECKING:
    from turnback.demo.person import Person
    from turnback.demo.pipeline import LocalPipeline
    from turnback.demo.subscriber import Subscriber
    from turnback.demo.webhook import Webhook
    from turnback.local.aws import LocalAws
    from turnback.local.database import Database
    from turnback.local.server import EmbeddedServer

STACK = "turnback"
TARGET = "learning"
MESSAGE_SECONDS = 60.0
POLL_SECONDS = 0.05
# The last message in the chat; make picture draws it.
MESSAGE = ".turnback/slack.json"


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
    """All that was started.

    Attributes:
        root: the checkout.
        folder: for what is written.
        story: where it is told.
        server, database: the Postgres, and the database that is released to.
        aws: the local AWS.
        pipeline: what calls and hears the function of pipelines.
        chat: in Slack's place; signing_secret is its app's.
        topic: hears the statuses.
        person: the approver.
        outputs: of the stack.
    """

    root: Path
    folder: Path
    story: Story
    server: EmbeddedServer
    database: Database
    aws: LocalAws
    pipeline: LocalPipeline
    chat: Webhook
    signing_secret: str
    topic: Subscriber
    person: Person
    outputs: dict[str, str]

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

    def message(self, run: str, expected: list[str]) -> dict[str, Any]:
        """See that the chat's one message of a run comes to say all of this; the message."""
        from turnback.demo.webhook import readable

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
        """Show a message of the chat as it looks, and keep it for the picture."""
        from turnback.demo.webhook import readable

        self.story.quote(readable(message))
        kept = self.root / MESSAGE
        kept.write_text(json.dumps(message, indent=2, ensure_ascii=False) + "\n")

    def expect(self, right: bool, fact: str) -> None:
        """Tell a fact.

        Raises:
            CheckFailed: it is none.
        """
        if right:
            self.story.right(fact)
            return
        self.last_words()
        raise CheckFailed(f"Not as expected: {fact}.", findings=[])

    def last_words(self) -> None:
        """Tell what the functions logged last."""
        self.story.say("the functions' last words:")
        for line in self.aws.last_words(f"/turnback/{STACK}"):
            self.story.say(f"  {line}")

    def wait(self) -> None:
        """Say how to use it all from another terminal, and leave it running until Ctrl-C."""
        say = self.story.say
        self.story.step("Yours to try, from another terminal")
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
