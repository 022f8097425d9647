"""How much lint says about real migrations, before and after squawk's rules are curated.

python bench/lint_noise.py [--write]: the corpora lie beside the checkout, in ../shared/corpora.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project
from turnback.sql.lint.catalogue import RULES
from turnback.sql.lint.linter import lint
from turnback.sql.lint.model import Severity
from turnback.sql.lint.squawk import hits
from turnback.sql.lint.squawk_rules import LEFT_OUT, REPLACED, TAKEN

ROOT = Path(__file__).resolve().parents[1]
CORPORA = ROOT.parent / "shared/corpora"
NAMES = ("cratesio", "gitness")
PAGE = ROOT / "docs/rules/README.md"
BEGINS, ENDS = "<!-- lint_noise.py begins -->", "<!-- lint_noise.py ends -->"


def projects() -> dict[str, Project]:
    """The corpora, or an end with a clear word."""
    missing = [name for name in NAMES if not (CORPORA / name).is_dir()]
    if missing:
        sys.exit(f"not there, beside the checkout: ../shared/corpora/{', '.join(missing)}")
    return {name: load_project(CORPORA / name) for name in NAMES}


def fate(rule: str) -> str:
    """What becomes of one of squawk's rules, in a cell."""
    if rule in TAKEN:
        return TAKEN[rule]
    return REPLACED.get(rule) or f"left out: {LEFT_OUT[rule]}"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown."""
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * len(NAMES) + "|---|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def before(found: dict[str, Project]) -> list[str]:
    """squawk as it comes, forward scripts only: it knows of no rollback scripts."""
    counts = {
        name: Counter(
            hit.rule for hit in hits([m.forward for m in project.migrations], curated=False)
        )
        for name, project in found.items()
    }
    total = sum(counts.values(), Counter[str]())
    rows = [
        [f"`{rule}`", *(str(counts[name][rule]) for name in NAMES), fate(rule)]
        for rule, _ in total.most_common()
    ]
    rows.append(["**all**", *(f"**{counts[name].total()}**" for name in NAMES), ""])
    return table(["squawk's rule", *NAMES, "here"], rows)


def after(found: dict[str, Project]) -> list[str]:
    """All of turnback's rules."""
    errors: dict[str, Counter[str]] = {}
    remarks: dict[str, Counter[str]] = {}
    for name, project in found.items():
        report = lint(project)
        errors[name] = Counter(f.rule.id for f in report.findings if f.level != Severity.INFO)
        remarks[name] = Counter(f.rule.id for f in report.findings if f.level == Severity.INFO)
    rows = [
        [
            f"[{rule.id}]({rule.id}.md)",
            *(cell(errors[name][rule.id], remarks[name][rule.id]) for name in NAMES),
            rule.title,
        ]
        for rule in RULES.values()
        if any(errors[name][rule.id] or remarks[name][rule.id] for name in NAMES)
    ]
    totals = [f"**{cell(errors[name].total(), remarks[name].total())}**" for name in NAMES]
    rows.append(["**all**", *totals, ""])
    return table(["rule", *NAMES, "finds"], rows)


def cell(errors: int, remarks: int) -> str:
    """``30 + 12``: findings, and remarks on rollback scripts."""
    return f"{errors} + {remarks}" if remarks else str(errors)


def main() -> None:
    """Print both tables, and put them into the page if told."""
    parser = argparse.ArgumentParser(description="What lint says about real migrations.")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/rules")
    wanted = parser.parse_args()
    found = projects()
    sizes = ", ".join(f"{name} {len(item.migrations)}" for name, item in found.items())
    began = time.monotonic()
    findings = after(found)
    took = time.monotonic() - began
    text = "\n".join(
        [
            f"Migrations: {sizes}.",
            "",
            "Before: squawk as it comes, over the forward scripts.",
            "",
            *before(found),
            "",
            "After: all of turnback's rules, over forward and rollback scripts (findings + remarks "
            "on rollback scripts).",
            "",
            *findings,
        ]
    )
    print(text)
    print(f"\nlint took {took:.2f} s for both.", file=sys.stderr)
    if wanted.write:
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGINS)
        tail = rest.partition(ENDS)[2]
        PAGE.write_text(f"{head}{BEGINS}\n{text}\n{ENDS}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
