"""The demo as a user runs it: told, ended well, and gone without a trace."""

from __future__ import annotations

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
    assert "SNS told: started, rehearsed, snapshot_taken, succeeded" in told
    assert f"All {len(list((ROOT / 'migrations' / 'sql').iterdir()))} migrations" in told
    assert "SNS told: started, refused" in told
    assert re.search(r"rollback/\d+_rollback\.sql forgets: index .*: missing after rollback", told)
    assert "The message says 'user_preferences_name_idx'" in told
    asked_twice = "awaiting_approval, snapshot_taken, awaiting_approval, restored"
    assert f"SNS told: started, rehearsed, {asked_twice}" in told
    assert re.search(r"sql/0012_\w+\.sql:\d+ drops column user_preferences\.updated_at", told)
    assert told.count("ann follows the link and says yes") == 2
    assert re.search(r"Apply +\d+\.\d s  MigrationIncomplete", told)
    assert re.search(r"RollBack +\d+\.\d s  RollbackFailed", told)
    assert re.search(r"The database that was replaced is kept as learning_before_\w+", told)
    assert told.count("pg_dump --schema-only is as before") == 2
    assert len(re.findall(r"All \d+ rows in \d+ tables are as before", told)) == 2
    assert re.search(r"The message says 'sql/\d+_node_titles\.sql:7'", told)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_demo_stops_everything_it_started(temporary, name):
    demo = start(temporary)
    read_until(demo, "uploaded artifacts/learning/1.0.0.zip")
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
    read_until(demo, "uploaded artifacts/learning/1.0.0.zip")
    folder = scratch_of(temporary)
    demo.kill()
    demo.communicate()
    assert folder.exists()
    following = start(temporary)
    read_until(following, "The local AWS, and a webhook")
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
