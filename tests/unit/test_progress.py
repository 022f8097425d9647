"""The events of the engine in words: the same in a terminal and on AWS."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from turnback.cli.database import EventPrinter as Terminal
from turnback.cli.display import Lines
from turnback.cli.output import Output
from turnback.engine.session.events import Event, EventKind
from turnback.runs.reporting.execution import Story
from turnback.runs.reporting.progress import Progress, ProgressRecord, progress_key, words_of
from turnback.runs.watching.follow import RunView

NOTED = (EventKind.RECOGNISED, EventKind.SKIPPED, EventKind.LOST)


class Memory:
    """A bucket in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_of_event_has_words(kind: EventKind) -> None:
    assert words_of(Event(kind, "0001", "users", text="some text")).strip()


@pytest.mark.parametrize("kind", NOTED)
def test_what_the_terminal_shows_of_earlier_work_is_shown_on_aws_too(
    kind: EventKind, capsys: pytest.CaptureFixture[str]
) -> None:
    event = Event(kind, "0003", "index", text="CREATE INDEX CONCURRENTLY i ON t (c)")
    Terminal(Output("up", as_json=False))(event)
    line = capsys.readouterr().err.strip()
    assert line.startswith("0003 index: ")

    store = Memory()
    record = ProgressRecord(store, "r-1", pytest.fail, every_s=0.01)
    for one in (Event(EventKind.STARTED, "0003", "index"), event):
        record(one)
    record(Event(EventKind.APPLIED, "0003", "index"))
    record.close()
    kept = Progress.from_json(store.objects[progress_key("r-1")])
    assert (kept.applied, kept.notes) == (("0003",), (line,))

    story, began = Story(), datetime(2026, 11, 22, 12, tzinfo=UTC)
    details = {"stateEnteredEventDetails": {"name": "Apply"}}
    story.read([{"id": 1, "type": "TaskStateEntered", "timestamp": began, **details}])
    lines = Lines(Output("watch", as_json=False))
    for _ in range(2):
        lines.show(RunView("r-1", story, began, 8, kept, 3))
    assert capsys.readouterr().out.splitlines().count(f"  {line}") == 1
