"""SQL tried on the shadow in a transaction that is rolled back: suggestions, second readings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from turnback.engine.session.message import Connection, ServerError, send
from turnback.schema.compare import TEXTS, compare
from turnback.schema.difference import Difference
from turnback.schema.model import Fingerprint, split
from turnback.schema.read import fingerprint
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
        history_schema: where turnback's own tables are.
    """

    connection: Connection
    history_schema: str = "public"

    def read_again(
        self, differences: Sequence[Difference], before: State, now: State
    ) -> list[Difference]:
        """The differences; cosmetic is one that is gone once PostgreSQL has read its text again.

        Its text is not stable: what it writes for ``IN ('a', 'b')`` of a varchar column is written
        otherwise when that text is run. So both texts are run, and what is written then is
        compared.
        """
        texts = [
            one
            for one in hard_ones(differences)
            if one.attribute in TEXTS and one.expected and one.actual
        ]
        if not texts:
            return list(differences)
        old = self._written({one: suggest(one, before.schema) for one in texts})
        new = self._written(
            {
                one: suggest(replace(one, expected=one.actual, actual=one.expected), now.schema)
                for one in texts
            }
        )
        same = {
            one for one in texts if (text := old.get(one)) and text in (one.actual, new.get(one))
        }
        return [replace(one, softness="cosmetic") if one in same else one for one in differences]

    def suggestions(
        self, differences: Sequence[Difference], before: State, now: State
    ) -> list[str]:
        """SQL that undoes differences, in an order in which it was tried; only what was seen to."""
        hard = hard_ones(differences)
        if not hard:
            return []
        send(self.connection, "BEGIN")
        try:
            # What was renamed is renamed back first: all that names it is then as it was.
            moved = dict(
                _run_in_order(self.connection, renames_back(hard, before.schema, now.schema))
            )
            left = hard_ones(compare(before.schema, self._schema())) if moved else hard
            wanted = {one: sql for one in left if (sql := suggest(one, before.schema))}
            wanted = {one: sql for one, sql in wanted.items() if not _loses_rows(one, before, now)}
            done = moved | dict(_run_in_order(self.connection, wanted))
            left = hard_ones(compare(before.schema, self._schema())) if wanted else left
        finally:
            send(self.connection, "ROLLBACK")
        remaining = {_subject(one) for one in left}
        if remaining - {_subject(one) for one in hard}:
            return []
        return [printed(sql) for one, sql in done.items() if _subject(one) not in remaining]

    def _written(self, statements: Mapping[Difference, str | None]) -> dict[Difference, str]:
        """What PostgreSQL writes for each attribute after these statements, as far as they run."""
        send(self.connection, "BEGIN")
        try:
            done = dict(
                _run_in_order(self.connection, {one: sql for one, sql in statements.items() if sql})
            )
            objects = self._schema().objects
        finally:
            send(self.connection, "ROLLBACK")
        return {one: objects.get(one.object, {}).get(one.attribute or "", "") for one in done}

    def _schema(self) -> Fingerprint:
        return fingerprint(self.connection, history_schema=self.history_schema)


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
            try:
                send(connection, f"SAVEPOINT suggestion; {sql}")
                yield one, sql
            except ServerError:
                send(connection, "ROLLBACK TO SAVEPOINT suggestion")
                failed[one] = sql
        if len(failed) == len(waiting):
            return
        waiting = failed


def _subject(difference: Difference) -> tuple[str, str | None]:
    return difference.object, difference.attribute
