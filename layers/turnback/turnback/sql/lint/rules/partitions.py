"""A new partition, and the rows that are read for its bounds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from turnback.sql.lint import suggest
from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import SlowWork, slow_work
from turnback.sql.lint.writing import all_wait
from turnback.sql.tree import Node, table_name


def partition_rules(step: LintStep) -> Iterator[Finding]:
    """TB105, for partitions."""
    for item in slow_work(step):
        if item.kind == "partition":
            yield _read(step, item)


def _read(step: LintStep, item: SlowWork) -> Finding:
    known, parent = step.table(item.table), _parent(step)
    default = bool(known and known.is_default and parent in known.parents)
    test = _test(step, item.node or {}, parent)
    if test and default:
        test = {"BoolExpr": {"boolop": "NOT_EXPR", "args": [test]}}
    what = "the default partition" if default else "the new partition"
    return step.finding(
        "TB105",
        f"Every row of {item.table}, {what}, is read for the bounds.",
        why=f"PostgreSQL reads them under an AccessExclusiveLock. {all_wait(item.table)}: seconds "
        "for each gigabyte. A validated CHECK that says the same is proof enough, and validating "
        "it blocks nobody.",
        safer=partial(suggest.partition, step, item, test) if test else "",
        at=item.at,
    )


def _parent(step: LintStep) -> str:
    if step.kind == "CreateStmt":
        return table_name(step.tree["inhRelations"][0]["RangeVar"])
    return table_name(step.tree["relation"])


def _test(step: LintStep, bound: Node, parent: str) -> Node | None:
    """The condition of a range or a list on one column; None for any other, or one with NULL."""
    known = step.table(parent)
    key = known.partition_key if known else ()
    lower, upper = bound.get("lowerdatums", ()), bound.get("upperdatums", ())
    listed = bound.get("listdatums", ())
    if len(key) != 1 or key[0] is None or not all(map(_is_value, [*lower, *upper, *listed])):
        return None
    column = {"ColumnRef": {"fields": [{"String": {"sval": key[0]}}]}}
    parts = [{"NullTest": {"arg": column, "nulltesttype": "IS_NOT_NULL"}}]
    if lower and upper:
        parts += [_compared(column, ">=", lower[0]), _compared(column, "<", upper[0])]
    elif listed:
        parts.append(_compared(column, "=", {"List": {"items": listed}}, "AEXPR_IN"))
    else:
        return None
    return {"BoolExpr": {"boolop": "AND_EXPR", "args": parts}}


def _is_value(node: Node) -> bool:
    """Whether a bound is a value: not MINVALUE or MAXVALUE, and not NULL."""
    return "ColumnRef" not in node and not node.get("A_Const", {}).get("isnull")


def _compared(column: Node, operator: str, value: Node, kind: str = "AEXPR_OP") -> Node:
    name = [{"String": {"sval": operator}}]
    return {"A_Expr": {"kind": kind, "name": name, "lexpr": column, "rexpr": value}}
