"""A migration from the difference between the shadow database and a schema that a tool describes.

The tool says what SQL leads from a database to its schema, and from the schema to the database. So
both scripts of the migration are known before the first one runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from turnback.engine.session.message import Connection, rows, send
from turnback.errors import ConfigurationError
from turnback.rehearsal.database import ShadowDatabase
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.quoting import identifier, literal
from turnback.sql.renames import Rename, lost_values, renames
from turnback.sql.statements import Statement, split
from turnback.sql.tokens import tokens

# ALTER TABLE renames nothing beside other changes (manual, ALTER TABLE); Prisma writes it so.
_RENAME_FIRST = re.compile(
    r'^(ALTER TABLE (?:"(?:[^"]|"")+"\.)?"(?:[^"]|"")+" )'
    r'(RENAME CONSTRAINT "(?:[^"]|"")+" TO "(?:[^"]|"")+"),$\s',
    re.MULTILINE,
)


class Differ(Protocol):
    """Compares a database with the schema of the project."""

    def forward(self, url: str) -> str:
        """The SQL that leads from the database to the schema; without statements if it is there."""

    def back(self, url: str) -> str:
        """The SQL that leads from the schema to the database."""


@dataclass(frozen=True, slots=True)
class Derived:
    """The scripts of a migration.

    Attributes:
        renamed: what was renamed, in order; the scripts have it.
        lost_values: the values of enums that the migration removes.
    """

    forward: str
    rollback: str
    renamed: Sequence[Rename]
    lost_values: Sequence[str]


def derive(
    differ: Differ,
    database: ShadowDatabase,
    url: str,
    decide: Callable[[list[Rename]], list[Rename]],
    *,
    qualified: bool = False,
) -> Derived | None:
    """The migration from the shadow database to the schema; None if there is no difference.

    What was renamed is renamed in the shadow database, and the rest is compared again.

    Args:
        differ: compares them.
        database: the shadow database, to which all migrations were applied.
        url: its address.
        decide: chooses, of what may have been renamed, what was. It is asked again about what shows
            once that is done.
        qualified: whether the names of tables in ``public`` keep their schema.

    Raises:
        ConfigurationError: a rename cannot be done.
    """
    renamed: list[Rename] = []
    while True:
        forward, back = (
            _Text.of(sql, database.connection, qualified=qualified)
            for sql in (differ.forward(url), differ.back(url))
        )
        found = renames(forward.statements, back.statements)
        chosen = decide(found) if found else []
        if not chosen:
            break
        for one in chosen:
            if not database.change([one.sql]):
                raise ConfigurationError(
                    f"{one.text} cannot be renamed in the shadow database",
                    hint=f"does another one have that name? Try it: {one.sql}",
                )
        renamed += chosen
    if not forward.statements and not renamed:
        return None
    undone = [one.reverse.sql for one in reversed(renamed)]
    made = [f"DROP SCHEMA {identifier(name)};" for name in forward.schemas]
    return Derived(
        _script([*(one.sql for one in renamed), forward.sql]),
        _script([back.sql, *made, *undone]),
        renamed,
        lost_values(forward.statements, back.statements),
    )


def _script(parts: Sequence[str]) -> str:
    """The body of a file; an empty line comes after its header."""
    return "".join(f"\n{part}\n" for part in parts if part)


@dataclass(frozen=True, slots=True)
class _Text:
    """SQL of the tool without what a migration does not need.

    That is the CREATE SCHEMA IF NOT EXISTS of a schema that exists, BEGIN and COMMIT (a migration
    is one transaction), and ``public``: the tables may be in another schema of the search path.

    Attributes:
        schemas: the schemas that it makes.
    """

    sql: str
    statements: Sequence[Statement]
    schemas: Sequence[str]

    @classmethod
    def of(cls, sql: str, connection: Connection, *, qualified: bool) -> _Text:
        sql = _RENAME_FIRST.sub(r"\1\2;\n\1", sql)
        try:
            statements = split(sql)
        except SqlSyntaxError as error:
            [line, *_] = sql[error.offset :].splitlines() or [""]
            raise ConfigurationError(
                f"the difference is not SQL that PostgreSQL reads: {error} in {line.strip()!r}",
                hint="make the change in smaller steps, a migration each",
            ) from error
        wanted = {one.tree["schemaname"] for one in statements if one.kind == "CreateSchemaStmt"}
        made = sorted(name for name in wanted if not _exists(connection, name))
        cuts = [
            (one.offset, one.end)
            for one in statements
            if one.kind == "TransactionStmt"
            or (one.kind == "CreateSchemaStmt" and one.tree["schemaname"] not in made)
        ]
        spans = [_whole(sql, start, end) for start, end in cuts]
        if not qualified:
            spans += _public(sql)
        for start, end in sorted(spans, reverse=True):
            sql = sql[:start] + sql[end:]
        kept = split(sql)
        return cls(sql.strip() if kept else "", kept, made)


def _whole(sql: str, start: int, end: int) -> tuple[int, int]:
    """A statement with its semicolon and its line, and with the comment that is above it."""
    end = sql.find("\n", end) + 1 or len(sql)
    head = sql.rfind("\n", 0, start) + 1
    comment = sql.rfind("\n", 0, max(head - 1, 0)) + 1
    above = sql[comment:head]
    # The comment above BEGIN is about what follows it.
    return (comment if above.startswith("-- CreateSchema") else head), end


def _public(sql: str) -> list[tuple[int, int]]:
    """Where ``"public".`` is in front of a name."""
    found, before = [], None
    for token in tokens(sql):
        if before and before.text == '"public"' and token.text == ".":
            found.append((before.start, token.end))
        before = token
    return found


def _exists(connection: Connection, schema: str) -> bool:
    query = f"SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {literal(schema)}"
    return bool(list(rows(send(connection, query)[0])))
