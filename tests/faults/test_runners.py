"""Many runs at once on one database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import ProjectFactory
from tests.faults.aftermath import wrong
from tests.faults.arena import Arena
from tests.faults.command import start_up
from tests.faults.table import Table
from tests.faults.the_run import mixed, plain
from tests.faults.watching import Eye, rows, transaction, until

BUSY = 4
# A migration that works until somebody else gives an advisory lock back.
GATE = "SELECT pg_advisory_lock(7)"
AT_THE_GATE = """
DO $$ BEGIN
    WHILE NOT pg_try_advisory_xact_lock(7) LOOP PERFORM pg_sleep(0.02); END LOOP;
END $$;
"""
RUNNERS = [2, 8]


@pytest.mark.parametrize("runners", RUNNERS)
@pytest.mark.parametrize("files", [mixed, plain])
def test_of_many_runs_at_once_one_works_and_the_others_wait(
    arena: Arena,
    project_factory: ProjectFactory,
    table: Table,
    files: Callable[[], dict[str, str]],
    runners: int,
) -> None:
    course = arena.course(project_factory(files()))
    what = "one worked, the others waited; nothing ran twice"
    with arena.database() as name, table.row(f"{runners} runs at once, --wait 1min", what):
        url = arena.server.url(name)
        running = [start_up(url, course.folder, "--wait", "1min") for _ in range(runners)]
        assert [process.wait() for process in running] == [0] * runners
        assert wrong(arena.server, name, course.whole) == []
        assert len(rows(url, "SELECT DISTINCT run_id FROM migration_log")) == 1


@pytest.mark.parametrize("runners", RUNNERS)
def test_of_many_runs_at_once_that_do_not_wait_one_works_and_the_others_leave_with_code_4(
    arena: Arena, project_factory: ProjectFactory, table: Table, runners: int
) -> None:
    files = plain()
    files["sql/0020_step.sql"] += AT_THE_GATE
    course = arena.course(project_factory(files))
    what = "one worked, the others left with code 4; nothing ran twice"
    with arena.database() as name, table.row(f"{runners} runs at once, --wait 0s", what):
        url = arena.server.url(name)
        with transaction(url, GATE), Eye(url) as eye:
            first = start_up(url, course.folder)
            until(lambda: bool(eye.waiting()), "the first works")
            others = [start_up(url, course.folder, "--wait", "0s") for _ in range(runners - 1)]
            assert [process.wait() for process in others] == [BUSY] * (runners - 1)
        assert first.wait() == 0
        assert wrong(arena.server, name, course.whole) == []
        assert len(rows(url, "SELECT DISTINCT run_id FROM migration_log")) == 1
