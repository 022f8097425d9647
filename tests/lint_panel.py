"""The panel of lint: statements, and what PostgreSQL did with them (lint_panel.sql)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_PARTS = re.compile(r"^-- \[(tables|rows|given|up|application)\]\n", re.MULTILINE)
_HEAD = re.compile(r"^-- case: (\S+) \| (\S+)( by hand)? \| (\d+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """A release.

    Attributes:
        harm: what the server did with it; ``none`` if nothing of it.
        by_hand: whether the server cannot say.
        since: the oldest version of PostgreSQL that has the syntax.
        given: a migration before it, whose tables are in use.
        ups: its migrations.
        application: what else the application says.
    """

    name: str
    harm: str
    by_hand: bool
    since: int
    given: str = ""
    ups: list[str] = field(default_factory=list)
    application: str = ""


def _parts(text: str) -> list[tuple[str, str]]:
    found = _PARTS.split(text)
    return list(zip(found[1::2], found[2::2], strict=True))


def read() -> tuple[dict[str, str], list[Case]]:
    """The tables, the rows and the application that all cases have; and the cases."""
    text = Path(__file__).with_suffix(".sql").read_text("utf-8")
    # Each case is five texts: its name, harm, who judged it, the version, and its parts.
    common, *rest = _HEAD.split(text.split("-- [tables]", 1)[1])
    cases = []
    for start in range(0, len(rest), 5):
        name, harm, by_hand, since, body = rest[start : start + 5]
        parts = _parts(body)
        one = {kind: sql for kind, sql in parts if kind != "up"}
        ups = [sql for kind, sql in parts if kind == "up"]
        given, application = one.get("given", ""), one.get("application", "")
        cases.append(Case(name, harm, bool(by_hand), int(since), given, ups, application))
    return dict(_parts(f"-- [tables]{common}")), cases


COMMON, CASES = read()
