"""Questions without AWS: a bucket and waiting tasks in memory, which keep what S3 promises."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.data_classes import LambdaFunctionUrlEvent
from turnback.errors import AwsError, TurnbackError
from turnback.runs.approvals.endpoint import Endpoint, failed_page
from turnback.runs.approvals.questions import Questions
from turnback.runs.approvals.record import Question
from turnback.runs.approvals.slack import SlackSecret
from turnback.settings.approvals import ApprovalSettings, Approver

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RUN = "r-4a7d1e00000000000000"
ANN = Approver("ann", "U0ANN", ("AIDAANN000000000000A", "arn:aws:iam::1:user/ann"), "ann@x.test")
BOB = Approver("bob", "U0BOB", ("arn:aws:iam::1:user/team/bob",), "bob@x.test")
CIA = Approver("cia", "", ("AROACIA000000000000A:cia@x.test",), "cia@x.test")


class Memory:
    """A bucket that reads, writes, lists, and creates in one step, as S3 does."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body

    def create(self, key: str, body: bytes) -> bool:
        with self._lock:
            return self.objects.setdefault(key, body) is body

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        body = self.objects.get(key)
        return None if body is None else (body, str(hash(body)))

    def swap(self, key: str, body: bytes, tag: str | None) -> bool:
        with self._lock:
            old = self.objects.get(key)
            if (None if old is None else str(hash(old))) != tag:
                return False
            self.objects[key] = body
            return True

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in list(self.objects) if key.startswith(prefix)))


@dataclass
class Tasks:
    """Tasks that wait: the newest token does, the others are gone."""

    waiting: str = "token-1"
    ended: list[tuple[str, Any]] = field(default_factory=list)
    throttled: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send_success(self, token: str, output: Mapping[str, Any]) -> bool:
        return self._end(token, (output["decision"], tuple(output["by"])))

    def send_failure(self, token: str, error: str, cause: str) -> bool:
        return self._end(token, (error, cause))

    def _end(self, token: str, outcome: tuple[str, Any]) -> bool:
        with self.lock:
            if self.throttled:
                self.throttled -= 1
                raise AwsError("could not tell the run of the answer: ThrottlingException")
            if token != self.waiting:
                return False
            self.waiting = ""
            self.ended.append(outcome)
            return True


class Log:
    """What was logged."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, msg: object, **fields: Any) -> None:
        self.lines.append({"msg": msg, **fields})

    warning = info


@dataclass
class Desk:
    """A stack's questions, and what a test looks at."""

    store: Memory = field(default_factory=Memory)
    tasks: Tasks = field(default_factory=Tasks)
    log: Log = field(default_factory=Log)
    time: datetime = NOW
    needed: int = 1
    approvers: tuple[Approver, ...] = (ANN, BOB, CIA)

    @property
    def questions(self) -> Questions:
        settings = ApprovalSettings(self.needed, False, 60, self.approvers)
        return Questions(self.store, self.tasks, settings, self.log, lambda: self.time)

    def ask(self, token: str = "token-1", **changes: Any) -> Any:
        """Put the question for this token."""
        self.tasks.waiting = token
        return self.questions.put(asked(token, persons=self.needed, **changes), RUN)

    def answer(self, person: Approver, decision: str, way: str = "slack", **more: Any) -> Any:
        """Answer it."""
        questions = self.questions
        return questions.answer(questions.record(RUN), person, decision, way, **more)

    def passed_on(self, endpoint: Endpoint, event: Mapping[str, Any]) -> None:
        """The asynchronous invocation, of an event that was JSON on its way."""
        called(endpoint, json.loads(json.dumps(event)))

    def later(self, minutes: float) -> None:
        """Let time go by."""
        self.time += timedelta(minutes=minutes)


def asked(token: str = "token-1", **changes: Any) -> Question:
    """A question of the release gate, put now, for an hour."""
    fields: dict[str, Any] = {
        "gate": "release",
        "token": token,
        "asked_at": NOW,
        "expires_at": NOW + timedelta(minutes=60),
        "persons": 1,
        "reasons": ("sql/0003_drop.sql:1 table edges, with its rows (DROP TABLE)",),
        "loss": None,
        "trigger": "upload:AWS:AIDADAN000000000000A",
        "target": "learning",
        "release": "1.4.0",
    }
    return Question(**{**fields, **changes})


def endpoint(
    desk: Desk, secret: Callable[[], SlackSecret] = SlackSecret, key: str = ""
) -> Endpoint:
    """The function that takes answers; what it passes on to itself is done at once."""
    made = Endpoint(desk.questions, lambda: key, secret, lambda event: desk.passed_on(made, event))
    return made


def called(made: Endpoint, event: Mapping[str, Any]) -> Any:
    """What the function returns for an event; see its entry."""
    try:
        return made.respond(LambdaFunctionUrlEvent(dict(event)))
    except TurnbackError as error:
        if page := failed_page(event, error):
            return page
        raise


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What these return or raise, each in a thread of its own, all begun together."""
    results: list[Any] = [None] * len(calls)
    together = threading.Barrier(len(calls))

    def run(number: int, call: Callable[[], Any]) -> None:
        together.wait()
        try:
            results[number] = call()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
