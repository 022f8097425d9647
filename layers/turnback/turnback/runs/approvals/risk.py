"""Why a release needs a person: what it destroys, and what it cannot be turned back from."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from turnback.migrations.model import Project, Script
from turnback.migrations.text import position
from turnback.settings.approvals import ApprovalSettings
from turnback.sql.lint.model import known
from turnback.sql.lint.step import LintStep as Found
from turnback.sql.lint.step import steps
from turnback.sql.lint.work import slow_work
from turnback.sql.tables import Schema
from turnback.sql.tree import (
    Node,
    column_refs,
    commands,
    joined,
    objects,
    strings,
    table_name,
    walk,
)
from turnback.wording import capped

if TYPE_CHECKING:
    from turnback.engine.run.plan import Plan, Step

# What goes into the plan; a release of thousands of drops needs no longer list to be refused.
LISTED = 100
_DROPPED = {
    "OBJECT_TABLE": "table",
    "OBJECT_FOREIGN_TABLE": "foreign table",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "domain",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_EXTENSION": "extension",
}
# Rules of lint whose findings are about data that goes, or a way back that does not exist.
_DESTRUCTIVE = {"TB106", "TB110", "TB401", "TB501"}
_IN_CODE = re.compile(
    r"\b(DROP\s+(?:TABLE|COLUMN|SCHEMA|TYPE|DOMAIN|SEQUENCE)|TRUNCATE|DELETE\s+FROM|EXECUTE)\b",
    re.IGNORECASE,
)


def gate(
    settings: ApprovalSettings,
) -> Callable[[Project | None, Plan], tuple[int, list[str]]]:
    """The gate of a release: how many persons it needs, and why.

    Args:
        settings: the policy.

    Returns:
        A function of the project (None where there is only a rollback) and the plan. Of a plan
        that needs nobody it returns 0; it raises ConfigurationError where more persons must
        approve than there are.
    """

    def judge(project: Project | None, plan: Plan) -> tuple[int, list[str]]:
        if plan.empty or not settings.persons:
            return 0, []
        found = reasons(project, plan.steps)
        return settings.needed(found), found

    return judge


def reasons(project: Project | None, plan_steps: Sequence[Step]) -> list[str]:
    """Why these steps need a person, each as one sentence with file and line; empty if nothing.

    A table that the same release makes is no loss when the release drops it again. What a
    function does that a script calls is not seen; a DO block is searched for the words.

    Args:
        project: all migrations, which tell what types columns had; None if they are not here.
        plan_steps: the plan's steps, all of one direction.
    """
    up = bool(plan_steps) and plan_steps[0].direction == "up"
    fresh = frozenset(step.runnable.script.path for step in plan_steps) if up else frozenset[str]()
    scripts = {step.runnable.script.path: step for step in plan_steps}
    found: list[str] = []
    # Made "if not exists": perhaps it was there, with rows that nobody here knows of.
    doubtful: set[str] = set()
    schema = Schema()
    if up and project is not None:
        for migration in project.migrations:
            read = steps(migration.forward, schema, fresh=fresh)
            schema = read[1]
            if migration.forward.path in scripts:
                found += _of_script(migration.forward, read[0], doubtful, readable=read[2] is None)
                found += _one_way(scripts[migration.forward.path])
    else:
        for step in plan_steps:
            script = step.runnable.script
            read = steps(script, schema, is_rollback=True, fresh=fresh)
            found += _of_script(script, read[0], doubtful, readable=read[2] is None)
    return capped(found, LISTED)


def _of_script(
    script: Script, statements: Sequence[Found], doubtful: set[str], *, readable: bool
) -> Iterator[str]:
    if not readable:
        yield f"{script.path}: turnback cannot read it, so nobody knows what it destroys"
    for statement in statements:
        line, _ = position(script.sql, statement.statement.offset)
        if statement.kind == "CreateStmt" and statement.tree.get("if_not_exists"):
            doubtful.add(table_name(statement.tree["relation"]))
        for loss in _losses(statement, doubtful):
            yield f"{script.path}:{line} {loss}"
    for waiver in script.directives.waivers:
        rule = known(waiver.rule)
        if rule and rule.id in _DESTRUCTIVE:
            yield f"{script.path}:{waiver.line} waives {rule.id} ({rule.title}): {waiver.reason}"


def _one_way(step: Step) -> Iterator[str]:
    migration = step.migration
    because = migration.forward.directives.irreversible
    if because is not None:
        yield f"{migration.forward.path} is irreversible: {because}"
    elif migration.rollback is None:
        yield f"{migration.forward.path} has no rollback script"


def _in_use(found: Found, doubtful: set[str], name: str) -> bool:
    return name in doubtful or found.in_use(name)


def _losses(found: Found, doubtful: set[str]) -> Iterator[str]:
    """What one statement destroys."""
    in_use = functools.partial(_in_use, found, doubtful)
    tree = found.tree
    match found.kind:
        case "DropStmt" if tree["removeType"] in _DROPPED:
            yield from _dropped(found, _DROPPED[tree["removeType"]], in_use)
        case "DropOwnedStmt":
            yield "drops everything that a role owns"
        case "DropdbStmt":
            yield f"drops database {tree['dbname']}"
        case "TruncateStmt":
            for item in tree["relations"]:
                if in_use(name := table_name(item["RangeVar"])):
                    yield f"truncates {name}: all its rows go"
        case "AlterTableStmt":
            yield from _altered(found, in_use)
        case "DoStmt":
            if words := _words(tree):
                yield f"runs a DO block that says {', '.join(words)}"
    for kind, node in _changes(found):
        how = _unchosen(node)
        if how and in_use(name := table_name(node["relation"])):
            yield f"{kind} {name} {how}: all its rows"


def _dropped(found: Found, what: str, in_use: Callable[[str], bool]) -> Iterator[str]:
    cascade = " CASCADE" if found.tree.get("behavior") == "DROP_CASCADE" else ""
    for parts in objects(found.tree):
        name = joined(parts)
        if what != "table" or in_use(name):
            yield f"drops {what} {name}{cascade}"


def _altered(found: Found, in_use: Callable[[str], bool]) -> Iterator[str]:
    table = table_name(found.tree["relation"])
    if not in_use(table):
        return
    for command in commands(found.tree):
        if command["subtype"] == "AT_DropColumn":
            yield f"drops column {table}.{command['name']}, with its values"
    for item in slow_work(found):
        if item.kind == "type" and item.does.startswith("rewrites"):
            yield f"changes the type of {table}.{item.column}, which {item.does}"


def _changes(found: Found) -> Iterator[tuple[str, Node]]:
    """Every UPDATE and DELETE in a statement, those in its WITH among them."""
    nodes: Iterable[tuple[str, Node]] = [(found.kind, found.tree), *walk(found.tree)]
    for kind, node in nodes:
        if kind in ("UpdateStmt", "DeleteStmt"):
            yield ("updates" if kind == "UpdateStmt" else "deletes from", node)


def _unchosen(node: Node) -> str:
    """How an UPDATE or DELETE takes all rows; empty where it chooses. WHERE true does not."""
    where = node.get("whereClause")
    if where is None:
        return "without WHERE"
    chooses = "CurrentOfExpr" in where or column_refs(where)
    return "" if chooses else "with a WHERE that looks at no row"


def _words(tree: Node) -> list[str]:
    """The words of destruction in a DO block."""
    body = " ".join(" ".join(strings([node["arg"]])) for _, node in walk(tree) if "arg" in node)
    found = (" ".join(match.upper().split()) for match in _IN_CODE.findall(body))
    return list(dict.fromkeys(found))
