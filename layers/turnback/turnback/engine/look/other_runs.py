"""What other runs did to a database: rolling back must not undo it unnoticed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from psycopg.rows import scalar_row, tuple_row

from turnback.engine.session.message import Connection
from turnback.engine.session.query import load, query

_LISTED = 20


@dataclass(frozen=True, slots=True)
class OtherRun:
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


def changes_since(
    connection: Connection, schema: str, run: str, since: str | None, changed: Collection[str]
) -> list[OtherRun]:
    """What other runs did since a time; the history must exist.

    Args:
        connection: a session.
        schema: the history's schema.
        run: the run whose own work does not count.
        since: ISO 8601, by the server's clock; None to go by ``changed`` alone.
        changed: migrations that always count, if another run was the last to do them.
    """
    params = {"run": run, "since": since, "versions": list(changed)}
    return _other_runs(connection, load("changes_since", schema), params)


def applied_on_top(
    connection: Connection, schema: str, run: str, versions: Iterable[str]
) -> list[OtherRun]:
    """What other runs applied after this run did the first of these migrations, and is applied."""
    params = {"run": run, "versions": list(versions)}
    return _other_runs(connection, load("applied_on_top", schema), params)


def applying_run(connection: Connection, schema: str, version: str) -> str | None:
    """The run that applied this migration last."""
    found = query(connection, load("applying_run", schema), scalar_row, {"version": version})
    return found[0] if found else None


def rolled_back_by(connection: Connection, schema: str, run: str) -> list[str]:
    """The migrations in which this run undid something, and which it did not apply again.

    A statement whose end is not recorded counts: nobody knows that it did nothing.
    """
    return query(connection, load("rolled_back_by", schema), scalar_row, {"run": run})


def _other_runs(connection: Connection, sql: str, params: Mapping[str, object]) -> list[OtherRun]:
    found = query(connection, sql, tuple_row, params)
    return [OtherRun(run, release, tuple(versions)) for run, release, versions in found]
