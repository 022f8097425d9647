"""Fifty uploads in a minute to one target, on the local AWS: each gets its turn, and a true answer.

Real functions in processes of their own, the real state machine's definition, a real Postgres. The
uploads are out of order, some are doubled, and ten of them are no artifacts. Once in peace, and
once while a function is killed every few seconds.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from turnback.engine.session.lock import lock_key
from turnback.local.aws import LocalAws
from turnback.local.deploy import deploy
from turnback.migrations.artifact import pack
from turnback.migrations.checksums import digest, write_sums

from tests.local_target import local_target

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
UPLOADS, BROKEN, RELEASES = 50, 10, 25
WITHIN_S = 60.0
DEADLINE_S = 1500.0
KILL_EVERY_S = 10.0
APPLICATION, CONCURRENCY = "orders-app", 7


@dataclass
class Target:
    """A stack, its database, and what is uploaded to it."""

    aws: LocalAws
    folder: Path
    url: str
    outputs: dict[str, str]
    queue: str
    keys: dict[str, str] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def artifact(self, number: int) -> bytes:
        """Release 1.<number>.0: its migrations are those of the release before, and one more."""
        project = self.folder / f"release-{number}"
        for version in range(1, number + 2):
            for kind, text in (
                (f"sql/{version:04}_t.sql", f"CREATE TABLE t{version} (id bigint);\n"),
                (f"rollback/{version:04}_rollback.sql", f"DROP TABLE t{version};\n"),
            ):
                path = project / kind
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        sums = {
            str(path.relative_to(project)): digest(path.read_bytes())
            for path in sorted(project.rglob("*.sql"))
        }
        write_sums(project, sums)
        return pack(project, f"1.{number}.0", self.folder / f"{number}.zip").read_bytes()

    def upload(self, number: int, body: bytes) -> None:
        """As somebody's CI does it."""
        key = f"artifacts/learning/1.{number}.0.zip"
        answer = self.aws.client("s3").put_object(
            Bucket=self.outputs["BucketName"], Key=key, Body=body
        )
        self.keys[answer["VersionId"]] = key

    def executions(self) -> dict[str, str]:
        """Each run and the status of its execution."""
        pages = self.aws.client("stepfunctions").get_paginator("list_executions")
        return {
            row["name"]: row["status"]
            for page in pages.paginate(stateMachineArn=self.outputs["StateMachineArn"])
            for row in page["executions"]
        }

    def places(self) -> list[str]:
        """Who has the turn, and then who waits for it."""
        try:
            found = self.aws.client("s3").get_object(
                Bucket=self.outputs["BucketName"], Key="targets/learning/turn.json"
            )
        except self.aws.client("s3").exceptions.NoSuchKey:
            return []
        record = json.loads(found["Body"].read())
        holder = [record["holder"]] if record["holder"] else []
        return [place["run"] for place in (*holder, *record["waiting"])]

    def until(self, fact: Callable[[], bool]) -> None:
        """Wait for something that has to come."""
        deadline = time.monotonic() + DEADLINE_S
        while not fact():
            assert time.monotonic() < deadline, (self.places(), self.executions())
            time.sleep(0.2)

    def receive(self) -> None:
        """Read the status events that have come since."""
        sqs = self.aws.client("sqs")
        while batch := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for item in batch:
                self.messages.append(json.loads(json.loads(item["Body"])["Message"]))
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=item["ReceiptHandle"])

    def finals(self) -> dict[str, list[dict[str, Any]]]:
        """The last words of each run."""
        found: dict[str, list[dict[str, Any]]] = {}
        for message in self.messages:
            if message["status"] not in ("waiting", "started", "applying"):
                found.setdefault(message["run"], []).append(message)
        return found


@contextmanager
def target() -> Iterator[Target]:
    with local_target("load-test") as made:
        _run_application(made.aws)
        parameters = made.parameters | {
            "Environment": "development",
            "SnapshotKind": "none",
            "LambdaFunctions": APPLICATION,
        }
        outputs = deploy(made.aws, _quick(made.folder), "turnback", parameters)
        queue = _listener(made.aws, outputs["TopicArn"])
        yield Target(made.aws, made.folder, made.database.url, outputs, queue)


def _listener(aws: LocalAws, topic: str) -> str:
    """A queue that gets the status events."""
    arn = f"arn:aws:sqs:{topic.split(':')[3]}:{topic.split(':')[4]}:listener"
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        },
    }
    made = aws.client("sqs").create_queue(
        QueueName="listener", Attributes={"Policy": json.dumps(policy)}
    )
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return str(made["QueueUrl"])


def _run_application(aws: LocalAws) -> None:
    """A function of the user's, with a concurrency of its own."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return {}\n")
    role = aws.client("iam").create_role(RoleName="orders", AssumeRolePolicyDocument="{}")
    client = aws.client("lambda")
    client.create_function(
        FunctionName=APPLICATION,
        Runtime="python3.13",
        Role=role["Role"]["Arn"],
        Handler="app.handler",
        Code={"ZipFile": code.getvalue()},
    )
    client.put_function_concurrency(
        FunctionName=APPLICATION, ReservedConcurrentExecutions=CONCURRENCY
    )


def _quick(folder: Path) -> Path:
    """The template; a waiting run looks each five seconds, for a test that does not take hours."""
    root = folder / "checkout"
    root.mkdir()
    for name in ("functions", "layers", "statemachine", ".turnback"):
        (root / name).symlink_to(ROOT / name)
    template = (ROOT / "template.yaml").read_text()
    minute, often = 'TURN_LOOK_SECONDS: "60"', 'TURN_LOOK_SECONDS: "5"'
    assert minute in template
    (root / "template.yaml").write_text(template.replace(minute, often))
    return root / "template.yaml"


def uploads(chance: random.Random) -> list[tuple[int, bool]]:
    """The releases as they are uploaded: out of order, some twice, and which are no artifacts."""
    good = list(range(RELEASES))
    good += chance.choices(good, k=UPLOADS - BROKEN - RELEASES)
    chance.shuffle(good)
    found = [(number, True) for number in good]
    for number in chance.sample(range(RELEASES), BROKEN):
        found.insert(chance.randrange(len(found) + 1), (number, False))
    return found


class Killer(threading.Thread):
    """Kills a function at work, again and again."""

    def __init__(self, aws: LocalAws) -> None:
        super().__init__(daemon=True)
        self._aws = aws
        self.ended = threading.Event()
        self.killed = 0

    def run(self) -> None:
        while not self.ended.wait(KILL_EVERY_S):
            if found := self._functions():
                with suppress(ProcessLookupError):
                    os.kill(random.choice(found), signal.SIGKILL)
                    self.killed += 1

    def _functions(self) -> list[int]:
        """The processes under AWS's runtime client, of this emulator's group."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                line = (entry / "cmdline").read_bytes()
                if b"awslambdaric" in line and os.getpgid(int(entry.name)) == self._aws.group:
                    found.append(int(entry.name))
        return found


@pytest.mark.parametrize("killed", [False, True], ids=["in peace", "with a kill each ten seconds"])
def test_fifty_uploads_in_a_minute_have_one_true_answer_each(killed: bool) -> None:
    chance = random.Random(14)
    with target() as stack, ExitStack() as opened:
        bodies = {number: stack.artifact(number) for number in range(RELEASES)}
        killer = Killer(stack.aws)
        opened.callback(killer.ended.set)
        if killed:
            killer.start()
        began = time.monotonic()
        for place, (number, good) in enumerate(uploads(chance)):
            body = bodies[number] if good else bodies[number][: len(bodies[number]) // 2]
            stack.upload(number, body)
            time.sleep(max(0.0, began + place * WITHIN_S / UPLOADS - time.monotonic()))
        stack.until(lambda: len(stack.executions()) == UPLOADS)
        stack.until(lambda: "RUNNING" not in stack.executions().values())
        ended = stack.executions()
        time.sleep(2)
        stack.receive()
        finals = stack.finals()

        assert set(finals) == set(ended)
        assert {len(words) for words in finals.values()} == {1}
        said = Counter(words[0]["status"] for words in finals.values())
        assert said["refused"] == BROKEN, said
        assert set(said) == {"refused", "succeeded", "superseded"}, said
        assert killed == bool(killer.killed)
        # Each upload, by its key and version.
        told = [words[0]["upload"] for words in finals.values()]
        assert {one["version_id"]: one["key"] for one in told} == stack.keys
        with psycopg.connect(stack.url) as connection:
            rows = connection.execute("SELECT version, count(*) FROM migration_log GROUP BY 1")
            assert dict(rows.fetchall()) == {f"{n:04}": 1 for n in range(1, RELEASES + 1)}
        answer = stack.aws.client("lambda").get_function_concurrency(FunctionName=APPLICATION)
        assert answer["ReservedConcurrentExecutions"] == CONCURRENCY
        assert stack.places() == []


@pytest.mark.parametrize("told", [True, False], ids=["with the rule", "with every event lost"])
def test_the_end_of_whoever_has_the_turn_and_of_the_first_who_waits_frees_the_target(
    told: bool,
) -> None:
    """Both are ended from outside at once, so that nobody is left whom they would have woken."""
    with target() as stack:
        states, events = stack.aws.client("stepfunctions"), stack.aws.client("events")
        if not told:
            for rule in events.list_rules()["Rules"]:
                events.disable_rule(Name=rule["Name"])
        with psycopg.connect(stack.url, autocommit=True) as other:
            # Whoever has the turn waits in Validate for this session.
            other.execute("SELECT pg_advisory_lock(%s)", [lock_key("public")])
            for number in range(5):
                stack.upload(number, stack.artifact(number))
                stack.until(lambda number=number: len(stack.places()) == number + 1)
            first, second, *others = stack.places()
            for run in (first, second):
                arn = stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:")
                states.stop_execution(executionArn=f"{arn}:{run}")
            stack.until(lambda: stack.places() == others)
        stack.until(lambda: "RUNNING" not in stack.executions().values())
        ended = stack.executions()
        assert {ended[run] for run in others} == {"SUCCEEDED"}
        assert ended[first] == ended[second] == "ABORTED"
        assert stack.places() == []
