"""Many rows, a few at a time."""

from __future__ import annotations

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
    if key := _key(step):
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
    """An UPDATE or a DELETE by ranges of the key, each a transaction of its own.

    Where no key is known, what tells the rows that are still to do is the author's to say.
    """
    if step.kind in ("UpdateStmt", "DeleteStmt") and (key := _key(step)):
        return files(_by_key(dotted_name(table), key, step.kind, step.tree))
    shown = dotted_name(table)
    return files([OUTSIDE, f"-- by ranges of the key of {shown}, each a transaction of its own"])


def in_files_of_their_own(*steps: LintStep) -> str:
    """Statements in a file each; one that changes many rows goes through them by its key."""
    texts: list[File] = []
    for step in steps:
        many = step.kind in ("UpdateStmt", "DeleteStmt") and any(
            item.kind == "rows" for item in slow_work(step)
        )
        key = _key(step) if many else ""
        table = dotted_name(table_name(step.tree["relation"])) if key else ""
        plain = [f"{step.statement.sql};"]
        texts.append(_by_key(table, key, step.kind, step.tree) if key else plain)
    return files(*texts)


def _key(step: LintStep) -> str:
    """The column of a key of the table that is never NULL; empty if no script makes one."""
    table = step.table(table_name(step.tree["relation"]))
    for key in table.unique_keys() if table and "withClause" not in step.tree else ():
        if len(key) == 1 and key[0] and table and table.never_null(key[0]):
            return key[0]
    return ""


def _by_key(table: str, key: str, kind: str, tree: Node) -> File:
    relation = tree["relation"]
    alias = relation.get("alias", {}).get("aliasname") or relation["relname"]
    ends = [reference(end) for end in ("first_key", "last_key")]
    within = {
        "A_Expr": {
            "kind": "AEXPR_BETWEEN",
            "name": [{"String": {"sval": "BETWEEN"}}],
            "lexpr": {
                "ColumnRef": {"fields": [{"String": {"sval": alias}}, {"String": {"sval": key}}]}
            },
            "rexpr": {"List": {"items": ends}},
        }
    }
    given = tree.get("whereClause")
    both = given.get("BoolExpr", {}) if given else {}
    args = both["args"] if both.get("boolop") == "AND_EXPR" else [given]
    where = {"BoolExpr": {"boolop": "AND_EXPR", "args": [*args, within]}} if given else within
    bounded = {**tree, "whereClause": where}
    bounded.pop("returningList", None)
    bounded.pop("returningClause", None)
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
        f"        {deparse(kind, bounded)};",
        "        COMMIT;",
        f"        SELECT {column} INTO first_key FROM {table} WHERE {column} > last_key",
        f"        ORDER BY {column} LIMIT 1;",
        "    END LOOP;",
        "END $$;",
    ]
