"""Our session, or our process, ends at any message of a run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from turnback.engine.run import transaction
from turnback.engine.session import lock

from tests.conftest import ProjectFactory
from tests.faults.aftermath import wrong
from tests.faults.arena import Arena, Course, Sweep, in_process
from tests.faults.command import start_up
from tests.faults.proxy import Fault, Link, Proxy, When
from tests.faults.the_run import VERSIONS, mixed, plain

Files = Callable[[], dict[str, str]]
EVERY_MOMENT = tuple(When)


@pytest.fixture(params=[1, 4, 100], ids=lambda size: f"batches of {size}")
def batch_steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many migrations travel in one message at most."""
    monkeypatch.setattr(transaction, "BATCH_STEPS", request.param)
    return int(request.param)


def test_after_a_cut_at_any_message_the_next_run_completes_the_work(
    arena: Arena, project_factory: ProjectFactory, sweep: Sweep
) -> None:
    course = arena.course(project_factory(mixed()))

    def try_at(course: Course, at: int, when: When) -> list[str]:
        return arena.once(course, at, when, Link.cut)

    places = sweep(course.seen, course.places(*EVERY_MOMENT))
    arena.each("connection cut", course, places, try_at)


def test_after_a_cut_at_any_batch_the_next_run_completes_the_work(
    arena: Arena, project_factory: ProjectFactory, batch_steps: int, sweep: Sweep
) -> None:
    course = arena.course(project_factory(plain()))

    def try_at(course: Course, at: int, when: When) -> list[str]:
        return arena.once(course, at, when, Link.cut)

    fault = f"connection cut, batches of {batch_steps}"
    arena.each(fault, course, sweep(course.seen, course.places(*EVERY_MOMENT)), try_at)


@pytest.mark.parametrize("files", [mixed, plain])
def test_after_its_session_was_terminated_at_any_message_the_next_run_completes_the_work(
    arena: Arena, project_factory: ProjectFactory, files: Files, sweep: Sweep
) -> None:
    course = arena.course(project_factory(files()))

    def try_at(course: Course, at: int, when: When) -> list[str]:
        # An idle session is awaited; one that works ends somewhere in its work.
        wait_ms = 5000 if when is When.BEFORE else 0

        def terminate(link: Link) -> None:
            arena.admin(f"SELECT pg_terminate_backend({link.backend}, {wait_ms})")

        return arena.once(course, at, when, terminate)

    places = sweep(course.seen, course.places(*EVERY_MOMENT, only="QS"))
    arena.each("pg_terminate_backend of ours", course, places, try_at)


def test_after_a_kill_of_the_client_at_any_message_the_next_run_completes_the_work(
    arena: Arena, project_factory: ProjectFactory, sweep: Sweep
) -> None:
    course = arena.course(project_factory(mixed()))

    def try_at(course: Course, at: int, when: When) -> list[str]:
        running: list[subprocess.Popen[bytes]] = []

        def command(url: str, folder: Path) -> list[str]:
            process = start_up(url, folder)
            running.append(process)
            assert process.wait() == -9
            return []

        return arena.once(course, at, when, lambda _: running[0].kill(), command)

    places = sweep(course.seen, course.places(When.AFTER))
    arena.each("kill -9 of turnback up", course, places, try_at)


def test_a_frozen_client_at_any_message_does_not_stop_the_next_run(
    arena: Arena, project_factory: ProjectFactory, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = arena.course(project_factory(mixed()))
    monkeypatch.setattr(lock, "ORPHAN_S", 0)

    # A frozen run has all but the last migration to do, so that the next one has work at any rate.
    def all_but_one(url: str, folder: Path) -> list[str]:
        return in_process(url, folder, target=VERSIONS[-2])

    def try_at(course: Course, at: int, when: When) -> list[str]:
        with arena.database() as name:
            with Proxy(arena.server.url()) as proxy:
                fault = Fault(at, when, Link.strand)
                found = arena.hurt(proxy, name, course.folder, fault, all_but_one)
                found += arena.next_run(name, course)
            # A session without the lock disturbs nobody; it ends with the keepalives of TCP, or
            # here with the proxy.
            return found + wrong(arena.server, name, course.whole)

    # One pipeline whole: what is true of a part of it is true of the same part of the others.
    pipeline = range(course.seen.index("P") + 1, course.seen.index("S"))
    places = [(at, When.AFTER) for at in pipeline]
    # The last but one gives the lock back, where one migration is left out.
    places += [place for place in course.places(When.AFTER) if place[0] < len(course.seen) - 1]
    arena.each("frozen client", course, sweep(course.seen, places), try_at)
