"""Whether a change of rows is bounded: a batch, and not the whole table."""

from __future__ import annotations

from turnback.sql.tables import Table
from turnback.sql.tree import Node, strings, walk

# So many rows between two constants are no batch.
_BATCH = 100_000


def is_batch(tree: Node, table: Table | None) -> bool:
    """Whether an UPDATE, a DELETE or a query is bounded, or finds no row.

    By a LIMIT in a subquery that it chooses its rows from, by a range with both ends, by constants
    for a whole unique key, by a small list of them, or by NULL in a column that has none.

    Args:
        table: the one whose rows it chooses, if a script made it.
    """
    if _has_limit([tree.get(field) for field in ("fromClause", "usingClause", "withClause")]):
        return True
    where = tree.get("whereClause")
    if where is None:
        return False
    equal, lower, upper = set[str](), set[str](), set[str]()
    for part in _parts(where):
        if "CurrentOfExpr" in part or _limited(part) or _finds_nothing(part, table):
            return True
        _note(part.get("A_Expr", {}), equal, lower, upper)
    if lower & upper:
        return True
    keys = table.unique_keys() if table else ()
    return any(set(key) <= equal for key in keys)


def _limited(part: Node) -> bool:
    """``x IN (SELECT … LIMIT n)``, ``x = ANY (ARRAY(SELECT … LIMIT n))``: never NOT IN."""
    if "SubLink" in part:
        return part["SubLink"]["subLinkType"] == "ANY_SUBLINK" and _has_limit(part)
    expression = part.get("A_Expr", {})
    return strings(expression.get("name", ()))[-1:] == ["="] and _has_limit(expression["rexpr"])


def _has_limit(node: object) -> bool:
    return any("limitCount" in inner for _, inner in walk({"node": node}))


def _finds_nothing(part: Node, table: Table | None) -> bool:
    test = part.get("NullTest", {})
    column = strings(test.get("arg", {}).get("ColumnRef", {}).get("fields", ()))[-1:]
    known = table.column(column[0]) if table and column else None
    return bool(known and known.not_null and test.get("nulltesttype") == "IS_NULL")


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
            ends = [_integer(item) for item in expression["rexpr"]["List"]["items"]]
            if None in ends or (ends[1] or 0) - (ends[0] or 0) <= _BATCH:
                lower.add(column)
                upper.add(column)
        case "AEXPR_IN" | "AEXPR_OP" | "AEXPR_OP_ANY", "=":
            if not any(kind == "SelectStmt" for kind, _ in walk(expression.get("rexpr"))):
                equal.add(column)
        case "AEXPR_OP", "<" | "<=":
            upper.add(column)
        case "AEXPR_OP", ">" | ">=":
            lower.add(column)


def _integer(node: Node) -> int | None:
    """A constant number; None for anything else."""
    constant = node.get("A_Const", {})
    if "ival" in constant:
        return int(constant["ival"].get("ival", 0))
    value = constant.get("fval", {}).get("fval", "")
    return int(value) if value.isdigit() else None
