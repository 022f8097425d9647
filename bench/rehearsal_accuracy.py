"""How exact the rehearsal is: its verdicts against the known answers of two real projects.

Each answer was found with another tool (pg_dump on a real server) and is recorded beside the
corpus. A rollback is *bad* when it is missing, fails, or leaves the schema different; *good* when
the schema comes back, if only in another column order or under other names.

    python bench/rehearsal_accuracy.py --write
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CORPORA = HERE.parents[1] / "shared" / "corpora"
README = HERE / "README.md"
BEGIN, END = "<!-- rehearsal_accuracy.py begins -->", "<!-- rehearsal_accuracy.py ends -->"
TURNBACK = Path(sys.executable).with_name("turnback")
BAD = {"differs", "failed", "missing"}
# Where the recorded answer and ours part, and why we hold to ours.
ARGUED = {
    ("cratesio", "0109"): "only the automatic name of a NOT NULL constraint (PostgreSQL 18)",
    ("cratesio", "0225"): "only the automatic name of a NOT NULL constraint (PostgreSQL 18)",
}


def answers(corpus: str) -> dict[str, dict[str, str | None]]:
    """Version → the recorded answers, in the rehearsal's words."""
    recorded = json.loads((CORPORA / corpus / "result.pg18.json").read_text())
    return {row["seq"]: _words(row) for row in recorded["migrations"]}


def _words(row: dict[str, Any]) -> dict[str, str | None]:
    restored = row.get("restore")
    if restored is None:
        restored = "failed" if "down_err" in row else "missing"
    again = row.get("reapply") or ("failed" if row.get("reapply_ok") is False else None)
    return {
        "forward": "applied" if row["up_ok"] else "failed",
        "rollback": restored,
        "reapply": again,
        "rows": None if row.get("rows_restored", True) else "differ",
    }


def rehearse(corpus: str) -> tuple[list[dict[str, Any]], float]:
    """The verdicts of the whole folder, and the seconds it took."""
    environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    began = time.perf_counter()
    done = subprocess.run(
        [TURNBACK, "rehearse", "--all", "--json", "--dir", CORPORA / corpus],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        check=False,
    )
    return json.loads(done.stdout)["migrations"], time.perf_counter() - began


def table(corpus: str) -> list[str]:
    """The confusion table of one corpus as Markdown."""
    known = answers(corpus)
    verdicts, seconds = rehearse(corpus)
    pairs = Counter((known[row["version"]]["rollback"], row["rollback"]) for row in verdicts)
    missed = [
        row["version"]
        for row in verdicts
        if known[row["version"]]["rollback"] in BAD and row["rollback"] not in BAD
    ]
    accused = [
        row["version"]
        for row in verdicts
        if known[row["version"]]["rollback"] not in BAD and row["rollback"] in BAD
    ]
    lines = [
        f"**{corpus}**: {len(verdicts)} migrations in {seconds:.1f} s; "
        f"bad ones not found: {len(missed)}, good ones accused: {len(accused)}.",
        "",
        "| recorded | rehearsal | migrations |",
        "|---|---|---:|",
        *(f"| {one} | {two} | {number} |" for (one, two), number in sorted(pairs.items())),
        "",
    ]
    notes = [
        f"- {version}: {ARGUED.get((corpus, version), '**unexplained**')}"
        for version in [*missed, *accused]
    ]
    for word in ("forward", "reapply", "rows"):
        for row in verdicts:
            said = ("differ" if row["rows"] else None) if word == "rows" else row[word]
            expected = known[row["version"]][word]
            if said != expected:
                why = ARGUED.get((corpus, f"{row['version']} {word}"), "**unexplained**")
                notes.append(f"- {row['version']}: {word} {said}, recorded {expected}; {why}")
    return [*lines, *notes, ""] if notes else lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the tables into bench/README.md")
    arguments = parser.parse_args()
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, `python bench/rehearsal_accuracy.py`.", ""]
    for corpus in ("cratesio", "gitness"):
        if (CORPORA / corpus).is_dir():
            lines += table(corpus)
        else:
            lines += [f"**{corpus}**: the corpus is not at {CORPORA.name}/{corpus}.", ""]
    text = "\n".join(lines)
    print(text)
    if arguments.write:
        page = README.read_text()
        if BEGIN not in page:
            page = f"{page.rstrip()}\n\n## How exact the rehearsal is\n\n{BEGIN}\n{END}\n"
        head, rest = page.split(BEGIN)
        README.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
