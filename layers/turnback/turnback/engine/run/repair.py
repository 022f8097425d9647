"""Setting the history right by hand, with a trace of who did it and why."""

from __future__ import annotations

from turnback.engine.look.history import Entry, History
from turnback.engine.run.record import Recorder
from turnback.engine.session.message import Connection, send
from turnback.errors import ConfigurationError, UnknownVersion
from turnback.migrations.model import Migration, Project
from turnback.sql.quoting import identifier, literal


def repair(
    connection: Connection,
    history: History,
    recorder: Recorder,
    project: Project,
    version: str,
    change: str,
    reason: str,
) -> str:
    """Write what is true now; returns a sentence about it. The lock must be held.

    Args:
        connection: the session.
        history: the history, which exists.
        recorder: writes the log.
        project: the files.
        version: the migration.
        change: ``accept-checksum``, ``applied`` or ``rolled-back``.
        reason: why, for the log.

    Raises:
        UnknownVersion: neither the files nor the history know the version.
        ConfigurationError: there is nothing to repair in this way.
    """
    migration = project.find(version)
    entry = next((e for e in history.entries() if e.number == int(version)), None)
    if migration is None and entry is None:
        raise UnknownVersion(
            f"neither files nor history know {version}", hint="turnback status shows every one"
        )
    table = f"{identifier(history.schema)}.migrations"
    match change:
        case "accept-checksum":
            record, text = _accept(table, migration, entry)
        case "applied":
            record, text = _applied(recorder, migration, entry)
        case _:
            record, text = _rolled_back(table, entry)
    known = migration or entry
    assert known is not None
    logged = recorder.repaired(known.version, known.name, change, reason)
    send(connection, f"{record}; {logged}")
    return text


def _accept(table: str, migration: Migration | None, entry: Entry | None) -> tuple[str, str]:
    if migration is None or entry is None or not entry.applied:
        raise ConfigurationError("only a migration that is applied and has a file can be accepted")
    if migration.forward.checksum == entry.checksum:
        raise ConfigurationError(f"{entry.version} has the recorded checksum already")
    new = migration.forward.checksum
    return (
        f"UPDATE {table} SET checksum = {literal(new)}, name = {literal(migration.name)} "
        f"WHERE version = {literal(entry.version)}",
        f"{entry.version}: checksum {entry.checksum[:12]}… replaced by {new[:12]}…",
    )


def _applied(
    recorder: Recorder, migration: Migration | None, entry: Entry | None
) -> tuple[str, str]:
    if migration is None:
        raise ConfigurationError("there is no file to record as applied")
    if entry is not None and entry.applied:
        raise ConfigurationError(f"{entry.version} is applied already")
    return (
        recorder.applied(migration, elapsed_ms=0),
        f"{migration.version} is recorded as applied; nothing was run",
    )


def _rolled_back(table: str, entry: Entry | None) -> tuple[str, str]:
    if entry is None or entry.rolled_back_at is not None:
        raise ConfigurationError("the history does not say that it is applied")
    return (
        f"UPDATE {table} SET rolled_back_at = pg_catalog.now(), success = true, error = NULL "
        f"WHERE version = {literal(entry.version)}",
        f"{entry.version} is recorded as rolled back; nothing was run",
    )
