"""Migrations that began outside a transaction and did not finish, as the log records them.

Before the first statement of such a migration the log gets a row with its rollback script, its
name, and what each statement makes and writes, so that undoing it needs no file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from psycopg.rows import class_row

from turnback.engine.look.history import Entry, StoredScript
from turnback.engine.session.message import Connection
from turnback.engine.session.query import load, query
from turnback.migrations.versions import key
from turnback.sql.statements import Statement
from turnback.sql.tree import makes, writes_rows


@dataclass(frozen=True, slots=True)
class ScriptEffects:
    """What the statements of a forward script make, and which of them write rows.

    Attributes:
        makes: number of a statement → names of the objects it makes, as of ``tree.makes``.
        writes: number of a statement that writes rows → the parser's name of its kind.
    """

    makes: Mapping[int, frozenset[str]] = field(default_factory=dict)
    writes: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, statements: Sequence[Statement]) -> ScriptEffects:
        """The effects of these statements."""
        made = {n: makes(statement) for n, statement in enumerate(statements, 1)}
        return cls(
            {n: names for n, names in made.items() if names},
            {n: one.kind for n, one in enumerate(statements, 1) if writes_rows(one)},
        )

    def to_json(self, name: str) -> str:
        """The note that the log keeps, with the migration's name."""
        made = {str(n): sorted(names) for n, names in self.makes.items()}
        return json.dumps({"name": name, "makes": made, "writes": self.writes}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class HalfDone:
    """A migration of which only some statements are done.

    Attributes:
        version: the migration's version.
        name: its name.
        checksum: of its forward script.
        done: the numbers of the statements that are recorded as done.
        runs: the runs that changed something.
        effects: what the forward script's statements make and write; None in the log of an older
            turnback.
        rollback: the rollback script in the log, if there is one.
        notes: what was noted before the statements whose end is not recorded.
    """

    version: str
    name: str
    checksum: str
    done: frozenset[int]
    runs: frozenset[str]
    effects: ScriptEffects | None = None
    rollback: StoredScript | None = None
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What the version is compared by."""
        return key(self.version)

    def made(self) -> frozenset[str]:
        """The names that the statements make which are done."""
        return frozenset().union(*(n for i, n in self._makes() if i in self.done))

    def never_made(self) -> frozenset[str]:
        """The names that only statements make which are not done."""
        missing = (names for number, names in self._makes() if number not in self.done)
        return frozenset().union(*missing) - self.made()

    def not_written(self) -> list[tuple[int, str]]:
        """Number and kind of the statements that write rows and are not done."""
        writes = self.effects.writes.items() if self.effects else ()
        return [(number, kind) for number, kind in writes if number not in self.done]

    def _makes(self) -> Iterable[tuple[int, frozenset[str]]]:
        return self.effects.makes.items() if self.effects else ()


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row of the log about a migration that is not finished."""

    version: str
    run: str
    statement: int | None
    outcome: str
    checksum: str | None
    text: str | None
    rollback_path: str | None
    rollback_sql: str | None


def find_half_done(
    connection: Connection, schema: str, entries: Iterable[Entry] = ()
) -> list[HalfDone]:
    """Every migration that is half done, the one that began last first. The history must exist.

    Args:
        connection: the session.
        schema: the history's schema.
        entries: the history's rows. They have the names that the log of an older turnback lacks.
    """
    known = {entry.version: entry for entry in entries}
    found = read_half_done(query(connection, load("unfinished", schema), class_row(LogRow)))
    return [
        replace(half, name=known[half.version].name, checksum=known[half.version].checksum)
        if not half.checksum and half.version in known
        else half
        for half in found
    ]


def read_half_done(rows: Iterable[LogRow]) -> list[HalfDone]:
    """The migrations that are half done, in the order of their first rows.

    Half done means: since it was last applied or rolled back as a whole, it has a statement that
    is done, one that was begun and whose end is not recorded, or one that failed and left
    something behind.

    Args:
        rows: of the versions that were not finished since, oldest first within each version.
    """
    found: dict[str, _Reader] = {}
    for row in rows:
        found.setdefault(row.version, _Reader()).add(row)
    return [reader.result(version) for version, reader in found.items() if reader.changed_something]


def of_run(found: Iterable[HalfDone], run: str) -> list[HalfDone]:
    """Those in which this run changed something."""
    return [half for half in found if run in half.runs]


class _Reader:
    """Reads the rows of one version, oldest first."""

    def __init__(self) -> None:
        self._done: set[int] = set()
        self._runs: set[str] = set()
        # Begun, and the end is not recorded: number → run and note.
        self._open: dict[int, tuple[str, str | None]] = {}
        self._name = ""
        self._checksum = ""
        self._effects: ScriptEffects | None = None
        self._rollback: StoredScript | None = None

    def add(self, row: LogRow) -> None:
        number = row.statement
        if number is None:
            if row.outcome == "started":
                self._begin(row)
            elif row.outcome == "failed":
                self._open.clear()
        elif row.outcome == "started":
            self._open[number] = (row.run, row.text)
        elif row.outcome == "done":
            self._done.add(number)
            self._runs.add(row.run)
            self._open.pop(number, None)
        elif row.outcome == "failed":
            # The row of a failure has a number only if the statement left something behind.
            self._runs.add(row.run)

    def _begin(self, row: LogRow) -> None:
        noted = json.loads(row.text or "")
        self._name, self._checksum = noted["name"], row.checksum or ""
        self._effects = ScriptEffects(
            {int(n): frozenset(names) for n, names in noted["makes"].items()},
            {int(n): kind for n, kind in noted["writes"].items()},
        )
        path, sql = row.rollback_path, row.rollback_sql
        self._rollback = StoredScript(path, sql) if path is not None and sql is not None else None

    @property
    def changed_something(self) -> bool:
        return bool(self._runs or self._open)

    def result(self, version: str) -> HalfDone:
        return HalfDone(
            version=version,
            name=self._name,
            checksum=self._checksum,
            done=frozenset(self._done),
            runs=frozenset(self._runs | {run for run, _ in self._open.values()}),
            effects=self._effects,
            rollback=self._rollback,
            notes=tuple(note for _, note in self._open.values() if note),
        )
