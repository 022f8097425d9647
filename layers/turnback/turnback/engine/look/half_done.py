"""What was begun outside a transaction and did not come to its end, as the log tells it.

Before the first statement of such a migration the log gets a row with its rollback script, its
name, and what each statement makes and writes: whoever takes the half back needs no file for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from turnback.engine.session.message import Connection, rows, send
from turnback.sql.quoting import identifier
from turnback.sql.statements import Statement
from turnback.sql.tree import makes, writes_rows


@dataclass(frozen=True, slots=True)
class Work:
    """What the statements of a forward script make, and which of them write rows.

    Attributes:
        makes: number of a statement → names of the objects it makes, as of ``naming.makes``.
        writes: number of a statement that writes rows → the parser's name of its kind.
    """

    makes: Mapping[int, frozenset[str]] = field(default_factory=dict)
    writes: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, statements: Sequence[Statement]) -> Work:
        """What these statements do."""
        made = {n: makes(statement) for n, statement in enumerate(statements, 1)}
        return cls(
            {n: names for n, names in made.items() if names},
            {n: one.kind for n, one in enumerate(statements, 1) if writes_rows(one)},
        )

    def to_json(self, name: str) -> str:
        """As the log keeps it, with the migration's name."""
        made = {str(n): sorted(names) for n, names in self.makes.items()}
        return json.dumps({"name": name, "makes": made, "writes": self.writes}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class HalfDone:
    """A migration of which some statements are done, and others are not.

    Attributes:
        version: the migration's version.
        name: its name.
        checksum: of its forward script.
        done: the numbers of the statements that are recorded as done.
        runs: the runs that changed something.
        work: what the forward script's statements make and write; None where the log has it not.
        rollback: path and SQL of the rollback script in the log; None where there is none.
        noted: what was noted before the statements whose end nobody heard of.
    """

    version: str
    name: str
    checksum: str
    done: frozenset[int]
    runs: frozenset[str]
    work: Work | None = None
    rollback: tuple[str, str] | None = None
    noted: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """The version as a number."""
        return int(self.version)

    def made(self, work: Work) -> frozenset[str]:
        """The names that the statements make which are done."""
        return frozenset().union(*(n for i, n in work.makes.items() if i in self.done))

    def never_made(self, work: Work) -> frozenset[str]:
        """The names that only statements make which are not done."""
        open_still = (n for i, n in work.makes.items() if i not in self.done)
        return frozenset().union(*open_still) - self.made(work)

    def not_written(self, work: Work) -> list[tuple[int, str]]:
        """Number and kind of the statements that write rows and are not done."""
        return [(n, kind) for n, kind in work.writes.items() if n not in self.done]


def find_half_done(connection: Connection, schema: str) -> list[HalfDone]:
    """Every migration that is half done, newest version first. The history must exist.

    Half done is what has, since it was last applied or rolled back as a whole, a statement that
    is done; or one that was begun and never ended, or failed and left something behind.
    """
    log = f"{identifier(schema)}.migration_log"
    query = (
        "SELECT version, run_id, statement, outcome, statement_checksum, error, rollback_path, "
        f"rollback_sql FROM {log} l WHERE direction = 'up' AND version IN (SELECT s.version "
        f"FROM {log} s WHERE s.direction = 'up' AND s.statement IS NOT NULL) AND NOT EXISTS "
        f"(SELECT FROM {log} w WHERE w.version = l.version AND w.id >= l.id "
        "AND w.outcome = 'done' AND w.statement IS NULL) ORDER BY version::numeric DESC, id"
    )
    found: dict[str, _Reading] = {}
    for version, run, statement, outcome, checksum, text, path, sql in rows(
        send(connection, query)[0]
    ):
        reading = found.setdefault(str(version), _Reading())
        number = int(statement) if statement else None
        if number is None and outcome == "started":
            reading.begin(str(checksum), str(text), path, sql)
        else:
            reading.add(str(run), number, str(outcome), text)
    return [
        reading.result(version) for version, reading in found.items() if reading.changed_something
    ]


def of_run(found: Iterable[HalfDone], run: str) -> list[HalfDone]:
    """Those that this run changed something of."""
    return [half for half in found if run in half.runs]


class _Reading:
    """The rows of one version, oldest first."""

    def __init__(self) -> None:
        self._done: set[int] = set()
        self._runs: set[str] = set()
        # Begun, and not heard of since: number → run and note.
        self._open: dict[int, tuple[str, str | None]] = {}
        self._name = ""
        self._checksum = ""
        self._work: Work | None = None
        self._rollback: tuple[str, str] | None = None

    def begin(self, checksum: str, text: str, path: str | None, sql: str | None) -> None:
        noted = json.loads(text)
        self._name, self._checksum = noted["name"], checksum
        self._work = Work(
            {int(n): frozenset(names) for n, names in noted["makes"].items()},
            {int(n): kind for n, kind in noted["writes"].items()},
        )
        self._rollback = (path, sql) if path is not None and sql is not None else None

    def add(self, run: str, number: int | None, outcome: str, text: str | None) -> None:
        if number is not None and outcome == "started":
            self._open[number] = (run, text)
        elif number is not None and outcome == "done":
            self._done.add(number)
            self._runs.add(run)
            self._open.pop(number, None)
        elif number is not None and outcome == "failed":
            # It failed and left something: only then its number is in the row.
            self._runs.add(run)
        elif outcome == "failed":
            self._open.clear()

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
            work=self._work,
            rollback=self._rollback,
            noted=tuple(note for _, note in self._open.values() if note),
        )
