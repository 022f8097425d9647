"""What lint reports: the rules, findings, and the report of a run.

The id of a rule is never given to another one: waivers name it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from turnback.sql.parser import SqlSyntaxError


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
        remark_in_rollback: whether it is only a remark in a rollback script, which cannot be
            split and runs when waiting is the smaller problem.
    """

    id: str
    name: str
    level: Severity
    title: str
    waivable: bool = True
    remark_in_rollback: bool = False

    @property
    def recipes(self) -> tuple[str, ...]:
        """Those of ``turnback generate --recipe`` that write what is safe in its place."""
        return _RECIPES.get(self.id, ())

    @property
    def page(self) -> str:
        """Its page in the documentation."""
        return f"docs/rules/{self.id}.md"


# SQL to copy, or what writes it: that takes time, and not every caller prints it.
Suggestion = str | Callable[[], str]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found.

    Attributes:
        file: path relative to the project's folder, with forward slashes.
        line, column: where, both from 1, in characters.
        offset: the same in characters from 0.
        message: what stands there, one sentence.
        why: what it blocks, and for how long.
        suggestion: SQL to copy, or what writes it; may be empty.
        remark: whether it is a remark only, whatever the rule's level.
        severity: a level of its own, where it is not the rule's.
    """

    rule: Rule
    file: str
    line: int
    column: int
    offset: int
    message: str
    why: str
    suggestion: Suggestion = field(default="", compare=False)
    remark: bool = False
    severity: Severity | None = None

    @property
    def safer(self) -> str:
        """SQL to copy, as migrations that each follow a comment; may be empty."""
        try:
            return self.suggestion if isinstance(self.suggestion, str) else self.suggestion()
        except SqlSyntaxError:
            # A statement that cannot be written anew.
            return ""

    @property
    def level(self) -> Severity:
        """The rule's level, or a lower one where this finding matters less."""
        return Severity.INFO if self.remark else self.severity or self.rule.level

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
            "recipes": list(self.rule.recipes),
            "page": self.rule.page,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found.

    Attributes:
        migrations: how many were looked at.
        waived: the findings that a waiver switched off.
        on_new_tables: of a release, what would be found if its tables were in use already.
    """

    migrations: int
    findings: tuple[Finding, ...]
    waived: tuple[Finding, ...] = ()
    on_new_tables: tuple[Finding, ...] = ()

    def count(self, level: Severity) -> int:
        """How many findings have this level."""
        return sum(finding.level is level for finding in self.findings)

    def without(self, rules: Collection[str]) -> Report:
        """The report with these rules turned off: what they find counts as waived.

        Args:
            rules: ids, or ``TB6xx`` for all of a hundred.
        """
        off = {rule.id for name in rules for rule in named(name)}
        kept = tuple(f for f in self.findings if f.rule.id not in off)
        waived = [f for f in self.findings if f.rule.id in off]
        new = tuple(f for f in self.on_new_tables if f.rule.id not in off)
        return Report(self.migrations, kept, in_order([*self.waived, *waived]), new)

    def fails(self, *, strict: bool = False) -> bool:
        """Whether a check must fail; ``strict`` counts remarks as well."""
        return any(strict or f.level is not Severity.INFO for f in self.findings)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By file, place and rule; duplicates are dropped."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (f.file, f.offset, f.rule.id)))


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO


def _lock(id_: str, name: str, level: Severity, title: str) -> Rule:
    return Rule(id_, name, level, title, remark_in_rollback=True)


_ALL = (
    # 1xx: a lock that is held while every row is read or written.
    _lock("TB101", "index-blocks-writes", _E, "CREATE INDEX without CONCURRENTLY"),
    _lock("TB102", "reindex-blocks", _E, "REINDEX without CONCURRENTLY"),
    _lock("TB103", "set-not-null-scans", _E, "SET NOT NULL without a validated CHECK"),
    _lock("TB104", "foreign-key-validates", _E, "a foreign key that validates at once"),
    _lock("TB105", "check-validates", _E, "a CHECK or a partition that validates at once"),
    _lock("TB106", "type-change-rewrites", _E, "a change of type that rewrites the table"),
    _lock("TB107", "unique-builds-index", _E, "UNIQUE or PRIMARY KEY without USING INDEX"),
    _lock("TB108", "default-rewrites", _E, "a new column whose values rewrite the table"),
    _lock("TB109", "rewrite-locks-out", _E, "a command that writes a table or an index anew"),
    Rule("TB110", "truncate-cascades", _E, "TRUNCATE of tables in use"),
    _lock("TB111", "domain-validates", _W, "a constraint on a domain that validates at once"),
    Rule("TB112", "required-column", _E, "a NOT NULL column that nothing fills"),
    # 2xx: statements that share a transaction.
    _lock("TB201", "strong-lock-after-slow", _W, "a strong lock after a slow statement"),
    _lock("TB202", "slow-under-strong-lock", _E, "a slow statement under a strong lock"),
    _lock("TB203", "backfill-at-once", _W, "UPDATE or DELETE of a whole table in one statement"),
    _lock("TB204", "mixed-transaction", _W, "statements inside and outside a transaction"),
    Rule("TB205", "enum-value-too-soon", _W, "an enum value used in the file that adds it"),
    # 3xx: indexes and names.
    Rule("TB301", "foreign-key-without-index", _W, "a foreign key whose columns have no index"),
    Rule("TB302", "index-if-not-exists", _W, "CREATE INDEX CONCURRENTLY IF NOT EXISTS"),
    Rule("TB303", "index-without-name", _W, "CREATE INDEX CONCURRENTLY without a name"),
    Rule("TB304", "name-too-long", _W, "a name that PostgreSQL cuts off"),
    # 4xx: the application that runs meanwhile.
    Rule("TB401", "drops-what-was-used", _E, "a drop of what has rows, or is in use"),
    Rule("TB402", "rename-breaks-application", _E, "a new name for what queries name"),
    Rule("TB403", "hides-rows", _E, "row level security without a policy"),
    Rule("TB404", "json-column", _W, "a new column of a type without equality"),
    _lock("TB405", "swap-loses-rows", _E, "a table that takes another one's name"),
    # 5xx: the rollback.
    Rule("TB501", "empty-rollback", _E, "an empty rollback script behind a real change"),
    # 6xx: design and security; they are switched off as one: TB6xx in [lint.off].
    Rule("TB601", "foreign-key-types-differ", _W, "a foreign key between columns of two types"),
    Rule("TB602", "no-primary-key", _I, "a table without a primary key"),
    Rule("TB603", "reg-column", _I, "a column of a type that pg_upgrade refuses"),
    Rule("TB604", "index-gap", _W, "an index dropped before the one that replaces it is built"),
    Rule("TB605", "triggers-off", _W, "triggers and foreign keys switched off"),
    Rule("TB606", "server-setting", _W, "ALTER SYSTEM in a migration"),
    Rule("TB611", "definer-search-path", _W, "SECURITY DEFINER without a search_path"),
    Rule("TB612", "view-skips-policies", _W, "a view that reads past row level security"),
    Rule("TB613", "policy-without-effect", _W, "a policy on a table without row level security"),
    Rule("TB614", "policy-always-true", _W, "a policy that lets everybody write every row"),
    Rule("TB615", "policy-user-metadata", _W, "a policy that trusts what users write themselves"),
    Rule("TB616", "row-security-off", _W, "row level security switched off"),
    Rule("TB617", "grant-to-public", _W, "a privilege given to everybody"),
    Rule("TB618", "password-in-sql", _W, "a password in a migration"),
    # 7xx: what fails, or is not what it seems.
    Rule("TB701", "other-shape", _W, "IF NOT EXISTS on what is there with another shape"),
    Rule("TB702", "refused", _E, "a statement that PostgreSQL refuses"),
    Rule("TB703", "newer-syntax", _E, "syntax that is newer than the target"),
    # 9xx: lint itself.
    Rule("TB901", "unreadable", _E, "a file that cannot be read", waivable=False),
    Rule("TB902", "unused-waiver", _W, "a waiver that switches nothing off", waivable=False),
    Rule("TB903", "unknown-rule", _E, "a waiver of a rule that does not exist", waivable=False),
)

RULES = {rule.id: rule for rule in _ALL}
_RECIPES = {
    "TB101": ("add-index",),
    "TB103": ("set-not-null",),
    "TB104": ("add-foreign-key",),
    "TB105": ("add-check",),
    "TB106": ("change-type",),
    "TB107": ("add-unique",),
    "TB108": ("add-not-null-column",),
    "TB112": ("add-not-null-column",),
    "TB205": ("add-enum-value",),
    "TB301": ("add-foreign-key",),
    "TB401": ("drop-column", "drop-table"),
    "TB402": ("rename-column", "rename-table"),
}


def known(text: str) -> Rule | None:
    """The rule of this id or name, in any case of letters."""
    wanted = text.lower()
    return next((r for r in _ALL if wanted in (r.id.lower(), r.name)), None)


def named(text: str) -> list[Rule]:
    """The rules of this id or name, or of a hundred: ``TB6xx``."""
    if text.endswith("xx"):
        return [rule for rule in _ALL if rule.id.startswith(text[:-2])]
    rule = known(text)
    return [rule] if rule else []
