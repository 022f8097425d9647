"""Data changed in one statement."""

from __future__ import annotations

from collections.abc import Iterator

from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import slow_work
from turnback.sql.lint.writing import dotted_name, name
from turnback.sql.tokens import tokens
from turnback.sql.tree import table_name

_VERBS = {"updates": "UPDATE", "deletes": "DELETE", "merges": "MERGE", "copies": "INSERT"}
_BY_KEY = (
    "-- turnback: no-transaction\n"
    "-- as many of these as it takes, each with a range of the key: WHERE id BETWEEN 1 AND 5000"
)


def data_rules(step: LintStep) -> Iterator[Finding]:
    """TB203."""
    for item in slow_work(step):
        if item.kind != "rows":
            continue
        verb = _VERBS[item.does.partition(" ")[0]]
        plain = step.kind in ("UpdateStmt", "DeleteStmt") and "withClause" not in step.tree
        yield step.finding(
            "TB203",
            f"{verb} of {item.table} in one statement, however many rows it has.",
            why="Each row it changes stays locked until the commit, and whoever writes to one of "
            "them waits. One long transaction keeps VACUUM from cleaning up anywhere, and "
            "replicas fall behind: for as long as all rows take, minutes for some millions.",
            safer=_batches(step, verb) if plain else _BY_KEY,
        )


def _batches(step: LintStep, verb: str) -> str:
    table = dotted_name(table_name(step.tree["relation"]))
    plain, condition = _split(step.statement.sql)
    joined = "fromClause" in step.tree or "usingClause" in step.tree
    if joined or "alias" in step.tree["relation"]:
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


def _first(step: LintStep) -> str:
    targets = step.tree.get("targetList", ())
    return name(targets[0]["ResTarget"]["name"]) if targets else "done"


def _split(sql: str) -> tuple[str, str]:
    """The statement before its WHERE, and the condition; the WHERE of a subquery does not count."""
    depth, where, end = 0, None, len(sql)
    for token in tokens(sql):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.is_word("WHERE") and where is None:
            where = token
        elif depth == 0 and token.is_word("RETURNING"):
            end = token.start
            break
    if where is None:
        return sql[:end].rstrip(), ""
    return sql[: where.start].rstrip(), sql[where.end : end].strip()
