"""Values of enums that a script adds and uses, which PostgreSQL allows in two transactions only.

The manual, ALTER TYPE: "If ALTER TYPE ... ADD VALUE is executed inside a transaction block, the new
value cannot be used until after the transaction has been committed" (SQLSTATE 55P04), unless the
type was made in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from turnback.sql.statements import Statement, json_value
from turnback.sql.tree import Node, constants, object_parts, strings, walk

# A comment is text, and renaming a value is no use of it.
_NO_USE = ("CommentStmt", "SecLabelStmt", "AlterEnumStmt")
_READ_ALL = ("enum_first", "enum_last", "enum_range")
# What they make is gone with the session, which may not be there for the second transaction.
_OF_SESSION = ("PrepareStmt", "DeclareCursorStmt", "ListenStmt")


def added_value(statement: Statement) -> str | None:
    """The value that the statement adds to an enum."""
    if statement.kind != "AlterEnumStmt" or "oldVal" in statement.tree:
        return None
    return str(statement.tree["newVal"])


def used_values(statement: Statement, values: Collection[str]) -> set[str]:
    """Of these values, those that a constant of the statement reads like.

    A block is searched as a text, and so is the body of a function in SQL, which the server reads
    when it makes it. It does not read those in other languages.
    """
    if not values or statement.kind in _NO_USE:
        return set()
    if statement.kind == "DoStmt":
        return _in_text(statement.sql, values)
    if statement.kind == "CreateFunctionStmt":
        options = (item["DefElem"] for item in statement.tree.get("options", ()))
        language = [json_value(one["arg"]) for one in options if one["defname"] == "language"]
        if not language or str(language[0]).lower() == "sql":
            return _in_text(statement.sql, values)
        return constants(statement.tree.get("parameters")) & set(values)
    if any(
        kind == "FuncCall" and strings(node["funcname"])[-1] in _READ_ALL
        for kind, node in walk(statement.tree)
    ):
        return set(values)
    found = constants(statement.tree) & set(values)
    for block in (block for rows in statement.rows for block in rows):
        found |= {value for value in values if value.encode() in block}
    return found


def transaction_starts(statements: Sequence[Statement]) -> list[int]:
    """The indexes of the statements before which another transaction must begin; mostly none.

    It begins as early as it can, behind the statement that adds the value. Where a savepoint or
    something else of the session would have to last longer, the script stays one transaction.
    """
    made = set[str]()
    added = set[str]()
    starts = list[int]()
    behind = 0
    for index, statement in enumerate(statements):
        if statement.kind == "TransactionStmt":
            return []
        tree = statement.tree
        if statement.kind == "CreateEnumStmt":
            made.add(_own_name(tree["typeName"]))
        elif tree.get("renameType") == "OBJECT_TYPE" and object_parts(tree["object"])[-1] in made:
            # It is new by its new name as well.
            made.add(tree["newname"])
        elif used_values(statement, added):
            if any(map(_lasts_with_session, statements[: behind + 1])):
                return []
            starts.append(behind)
            added.clear()
        value = added_value(statement)
        if value is not None and _own_name(tree["typeName"]) not in made:
            added.add(value)
            behind = index + 1
    return starts


def _own_name(parts: Sequence[Node]) -> str:
    # The schema of a new type may be another one by now.
    return strings(parts)[-1]


def _in_text(sql: str, values: Collection[str]) -> set[str]:
    return {value for value in values if "'{}'".format(value.replace("'", "''")) in sql}


def _lasts_with_session(statement: Statement) -> bool:
    relation = statement.tree.get("relation") or statement.tree.get("into", {}).get("rel", {})
    return statement.kind in _OF_SESSION or relation.get("relpersistence") == "t"
