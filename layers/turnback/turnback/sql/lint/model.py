"""The words of lint: rule, finding, report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters; ``info`` alone does not fail a check."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        id: stable, such as ``TB101``; the hundreds are the theme.
        name: the same in words, such as ``index-blocks-writes``.
        title: what it finds, in half a sentence.
        waivable: whether a waiver can switch it off.
        mild_on_the_way_back: whether it is a remark in a rollback script, which cannot be split and
            runs when there is worse to fear than a wait.
    """

    id: str
    name: str
    level: Severity
    title: str
    waivable: bool = True
    mild_on_the_way_back: bool = False

    @property
    def page(self) -> str:
        """Its page in the documentation."""
        return f"docs/rules/{self.id}.md"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found.

    Attributes:
        file: path relative to the project's folder, with forward slashes.
        line, column: where, both from 1, in characters.
        offset: the same in characters from 0.
        message: what stands there, one sentence.
        why: what it blocks, and for how long.
        safer: SQL to copy; empty where there is none to give.
        remark: whether it is a remark only, whatever the rule's level.
    """

    rule: Rule
    file: str
    line: int
    column: int
    offset: int
    message: str
    why: str
    safer: str = ""
    remark: bool = False

    @property
    def level(self) -> Severity:
        """The rule's level, or ``info`` where this one is no more than a remark."""
        return Severity.INFO if self.remark else self.rule.level

    def to_dict(self) -> dict[str, Any]:
        """The finding as ``--json`` prints it."""
        return {
            "id": self.rule.id,
            "name": self.rule.name,
            "level": str(self.level),
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "why": self.why,
            "safer": self.safer or None,
            "page": self.rule.page,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found.

    Attributes:
        migrations: how many were looked at.
        waived: the findings that a waiver switched off.
    """

    migrations: int
    findings: tuple[Finding, ...]
    waived: tuple[Finding, ...] = ()

    def count(self, level: Severity) -> int:
        """How many findings have this level."""
        return sum(finding.level is level for finding in self.findings)

    def fails(self, *, strict: bool = False) -> bool:
        """Whether a check must fail; ``strict`` counts remarks as well."""
        return any(strict or f.level is not Severity.INFO for f in self.findings)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By file, place and rule; what is said twice is kept once."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (f.file, f.offset, f.rule.id)))
