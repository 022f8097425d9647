"""The migrations of a project as files and history of another tool."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from turnback.errors import ConfigurationError, InvalidMigration
from turnback.migrations.layouts import flyway
from turnback.migrations.model import BATCH, Migration, Project, Script

_FLYWAY_CONF = "executeInTransaction=false\n"
_DBMATE_MARK = re.compile(r"^--\s*migrate:(?:up|down)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Target:
    """A tool that can take the migrations.

    Attributes:
        name: of the tool.
        table: in which it records what is applied.
        files: the files of a migration, path → text, by the version that it gets.
        create: SQL that makes the table.
        columns: those that are written.
        rows: the rows of that table, by column, for what is applied, in this order.
        one_version: whether it keeps the newest version only.
        one_message: whether it sends a script as one message, which is one transaction.
    """

    name: str
    table: str
    files: Callable[[Migration, str], dict[str, str]]
    create: str
    columns: Sequence[str]
    rows: Callable[[Sequence[Leaving]], list[dict[str, str | int | None]]]
    one_version: bool = False
    one_message: bool = True


@dataclass(frozen=True, slots=True)
class Leaving:
    """A migration that is applied, as its new tool has to know it.

    Attributes:
        version: the one that it gets.
        files: its files, path → text, the forward script first.
        applied_at: when, in ISO 8601.
        execution_ms: how long it took, milliseconds.
    """

    migration: Migration
    version: str
    files: Mapping[str, str]
    applied_at: str
    execution_ms: int


def versions(migrations: Sequence[Migration]) -> list[str]:
    """The versions for a tool that sorts names of files: numbers, all with the same digits.

    Raises:
        ConfigurationError: a version is no number.
    """
    for migration in migrations:
        if not migration.version.isdecimal():
            raise ConfigurationError(
                f"the version {migration.version} is no number, and the other tool needs one",
                file=migration.forward.path,
                hint="number the files first: turnback adopt --convert DIR",
            )
    width = max((len(migration.version) for migration in migrations), default=0)
    return [migration.version.zfill(width) for migration in migrations]


def notes(project: Project, target: Target) -> list[str]:
    """What the tool does not do of what the files ask for, a sentence each."""
    found = [
        f"{one.forward.path} is not taken along: only turnback applies it again when it changes"
        for one in project.repeatables
    ]
    for migration in project.migrations:
        for script in filter(None, (migration.forward, migration.rollback)):
            asked = script.directives
            values = {
                "lock-timeout": asked.lock_timeout_ms,
                "statement-timeout": asked.statement_timeout_ms,
                "isolation": asked.isolation,
                "backfill": asked.backfill,
                "swap": asked.swap,
                "after": asked.after,
            }
            words = [word for word, value in values.items() if value]
            found += [f"{script.path}: only turnback obeys '{word}'" for word in words]
            if asked.no_transaction and target.one_message:
                found.append(
                    f"{script.path} runs outside a transaction: {target.name} can do that only "
                    "where it has one statement"
                )
        if migration.verify:
            found.append(f"{migration.verify.path} is not taken along: only turnback runs it")
    return found


def _text(script: Script) -> str:
    text = "".join(script.blocks()).lstrip("\n")
    if script.directives.backfill:
        # All ranges of the table in one statement.
        text = text.replace(BATCH, "true")
    return text if not text or text.endswith("\n") else f"{text}\n"


def _dbmate(migration: Migration, version: str) -> dict[str, str]:
    parts = []
    for word, script in (("up", migration.forward), ("down", migration.rollback)):
        text = _text(script) if script else ""
        if script and (mark := _DBMATE_MARK.search(text)):
            raise InvalidMigration(
                "dbmate would take this line for the beginning of a section",
                file=script.path,
                line=script.position(script.sql.find(mark[0]))[0],
                hint="change the comment",
            )
        outside = script is not None and script.directives.no_transaction
        parts.append(f"-- migrate:{word}{' transaction:false' if outside else ''}\n{text}")
    return {f"{version}_{migration.name}.sql": "\n".join(parts)}


def _golang_migrate(migration: Migration, version: str) -> dict[str, str]:
    name = f"{version}_{migration.name}"
    files = {f"{name}.up.sql": _text(migration.forward)}
    if migration.rollback:
        files[f"{name}.down.sql"] = _text(migration.rollback)
    return files


def _flyway(migration: Migration, version: str) -> dict[str, str]:
    name = f"{version}__{migration.name}.sql"
    files = {f"V{name}": _text(migration.forward)}
    if migration.rollback:
        files[f"U{name}"] = _text(migration.rollback)
    for path, script in ((f"V{name}", migration.forward), (f"U{name}", migration.rollback)):
        conf = _FLYWAY_CONF if script and script.directives.no_transaction else ""
        if script and "${" in files[path]:
            conf += "placeholderReplacement=false\n"
        if conf:
            files[f"{path}.conf"] = conf
    return files


def _dbmate_rows(applied: Sequence[Leaving]) -> list[dict[str, str | int | None]]:
    return [{"version": one.version} for one in applied]


def _golang_migrate_rows(applied: Sequence[Leaving]) -> list[dict[str, str | int | None]]:
    return [{"version": int(one.version), "dirty": False} for one in applied[-1:]]


def _flyway_rows(applied: Sequence[Leaving]) -> list[dict[str, str | int | None]]:
    return [
        {
            "installed_rank": rank,
            "version": one.version,
            "description": one.migration.name.replace("_", " "),
            "type": "SQL",
            "script": next(iter(one.files)),
            "checksum": flyway.checksum(next(iter(one.files.values())).encode()),
            "installed_by": "turnback",
            "installed_on": one.applied_at,
            "execution_time": one.execution_ms,
            "success": True,
        }
        for rank, one in enumerate(applied, 1)
    ]


_FLYWAY_TABLE = """\
CREATE TABLE {table} (
    installed_rank integer NOT NULL CONSTRAINT flyway_schema_history_pk PRIMARY KEY,
    version varchar(50),
    description varchar(200) NOT NULL,
    type varchar(20) NOT NULL,
    script varchar(1000) NOT NULL,
    checksum integer,
    installed_by varchar(100) NOT NULL,
    installed_on timestamp NOT NULL DEFAULT now(),
    execution_time integer NOT NULL,
    success boolean NOT NULL
);
CREATE INDEX flyway_schema_history_s_idx ON {table} (success)"""

TARGETS = {
    target.name: target
    for target in (
        Target(
            "flyway",
            "flyway_schema_history",
            _flyway,
            _FLYWAY_TABLE,
            ("installed_rank", "version", "script", "checksum", "success"),
            _flyway_rows,
            one_message=False,
        ),
        Target(
            "golang-migrate",
            "schema_migrations",
            _golang_migrate,
            "CREATE TABLE {table} (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)",
            ("version", "dirty"),
            _golang_migrate_rows,
            one_version=True,
        ),
        Target(
            "dbmate",
            "schema_migrations",
            _dbmate,
            "CREATE TABLE {table} (version varchar NOT NULL PRIMARY KEY)",
            ("version",),
            _dbmate_rows,
        ),
    )
}
