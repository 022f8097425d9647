"""What lint finds of the statements of tests/lint_panel.sql, and that it leaves the others alone.

The judge is PostgreSQL: tests/integration/test_lint_panel.py asks it again.
"""

from __future__ import annotations

import pytest
from turnback.migrations.discovery import load_project
from turnback.sql.lint.linter import lint
from turnback.sql.lint.model import Severity

from tests.conftest import ProjectFactory
from tests.lint_panel import CASES, COMMON, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_release_is_reported_if_and_only_if_it_harms(
    case: Case, project_factory: ProjectFactory
) -> None:
    given = case.given or "COMMENT ON SCHEMA public IS 'between';"
    texts = [COMMON["tables"], given, *case.ups]
    project = project_factory(
        {f"sql/{number:04}_m.sql": text for number, text in enumerate(texts, 1)}, sums=False
    )
    report = lint(load_project(project), [f"{3 + number:04}" for number in range(len(case.ups))])
    found = [one for one in report.findings if one.level is not Severity.INFO]
    assert bool(found) == (case.harm != "none"), [one.message for one in found]


def test_the_panel_has_statements_of_each_kind() -> None:
    harms = {part for case in CASES for part in case.harm.split(",")}
    assert harms >= {"block", "rewrite", "rows", "break", "fail", "loss", "none"}
    assert len(CASES) > 600
