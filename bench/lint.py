"""How many harmful statements lint finds, and how many harmless ones it accuses, beside squawk.

python bench/lint.py [--squawk PATH] [--write]: the cases lie beside the checkout, in
../shared/cases/lint; what is right about each comes from PostgreSQL 18.6 and 15.18.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from page import publish, table
from turnback.migrations.discovery import load_project
from turnback.sql.lint.linter import lint
from turnback.sql.lint.model import Severity

ROOT = Path(__file__).resolve().parents[1]

CASES = ROOT.parent / "shared/cases/lint/cases"
HARMS = ("block", "rows", "break", "fail", "loss", "retry", "design", "security")
# They fire on nearly every statement, whatever it does.
NOISE = {"require-timeout-settings", "require-lock-timeout", "require-statement-timeout"}
NOISE |= {"prefer-robust-stmts"}
OUTSIDE = re.compile(r"(?im)\bconcurrently\b|^vacuum|no-transaction|^reindex")


@dataclass(frozen=True)
class Case:
    """A case: what was there, and the files that are judged."""

    name: str
    expect: str
    harm: str
    rules: frozenset[str]
    before: tuple[str, str]
    judged: tuple[str, ...]


def read(path: Path) -> Case:
    text = path.read_text("utf-8")
    head = dict(re.findall(r"(?m)^-- (expect|harm|ours): (.*)$", text))
    parts = re.findall(r"(?ms)^-- \[(given2?|rows|up|app)\]\n(.*?)(?=^-- \[|\Z)", text)
    named = dict(parts)
    between = named.get("given2") or "COMMENT ON SCHEMA public IS 'between';\n"
    rules = frozenset(re.findall(r"TB\d+", head["ours"]))
    judged = tuple(body for name, body in parts if name == "up")
    return Case(path.stem, head["expect"], head["harm"], rules, (named["given"], between), judged)


def ours(case: Case, folder: Path) -> set[str]:
    """The rules that report an error or a warning."""
    for part in ("sql", "rollback"):
        (folder / part).mkdir(parents=True)
    for number, text in enumerate((*case.before, *case.judged), 1):
        (folder / f"sql/{number:04}_m.sql").write_text(text)
        back = "COMMENT ON SCHEMA public IS 'back';\n"
        (folder / f"rollback/{number:04}_rollback.sql").write_text(back)
    wanted = [f"{number:04}" for number in range(3, 3 + len(case.judged))]
    report = lint(load_project(folder), wanted)
    return {
        found.rule.id
        for found in report.findings
        if found.file.startswith("sql/") and found.level is not Severity.INFO
    }


def squawks(program: str, case: Case, folder: Path) -> set[str]:
    found: set[str] = set()
    for number, text in enumerate(case.judged, 3):
        path = folder / f"sql/{number:04}_m.sql"
        within = [] if OUTSIDE.search(text) else ["--assume-in-transaction"]
        command = [program, "--pg-version", "18", "--reporter", "json", *within, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found |= {item["rule_name"] for item in json.loads(done.stdout or "[]")}
    return found - NOISE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--squawk", default="", help="the program, from pip install squawk-cli")
    parser.add_argument("--write", action="store_true", help="write the table into bench/README.md")
    options = parser.parse_args()
    if not CASES.is_dir():
        sys.exit("not there, beside the checkout: ../shared/cases/lint/cases")
    hit, peer, seconds = {}, {}, [0.0, 0.0]
    cases = [read(path) for path in sorted(CASES.glob("*.sql"))]
    with tempfile.TemporaryDirectory() as scratch:
        for case in cases:
            folder = Path(scratch) / case.name
            start = time.perf_counter()
            rules = ours(case, folder)
            middle = time.perf_counter()
            bad = case.expect == "bad"
            hit[case.name] = bool(rules & case.rules if case.rules and bad else rules)
            peer[case.name] = bool(options.squawk and squawks(options.squawk, case, folder))
            seconds[0] += middle - start
            seconds[1] += time.perf_counter() - middle
    rows = []
    groups = [(harm, [c for c in cases if c.expect == "bad" and c.harm == harm]) for harm in HARMS]
    groups += [("all harmful", [c for c in cases if c.expect == "bad"])]
    groups += [("harmless", [c for c in cases if c.expect == "good"])]
    for words, group in groups:
        if group:
            counts = [sum(found[case.name] for case in group) for found in (hit, peer)]
            shown = counts if options.squawk else [counts[0], "not run"]
            rows.append([words, str(len(group)), *map(str, shown)])
    publish("lint.py", table(["", "cases", "turnback", "squawk"], rows), write=options.write)
    print(f"turnback in its process {seconds[0]:.1f} s, squawk as a program {seconds[1]:.1f} s")
    missed = [case.name for case in cases if case.expect == "bad" and not hit[case.name]]
    accused = [case.name for case in cases if case.expect == "good" and hit[case.name]]
    print(f"missed: {', '.join(missed) or '-'}\naccused: {', '.join(accused) or '-'}")


if __name__ == "__main__":
    main()
