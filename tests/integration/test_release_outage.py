"""An outage in the middle of a run is waited for, and rolls no good release back.

The outages are put in the place of S3's client, and of a session of the server; the pauses of the
state machine pass at once, and its number of tries is that of the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from turnback.aws.s3 import Bucket
from turnback.errors import AwsError
from turnback.recovery.dumps.passes import Passes
from turnback.runs.records import Records

from tests.conftest import ProjectFactory
from tests.faults.recovery_moto import hurry
from tests.integration.releases import GOOD, Deploy, Interrupt, tables
from tests.integration.test_release_restored import DUMP, drop_kept, rows, stuck
from tests.standby import set_read_only, writable_at_the_end

POLICY = {**DUMP, "RestorePolicy": "automatic", "RestorePollSeconds": "1"}
END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE application_name = 'pg_restore' AND datname = current_database()
"""
SLOW_DOWN = AwsError("could not read the dump: SlowDown: Please reduce your request rate.")


class Outage:
    """Goes wrong a number of times, then no more."""

    def __init__(self, times: float) -> None:
        self.times = times
        self.happened = 0

    def __call__(self) -> None:
        if self.happened < self.times:
            self.happened += 1
            raise SLOW_DOWN


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    hurry(monkeypatch)
    return monkeypatch


def refuse(patch: pytest.MonkeyPatch) -> Outage:
    """S3 refuses to give the dump."""
    outage, stream = Outage(8), Bucket.stream

    def refusing(bucket: Bucket, key: str, version_id: str | None = None) -> Iterator[bytes]:
        if key.endswith(".dump"):
            outage()
        yield from stream(bucket, key, version_id)

    return _in_restore(patch, refusing, outage)


def cut(patch: pytest.MonkeyPatch) -> Outage:
    """The connection closes after the first part."""
    outage, stream = Outage(3), Bucket.stream

    def cutting(bucket: Bucket, key: str, version_id: str | None = None) -> Iterator[bytes]:
        for chunk in stream(bucket, key, version_id):
            yield chunk[:2000]
            if key.endswith(".dump"):
                outage()
            yield chunk[2000:]

    return _in_restore(patch, cutting, outage)


def _in_restore(
    patch: pytest.MonkeyPatch, stream: Callable[..., Iterator[bytes]], outage: Outage
) -> Outage:
    run = Passes.run

    def running(passes: Passes, *options: str, whole: bool = False, **more: Any) -> Any:
        # Not in the trial that the Snapshot step makes: only a restore takes the rows.
        if whole:
            patch.setattr(Bucket, "stream", stream)
        return run(passes, *options, whole=whole, **more)

    patch.setattr(Passes, "run", running)
    return outage


def terminate(patch: pytest.MonkeyPatch) -> Outage:
    """The session of pg_restore is ended while it takes rows."""
    outage, run, chunks = Outage(1), Passes.run, Passes._chunks

    def ending(passes: Passes) -> Iterator[bytes]:
        for chunk in chunks(passes):
            # Enough to begin, and not to end.
            yield chunk[:-100]
            with psycopg.connect(passes._endpoint.conninfo(), autocommit=True) as session:
                while not session.execute(END).fetchall():
                    session.execute("SELECT pg_sleep(0.01)")
            yield chunk[-100:]

    def running(passes: Passes, *options: str, whole: bool = False, **more: Any) -> Any:
        with pytest.MonkeyPatch.context() as only_here:
            if whole and outage.happened < outage.times:
                outage.happened += 1
                only_here.setattr(Passes, "_chunks", ending)
            return run(passes, *options, whole=whole, **more)

    patch.setattr(Passes, "run", running)
    return outage


@pytest.mark.parametrize("outage", [refuse, cut, terminate])
def test_a_restore_that_is_interrupted_is_continued_and_ends_restored(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    patch: pytest.MonkeyPatch,
    outage: Callable[[pytest.MonkeyPatch], Outage],
) -> None:
    stack = deploy(**POLICY)
    happens = outage(patch)
    try:
        run, before = stuck(stack, database, project_factory, tmp_path)
        assert happens.happened == happens.times
        assert run.messages[-1]["status"] == "restored", run.messages[-1]
        assert rows(database) == before
    finally:
        drop_kept(database)


def in_verify(patch: pytest.MonkeyPatch, outage: Outage) -> None:
    """S3 does not give the artifact, while it is read again to verify."""
    import turnback.runs.apply as module

    verify, download = module.verify, Bucket.download

    def refusing(bucket: Bucket, key: str, version_id: str | None, into: Path) -> None:
        outage()
        download(bucket, key, version_id, into)

    def verifying(run: Any) -> int:
        with pytest.MonkeyPatch.context() as only_here:
            only_here.setattr(Bucket, "download", refusing)
            return verify(run)

    patch.setattr(module, "verify", verifying)


@pytest.mark.parametrize(("times", "status"), [(8, "succeeded"), (1000, "needs_a_person")])
def test_a_good_release_is_not_rolled_back_because_it_could_not_be_verified(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    patch: pytest.MonkeyPatch,
    times: int,
    status: str,
) -> None:
    in_verify(patch, Outage(times))
    run = deploy().release(project_factory(GOOD), "1.0.0", tmp_path)
    last = run.messages[-1]
    assert last["status"] == status
    assert tables(database) == {"users", "nodes", "edges"}
    if status == "needs_a_person":
        assert "was applied, and could not be verified" in last["summary"]
        assert last["rolled_back"] == []
        assert "SlowDown" in last["error"]["message"]


def test_a_good_release_is_not_rolled_back_because_its_report_cannot_be_written(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    patch: pytest.MonkeyPatch,
) -> None:
    outage, add = Outage(1), Records.add

    def adding(records: Records, **what: Any) -> None:
        outage()
        add(records, **what)

    patch.setattr(Records, "add", adding)
    stack = deploy()
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)
    assert outage.happened == 1
    assert run.messages[-1]["status"] == "succeeded"
    # Verify has reported what Apply could not.
    report = stack.record(run.messages[-1]["run"], "report")
    assert [row["version"] for row in report["applied"]] == ["0001", "0002", "0003"]
    assert tables(database) == {"users", "nodes", "edges"}


def failovers(before: Interrupt, database: str, function: str, calls: str) -> None:
    """Make the server read-only before a call that has an r, and writable before one with a w."""
    for call in calls:
        change = {
            "r": lambda: set_read_only(database, on=True),
            "w": lambda: set_read_only(database, on=False),
            ".": lambda: None,
        }[call]
        before(function, change)


@pytest.mark.usefixtures("patch")
def test_a_good_release_waits_for_the_failovers_in_each_of_its_steps(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
) -> None:
    stack = deploy(**DUMP)
    failovers(before, database, "validate", "r..w")
    failovers(before, database, "snapshot", "r.w")
    # Of Apply four calls, and of Verify three.
    failovers(before, database, "apply", "r..wr.w")
    with writable_at_the_end(database):
        run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)
    assert run.messages[-1]["status"] == "succeeded", run.messages[-1]
    assert tables(database) == {"users", "nodes", "edges"}


def test_a_failover_in_the_middle_of_apply_is_waited_for(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    patch: pytest.MonkeyPatch,
    before: Interrupt,
) -> None:
    import turnback.runs.apply as module

    keep = module.keep

    def keeping(*what: Any) -> None:
        keep(*what)
        patch.setattr(module, "keep", keep)
        # It has the lock and its plan, and sends its first migration next.
        set_read_only(database, on=True)

    patch.setattr(module, "keep", keeping)
    stack = deploy()
    failovers(before, database, "apply", "..w")
    with writable_at_the_end(database):
        run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)
    last = run.messages[-1]
    assert (last["status"], last["rolled_back"]) == ("succeeded", []), last
    assert tables(database) == {"users", "nodes", "edges"}


@pytest.mark.usefixtures("patch")
def test_a_failover_while_a_failed_release_is_undone_costs_nobody_anything(
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    before: Interrupt,
) -> None:
    stack = deploy(**POLICY)
    # Each release wakes both functions first. Assess has three calls, and so has Restore.
    failovers(before, database, "roll_back", "..r.w")
    failovers(before, database, "restore", "..r.wr.w")
    try:
        with writable_at_the_end(database):
            run, rows_before = stuck(stack, database, project_factory, tmp_path)
        assert run.messages[-1]["status"] == "restored", run.messages[-1]
        assert rows(database) == rows_before
    finally:
        drop_kept(database)
