"""A copy of the target in place of an empty shadow database: its rows, sizes and extensions.

It lies on the target's own server. What a script does to the server, such as to a role, it would do
to the target as well, and is refused.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import conninfo

from turnback.engine.session.connection import Connection
from turnback.engine.session.message import ServerError, rows, send, server_trouble
from turnback.errors import ConfigurationError, DatabaseRefused, OutOfSpace
from turnback.migrations.model import Migration, Script
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.surroundings import Surroundings
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.quoting import identifier
from turnback.sql.statements import split

# Bytes a second of a copy as a template, and of a dump and its restore: on two cores, and rather
# too few than too many.
_TEMPLATE_PACE = 100 * 2**20
_DUMP_PACE = 10 * 2**20
# It has sessions; this user does not own it.
_NO_TEMPLATE = ("55006", "42501")
_OF_THE_SERVER = (
    *("CreateRoleStmt", "AlterRoleStmt", "AlterRoleSetStmt", "DropRoleStmt", "GrantRoleStmt"),
    *("CreatedbStmt", "DropdbStmt", "AlterDatabaseStmt", "AlterDatabaseSetStmt"),
    *("AlterDatabaseRefreshCollStmt", "AlterSystemStmt", "DropOwnedStmt", "ReassignOwnedStmt"),
    *("CreateTableSpaceStmt", "DropTableSpaceStmt", "AlterTableSpaceOptionsStmt"),
    *("CreateSubscriptionStmt", "AlterSubscriptionStmt", "DropSubscriptionStmt"),
)
_OBJECTS = (
    *("OBJECT_DATABASE", "OBJECT_ROLE", "OBJECT_TABLESPACE", "OBJECT_SUBSCRIPTION"),
    "OBJECT_PARAMETER_ACL",
)
# In a body, where a statement may be put together when it runs.
_IN_A_BODY = re.compile(
    r"\b(?:CREATE|ALTER|DROP)\s+(?:ROLE|USER(?!\s+MAPPING)|GROUP|DATABASE|TABLESPACE|SUBSCRIPTION|"
    r"SYSTEM)\b|\bON\s+(?:DATABASE|ROLE|TABLESPACE)\b|\bpg_(?:drop|create_\w+)_replication_slot\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Target:
    """What is copied.

    Attributes:
        url: its address.
        name: of the database.
        bytes: its size.
        folder: with the data of the server, where that is on this machine; else None.
        applied: the versions that are applied there.
    """

    url: str
    name: str
    bytes: int
    folder: str | None
    applied: frozenset[str]

    @property
    def seconds(self) -> float:
        """About how long a copy takes, where it has to be dumped."""
        return self.bytes / _DUMP_PACE + 1

    def refuse_if_too_large(self) -> None:
        """Refuse what does not fit on the disk of the server.

        Raises:
            OutOfSpace: names both numbers.
        """
        if self.folder:
            OutOfSpace.refuse(self.folder, self.bytes, f"a copy of {self.name}")


def look_at(connection: Connection, url: str, applied: Iterable[str]) -> Target:
    """What a copy of a database needs; nothing is changed.

    Args:
        connection: with it.
        url: its address.
        applied: the versions that are applied there.

    Raises:
        ServerError: it refuses.
    """
    query = (
        "SELECT pg_catalog.current_database(), "
        "pg_catalog.pg_database_size(pg_catalog.current_database()), "
        "(SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'), "
        "pg_catalog.inet_server_addr() IS NULL"
    )
    ((name, size, folder, here),) = rows(send(connection, query)[0])
    # Through a socket it is a server of this machine, unless it is in a container.
    local = here == "t" and folder and Path(str(folder)).is_dir()
    return Target(
        url, str(name), int(str(size)), str(folder) if local else None, frozenset(applied)
    )


def refuse_outside(migrations: Iterable[Migration]) -> None:
    """Refuse scripts that change what belongs to the server, and so the target itself.

    Raises:
        ConfigurationError: names the place.
    """
    for migration in migrations:
        for script in (migration.forward, migration.rollback):
            offset = _outside(script) if script else None
            if script and offset is not None:
                line, column = script.position(offset)
                raise ConfigurationError(
                    "this changes what belongs to the server, and a copy is on the server of the "
                    "target",
                    file=script.path,
                    line=line,
                    column=column,
                    version=migration.version,
                    hint="rehearse it without --on copy, on an empty database",
                )


def _outside(script: Script) -> int | None:
    try:
        statements = split(script.sql)
    except SqlSyntaxError:
        # It fails there as well.
        return None
    for one in statements:
        body = one.kind in ("DoStmt", "CreateFunctionStmt") and _IN_A_BODY.search(one.sql)
        if one.kind in _OF_THE_SERVER or body or set(_objects(one.tree)) & set(_OBJECTS):
            return one.offset
    return None


def _objects(tree: dict[str, Any]) -> list[str]:
    return [str(tree.get(key)) for key in ("objtype", "objectType", "renameType", "removeType")]


class Copies(Shadow):
    """Makes copies of the target, by its own server.

    Args:
        target: what to copy.
        maintenance: the name of another database of the server.
        restore: dumps the target, and restores it into a database of this name; returns what could
            not be made.
        settings: of the target's sessions.
        say: called with a sentence about how a copy is made.

    Attributes:
        made_by: ``template`` or ``dump``; empty before the first copy.
        ms: how long the last copy took.
    """

    prefix = "turnback_copy_"
    is_copy = True

    def __init__(
        self,
        target: Target,
        maintenance: str,
        restore: Callable[[str], Sequence[str]],
        settings: Surroundings,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(conninfo.make_conninfo(target.url, dbname=maintenance))
        self._target = target
        self._restore = restore
        self._say = say
        self.applied = target.applied
        self.surroundings = Surroundings(settings.settings)
        self.made_by = ""
        self.ms = 0.0

    def _create(self, admin: Connection, name: str) -> None:
        began = time.monotonic()
        source = identifier(self._target.name)
        try:
            send(admin, f"CREATE DATABASE {identifier(name)} TEMPLATE {source}")
            self.made_by = "template"
        except ServerError as error:
            if error.sqlstate not in _NO_TEMPLATE or not self._may_create(admin):
                raise DatabaseRefused(
                    f"no copy of {self._target.name} can be made: {error}",
                    sqlstate=error.sqlstate,
                    hint=server_trouble(error.sqlstate) or "grant CREATEDB to this user",
                ) from error
            self._say(f"It cannot be used as a template ({error}), so it is dumped and restored.")
            self.missing += self._restore(name)
            self.made_by = "dump"
        self.ms = (time.monotonic() - began) * 1000

    def _may_create(self, admin: Connection) -> bool:
        query = (
            "SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
        )
        return list(rows(send(admin, query)[0])) == [("t",)]

    def to_dict(self) -> dict[str, Any]:
        return {
            "database": self._target.name,
            "bytes": self._target.bytes,
            "made_by": self.made_by,
            "ms": round(self.ms, 1),
        }
