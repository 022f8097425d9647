"""What a plan destroys, and what is gone when it fails and is rolled back."""

from __future__ import annotations

import pytest
from turnback.engine.run.losses import PlanLosses, plan_losses
from turnback.engine.run.plan import step_down, step_up
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project

from tests.conftest import ProjectFactory

FILES = {
    "sql/0001_a.sql": "CREATE TABLE users (id int PRIMARY KEY, email text);\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
    "sql/0002_b.sql": "CREATE TABLE notes (id int);\nUPDATE users SET email = 'x';\n",
    "rollback/0002_rollback.sql": "DROP TABLE notes;\nDELETE FROM users WHERE id = 9;\n",
    "sql/0003_c.sql": "INSERT INTO users VALUES (9, 'a');\n",
    "rollback/0003_rollback.sql": "DELETE FROM users WHERE id = 9;\n",
    "sql/0004_d.sql": "ALTER TABLE notes RENAME TO remarks;\n",
    "rollback/0004_rollback.sql": "ALTER TABLE remarks RENAME TO notes;\n",
}


@pytest.fixture
def project(project_factory: ProjectFactory) -> Project:
    return load_project(project_factory(FILES))


def words(found: PlanLosses) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    one, other = (
        {version: [loss.words for loss in lost] for version, lost in part.items()}
        for part in (found.by_run, found.by_rollback)
    )
    return one, other


def losses(project: Project, *versions: int) -> PlanLosses:
    return plan_losses(project, [step_up(project.migrations[n - 1]) for n in versions])


def test_what_the_run_made_is_no_loss_when_it_is_rolled_back(project: Project) -> None:
    assert words(losses(project, 2, 3)) == ({"0002": ["values of users.email"]}, {})
    assert words(losses(project, 1, 2, 3)) == ({}, {})


def test_what_was_there_before_is_lost_with_a_rollback_script(project: Project) -> None:
    by_run, by_rollback = words(losses(project, 2))
    assert by_run == {"0002": ["values of users.email"]}
    assert by_rollback == {"0002": ["rows of users"]}
    gone = losses(project, 2).of_failed_run()
    assert [loss.words for loss in gone["0002"]] == ["values of users.email", "rows of users"]


def test_later_migrations_that_are_not_in_the_plan_change_nothing(project: Project) -> None:
    assert words(losses(project, 1)) == ({}, {})
    assert words(losses(project, 1, 3)) == ({}, {})


def test_a_run_downwards_destroys_what_its_rollback_scripts_drop(project: Project) -> None:
    steps = [step for m in reversed(project.migrations[:3]) if (step := step_down(m))]
    by_run, by_rollback = words(plan_losses(project, steps))
    assert by_run == {
        "0003": ["rows of users"],
        "0002": ["table notes, with its rows", "rows of users"],
        "0001": ["table users, with its rows"],
    }
    assert by_rollback == {}
    assert words(plan_losses(None, steps))[0] == by_run


def test_a_plan_of_nothing_destroys_nothing(project: Project) -> None:
    assert words(plan_losses(project, [])) == ({}, {})
