"""Every rule with its id. An id is never given to another rule: waivers name it."""

from __future__ import annotations

from turnback.sql.lint.model import Rule, Severity

_E, _W = Severity.ERROR, Severity.WARNING


def _lock(id_: str, name: str, level: Severity, title: str) -> Rule:
    return Rule(id_, name, level, title, mild_on_the_way_back=True)


_ALL = (
    # 1xx: a lock that is held while every row is read or written.
    _lock("TB101", "index-blocks-writes", _E, "CREATE INDEX without CONCURRENTLY"),
    _lock("TB102", "reindex-blocks", _E, "REINDEX without CONCURRENTLY"),
    _lock("TB103", "set-not-null-scans", _E, "SET NOT NULL without a validated CHECK"),
    _lock("TB104", "foreign-key-validates", _E, "a foreign key that validates at once"),
    _lock("TB105", "check-validates", _E, "a CHECK that validates at once"),
    _lock("TB106", "type-change-rewrites", _E, "a change of type that rewrites the table"),
    _lock("TB107", "unique-builds-index", _E, "UNIQUE or PRIMARY KEY without USING INDEX"),
    _lock("TB108", "default-rewrites", _E, "a new column whose values rewrite the table"),
    _lock("TB109", "rewrite-locks-out", _E, "VACUUM FULL or CLUSTER"),
    Rule("TB110", "truncate-cascades", _E, "TRUNCATE … CASCADE"),
    _lock("TB111", "domain-validates", _W, "a constraint on a domain that validates at once"),
    Rule("TB112", "required-column", _E, "a new NOT NULL column without a default"),
    # 2xx: statements that share a transaction.
    _lock("TB201", "strong-lock-after-slow", _W, "a strong lock after a slow statement"),
    _lock("TB202", "slow-under-strong-lock", _E, "a slow statement under a strong lock"),
    _lock("TB203", "backfill-at-once", _W, "UPDATE or DELETE of a whole table in one statement"),
    _lock("TB204", "mixed-transaction", _W, "statements inside and outside a transaction"),
    Rule("TB205", "enum-value-too-soon", _E, "an enum value used in the file that adds it"),
    # 3xx: indexes and names.
    Rule("TB301", "foreign-key-without-index", _W, "a foreign key whose columns have no index"),
    Rule("TB302", "index-if-not-exists", _W, "CREATE INDEX CONCURRENTLY IF NOT EXISTS"),
    Rule("TB303", "index-without-name", _W, "CREATE INDEX CONCURRENTLY without a name"),
    Rule("TB304", "name-too-long", _W, "a name that PostgreSQL cuts off"),
    # 4xx: the application that runs meanwhile.
    Rule("TB401", "drops-what-was-used", _E, "a drop of what the migration before still used"),
    Rule("TB402", "rename-breaks-application", _E, "a table, column or view renamed"),
    # 5xx: the way back.
    Rule("TB501", "empty-rollback", _E, "an empty rollback script behind a real change"),
    # 9xx: lint itself.
    Rule("TB901", "unreadable", _E, "a file that cannot be read", waivable=False),
    Rule("TB902", "unused-waiver", _W, "a waiver that switches nothing off", waivable=False),
    Rule("TB903", "unknown-rule", _E, "a waiver of a rule that is not there", waivable=False),
)

RULES = {rule.id: rule for rule in _ALL}


def known(text: str) -> Rule | None:
    """The rule of this id or name, in any case of letters."""
    wanted = text.lower()
    return next((r for r in _ALL if wanted in (r.id.lower(), r.name)), None)
