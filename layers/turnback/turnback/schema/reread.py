"""Has PostgreSQL read its own text once more, to see whether two texts mean the same.

What it writes for an expression is not stable: for ``IN ('a', 'b')`` of a varchar column it writes
one text, and another one when that text is run. So a rollback made from a dump would differ for
ever. Here both texts are run on temporary copies without rows, in a transaction that is rolled
back. Nothing but the definition is read of the table itself, and nobody has to wait.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from turnback.engine.session.message import Connection, ServerError, rows, send
from turnback.schema.compare import TEXTS
from turnback.schema.create import named
from turnback.schema.difference import Difference
from turnback.schema.model import Attributes, Objects, last, split, without_last
from turnback.schema.read import queries
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.quoting import literal
from turnback.sql.statements import split as statements_of

_NEW = "turnback_read_again"
_UNNAMED = ("CREATE INDEX ON", "CREATE UNIQUE INDEX ON", "CREATE TRIGGER ", "CREATE CONSTRAINT ")
# A text may come from a record in a bucket: it must be no more than a part of one of these.
_KINDS = {
    *("AlterTableStmt", "AlterDomainStmt", "CreateFunctionStmt", "CreatePolicyStmt"),
    *("CreateStatsStmt", "CreateTrigStmt", "IndexStmt", "RuleStmt", "ViewStmt"),
}


def settle(
    connection: Connection, differences: Sequence[Difference], before: Objects, now: Objects
) -> list[Difference]:
    """The differences, those cosmetic that are gone once the server has read the texts again.

    Args:
        connection: without an open transaction.
        differences: of ``now`` to ``before``.
        before: all objects as they were.
        now: all objects as they are, in this database.
    """
    texts = [
        one
        for one in differences
        if one.softness == "hard" and one.attribute in TEXTS and one.expected and one.actual
    ]
    if not texts:
        return list(differences)
    settings, *_ = queries(connection.info.server_version // 10_000)
    send(connection, f"BEGIN; {settings}")
    try:
        same = {one for one in texts if _means_the_same(connection, one, before, now)}
    finally:
        send(connection, "ROLLBACK")
    return [replace(one, softness="cosmetic") if one in same else one for one in differences]


def _means_the_same(
    connection: Connection, difference: Difference, before: Objects, now: Objects
) -> bool:
    """Whether the texts are the same once read again; what that gives is read again as well."""
    # The columns are those that the table has now: what differs in them is reported by itself.
    trial = _trial(difference, {**before, **now})
    if trial is None:
        return False
    readings = []
    for text in (difference.expected, difference.actual):
        once = _read(connection, trial, trial.statement(text or ""))
        again = once and _read(connection, trial, once if trial.whole else trial.statement(once))
        readings.append({once, again} - {None})
    return bool(readings[0] & readings[1])


@dataclass(frozen=True, slots=True)
class _Trial:
    """How a text is read again.

    Attributes:
        copy: makes the temporary copy.
        parts: what is before and after the text in the statement that reads it.
        answer: the query for what the server writes.
        swap: names in the text, and what they are replaced by.
        whole: whether the answer is a statement.
    """

    copy: str
    parts: tuple[str, str]
    answer: str
    swap: tuple[tuple[str, str], ...] = ()
    whole: bool = False

    def statement(self, text: str) -> str:
        """The statement that has the server read a text."""
        if self.whole and text.startswith(_UNNAMED):
            text = named(text, _NEW)
        for old, new in self.swap:
            text = re.sub(rf"(?<= ){re.escape(old)}(?=\s|\(|$)", new, text, count=1)
        return f"{self.parts[0]}{text}{self.parts[1]}"


def _read(connection: Connection, trial: _Trial, statement: str) -> str | None:
    """What the server writes for it; None if it cannot be run here."""
    try:
        found = statements_of(statement)
    except SqlSyntaxError:
        return None
    if len(found) != 1 or found[0].kind not in _KINDS:
        return None
    send(connection, "SAVEPOINT turnback_read_again")
    try:
        *_, answer = send(connection, f"{trial.copy}; {found[0].sql}; {trial.answer}")
        # PostgreSQL keeps no default of NULL.
        [[text]] = rows(answer) or [(None,)]
    except ServerError:
        text = None
    send(connection, "ROLLBACK TO SAVEPOINT turnback_read_again")
    return text


def _trial(difference: Difference, objects: Objects) -> _Trial | None:
    (kind, name), attribute = split(difference.object), difference.attribute or ""
    attributes = objects[difference.object]
    if kind in ("view", "materialized view"):
        answer = f"SELECT pg_get_viewdef('pg_temp.{_NEW}'::regclass)"
        return _Trial("", (f"CREATE TEMPORARY VIEW {_NEW} AS ", ""), answer)
    if kind == "function":
        plain = name.partition("(")[0]
        swap = ((plain, f"pg_temp.{_NEW}"),)
        answer = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = "
        return _Trial("", ("", ""), f"{answer}pg_my_temp_schema()", swap, whole=True)
    if kind == "domain" or "of a domain" in attributes:
        return _of_domain(kind, name, objects)
    return _of_table(kind, name, attribute, attributes)


def _of_domain(kind: str, name: str, objects: Objects) -> _Trial | None:
    domain = name if kind == "domain" else without_last(name)
    base = objects.get(f"domain {domain}", {}).get("type")
    if base is None:
        return None
    copy, change = f"CREATE DOMAIN pg_temp.{_NEW} AS {base}", f"ALTER DOMAIN pg_temp.{_NEW} "
    type_ = f"'pg_temp.{_NEW}'::regtype"
    if kind == "domain":
        answer = f"SELECT pg_get_expr(typdefaultbin, 0) FROM pg_type WHERE oid = {type_}"
        return _Trial(copy, (f"{change}SET DEFAULT ", ""), answer)
    answer = f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid = {type_}"
    return _Trial(copy, (f"{change}ADD CONSTRAINT {_NEW} ", ""), answer)


def _of_table(kind: str, name: str, attribute: str, attributes: Attributes) -> _Trial | None:
    table = attributes.get("table") or without_last(name)
    # Of the same name: a text may say from which table it takes a column.
    copied = f"pg_temp.{last(table)}"
    of_copy = f"{literal(copied)}::regclass"
    change, answer, whole, parts = f"ALTER TABLE {copied} ", "", False, ("", "")
    swap = [(table, copied)]
    match kind, attribute:
        case "column", "default":
            parts = (f"{change}ALTER {last(name)} SET DEFAULT ", "")
            answer = "pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid"
        case "column", _:
            column = f"{last(name)} {attributes.get('type')}"
            parts = (
                f"{change}DROP {last(name)}, ADD {column} GENERATED ALWAYS AS (",
                f") {attribute.removeprefix('generated ').upper()}",
            )
            answer = "pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid"
        case "constraint", _:
            parts = (f"{change}ADD CONSTRAINT {_NEW} ", "")
            answer = (
                f"pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = '{_NEW}' "
                "AND conrelid"
            )
        case "policy", "using":
            parts = (f"CREATE POLICY {_NEW} ON {copied} USING (", ")")
            answer = "pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid"
        case "policy", _:
            parts = (f"CREATE POLICY {_NEW} ON {copied} FOR INSERT WITH CHECK (", ")")
            answer = "pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid"
        case "index", _:
            answer, whole = "pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid", True
        case "trigger", _:
            answer, whole = "pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid", True
        case "rule", _:
            answer, whole = "pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class", True
        case "statistics", _:
            answer = "pg_get_statisticsobjdef(oid) FROM pg_statistic_ext WHERE stxrelid"
            whole = True
            swap.append((name, f"pg_temp.{_NEW}"))
        case _:
            return None
    copy = f"CREATE TEMPORARY TABLE {last(table)} (LIKE {table})"
    return _Trial(copy, parts, f"SELECT {answer} = {of_copy}", tuple(swap) if whole else (), whole)
