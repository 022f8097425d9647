"""How much lint reports on real migrations.

python bench/lint_noise.py [--write]: the corpora lie beside the checkout, in ../shared/corpora.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from page import publish
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project
from turnback.sql.lint.linter import lint
from turnback.sql.lint.model import RULES, Severity

ROOT = Path(__file__).resolve().parents[1]
CORPORA = ROOT.parent / "shared/corpora"
NAMES = ("cratesio", "gitness")


def projects() -> dict[str, Project]:
    """The corpora, or an end with a clear word."""
    missing = [name for name in NAMES if not (CORPORA / name).is_dir()]
    if missing:
        sys.exit(f"not there, beside the checkout: ../shared/corpora/{', '.join(missing)}")
    return {name: load_project(CORPORA / name) for name in NAMES}


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown."""
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * len(NAMES) + "|---|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def counts(found: dict[str, Project]) -> list[str]:
    """Findings by rule and corpus."""
    errors: dict[str, Counter[str]] = {}
    remarks: dict[str, Counter[str]] = {}
    for name, project in found.items():
        report = lint(project)
        errors[name] = Counter(f.rule.id for f in report.findings if f.level != Severity.INFO)
        remarks[name] = Counter(f.rule.id for f in report.findings if f.level == Severity.INFO)
    rows = [
        [
            f"[{rule.id}](../{rule.page})",
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
    """Print the table, and put it into the page if asked to."""
    parser = argparse.ArgumentParser(description="What lint reports on real migrations.")
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    wanted = parser.parse_args()
    found = projects()
    sizes = ", ".join(f"{name} {len(item.migrations)}" for name, item in found.items())
    began = time.monotonic()
    findings = counts(found)
    took = time.monotonic() - began
    text = "\n".join(
        [
            f"Migrations: {sizes}.",
            "",
            *findings,
        ]
    )
    publish("lint_noise.py", f"{text}\n", write=wanted.write)
    print(f"\nlint took {took:.2f} s for both.", file=sys.stderr)


if __name__ == "__main__":
    main()
