"""What grows with the number of migrations grows in line with it.

Counted, not timed: the calls of Python functions, as its profiler counts them. The seconds are in
bench/README.md (many.py).
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from typing import Any

import pytest
from turnback.engine.run.losses import plan_losses
from turnback.engine.run.plan import plan_up
from turnback.migrations.model import Project
from turnback.sql.lint.linter import lint
from turnback.sql.parted import Parted
from turnback.sql.tables import Schema, Table

from tests.unit.migrations import entry, migration, project


def of(size: int) -> Project:
    return project(
        *(
            migration(
                f"{number:04}",
                f"CREATE TABLE t{number} (id bigint PRIMARY KEY, name text);\n"
                f"CREATE INDEX t{number}_name ON t{number} (name);\n"
                f"INSERT INTO t{number} VALUES (1, 'a');\nUPDATE t{number} SET name = 'b';\n",
                f"DROP TABLE t{number};\n",
            )
            for number in range(1, size + 1)
        )
    )


def plan_last(whole: Project) -> None:
    plan = plan_up(whole, [entry(done) for done in whole.migrations[:-1]])
    assert plan_losses(whole, plan.steps).by_rollback == {}


JOBS: dict[str, Callable[[Project], object]] = {
    "find": lambda whole: [whole.find(one.version) for one in whole.migrations],
    "choose": lambda whole: whole.choose([one.version for one in whole.migrations]),
    "plan of the last one, and what it loses": plan_last,
    "plan of all, and what they lose": lambda whole: plan_losses(whole, plan_up(whole, []).steps),
    "lint": lint,
    "lint since the first": lambda whole: lint(whole, since="0001"),
}


def calls(job: Callable[[Project], object], whole: Project) -> int:
    profile = cProfile.Profile()
    profile.runcall(job, whole)
    stats = pstats.Stats(profile)
    return int(stats.total_calls)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", JOBS)
def test_four_times_as_many_migrations_take_four_times_as_many_calls(name: str) -> None:
    JOBS[name](of(3))
    small, large = calls(JOBS[name], of(40)), calls(JOBS[name], of(160))
    assert large < 4.4 * small


def copied(before: Parted[Any], after: Parted[Any]) -> int:
    """How many of its parts another one has of its own."""
    return sum(one is not two for one, two in zip(before._parts, after._parts, strict=True))


def test_a_table_more_copies_a_part_of_the_schema() -> None:
    schema = Schema()
    for number in range(1000):
        schema = schema.with_table(Table(f"t{number}", "a.sql", parents=(f"p{number}",)))
    after = schema.with_table(Table("another", "b.sql", parents=("p1",)))
    assert copied(schema.tables._found, after.tables._found) == 1
    assert copied(schema.heirs, after.heirs) == 1
    assert after.heirs.get("p1") == ("t1", "another")
    assert list(after.tables) == [f"t{number}" for number in range(1000)] + ["another"]
    assert schema.find("another") is None
