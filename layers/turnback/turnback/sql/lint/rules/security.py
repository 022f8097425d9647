"""Security: what lets in, or shows, more than meant (TB61x), or nothing any more (TB403)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from turnback.sql.definitions import function_of, view_of
from turnback.sql.lint.model import Finding, Severity
from turnback.sql.lint.step import LintStep
from turnback.sql.lint.writing import dotted_name, name
from turnback.sql.statements import json_value
from turnback.sql.tables import Schema
from turnback.sql.tree import (
    Node,
    commands,
    constants,
    joined,
    object_parts,
    table_name,
)

# What a user of Supabase may write about himself; app_metadata is the other one.
_USER_METADATA = {"user_metadata", "raw_user_meta_data"}
_SECRETS = ("password", "sslpassword", "secret", "secret_access_key")


def security_rules(step: LintStep, last: Schema) -> Iterator[Finding]:
    """TB611 to TB618, of one statement.

    Args:
        last: the schema after the last script.
    """
    tree = step.tree
    match step.kind:
        case "CreateFunctionStmt":
            yield from _definer(step, last)
        case "ViewStmt":
            yield from _view(step, last)
        case "CreatePolicyStmt" | "AlterPolicyStmt":
            yield from _policy(step, last)
        case "AlterTableStmt":
            for command in commands(tree):
                yield from _row_security_off(step, command, last)
        case "GrantStmt":
            yield from _granted(step)
        case "AlterDefaultPrivilegesStmt":
            if _to_everybody(tree["action"]):
                yield _everybody(step, "what is made from now on")
        case "CreateRoleStmt" | "AlterRoleStmt" | "CreateUserMappingStmt" | "AlterUserMappingStmt":
            yield from _password(step)
        case "CreateSubscriptionStmt" | "AlterSubscriptionStmt":
            if "password=" in str(tree.get("conninfo", "")).replace(" ", ""):
                yield _secret(step)


def _definer(step: LintStep, last: Schema) -> Iterator[Finding]:
    function = function_of(step.tree, None)
    now = last.functions.get(function.name)
    if function.definer and not function.pinned and not (now and now.pinned):
        yield step.finding(
            "TB611",
            f"{function.name} is SECURITY DEFINER, without a search_path of its own.",
            why="It runs with its owner's rights and looks names up in the caller's search_path: "
            "who may create a table or a function there has it run theirs (manual, CREATE "
            'FUNCTION, "Writing SECURITY DEFINER Functions Safely").',
            safer="-- in the function's definition, and every name with its schema\n"
            "-- SET search_path = ''",
        )


def _view(step: LintStep, last: Schema) -> Iterator[Finding]:
    called = table_name(step.tree["view"])
    view = view_of(called, step.tree, last)
    if view.invoker:
        return
    for table in sorted({table for table, _ in view.reads}):
        known = last.find(table)
        if known and known.row_security:
            yield step.finding(
                "TB612",
                f"{called} reads {table} with its owner's rights.",
                why=f"Row level security of {table} is that of the view's owner, so whoever may "
                "read the view sees every row that the owner sees (manual, CREATE VIEW).",
                safer=f"ALTER VIEW {dotted_name(called)} SET (security_invoker = true); "
                "-- PostgreSQL 15 or later",
            )
            return


def _policy(step: LintStep, last: Schema) -> Iterator[Finding]:
    tree = step.tree
    table = table_name(tree["table"])
    known = last.find(table)
    called = tree["policy_name"]
    if known and not known.row_security:
        yield step.finding(
            "TB613",
            f"{table} has the policy {called}, and no row level security.",
            why="A policy has no effect before row level security is enabled: everybody with the "
            "privilege sees every row.",
            safer=f"{step.statement.sql};\n"
            f"ALTER TABLE {dotted_name(table)} ENABLE ROW LEVEL SECURITY;",
        )
    writes = tree.get("cmd_name", "all") != "select"
    # Without WITH CHECK, USING is for new rows too (manual, CREATE POLICY).
    tests = [tree[field] for field in ("qual", "with_check") if field in tree]
    if writes and tree.get("permissive") and tests and any(map(_is_true, tests)):
        yield step.finding(
            "TB614",
            f"The policy {called} of {table} is true for every row.",
            why="Each role that it is for may write every row: the same as no row level security.",
        )
    if constants([tree.get("qual"), tree.get("with_check")]) & _USER_METADATA:
        yield step.finding(
            "TB615",
            f"The policy {called} of {table} trusts user_metadata.",
            why="Users write their user_metadata themselves, so each gives himself what the "
            "policy asks for. app_metadata is written by the server alone.",
        )


def _is_true(expression: Node) -> bool:
    return bool(expression.get("A_Const", {}).get("boolval", {}).get("boolval"))


_OFF = {
    "AT_DisableRowSecurity": "DISABLE ROW LEVEL SECURITY",
    "AT_NoForceRowSecurity": "NO FORCE ROW LEVEL SECURITY",
}


def _row_security_off(step: LintStep, command: Node, last: Schema) -> Iterator[Finding]:
    table = table_name(step.tree["relation"])
    what = _OFF.get(command["subtype"])
    if what is None or not step.in_use(table):
        return
    known = last.find(table)
    if what.startswith("DISABLE") and known and known.row_security:
        return
    yield step.finding(
        "TB616",
        f"{what} on {table}.",
        why=f"From the commit on, everybody with a privilege on {table} sees every row of it.",
    )


def _granted(step: LintStep) -> Iterator[Finding]:
    tree = step.tree
    if tree.get("is_grant") and _to_everybody(tree):
        given = {item["AccessPriv"].get("priv_name") for item in tree.get("privileges", ())}
        for item in tree.get("objects", ())[:1]:
            what = joined(object_parts(item))
            function = step.schema.functions.get(what)
            reads = bool(given) and given <= _READS and not (function and function.definer)
            yield _everybody(step, what, Severity.INFO if reads else None)


def _to_everybody(tree: Node) -> bool:
    return bool(tree.get("is_grant")) and any(
        item["RoleSpec"]["roletype"] == "ROLESPEC_PUBLIC" for item in tree.get("grantees", ())
    )


# They change nothing; EXECUTE is everybody's before anybody grants it.
_READS = {"select", "usage", "connect", "execute"}


def _everybody(step: LintStep, what: str, severity: Severity | None = None) -> Finding:
    return step.finding(
        "TB617",
        f"{what} is granted to PUBLIC.",
        why="PUBLIC is every role there is, and every one to come. What a role of the application "
        "has can be revoked.",
        safer="-- to the role of the application",
        severity=severity,
    )


def _password(step: LintStep) -> Iterator[Finding]:
    for item in step.tree.get("options", ()):
        element = item["DefElem"]
        if element["defname"] in _SECRETS and "arg" in element and json_value(element["arg"]):
            yield _secret(step)
            return


def _secret(step: LintStep) -> Finding:
    return step.finding(
        "TB618",
        "This migration contains a password.",
        why="It stays in the repository, in the artifact, in the history's stored scripts and in "
        "the server's log. Set it outside of migrations, from a secret.",
    )


def row_security_rules(found: Sequence[LintStep], last: Schema) -> Iterator[Finding]:
    """TB403: nobody but the owner sees a row of a table without a policy."""
    for step in found:
        if step.kind != "AlterTableStmt" or step.context.is_rollback:
            continue
        table = table_name(step.tree["relation"])
        known = last.find(table)
        for command in commands(step.tree) if step.in_use(table) else ():
            if command["subtype"] == "AT_EnableRowSecurity" and not (known and known.policies):
                yield step.finding(
                    "TB403",
                    f"{table} gets row level security, and no policy.",
                    why=f"Without a policy, everyone but the owner of {table} and superusers sees "
                    "no row of it, and can add none (manual, 5.9). The running application finds "
                    "its rows gone.",
                    safer="-- before it, in the same file: who may do what\n"
                    f"CREATE POLICY {name(table.rpartition('.')[2] + '_owner')} ON "
                    f"{dotted_name(table)}\n"
                    "    USING (true) -- the rows that each user may see\n"
                    f"    WITH CHECK (true);\n{step.statement.sql};",
                )
