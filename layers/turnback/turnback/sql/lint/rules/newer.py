"""Syntax and functions that the target's PostgreSQL does not know yet.

The versions are those of the release notes of PostgreSQL 15 to 18. The judge is a server of version
15, and one of 18 (tests/integration/test_lint_server.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from turnback.sql.lint.model import Finding
from turnback.sql.lint.step import LintStep
from turnback.sql.tree import Node, dotted, walk

_FUNCTIONS = {
    15: {"regexp_count", "regexp_instr", "regexp_like", "regexp_substr"},
    16: {"any_value", "array_sample", "array_shuffle", "date_add", "date_subtract"}
    | {"pg_input_is_valid", "random_normal"},
    17: {"to_bin", "to_oct", "uuid_extract_timestamp", "uuid_extract_version", "xmltext"},
    18: {"array_reverse", "array_sort", "casefold", "crc32", "crc32c", "uuidv4", "uuidv7"},
}
_SINCE = {name: version for version, names in _FUNCTIONS.items() for name in names}


def newer_rules(step: LintStep, server: int) -> Iterator[Finding]:
    """TB703.

    Args:
        server: the major version of the target.
    """
    said = set[str]()
    for kind, node in [(step.kind, step.tree), *walk(step.tree)]:
        for version, what in _syntax(step, kind, node):
            if version > server and what not in said:
                said.add(what)
                yield step.finding(
                    "TB703",
                    f"{what} is of PostgreSQL {version}, and the target is {server}.",
                    why=f"PostgreSQL {server} refuses it: the migration fails there.",
                    at=node.get("location") if kind in ("ColumnDef", "Constraint") else None,
                )


def _syntax(step: LintStep, kind: str, node: Node) -> Iterator[tuple[int, str]]:
    for version, what, is_there in _NODES.get(kind, ()):
        if is_there(node):
            yield version, what
    if kind == "FuncCall":
        name = dotted(node["funcname"])
        if name in _SINCE and name not in step.schema.functions:
            yield _SINCE[name], f"The function {name}"


Judge = Callable[[Node], object]


def _always(node: Node) -> bool:  # noqa: ARG001
    return True


def _with(field: str) -> Judge:
    return lambda node: node.get(field)


def _of(field: str, *values: str) -> Judge:
    return lambda node: node.get(field) in values


def _is_not_enforced(node: Node) -> bool:
    if node["contype"] == "CONSTR_ATTR_NOT_ENFORCED":
        return True
    return node["contype"] in ("CONSTR_CHECK", "CONSTR_FOREIGN") and "is_enforced" not in node


def _is_not_null(node: Node) -> bool:
    return node["contype"] == "CONSTR_NOTNULL" and "keys" in node


def _is_invoker(node: Node) -> bool:
    options = node.get("options", ())
    return any(item["DefElem"]["defname"] == "security_invoker" for item in options)


def _alters_enforcement(node: Node) -> bool:
    changed = node.get("def", {}).get("ATAlterConstraint", {})
    return bool({"alterEnforceability", "alterInheritability"} & changed.keys())


_JSON = "SQL/JSON"
_NULLS = (15, "NULLS NOT DISTINCT", _with("nulls_not_distinct"))
# The parser's node → version, words, and whether this one has it.
_NODES: dict[str, list[tuple[int, str, Judge]]] = {
    "MergeStmt": [(15, "MERGE", _always), (17, "MERGE … RETURNING", _with("returningClause"))],
    "MergeWhenClause": [
        (17, "WHEN NOT MATCHED BY SOURCE", _of("matchKind", "MERGE_WHEN_NOT_MATCHED_BY_SOURCE"))
    ],
    "IndexStmt": [_NULLS],
    "ViewStmt": [(15, "security_invoker", _is_invoker)],
    "ColumnDef": [(16, "STORAGE in a new column", _with("storage_name"))],
    "RangeSubselect": [
        (16, "A subquery in FROM without an alias", lambda node: "alias" not in node)
    ],
    "JsonObjectConstructor": [(16, _JSON, _always)],
    "JsonArrayConstructor": [(16, _JSON, _always)],
    "JsonIsPredicate": [(16, _JSON, _always)],
    "JsonFuncExpr": [(17, "JSON_VALUE, JSON_QUERY or JSON_EXISTS", _always)],
    "JsonTable": [(17, "JSON_TABLE", _always)],
    "AlterTableCmd": [
        (15, "SET ACCESS METHOD", _of("subtype", "AT_SetAccessMethod")),
        (17, "SET EXPRESSION", _of("subtype", "AT_SetExpression")),
        (18, "ENFORCED or INHERIT in ALTER CONSTRAINT", _alters_enforcement),
    ],
    "Constraint": [
        _NULLS,
        (15, "A column list of ON DELETE SET", _with("fk_del_set_cols")),
        (18, "A virtual generated column", _of("generated_kind", "v")),
        (18, "NOT NULL as a constraint of the table", _is_not_null),
        (18, "NOT ENFORCED", _is_not_enforced),
        (18, "WITHOUT OVERLAPS", _with("without_overlaps")),
        (18, "A foreign key with PERIOD", _with("fk_with_period")),
    ],
}
