"""Names that PostgreSQL does not keep as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import name
from turnback.sql.tokens import tokens

# NAMEDATALEN - 1 (manual, 4.1.1).
_LONGEST_BYTES = 63
# Where a name may have more: in ASCII, and where a letter has up to four bytes.
_LONG = re.compile(r'\b[\w$]{64}|"[^"]{60}')
_LONGER = re.compile(r'\b[\w$]{16}|"[^"]{15}')


def name_rules(step: LintStep) -> Iterator[Finding]:
    """TB304."""
    # The names of settings are not cut off.
    outline = step.statement.outline
    if step.kind == "VariableSetStmt" or not (_LONG if outline.isascii() else _LONGER).search(
        outline
    ):
        return
    for token in tokens(step.statement.outline):
        if token.kind not in ("word", "quoted"):
            continue
        written = token.text
        if token.kind == "quoted":
            written = written[written.index('"') + 1 : -1].replace('""', '"')
        data = written.encode("utf-8")
        if len(data) <= _LONGEST_BYTES:
            continue
        kept = data[:_LONGEST_BYTES].decode("utf-8", errors="ignore")
        yield step.context.finding(
            "TB304",
            step.statement.offset + token.start,
            f"{written} has {len(data)} bytes; PostgreSQL keeps {_LONGEST_BYTES}.",
            why="The name is cut off with no more than a notice. A second one that begins alike "
            "collides with it, and what reads the catalog looks for a name that is not there.",
            safer=f"-- the name it gets\n-- {name(kept)}",
        )
