"""A lock on a relation, and what another session waits for because of it."""

from __future__ import annotations

from dataclasses import dataclass

# Those that conflict with writers or with each other, weakest first (manual, 13.3.1). The others
# are taken by every reader and writer.
STRONG = (
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
# By pg_class.relkind.
KINDS = {
    "r": "table",
    "p": "table",
    "f": "foreign table",
    "m": "materialized view",
    "v": "view",
    "S": "sequence",
    "i": "index",
    "I": "index",
    "c": "composite type",
    "t": "toast",
}
_WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True, order=True)
class Lock:
    """A lock that a statement took, on a relation that others use.

    Attributes:
        relation: its name, as others know it.
        mode: as ``pg_locks`` says it.
        kind: one of ``KINDS``; ``toast`` is what holds the long values of a table.
        table: the table of an index or of long values.
    """

    relation: str
    mode: str
    kind: str = "table"
    table: str | None = None

    @property
    def strength(self) -> int:
        """Its place in ``STRONG``."""
        return STRONG.index(self.mode)

    @property
    def on_table(self) -> str:
        """The table whose readers or writers wait, or the relation itself."""
        return self.table or self.relation

    @property
    def has_size(self) -> bool:
        """Whether the table has rows of its own, so that work on it takes time."""
        return self.table is not None or self.kind in ("table", "materialized view")

    @property
    def waits(self) -> tuple[str, ...]:
        """What waits in another session, as an application says it; empty if nothing of it does.

        A query locks a table, a view and every index of a table as it is planned, and a sequence
        by nextval (manual, 13.3.1).
        """
        if self.mode == "ShareUpdateExclusiveLock":
            return ()
        alone = self.mode == "AccessExclusiveLock"
        match self.kind:
            case "sequence":
                return ("nextval", "INSERT with nextval")
            case "composite type":
                return ("a query that uses the type",) if alone else ()
            case "materialized view":
                return ("SELECT", "REFRESH") if alone else ("REFRESH",)
            case "toast":
                return ("SELECT of long values", *_WRITES) if alone else _WRITES
        return ("SELECT", *_WRITES) if alone else _WRITES

    def __str__(self) -> str:
        if self.kind == "toast":
            return f"{self.mode} on the long values (TOAST) of {self.table}"
        of = f", an index of {self.table}" if self.table else ""
        return f"{self.mode} on {self.relation}{of}"

    def to_dict(self) -> dict[str, object]:
        return {
            "relation": self.relation,
            "mode": self.mode,
            "kind": self.kind,
            "table": self.table,
            "waits": list(self.waits),
        }
