"""Whether an UPDATE or DELETE touches a few rows or all of them."""

from __future__ import annotations

from turnback.sql.lint.nodes import Node, strings, table_name, walk
from turnback.sql.lint.step import Step


def is_batch(step: Step) -> bool:
    """Whether the statement is bounded.

    By a LIMIT in a subquery, by a range with both ends, by constants for a whole unique key, or by
    a small list of them.
    """
    where = step.tree.get("whereClause")
    if where is None:
        return False
    if any("limitCount" in node for _, node in walk(where)):
        return True
    equal, lower, upper = set[str](), set[str](), set[str]()
    for part in _parts(where):
        if "CurrentOfExpr" in part:
            return True
        _note(part.get("A_Expr", {}), equal, lower, upper)
    if lower & upper:
        return True
    table = step.table(table_name(step.tree["relation"]))
    keys = table.unique_keys() if table else ()
    return any(set(key) <= equal for key in keys)


def _parts(where: Node) -> list[Node]:
    """The conditions that AND joins."""
    inner = where.get("BoolExpr", {})
    if inner.get("boolop") == "AND_EXPR":
        return [part for item in inner["args"] for part in _parts(item)]
    return [where]


def _note(expression: Node, equal: set[str], lower: set[str], upper: set[str]) -> None:
    fields = expression.get("lexpr", {}).get("ColumnRef", {}).get("fields", ())
    column = (strings(fields) or [""])[-1]
    if not column or "ColumnRef" in expression.get("rexpr", {}):
        return
    operator = (strings(expression.get("name", ())) or [""])[-1]
    match expression.get("kind"), operator:
        case "AEXPR_BETWEEN" | "AEXPR_BETWEEN_SYM", _:
            lower.add(column)
            upper.add(column)
        case "AEXPR_IN" | "AEXPR_OP" | "AEXPR_OP_ANY", "=":
            if not any(kind == "SelectStmt" for kind, _ in walk(expression.get("rexpr"))):
                equal.add(column)
        case "AEXPR_OP", "<" | "<=":
            upper.add(column)
        case "AEXPR_OP", ">" | ">=":
            lower.add(column)
