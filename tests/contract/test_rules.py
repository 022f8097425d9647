"""The pages of the rules: each is there, and its SQL is found, or is not, as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from turnback.migrations.discovery import load_project
from turnback.migrations.model import BATCH
from turnback.sql.lint.linter import lint
from turnback.sql.lint.model import RULES, Finding, Rule, Severity
from turnback.sql.statements import runs_outside_transaction, split

from tests.conftest import ProjectFactory

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs/rules"
INDEX = (PAGES / "README.md").read_text()
ALL = list(RULES.values())
WAIVABLE = [rule for rule in ALL if rule.waivable]
_FILE = re.compile(r"^-- ((?:sql|verify|rollback)/\d{4}_\w+\.sql)\n", re.MULTILINE)


def name_of(rule: Rule) -> str:
    return rule.id


def section(rule: Rule, title: str) -> str:
    """The SQL under a title of the rule's page; empty without one."""
    text = (ROOT / rule.page).read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = re.search(r"^```sql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def files(rule: Rule, title: str) -> dict[str, str]:
    """The files of an example, those that both share before them."""
    named: dict[str, str] = {}
    for sql in (section(rule, "Given"), section(rule, title)):
        parts = _FILE.split(sql)
        assert parts[0] == "", f"{rule.page}: SQL without the name of its file"
        named |= dict(zip(parts[1::2], parts[2::2], strict=True))
    return named


def findings(named: dict[str, str], write: ProjectFactory) -> list[Finding]:
    return list(lint(load_project(write(named, sums=False)), server=17).findings)


def test_every_page_is_of_a_rule_and_every_rule_has_its_page() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} - {"README"} == set(RULES)


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_a_page_says_id_title_level_and_name(rule: Rule) -> None:
    text = (ROOT / rule.page).read_text()
    assert text.startswith(f"# {rule.id}: {rule.title}\n")
    assert f"Level: {rule.level} · name: `{rule.name}`" in text
    assert ("remark" in text.split("\n\n")[1]) == rule.remark_in_rollback


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_a_page_says_how_to_waive_the_rule_or_that_it_cannot_be(rule: Rule) -> None:
    text = (ROOT / rule.page).read_text()
    if rule.waivable:
        assert f"-- turnback: waive {rule.id} because REASON" in text
    else:
        assert "It cannot be waived." in text


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_the_index_has_a_row_for_the_rule(rule: Rule) -> None:
    row = f"| [{rule.id}]({rule.id}.md) | `{rule.name}` | {rule.level} | {rule.title} |"
    assert row in INDEX


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_the_first_example_is_found_by_its_rule(
    rule: Rule, project_factory: ProjectFactory
) -> None:
    found = findings(files(rule, "Found"), project_factory)
    assert rule.id in {finding.rule.id for finding in found}


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_nothing_is_found_in_the_safer_example(rule: Rule, project_factory: ProjectFactory) -> None:
    assert findings(files(rule, "Safer"), project_factory) == []


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_the_safer_example_runs(rule: Rule, database: str) -> None:
    named = files(rule, "Safer")
    number = re.compile(r"/(\d+)")
    both = [path for path in named if path.startswith(("sql/", "verify/"))]
    forward = sorted(both, key=lambda path: (number.findall(path), path))
    back = sorted((path for path in named if path.startswith("rollback/")), reverse=True)
    with psycopg.connect(database, autocommit=True) as connection:
        for path in [*forward, *back]:
            run(connection, named[path])
        invalid = connection.execute(
            "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid"
        )
        assert invalid.fetchall() == []


def run(connection: psycopg.Connection, sql: str) -> None:
    """Run a script as the engine does: in one transaction, where all of it can."""
    sql = sql.replace(BATCH, "true")
    statements = split(sql)
    if any(runs_outside_transaction(item.kind, item.tree) for item in statements):
        for item in statements:
            connection.execute(item.sql.encode())
    else:
        with connection.transaction():
            connection.execute(sql.encode())


@pytest.mark.parametrize("rule", WAIVABLE, ids=name_of)
def test_the_first_example_passes_with_a_waiver_before_its_statement(
    rule: Rule, project_factory: ProjectFactory
) -> None:
    named = files(rule, "Found")
    before = findings(named, project_factory)
    for finding in before:
        if finding.rule is rule:
            lines = named[finding.file].splitlines(keepends=True)
            start = statement_line(named[finding.file], finding.line)
            lines.insert(start - 1, f"-- turnback: waive {rule.id} because the page says so\n")
            named[finding.file] = "".join(lines)
    after = findings(named, project_factory)
    assert [item.rule.id for item in after] == [
        item.rule.id for item in before if item.rule is not rule
    ]


def statement_line(sql: str, line: int) -> int:
    """The line on which the statement around a line begins."""
    starts = [sql.count("\n", 0, item.offset) + 1 for item in split(sql)]
    return max((start for start in starts if start <= line), default=1)


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_what_a_finding_gives_to_copy_is_sql(rule: Rule, project_factory: ProjectFactory) -> None:
    for finding in findings(files(rule, "Found"), project_factory):
        split(finding.safer.replace(BATCH, "true"))
        assert finding.why.endswith(".")
        assert finding.message.endswith(".")


def test_only_rules_of_design_are_remarks_by_themselves() -> None:
    remarks = {rule.id for rule in ALL if rule.level is Severity.INFO}
    assert remarks == {"TB602", "TB603"}
