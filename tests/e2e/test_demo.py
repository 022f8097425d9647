"""The demo as a user runs it: told, ended well, and gone without a trace."""

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
from turnback.local.cluster import read_running
from turnback.local.scratch import POSTGRES, processes_of, scratch

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
    with scratch("demo-test") as folder:
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
    told = []
    for line in demo.stdout:
        told.append(line)
        if part in line:
            return
    raise AssertionError("".join(told))


def scratch_of(temporary: Path) -> Path:
    return next(temporary.glob("turnback-demo-*"))


def test_the_demo_shows_its_releases_and_leaves_nothing(temporary):
    demo = start(temporary)
    told, _ = demo.communicate()
    assert demo.returncode == 0, told
    pipeline = re.findall(r"│ succeeded +release 1\.0\.0: (.*)", told)
    assert pipeline == [
        "10 migrations would be applied, nothing was changed; the schema is at 0",
        "10 migrations done; the schema is at 0010",
    ]
    assert "SNS told: started, rehearsed, snapshot_taken, succeeded" in told
    assert f"All {len(list((ROOT / 'migrations' / 'sql').iterdir()))} migrations" in told
    assert "It leaves with the exit code 3" in told
    assert "SNS told: started, refused" in told
    assert re.search(r"rollback/\d+_rollback\.sql forgets: index .*: missing after rollback", told)
    assert "says: 1.1.0 was refused, user_preferences_name_idx" in told
    asked_twice = "awaiting_approval, snapshot_taken, awaiting_approval, restored"
    assert f"SNS told: started, rehearsed, {asked_twice}" in told
    assert told.count("ann presses Approve in Slack") == 1
    assert told.count("ann follows the link and says yes") == 1
    assert re.search(r"│ failed +the run r-\w+ failed, and the database was restored", told)
    assert told.count("pg_dump --schema-only is as before") == 2
    assert re.search(r"All \d+ rows in \d+ tables are as before", told)
    assert re.search(r"All \d+ rows in \d+ tables are as at the snapshot", told)
    assert "the 6 rows written since the snapshot are lost" in told
    assert re.search(r"They are still to be had, .*: learning_before_\w+", told)
    assert re.search(r"│ What failed at sql/\d+_node_titles\.sql:7", told)
    shown = json.loads((ROOT / ".turnback" / "slack.json").read_text())
    assert "1.2.0 failed and was restored" in json.dumps(shown)
    assert "Its endpoint is the one it had" in told
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_demo_stops_everything_it_started(temporary, name):
    demo = start(temporary)
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


def test_a_kept_demo_runs_until_it_is_interrupted(temporary):
    demo = start(temporary, "--keep")
    read_until(demo, "Ctrl-C stops everything.")
    demo.send_signal(signal.SIGINT)
    told, _ = demo.communicate()
    assert demo.returncode == 0, told
    assert list(temporary.iterdir()) == []


def test_what_a_killed_demo_leaves_is_gone_with_the_next_one(temporary):
    demo = start(temporary)
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
    assert list(temporary.iterdir()) == []


def test_outside_a_checkout_the_demo_says_so(temporary):
    demo = start(temporary, cwd=temporary)
    told, _ = demo.communicate()
    assert demo.returncode == 2
    assert "no template.yaml" in told
    assert "make demo" in told
