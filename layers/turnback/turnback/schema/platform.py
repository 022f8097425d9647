"""What of a platform's database is not compared: the schemas that the platform itself keeps.

It upgrades them at any time, and has others in them than migrations. What migrations may make on
their tables is compared: policies, and triggers that call a function of another schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from turnback.engine.session.message import Connection, rows, send
from turnback.settings.project import FILE
from turnback.wording import listed

# A database is Supabase's where its schema auth belongs to supabase_admin. On a shadow database
# it belongs to the role of the migrations, and all of it is compared.
OWNED = (
    "(SELECT pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace "
    "WHERE nspname = 'auth') = 'supabase_admin' AS _platform"
)
_SCHEMAS = (
    *("auth", "storage", "realtime", "_realtime", "_analytics", "_supavisor", "supabase_functions"),
    *("supabase_migrations", "extensions", "graphql", "graphql_public", "net", "vault", "cron"),
    *("pgsodium*", "pgbouncer", "pgmq", "pgtle", "etl", "repack", "dbdev", "tiger*", "topology"),
    "timescaledb_*",
)
_CALLED = re.compile(r'\bEXECUTE (?:FUNCTION|PROCEDURE) (?:"((?:[^"]|"")+)"|([^\s".(]+))\.')
_OF_PLATFORM = " of Supabase"

_OF_OTHERS = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'auth'
    AND pg_catalog.pg_get_userbyid(nspowner) = 'supabase_admin'
    AND NOT pg_catalog.pg_has_role(nspowner, 'MEMBER'))
"""


def is_of_others(connection: Connection) -> bool:
    """Whether a database is a platform's, and this user may not act for its owner."""
    [[found]] = rows(send(connection, _OF_OTHERS)[0])
    return found == "t"


def is_platforms(schema: str) -> bool:
    """Whether a schema of such a database is the platform's."""
    return any(fnmatchcase(schema, pattern) for pattern in _SCHEMAS)


def is_of_migrations(kind: str, definition: str) -> bool:
    """Whether something in a schema of the platform is compared.

    Args:
        kind: such as ``trigger``.
        definition: of a trigger.
    """
    if kind != "trigger":
        return kind == "policy"
    called = _CALLED.search(definition)
    return called is not None and not is_platforms((called[1] or called[2]).replace('""', '"'))


def left_out_as(schema: str) -> str:
    """The name under which a schema of the platform is among what is left out."""
    return f"schema {schema}{_OF_PLATFORM}"


def not_compared(left_out: Iterable[str], count: int) -> list[str]:
    """What was left out of a comparison, as sentences.

    Args:
        left_out: names, as ``schema.read`` collects them.
        count: how many of a kind are named.
    """
    found = sorted(left_out)
    theirs = [one for one in found if one.endswith(_OF_PLATFORM)]
    ours = [one for one in found if one not in theirs]
    sentences = [f"not compared, by [ignore] in {FILE}: {listed(ours, count)}"] if ours else []
    if theirs:
        names = [one.removeprefix("schema ").removesuffix(_OF_PLATFORM) for one in theirs]
        sentences.append(
            f"not compared, as they are Supabase's: {listed(names, count)}; policies and triggers "
            "of migrations there are compared"
        )
    return sentences
