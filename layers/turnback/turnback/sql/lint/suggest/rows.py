"""Many rows, a few at a time."""

from __future__ import annotations

from collections.abc import Sequence

from turnback.migrations.model import BATCH
from turnback.sql.deparse import deparse, expression
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.work import slow_work
from turnback.sql.lint.writing import (
    OUTSIDE,
    VERIFY,
    File,
    dotted_name,
    files,
    name,
    reference,
)
from turnback.sql.tree import (
    Node,
    strings,
    table_name,
    walk,
)

_BATCH = 5000
# A name that takes the place of the range in a tree.
_PLACE = "turnback: range"


def filling(step: LintStep, column: str, value: str, todo: str) -> File:
    """A backfill that gives all rows that are still to do a value, and its verify script.

    Args:
        column, value, todo: the column, the expression and the condition, as SQL.
    """
    table = dotted_name(table_name(step.tree["relation"]))
    whole = verified(table, todo)
    if key := _key(step, step.tree["relation"]):
        change = f"UPDATE {table} SET {column} = {value} WHERE {todo} AND {BATCH};"
        return [_directive(table, key), change, *whole]
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
        *whole,
    ]


def verified(table: str, todo: str) -> File:
    """A verify script, after its mark: it fails while a row is still to do.

    Args:
        table, todo: the table and the condition, as SQL.
    """
    return [VERIFY, still_to_do(table, todo)]


def still_to_do(table: str, todo: str) -> str:
    """A statement that fails while a row of a table is still to do."""
    return (
        "DO $$ BEGIN\n"
        f"    ASSERT NOT EXISTS (SELECT FROM {table} WHERE {todo}), 'rows are still to do';\n"
        "END $$;"
    )


def _directive(table: str, key: str, alias: str = "") -> str:
    called = f" alias={name(alias)}" if alias else ""
    return f"-- turnback: backfill table={table} key={name(key)}{called}"


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
    texts: list[File] = [[]]
    for step in found:
        if any(item.kind in _LONG for item in slow_work(step)):
            texts += [*_alone(step), []]
        else:
            texts[-1] = [*texts[-1], f"{step.statement.sql};"]
    return files(*texts)


_LONG = ("rows", "copy", "read", "refresh", "validate")


def _alone(step: LintStep) -> list[File]:
    if step.kind == "RefreshMatViewStmt":
        waiver = "-- turnback: waive TB109 because it runs when nobody reads the view"
        return [[waiver, f"{step.statement.sql};"]]
    inner = [_in_batches(one) for one in step.inside or (step,)]
    as_it_is: File = [f"{step.statement.sql};"]
    return inner if all(inner) else [as_it_is]


def _in_batches(step: LintStep) -> File:
    """A statement that changes many rows, through a key; empty where none is known."""
    if not any(item.kind == "rows" for item in slow_work(step)):
        return []
    if step.kind in ("UpdateStmt", "DeleteStmt") and (key := _key(step, step.tree["relation"])):
        return _backfill(step, key)
    if step.kind == "MergeStmt":
        return _merged_by_key(step)
    return []


def _key(step: LintStep, relation: Node) -> str:
    """The column of a key of a table that is never NULL; empty if no script makes one."""
    table = step.table(table_name(relation))
    changed = {one["ResTarget"].get("name") for one in _set(step)}
    for key in table.unique_keys() if table and "withClause" not in step.tree else ():
        column = key[0] if len(key) == 1 else None
        if column and column not in changed and table and table.never_null(column):
            return column
    return ""


def _set(step: LintStep) -> Sequence[Node]:
    """What an UPDATE sets."""
    found: Sequence[Node] = step.tree["targetList"] if step.kind == "UpdateStmt" else ()
    return found


def _merged_by_key(step: LintStep) -> File:
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
    return _loop(dotted_name(table_name(source)), key, deparse("MergeStmt", bounded))


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


def _backfill(step: LintStep, key: str) -> File:
    """The statement as a backfill; with a verify script where it says what is still to do."""
    tree, relation = step.tree, step.tree["relation"]
    alias = relation.get("alias", {}).get("aliasname") or relation["relname"]
    table = dotted_name(table_name(relation))
    given = tree.get("whereClause")
    tests: list[Node] = [given] if given else []
    if given and given.get("BoolExpr", {}).get("boolop") == "AND_EXPR":
        tests = given["BoolExpr"]["args"]
    where = {"BoolExpr": {"boolop": "AND_EXPR", "args": [*tests, reference(_PLACE)]}}
    where = where if given else reference(_PLACE)
    bounded = {**tree, "whereClause": where}
    bounded.pop("returningList", None)
    bounded.pop("returningClause", None)
    text = deparse(step.kind, bounded).replace(name(_PLACE), BATCH)
    again = any(
        node["relname"] == relation["relname"] and node is not relation
        for kind, node in walk(tree)
        if kind == "RangeVar"
    )
    shown = table if alias == relation["relname"] else f"{table} AS {name(alias)}"
    whole = verified(shown, expression(given)) if given and _fills(step, tests) else []
    return [_directive(table, key, alias if again else ""), f"{text};", *whole]


def _fills(step: LintStep, tests: Sequence[Node]) -> bool:
    """Whether an UPDATE gives a value to a column whose being NULL it asks for."""
    if "fromClause" in step.tree:
        return False
    filled = {
        one["ResTarget"]["name"]
        for one in _set(step)
        if not one["ResTarget"]["val"].get("A_Const", {"isnull": True}).get("isnull")
    }
    asked = [
        strings(test["NullTest"]["arg"]["ColumnRef"]["fields"])[-1]
        for test in tests
        if test.get("NullTest", {}).get("nulltesttype") == "IS_NULL"
        and "ColumnRef" in test["NullTest"]["arg"]
    ]
    return any(column in filled for column in asked)


def _loop(table: str, key: str, statement: str) -> File:
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
