"""The demo as a user runs it: what it prints, how it ends, and that it leaves nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from turnback.local.scratch import POSTGRES, processes_of, scratch
from turnback.local.server import read_running

ROOT = Path(__file__).parents[2]
# Settings that must neither be used nor reach a function.
FOREIGN = {
    "AWS_PROFILE": "no-such-profile",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "DATABASE_URL": "postgresql://127.0.0.1:9/none",
    "PGHOST": "127.0.0.1",
    "PGPORT": "9",
}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where the demo keeps what it starts; the account of Postgres can reach it."""
    # A short word: the path of a socket in it may have 107 bytes.
    with scratch("t") as folder:
        yield folder


def start(temporary: Path, *arguments: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from turnback.cli.main import main; main()", "demo", *arguments],
        cwd=cwd,
        env={**os.environ, **FOREIGN, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_until(demo: subprocess.Popen[str], part: str) -> None:
    assert demo.stdout
    printed = []
    for line in demo.stdout:
        printed.append(line)
        if part in line:
            return
    raise AssertionError("".join(printed))


def without_values(message: object) -> object:
    """A message without the ids, times and durations that differ from run to run."""
    text = re.sub(
        r"r([-_])[0-9a-f]{20}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", json.dumps(message)
    )
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"\d+(\.\d+)? (ms|s|min)\b( \d+ s)?", "DURATION", text)
    return json.loads(re.sub(r"turnback-bucket-[0-9a-f]+", "BUCKET", text))


def scratch_of(temporary: Path) -> Path:
    return next(temporary.glob("turnback-demo-*"))


def test_the_demo_shows_its_releases_and_leaves_nothing(temporary):
    demo = start(temporary)
    printed, _ = demo.communicate()
    assert demo.returncode == 0, printed
    pipeline = re.findall(r"│ succeeded +release 1\.0\.0: (.*)", printed)
    assert pipeline == [
        "10 migrations would be applied, nothing was changed; the schema is at 0",
        "10 migrations done; the schema is at 0010",
    ]
    assert "SNS published: started, rehearsed, snapshot_taken, succeeded" in printed
    assert f"All {len(list((ROOT / 'migrations' / 'sql').iterdir()))} migrations" in printed
    assert "It exits with code 3" in printed
    assert "SNS published: started, refused" in printed
    assert re.search(
        r"rollback/\d+_rollback\.sql forgets: index .*: missing after rollback", printed
    )
    assert "says: 1.1.0 was refused, user_preferences_name_idx" in printed
    asked_twice = "awaiting_approval, snapshot_taken, awaiting_approval, restored"
    assert f"SNS published: started, rehearsed, {asked_twice}" in printed
    assert printed.count("ann presses Approve in Slack") == 1
    assert printed.count("ann follows the link and says yes") == 1
    assert re.search(r"│ failed +the run r-\w+ failed and was restored", printed)
    assert printed.count("pg_dump --schema-only is as before") == 2
    assert re.search(r"All \d+ rows in \d+ tables are as before", printed)
    assert re.search(r"All \d+ rows in \d+ tables are as at the snapshot", printed)
    assert "the 6 rows written since the snapshot were announced as lost" in printed
    assert re.search(r"They can still be recovered from .*: learning_before_\w+", printed)
    assert re.search(r"│ What failed at sql/\d+_node_titles\.sql:7", printed)
    posted, documented = (
        json.loads((ROOT / folder / "slack.json").read_text()) for folder in (".turnback", "docs")
    )
    assert without_values(posted) == without_values(documented), "run `make picture`"
    assert "It has the same endpoint as before" in printed
    assert list(temporary.iterdir()) == []

    # The terminal shows what is essential, and where the rest is.
    transcript = (ROOT / ".turnback/demo.txt").read_text()
    assert "│ in progress" in transcript and "│ in progress" not in printed
    assert "│ Approve or deny it here." in transcript and "Approve or deny" not in printed
    facts = [line for line in transcript.splitlines() if "✓" in line and "│" not in line]
    assert set(facts) <= set(printed.splitlines())
    assert len(printed.splitlines()) < 100
    _, _, summary = printed.partition("This was shown:\n")
    assert len(summary.splitlines()) == 9
    assert ".turnback/demo.txt" in summary
    for file in re.findall(r"docs/[a-z-]+\.\w+", summary):
        assert (ROOT / file).is_file()


# Of SIGINT, test_what_a_killed_demo_leaves_is_gone_with_the_next_one has the same to say.
@pytest.mark.parametrize("name", [pytest.param("SIGINT", marks=pytest.mark.slow), "SIGTERM"])
def test_an_interrupted_demo_stops_everything_it_started(temporary, name):
    demo = start(temporary, "--verbose")
    read_until(demo, "in progress")
    folder = scratch_of(temporary)
    server = read_running(folder / POSTGRES)
    assert server
    assert processes_of(folder)
    demo.send_signal(signal.Signals[name])
    demo.communicate()
    assert demo.returncode == 130
    assert processes_of(folder) == []
    assert list(temporary.iterdir()) == []


# Its releases are those of the demo that is not kept.
@pytest.mark.slow
def test_a_kept_demo_runs_until_it_is_interrupted(temporary):
    demo = start(temporary, "--keep")
    read_until(demo, "Ctrl-C stops everything.")
    demo.send_signal(signal.SIGINT)
    printed, _ = demo.communicate()
    assert demo.returncode == 0, printed
    assert list(temporary.iterdir()) == []


def test_what_a_killed_demo_leaves_is_gone_with_the_next_one(temporary):
    demo = start(temporary, "--verbose")
    read_until(demo, "in progress")
    folder = scratch_of(temporary)
    demo.kill()
    demo.communicate()
    assert folder.exists()
    following = start(temporary)
    read_until(following, "The local AWS")
    assert not folder.exists()
    assert processes_of(folder) == []
    following.send_signal(signal.SIGINT)
    following.communicate()
    assert following.returncode == 130
    assert list(temporary.iterdir()) == []


def test_outside_a_checkout_the_demo_says_so(temporary):
    demo = start(temporary, cwd=temporary)
    printed, _ = demo.communicate()
    assert demo.returncode == 2
    assert "no template.yaml" in printed
    assert "make demo" in printed
