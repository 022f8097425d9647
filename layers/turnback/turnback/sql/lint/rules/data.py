"""Data changed in one statement."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from turnback.sql.lint import suggest
from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import slow_work

_VERBS = {"updates": "UPDATE", "deletes": "DELETE", "merges": "MERGE", "copies": "INSERT"}


def data_rules(step: LintStep) -> Iterator[Finding]:
    """TB203."""
    for item in slow_work(step):
        if item.kind != "rows":
            continue
        verb = _VERBS[item.does.partition(" ")[0]]
        yield step.finding(
            "TB203",
            f"{verb} of {item.table} in one statement, however many rows it has.",
            why="Each row it changes stays locked until the commit, and whoever writes to one of "
            "them waits. One long transaction keeps VACUUM from cleaning up anywhere, and "
            "replicas fall behind: for as long as all rows take, minutes for some millions.",
            safer=partial(suggest.batches, step, item.table),
        )
