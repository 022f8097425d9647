"""Many rows, a few at a time."""

from __future__ import annotations

from collections.abc import Sequence

from turnback.sql.deparse import deparse
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import slow_work
from turnback.sql.lint.writing import (
    OUTSIDE,
    File,
    dotted_name,
    files,
    name,
    reference,
)
from turnback.sql.statements import split
from turnback.sql.tree import (
    Node,
    table_name,
)

_BATCH = 5000


def filling(step: LintStep, column: str, value: str, todo: str) -> File:
    """A block that gives all rows that are still to do a value, and commits as it goes.

    Args:
        column, value, todo: the column, the expression and the condition, as SQL.
    """
    table = dotted_name(table_name(step.tree["relation"]))
    text = f"UPDATE {table} SET {column} = {value} WHERE {todo}"
    [update] = split(text)
    if key := _key(step, step.tree["relation"]):
        return _by_key(table, key, update.kind, update.tree)
    # A row whose value is NULL would be to do for ever.
    return [
        OUTSIDE,
        "DO $$",
        "BEGIN",
        "    LOOP",
        f"        UPDATE {table} SET {column} = {value}",
        "        WHERE ctid = ANY (ARRAY(",
        f"            SELECT ctid FROM {table}",
        f"            WHERE {todo} AND ({value}) IS NOT NULL LIMIT {_BATCH}));",
        "        EXIT WHEN NOT FOUND;",
        "        COMMIT;",
        "    END LOOP;",
        "END $$;",
    ]


def batches(step: LintStep, table: str) -> str:
    """An UPDATE, a DELETE or a MERGE by ranges of a key, each a transaction of its own.

    Where no key is known, what tells the rows that are still to do is the author's to say.
    """
    if file := _in_batches(step):
        return files(file)
    shown = dotted_name(table)
    return files([OUTSIDE, f"-- by ranges of the key of {shown}, each a transaction of its own"])


def in_files_of_their_own(found: Sequence[LintStep]) -> str:
    """The statements of a script, in their order, what takes long in a file of its own.

    One that changes many rows goes through them by a key.
    """
    texts: list[list[str]] = [[]]
    for step in found:
        if any(item.kind in _LONG for item in slow_work(step)):
            texts += [_alone(step), []]
        else:
            texts[-1].append(f"{step.statement.sql};")
    return files(*texts)


_LONG = ("rows", "copy", "read", "refresh", "validate")


def _alone(step: LintStep) -> list[str]:
    if step.kind == "RefreshMatViewStmt":
        waiver = "-- turnback: waive TB109 because it runs when nobody reads the view"
        return [waiver, f"{step.statement.sql};"]
    inner = [_in_batches(one) for one in step.inside or (step,)]
    if not all(inner):
        return [f"{step.statement.sql};"]
    # Each has the directive; a file has it once.
    return [OUTSIDE, *(line for lines in inner for line in lines[1:])]


def _in_batches(step: LintStep) -> list[str]:
    """A statement that changes many rows, through a key; empty where none is known."""
    if not any(item.kind == "rows" for item in slow_work(step)):
        return []
    if step.kind in ("UpdateStmt", "DeleteStmt") and (key := _key(step, step.tree["relation"])):
        table = dotted_name(table_name(step.tree["relation"]))
        return _by_key(table, key, step.kind, step.tree)
    if step.kind == "MergeStmt":
        return _merged_by_key(step)
    return []


def _merged_by_key(step: LintStep) -> list[str]:
    """A MERGE with a part of its source at a time; none if it looks for what the source lacks."""
    tree = step.tree
    source = tree["sourceRelation"].get("RangeVar", {})
    key = _key(step, source) if source else ""
    kinds = {item["MergeWhenClause"].get("matchKind") for item in tree["mergeWhenClauses"]}
    if not key or "MERGE_WHEN_NOT_MATCHED_BY_SOURCE" in kinds:
        return []
    alias = source.get("alias", {"aliasname": source["relname"]})
    plain = {name: value for name, value in source.items() if name != "alias"}
    star: Node = {"ResTarget": {"val": {"ColumnRef": {"fields": [{"A_Star": {}}]}}}}
    part = {
        "targetList": [star],
        "fromClause": [{"RangeVar": plain}],
        "whereClause": _within(reference(key)),
        "limitOption": "LIMIT_OPTION_DEFAULT",
        "op": "SETOP_NONE",
    }
    subselect = {"subquery": {"SelectStmt": part}, "alias": alias}
    bounded = {**tree, "sourceRelation": {"RangeSubselect": subselect}}
    return loop(dotted_name(table_name(source)), key, deparse("MergeStmt", bounded))


def _key(step: LintStep, relation: Node) -> str:
    """The column of a key of a table that is never NULL; empty if no script makes one."""
    table = step.table(table_name(relation))
    for key in table.unique_keys() if table and "withClause" not in step.tree else ():
        if len(key) == 1 and key[0] and table and table.never_null(key[0]):
            return key[0]
    return ""


def _within(column: Node) -> Node:
    """``column BETWEEN first_key AND last_key``."""
    ends = [reference(end) for end in ("first_key", "last_key")]
    return {
        "A_Expr": {
            "kind": "AEXPR_BETWEEN",
            "name": [{"String": {"sval": "BETWEEN"}}],
            "lexpr": column,
            "rexpr": {"List": {"items": ends}},
        }
    }


def _by_key(table: str, key: str, kind: str, tree: Node) -> list[str]:
    relation = tree["relation"]
    alias = relation.get("alias", {}).get("aliasname") or relation["relname"]
    within = _within(
        {"ColumnRef": {"fields": [{"String": {"sval": alias}}, {"String": {"sval": key}}]}}
    )
    given = tree.get("whereClause")
    both = given.get("BoolExpr", {}) if given else {}
    args = both["args"] if both.get("boolop") == "AND_EXPR" else [given]
    where = {"BoolExpr": {"boolop": "AND_EXPR", "args": [*args, within]}} if given else within
    bounded = {**tree, "whereClause": where}
    bounded.pop("returningList", None)
    bounded.pop("returningClause", None)
    return loop(table, key, deparse(kind, bounded))


def loop(table: str, key: str, statement: str) -> list[str]:
    """A block that goes through a table by its key, and commits after each part."""
    column = name(key)
    return [
        OUTSIDE,
        "DO $$",
        "DECLARE",
        f"    first_key {table}.{column}%TYPE;",
        f"    last_key {table}.{column}%TYPE;",
        "BEGIN",
        f"    SELECT {column} INTO first_key FROM {table} ORDER BY {column} LIMIT 1;",
        "    WHILE first_key IS NOT NULL LOOP",
        f"        SELECT batch.{column} INTO last_key FROM (",
        f"            SELECT {column} FROM {table} WHERE {column} >= first_key",
        f"            ORDER BY {column} LIMIT {_BATCH}) AS batch",
        f"        ORDER BY batch.{column} DESC LIMIT 1;",
        "        last_key := coalesce(last_key, first_key);",
        f"        {statement};",
        "        COMMIT;",
        f"        SELECT {column} INTO first_key FROM {table} WHERE {column} > last_key",
        f"        ORDER BY {column} LIMIT 1;",
        "    END LOOP;",
        "END $$;",
    ]
