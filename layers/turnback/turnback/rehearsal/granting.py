"""The statements that give a role the privileges it had."""

from __future__ import annotations

from turnback.rehearsal.grants import GRANTABLE, REVOKED
from turnback.rehearsal.naming import last, split, without_last

# GRANT … ON names tables, views and their like without a word for their kind.
_PLAIN = ("table", "view", "materialized view", "foreign table", "column")
_WORDS = {"server": "FOREIGN SERVER", "domain": "DOMAIN", "aggregate": "FUNCTION"}

# What everybody may do with what is new.
_USUAL = {
    "function": "EXECUTE",
    "procedure": "EXECUTE",
    "aggregate": "EXECUTE",
    "type": "USAGE",
    "domain": "USAGE",
    "language": "USAGE",
}


def granting(thing: str, role: str, before: str | None, now: str | None) -> str | None:
    """SQL that gives a role the privileges on an object that it had.

    Args:
        thing: the object's name in the fingerprint.
        role: who has them, as SQL names it.
        before: the privileges it had, as the fingerprint tells them; None if the usual ones.
        now: those it has.
    """
    kind, name = split(thing)
    # Somebody else than the owner granted them, or the object has another name elsewhere.
    if " by " in role or kind in ("database", "default privileges"):
        return None
    column = f" ({last(name)})" if kind == "column" else ""
    target = without_last(name) if kind == "column" else name
    if kind not in _PLAIN:
        target = f"{_WORDS.get(kind, kind.upper())} {target}"
    statements = []
    if now not in (None, REVOKED):
        statements.append(f"REVOKE ALL{column} ON {target} FROM {role};")
    if before == REVOKED:
        return f"REVOKE ALL{column} ON {target} FROM {role};"
    usual = _USUAL.get(kind, "") if role == "PUBLIC" else ""
    granted = (before or usual).split(", ") if before or usual else []
    for ending, option in (("", ""), (GRANTABLE, " WITH GRANT OPTION")):
        some = [
            privilege.removesuffix(GRANTABLE) + column
            for privilege in granted
            if privilege.endswith(GRANTABLE) == bool(ending)
        ]
        if some:
            statements.append(f"GRANT {', '.join(some)} ON {target} TO {role}{option};")
    return "\n".join(statements) or None
