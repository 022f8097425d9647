"""Data changed in one statement."""

from __future__ import annotations

import re
from collections.abc import Iterator

from turnback.sql.lint.model import Finding
from turnback.sql.lint.nodes import table_name
from turnback.sql.lint.step import Step
from turnback.sql.lint.work import work
from turnback.sql.lint.writing import dotted_name, name

_TAIL = re.compile(r"\bRETURNING\b.*\Z", re.IGNORECASE | re.DOTALL)


def data_rules(step: Step) -> Iterator[Finding]:
    """TB203."""
    if step.kind not in ("UpdateStmt", "DeleteStmt"):
        return
    verb = "UPDATE" if step.kind == "UpdateStmt" else "DELETE"
    for item in work(step):
        yield step.finding(
            "TB203",
            f"{verb} of {item.table} in one statement, however many rows it has.",
            why="Each row it changes stays locked until the commit, and whoever writes to one of "
            "them waits. One long transaction keeps VACUUM from cleaning up anywhere, and "
            "replicas fall behind: for as long as all rows take, minutes for some millions.",
            safer=_batches(step, verb),
        )


def _batches(step: Step, verb: str) -> str:
    table = dotted_name(table_name(step.tree["relation"]))
    plain, condition = _split(step.statement.sql)
    joined = "fromClause" in step.tree or "usingClause" in step.tree
    if joined or "alias" in step.tree["relation"] or "withClause" in step.tree:
        condition = ""
        plain = f"UPDATE {table} SET {_first(step)} = DEFAULT"
        plain = plain if verb == "UPDATE" else f"DELETE FROM {table}"
    todo = condition or f"{_first(step)} IS NULL"
    note = "" if condition else "  -- whatever tells the rows that are still to do"
    return (
        "-- turnback: no-transaction\n"
        "-- as many of these as it takes: each is a transaction of its own\n"
        f"{plain}\n"
        "WHERE ctid = ANY (ARRAY(\n"
        f"    SELECT ctid FROM {table}\n"
        f"    WHERE {todo}{note}\n"
        "    LIMIT 5000));"
    )


def _first(step: Step) -> str:
    targets = step.tree.get("targetList", ())
    return name(targets[0]["ResTarget"]["name"]) if targets else "done"


def _split(sql: str) -> tuple[str, str]:
    """The statement before its WHERE, and the condition; the WHERE of a subquery is none."""
    depth, quote = 0, ""
    for place, character in enumerate(sql):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif depth == 0 and character in "wW" and re.match(r"(?i)where\b", sql[place:]):
            if place and (sql[place - 1].isalnum() or sql[place - 1] == "_"):
                continue
            return sql[:place].rstrip(), _TAIL.sub("", sql[place + 5 :]).strip()
    return _TAIL.sub("", sql).rstrip(), ""
