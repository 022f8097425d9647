"""Suggestions: SQL tried on the shadow in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from turnback.engine.session.message import Connection, ServerError, send
from turnback.schema.compare import compare
from turnback.schema.difference import Difference
from turnback.schema.follow import FollowedSchema
from turnback.schema.model import IN_TABLE, RELATIONS, Fingerprint, split, without_last
from turnback.schema.suggest import renames_back, suggest
from turnback.sql.quoting import printed


@dataclass(frozen=True, slots=True)
class State:
    """The shadow at one moment: its schema and its rows."""

    schema: Fingerprint
    rows: dict[str, str]


@dataclass(frozen=True, slots=True)
class Trials:
    """Tries SQL on a shadow database.

    Attributes:
        connection: of its own, with no transaction open.
        schema: reads it in that session.
    """

    connection: Connection
    schema: FollowedSchema

    def suggestions(
        self, differences: Sequence[Difference], before: State, now: State
    ) -> list[str]:
        """SQL that undoes differences, in an order in which it was tried; only what was seen to."""
        hard = hard_ones(differences)
        if not hard:
            return []
        with self.schema.undone():
            # What was renamed is renamed back first: all that names it is then as it was.
            moved = dict(
                _run_in_order(self.connection, renames_back(hard, before.schema, now.schema))
            )
            left = hard_ones(compare(before.schema, self.schema.read())) if moved else hard
            left.sort(key=lambda one: _place(one, before.schema))
            wanted = {one: sql for one in left if (sql := suggest(one, before.schema))}
            wanted = {one: sql for one, sql in wanted.items() if not _loses_rows(one, before, now)}
            done = moved | dict(_run_in_order(self.connection, wanted))
            left = hard_ones(compare(before.schema, self.schema.read())) if wanted else left
        if {_subject(one) for one in left} - {_subject(one) for one in hard}:
            return []
        # An object that is as it was in one respect only is still not as it was, nor is its part.
        remaining = {one.object for one in left}
        return [
            printed(sql) for one, sql in done.items() if not _with_whole(one.object) & remaining
        ]


def hard_ones(differences: Iterable[Difference]) -> list[Difference]:
    return [difference for difference in differences if difference.softness == "hard"]


def _loses_rows(difference: Difference, before: State, now: State) -> bool:
    """Whether dropping what is left over destroys rows: it existed before, or it has some."""
    if difference.kind != "extra":
        return False
    kind, name = split(difference.object)
    address = now.schema.addresses.get(difference.object)
    existed = address is not None and address in before.schema.addresses.values()
    return existed or (kind == "table" and name.replace('"', "") in now.rows)


def _run_in_order(
    connection: Connection, waiting: dict[Difference, str]
) -> Iterator[tuple[Difference, str]]:
    """Run the statements, those that fail again after others: an object may need another one."""
    while waiting:
        failed = {}
        for one, sql in waiting.items():
            # By itself: where the next message is no SQL at all, none of it runs.
            send(connection, "SAVEPOINT suggestion")
            try:
                send(connection, sql)
                yield one, sql
            except ServerError:
                send(connection, "ROLLBACK TO SAVEPOINT suggestion")
                failed[one] = sql
        if len(failed) == len(waiting):
            return
        waiting = failed


def _subject(difference: Difference) -> tuple[str, str | None]:
    return difference.object, difference.attribute


def _place(difference: Difference, before: Fingerprint) -> tuple[int, str, str]:
    """Columns first and in their order, in which they are added again; then by name."""
    attributes = before.objects.get(difference.object, {})
    position = int(attributes.get("position", 0))
    return position or 100_000, difference.object, difference.attribute or ""


def _with_whole(thing: str) -> set[str]:
    """The object, and the table, type or domain that it may be a part of."""
    kind, name = split(thing)
    if kind not in IN_TABLE:
        return {thing}
    return {thing, *(f"{word} {without_last(name)}" for word in RELATIONS)}
