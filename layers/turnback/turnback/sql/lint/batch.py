"""Whether a change of rows, or a query, is bounded: a batch, and not the whole table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from turnback.sql.lint.step import Block
from turnback.sql.tables import Table
from turnback.sql.tree import Node, strings, walk

# So many rows, or days, between two constants are no batch.
_BATCH, _BATCH_DAYS = 10_000, 31


@dataclass(slots=True)
class _Bounds:
    """What the conditions of a WHERE say of each column.

    Attributes:
        equal: those that are compared with one value, or with a few.
        lower, upper: the ends of a range.
        values: the constants that it is compared with, as texts.
    """

    table: Table | None
    block: Block | None
    equal: set[str] = field(default_factory=set)
    lower: dict[str, Node] = field(default_factory=dict)
    upper: dict[str, Node] = field(default_factory=dict)
    values: dict[str, set[str]] = field(default_factory=dict)

    def ends_early(self, column: str | None) -> bool:
        """Whether a key is below a small number: keys are counted from 1."""
        end = _integer(self.upper.get(column or "") or {})
        return end is not None and end <= _BATCH

    def has_narrow_range(self) -> bool:
        loops = self.block is not None and self.block.loops
        return any(
            _is_narrow(self.lower[column], self.upper[column], variables=not loops)
            for column in self.lower.keys() & self.upper.keys()
        )


def is_batch(tree: Node, table: Table | None, block: Block | None = None) -> bool:
    """Whether an UPDATE, a DELETE or a query is bounded, or finds no row.

    By a LIMIT in a subquery that it chooses its rows from, by a range with both ends, by constants
    for a whole unique key, by a small list of them, or by NULL in a column that has none. In a loop
    neither a LIMIT nor a variable bounds what all rounds find together.

    Args:
        table: the one whose rows it chooses, if a script made it.
        block: what it is in.
    """
    loops = block is not None and block.loops
    sources = [tree.get(field) for field in ("fromClause", "usingClause", "withClause")]
    if not loops and (_has_limit(sources) or _has_values(sources)):
        return True
    where = tree.get("whereClause")
    if where is None:
        return False
    bounds = _Bounds(table, block)
    for part in _parts(where):
        if "CurrentOfExpr" in part or _finds_nothing(part, table) or (not loops and _limited(part)):
            return True
        _note(part.get("A_Expr", {}), bounds)
    keys = list(table.unique_keys()) if table else []
    return (
        bounds.has_narrow_range()
        or any(set(key) <= bounds.equal for key in keys)
        or any(len(key) == 1 and bounds.ends_early(key[0]) for key in keys)
    )


def by_index(tree: Node, table: Table | None) -> bool:
    """Whether an index finds the rows of a query, or its one minimum or maximum."""
    leading = {key[0] for key in table.leading() if key} if table else set()
    where = tree.get("whereClause")
    if where is not None:
        bounds = _Bounds(table, None)
        for part in _parts(where):
            _note(part.get("A_Expr", {}), bounds)
        return bool(bounds.equal & leading)
    inner = list(walk(tree.get("targetList", ())))
    found = [
        _column(node.get("args", [{}])[0])
        for kind, node in inner
        if kind == "FuncCall" and strings(node["funcname"])[-1:] in (["min"], ["max"])
    ]
    named = [kind for kind, _ in inner if kind == "ColumnRef"]
    return bool(found) and len(found) == len(named) and set(found) <= leading


def says_as_much(test: Any, bound: Node) -> bool:
    """Whether a test may leave nothing outside the bounds of a partition.

    It does not where both are constants of one column, and a value of the one is outside the
    other. Of anything else it is assumed.

    Args:
        test: an expression of the parser.
        bound: the parser's node of the bounds.
    """
    bounds = _Bounds(None, None)
    for part in _parts(test):
        if "NullTest" not in part and "A_Expr" not in part:
            return True
        _note(part.get("A_Expr", {}), bounds)
    columns = {*bounds.equal, *bounds.lower, *bounds.upper}
    if len(columns) != 1:
        return True
    [column] = columns
    if listed := bound.get("listdatums"):
        values = bounds.values.get(column)
        return values is None or values <= set(map(_text, listed))
    lower, upper = bound.get("lowerdatums", ()), bound.get("upperdatums", ())
    if bounds.equal or len(lower) != 1 or len(upper) != 1:
        return True
    return _at_least(bounds.lower.get(column), lower[0], 1) and _at_least(
        bounds.upper.get(column), upper[0], -1
    )


def _at_least(found: Node | None, wanted: Node, sign: int) -> bool:
    if "ColumnRef" in wanted:
        # MINVALUE or MAXVALUE: there is no end.
        return True
    if found is None:
        return False
    for read in (_integer, _day):
        one, other = read(found), read(wanted)
        if one is not None and other is not None:
            return sign * (one - other) >= 0
    return True


def is_small_source(merge: Node) -> bool:
    """Whether a MERGE takes a few rows only, from VALUES or with a LIMIT, and changes no others."""
    by_source = any(
        clause["MergeWhenClause"].get("matchKind") == "MERGE_WHEN_NOT_MATCHED_BY_SOURCE"
        for clause in merge.get("mergeWhenClauses", ())
    )
    source = merge.get("sourceRelation")
    return not by_source and (_has_limit(source) or _has_values(source))


def _has_values(node: object) -> bool:
    """Whether a subquery in FROM is a list of rows."""
    return any(
        kind == "RangeSubselect" and "valuesLists" in inner["subquery"].get("SelectStmt", {})
        for kind, inner in walk({"node": node})
    )


def _limited(part: Node) -> bool:
    """``x IN (SELECT … LIMIT n)``, of a range or VALUES; ``= ANY (ARRAY(…))``: never NOT IN."""
    if "SubLink" in part:
        query = part["SubLink"]["subselect"].get("SelectStmt", {})
        few = "valuesLists" in query or _is_range(query)
        return part["SubLink"]["subLinkType"] == "ANY_SUBLINK" and (few or _has_limit(part))
    expression = part.get("A_Expr", {})
    return strings(expression.get("name", ()))[-1:] == ["="] and _has_limit(expression["rexpr"])


def _is_range(query: Node) -> bool:
    """Whether a query chooses its rows by a range with both ends."""
    if "whereClause" not in query:
        return False
    bounds = _Bounds(None, None)
    for part in _parts(query["whereClause"]):
        _note(part.get("A_Expr", {}), bounds)
    return bounds.has_narrow_range()


def _has_limit(node: object) -> bool:
    return any("limitCount" in inner for _, inner in walk({"node": node}))


def _finds_nothing(part: Node, table: Table | None) -> bool:
    constant = part.get("A_Const", {})
    if "boolval" in constant and not constant["boolval"].get("boolval"):
        return True
    test = part.get("NullTest", {})
    known = table.column(_column(test.get("arg", {}))) if table else None
    return bool(known and known.not_null and test.get("nulltesttype") == "IS_NULL")


def _parts(where: Node) -> list[Node]:
    """The conditions that AND joins."""
    inner = where.get("BoolExpr", {})
    if inner.get("boolop") == "AND_EXPR":
        return [part for item in inner["args"] for part in _parts(item)]
    return [where]


def _column(node: Node) -> str:
    return (strings(node.get("ColumnRef", {}).get("fields", ())) or [""])[-1]


def _note(expression: Node, bounds: _Bounds) -> None:
    column, value = _column(expression.get("lexpr", {})), expression.get("rexpr", {})
    if not column or ("ColumnRef" in value and not _is_variable(value, bounds)):
        return
    operator = (strings(expression.get("name", ())) or [""])[-1]
    match expression.get("kind"), operator:
        case "AEXPR_BETWEEN" | "AEXPR_BETWEEN_SYM", _:
            bounds.lower[column], bounds.upper[column] = value["List"]["items"]
        case "AEXPR_IN" | "AEXPR_OP" | "AEXPR_OP_ANY", "=":
            one = value.get("SubLink", {}).get("subLinkType") == "EXPR_SUBLINK"
            if one or not any(kind == "SelectStmt" for kind, _ in walk(value)):
                bounds.equal.add(column)
                items = value["List"]["items"] if "List" in value else [value]
                if all(map(_constant, items)):
                    bounds.values[column] = set(map(_text, items))
        case "AEXPR_OP", "<" | "<=":
            bounds.upper[column] = value
        case "AEXPR_OP", ">" | ">=":
            bounds.lower[column] = value


def _is_variable(value: Node, bounds: _Bounds) -> bool:
    """Whether a name is that of a variable, with one value, and not of a column."""
    fields = value["ColumnRef"]["fields"]
    block, table = bounds.block, bounds.table
    if block is None or block.loops or table is None or len(fields) > 1:
        return False
    return table.column(_column(value)) is None


def _is_narrow(lower: Node | None, upper: Node | None, *, variables: bool) -> bool:
    """Whether a range is one of a batch.

    Args:
        variables: whether one is whose ends are no constants.
    """
    ends = [_integer(end or {}) for end in (lower, upper)]
    if ends[0] is not None and ends[1] is not None:
        return ends[1] - ends[0] <= _BATCH
    days = [_day(end or {}) for end in (lower, upper)]
    if days[0] is not None and days[1] is not None:
        return days[1] - days[0] <= _BATCH_DAYS
    return variables


def _constant(node: Node) -> Node:
    while "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    found: Node = node.get("A_Const", {})
    return {key: value for key, value in found.items() if key != "location"}


def _text(node: Node) -> str:
    return str(_constant(node))


def _integer(node: Node) -> int | None:
    """A constant number; None for anything else."""
    constant = _constant(node)
    if "ival" in constant:
        return int(constant["ival"].get("ival", 0))
    value = constant.get("fval", {}).get("fval", "")
    return int(value) if value.isdigit() else None


def _day(node: Node) -> int | None:
    """The number of a constant day, or of the day of a time."""
    try:
        text = _constant(node).get("sval", {}).get("sval", "")
        return date.fromisoformat(text[:10]).toordinal()
    except ValueError:
        return None
