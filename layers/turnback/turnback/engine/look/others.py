"""What other runs did to a database: a way back must not take it away unnoticed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from turnback.engine.session.message import Connection, rows, send
from turnback.sql.quoting import identifier, literal

# The whole migrations in the log, each with its last row: who made it what it is now.
_LAST = (
    "SELECT DISTINCT ON (version) id, version, run_id, release FROM {log} "
    "WHERE outcome = 'done' AND statement IS NULL ORDER BY version, id DESC"
)

_LISTED = 20


@dataclass(frozen=True, slots=True)
class Other:
    """What another run did.

    Attributes:
        run: its id.
        release: the release it applied, or None.
        versions: the migrations it changed, in order.
    """

    run: str
    release: str | None
    versions: tuple[str, ...]

    def __str__(self) -> str:
        release = f" (release {self.release})" if self.release else ""
        more = f" and {len(self.versions) - _LISTED} more" if len(self.versions) > _LISTED else ""
        return f"run {self.run}{release}: {', '.join(self.versions[:_LISTED])}{more}"


def worked_since(
    connection: Connection, schema: str, run: str, since: str | None, changed: Collection[str]
) -> list[Other]:
    """What other runs did since a time; the history must exist.

    Args:
        connection: a session.
        schema: the history's schema.
        run: whose work is not meant.
        since: ISO 8601, by the server's clock; None to go by ``changed`` alone.
        changed: migrations that count in any case, if another run was the last to do them.
    """
    log = f"{identifier(schema)}.migration_log"
    named = ", ".join(literal(version) for version in changed) or "NULL"
    late = "false" if since is None else f"logged_at > {literal(since)}::timestamptz"
    return _grouped(
        connection,
        f"SELECT DISTINCT run_id, release, version FROM {log} "
        f"WHERE run_id <> {literal(run)} AND outcome <> 'failed' AND {late} UNION "
        f"SELECT run_id, release, version FROM ({_LAST.format(log=log)}) l "
        f"WHERE run_id <> {literal(run)} AND version IN ({named})",
    )


def built_on(connection: Connection, schema: str, run: str, versions: Iterable[str]) -> list[Other]:
    """What other runs applied after this run did these migrations, and stands still."""
    prefix = identifier(schema)
    log = f"{prefix}.migration_log"
    named = ", ".join(literal(version) for version in versions) or "NULL"
    return _grouped(
        connection,
        f"SELECT run_id, release, version FROM ({_LAST.format(log=log)}) l "
        f"JOIN {prefix}.migrations m USING (version) "
        f"WHERE m.success AND m.rolled_back_at IS NULL AND run_id <> {literal(run)} "
        f"AND l.id > (SELECT min(f.id) FROM {log} f WHERE f.run_id = {literal(run)} "
        f"AND f.direction = 'up' AND f.outcome <> 'failed' AND f.version IN ({named}))",
    )


def taken_back(connection: Connection, schema: str, run: str) -> list[str]:
    """The migrations of which this run took back something, and which it did not apply again.

    A statement that was begun and never heard of counts: nobody knows that it did nothing.
    """
    query = (
        f"SELECT DISTINCT version, version::numeric FROM {identifier(schema)}.migration_log d "
        f"WHERE run_id = {literal(run)} AND direction = 'down' AND outcome <> 'failed' "
        "AND sqlstate IS NULL AND NOT EXISTS (SELECT FROM "
        f"{identifier(schema)}.migration_log u WHERE u.version = d.version AND "
        f"u.run_id = {literal(run)} AND u.direction = 'up') ORDER BY 2"
    )
    return [str(row[0]) for row in rows(send(connection, query)[0])]


def _grouped(connection: Connection, query: str) -> list[Other]:
    found: dict[tuple[str, str | None], list[str]] = {}
    ordered = f"SELECT * FROM ({query}) q ORDER BY run_id, release, version::numeric"
    for run, release, version in rows(send(connection, ordered)[0]):
        found.setdefault((str(run), release), []).append(str(version))
    return [Other(run, release, tuple(versions)) for (run, release), versions in found.items()]
