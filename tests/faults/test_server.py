"""The server dies, or has no room for a lock or on its disk, at any message of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from turnback.local.scratch import POSTGRES, scratch

from tests.conftest import ProjectFactory
from tests.faults.arena import AS_IF, Arena, Course, Sweep, in_process
from tests.faults.fragile import TABLESPACE, Fragile, filled, mount_tiny, tablespace_on
from tests.faults.proxy import Link, When
from tests.faults.table import Table
from tests.faults.the_run import MIGRATIONS, mixed, plain

Full = Callable[[], contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with scratch("faults") as made:
        yield made


@pytest.fixture(scope="module")
def fragile(folder: Path) -> Iterator[Fragile]:
    made = Fragile(folder / POSTGRES)
    yield made
    made.server.stop()


@pytest.mark.parametrize("files", [mixed, plain])
def test_after_a_kill_of_the_server_the_next_run_completes_the_work(
    fragile: Fragile,
    table: Table,
    project_factory: ProjectFactory,
    files: Callable[[], dict[str, str]],
    sweep: Sweep,
) -> None:
    with Arena(fragile.server, table, at_once=1) as arena:
        course = arena.course(project_factory(files()))

        def restarted(url: str, folder: Path) -> list[str]:
            reported = in_process(url, folder)
            fragile.restart()
            arena.server = fragile.server
            return reported

        def try_at(course: Course, at: int, when: When) -> list[str]:
            return arena.once(course, at, when, lambda _: fragile.kill(), restarted)

        # Each of them starts the server anew: of the long course one in eight is enough.
        places = course.places(*When)[:: 8 if files is mixed else 1]
        fault = f"kill -9 of the server, {files.__name__}"
        arena.each(fault, course, sweep(course.seen, places), try_at)


def test_after_the_lock_table_was_full_the_next_run_completes_the_work(
    fragile: Fragile, table: Table, project_factory: ProjectFactory, sweep: Sweep
) -> None:
    with Arena(fragile.server, table, at_once=1) as arena:
        course = arena.course(project_factory(mixed()))
        full_at_each("lock table full", arena, course, sweep, fragile.locks_taken)


def test_after_the_disk_was_full_the_next_run_completes_the_work(
    fragile: Fragile, table: Table, folder: Path, project_factory: ProjectFactory, sweep: Sweep
) -> None:
    disk = folder / "tiny"
    if refusal := mount_tiny(disk):
        table.add("disk full", f"not tried, as it needs a small disk: {refusal}", tried=0, held=0)
        return
    with (
        tablespace_on(fragile.server, disk),
        Arena(fragile.server, table, at_once=1, suffix=f"TABLESPACE {TABLESPACE}") as arena,
    ):
        course = arena.course(project_factory(mixed()))
        full_at_each("disk full", arena, course, sweep, lambda: filled(disk))


def full_at_each(fault: str, arena: Arena, course: Course, sweep: Sweep, full: Full) -> None:
    """From each message on something is full until the run has ended, then there is room again."""
    stopped: list[int] = []

    def try_at(course: Course, at: int, when: When) -> list[str]:
        with contextlib.ExitStack() as stack:

            def cleared(url: str, folder: Path) -> list[str]:
                with stack:
                    reported = in_process(url, folder)
                if len(reported) < MIGRATIONS:
                    stopped.append(at)
                return reported

            def fill(_: Link) -> None:
                stack.enter_context(full())

            return arena.once(course, at, when, fill, cleared)

    places = sweep(course.seen, course.places(When.BEFORE, only="QS"))
    arena.each(fault, course, places, try_at, lambda: f"it stopped {len(stopped)} runs; {AS_IF}")
    assert stopped
