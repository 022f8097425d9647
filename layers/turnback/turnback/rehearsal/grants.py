"""Privileges: what an object's access list grants beyond, or short of, what is usual."""

from __future__ import annotations

import re

_PRIVILEGES = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "c": "CONNECT",
    "T": "TEMPORARY",
    "s": "SET",
    "A": "ALTER SYSTEM",
}
_ITEM = re.compile(r'^("(?:[^"]|"")*"|[^=]*)=([A-Za-z*]*)/(.*)$')
GRANTS_TO = "grants to "
REVOKED = "revoked"
GRANTABLE = " (grantable)"


def granted(items: str, usual: str | None, owner: str | None) -> dict[str, str]:
    """What differs from the usual, an attribute for each role, such as ``grants to alice``.

    An access list that says the same as none at all has no attributes.

    Args:
        items: the access list, a line an entry: ``alice=rw*/postgres``.
        usual: the list that holds where there is none, in the same form; None grants nothing.
        owner: who grants, unless an entry says otherwise.
    """
    now, before = _by_role(items, owner), _by_role(usual or "", owner)
    attributes = {}
    for role in sorted({*now, *before}):
        if now.get(role) != before.get(role):
            attributes[f"{GRANTS_TO}{role}"] = now.get(role, REVOKED)
    return attributes


def _by_role(items: str, owner: str | None) -> dict[str, str]:
    found = {}
    for item in items.splitlines():
        match = _ITEM.match(item)
        if match is None:
            raise ValueError(f"not an entry of an access list: {item}")
        role, letters, grantor = match.groups()
        name = role or "PUBLIC"
        if grantor.strip('"').replace('""', '"') != owner:
            name += f" by {grantor}"
        privileges = [
            word + (GRANTABLE if f"{letter}*" in letters else "")
            for letter, word in _PRIVILEGES.items()
            if letter in letters
        ]
        found[name] = ", ".join(privileges)
    return found
