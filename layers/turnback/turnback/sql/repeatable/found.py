"""SQL that finds out what a repeatable replaces the first time, as the text that brings it back.

A view or a function may be there already, made by a migration. What is there is known for certain
only when the repeatable runs, so the server is asked in the same transaction.
"""

from __future__ import annotations

from turnback.migrations.model import Script
from turnback.sql.deparse import expression
from turnback.sql.quoting import joined, literal
from turnback.sql.repeatable.content import Content, arguments, bare_name, read, subjects
from turnback.sql.repeatable.undo import GRANTS, name_of, opposite, removal, settings_of
from turnback.sql.statements import Statement
from turnback.sql.tree import Named, dropped

_SEPARATOR = "\n;\n"
# The search_path may have operators of its own before the server's.
_VIEW = """
    SELECT pg_catalog.concat({drop}, 'CREATE {replace}', {name},
           CASE WHEN c.reloptions IS NOT NULL THEN pg_catalog.concat(' WITH (',
               pg_catalog.array_to_string(c.reloptions, ', '), ')') END,
           ' AS ', pg_catalog.rtrim(pg_catalog.pg_get_viewdef(c.oid), ';'),
           (SELECT pg_catalog.string_agg(pg_catalog.concat({separator},
                       pg_catalog.pg_get_indexdef(i.indexrelid)), '')
              FROM pg_catalog.pg_index i WHERE i.indrelid {equals} c.oid))
      FROM pg_catalog.pg_class c
     WHERE c.oid {equals} pg_catalog.to_regclass({name})::oid AND c.relkind {equals} {kind}"""
_ROUTINE = """
    SELECT pg_catalog.concat({drop}, pg_catalog.pg_get_functiondef(p.oid))
      FROM pg_catalog.pg_proc p
     WHERE p.oid {equals} pg_catalog.to_regprocedure({name})::oid"""
_TRIGGER = """
    SELECT pg_catalog.concat({drop}, pg_catalog.pg_get_triggerdef(t.oid))
      FROM pg_catalog.pg_trigger t
     WHERE t.tgrelid {equals} pg_catalog.to_regclass({table})::oid AND t.tgname {equals} {part}"""
_RULE = """
    SELECT pg_catalog.concat({drop}, pg_catalog.rtrim(pg_catalog.pg_get_ruledef(r.oid), ';'))
      FROM pg_catalog.pg_rewrite r
     WHERE r.ev_class {equals} pg_catalog.to_regclass({table})::oid
       AND r.rulename {equals} {part}"""
_POLICY = """
    SELECT pg_catalog.concat({drop}, 'CREATE POLICY ', pg_catalog.quote_ident(p.policyname), ' ON ',
           {table}, ' AS ', p.permissive, ' FOR ', p.cmd, ' TO ',
           (SELECT pg_catalog.string_agg(CASE WHEN r {equals} 'public'::name THEN 'PUBLIC'
                       ELSE pg_catalog.quote_ident(r) END, ', ')
              FROM pg_catalog.unnest(p.roles) AS r),
           CASE WHEN p.qual IS NOT NULL THEN pg_catalog.concat(' USING (', p.qual, ')') END,
           CASE WHEN p.with_check IS NOT NULL
                THEN pg_catalog.concat(' WITH CHECK (', p.with_check, ')') END)
      FROM pg_catalog.pg_policies p
     WHERE pg_catalog.to_regclass(pg_catalog.format('%I.%I', p.schemaname, p.tablename))::oid
               {equals} pg_catalog.to_regclass({table})::oid
       AND p.policyname {equals} {part}"""


def text_of_found(script: Script) -> str | None:
    """An expression for the text that undoes the first time; None where no text tells it.

    Names in it are found as the settings say that are in force where it is evaluated.
    """
    content = read(script)
    if content.statements is None or content.underived() is not None:
        return None
    of = {id(statement): item for item, statement in content.made.items()}
    parts = [literal(sql) for sql in settings_of(content)]
    for statement in reversed(content.statements):
        if item := of.get(id(statement)):
            drop = removal(item, statement)
            parts.append(f"coalesce(({_found(content, item, statement, drop)}), {literal(drop)})")
        elif statement.kind in GRANTS and not content.is_of_own(statement):
            parts.append(literal(opposite(statement)))
    # An array, since a function takes a hundred arguments at most.
    array = f"ARRAY[{', '.join(parts)}]::pg_catalog.text[]"
    return f"pg_catalog.array_to_string({array}, {literal(_SEPARATOR)})"


def is_undo_of(undo: Script, applied: Script) -> bool:
    """Whether a stored text does no more than to undo another: it drops or makes what that makes.

    What it makes is only known to have been there before: see ``text_of_found``.
    """
    content, back = read(applied), read(undo)
    names = {_last(name) for name in content.names}
    known = set(settings_of(content))
    known |= {opposite(one) for one in content.statements or () if one.kind in GRANTS}

    def follows(statement: Statement) -> bool:
        if statement.kind == "DropStmt":
            return all(_last(item.name) in names for item in dropped(statement.tree))
        if changed := subjects(statement):
            return all(_last(name) in names for name in changed) or statement.sql in known
        if statement in back.made.values():
            return _last(bare_name(statement)) in names
        return statement.sql in known

    return back.statements is not None and all(map(follows, back.statements))


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _found(content: Content, item: Named, statement: Statement, drop: str) -> str:
    """A query for the definition of what is there of an object; no row where it is not."""
    names = name_of(statement)
    # What CREATE OR REPLACE cannot make again, or what the file drops itself, is dropped first.
    first = literal(f"{drop}{_SEPARATOR}")
    replaced = "''" if not _drops(content, statement) else first
    values = {
        "equals": "OPERATOR(pg_catalog.=)",
        "separator": literal(_SEPARATOR),
        "name": literal(joined(names)),
        "table": literal(joined(names[:-1])),
        "part": f"{literal(names[-1])}::name",
    }
    match item.kind:
        case "OBJECT_VIEW":
            return _VIEW.format(
                drop="''", replace="OR REPLACE VIEW ", kind="'v'::\"char\"", **values
            )
        case "OBJECT_MATVIEW":
            return _VIEW.format(
                drop=first, replace="MATERIALIZED VIEW ", kind="'m'::\"char\"", **values
            )
        case "OBJECT_TRIGGER":
            return _TRIGGER.format(drop=first, **values)
        case "OBJECT_RULE":
            return _RULE.format(drop=first, **values)
        case "OBJECT_POLICY":
            return _POLICY.format(drop=first, **values)
    types = ", ".join(
        expression(
            {"TypeCast": {"arg": {"A_Const": {"isnull": True}}, "typeName": one["argType"]}}
        ).removeprefix("NULL::")
        for one in arguments(statement)
    )
    values["name"] = literal(f"{joined(names)}({types})")
    return _ROUTINE.format(drop=replaced, **values)


def _drops(content: Content, statement: Statement) -> bool:
    """Whether the file drops what this statement makes, before it does."""
    return any(
        bare_name(statement) == item.name
        for one in content.statements or ()
        if one.kind == "DropStmt"
        for item in dropped(one.tree)
    )
