"""A project as types: scripts, migrations, directives."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from turnback.errors import TurnbackError, UnknownVersion
from turnback.migrations.psql import Cut, unquoted, without_cuts
from turnback.migrations.python import is_python
from turnback.migrations.text import line_ends
from turnback.migrations.versions import key
from turnback.settings.project import ProjectFile


@dataclass(frozen=True, slots=True)
class Waiver:
    """A lint rule switched off for this file, and why."""

    rule: str
    reason: str
    line: int


@dataclass(frozen=True, slots=True)
class Keep:
    """A table that a rollback script makes, and that remains after it; and why.

    Attributes:
        table: as the fingerprint names it, with its schema.
    """

    table: str
    reason: str


@dataclass(frozen=True, slots=True)
class Backfill:
    """A statement that is run over ranges of a table's keys, one range at a time.

    Attributes:
        table: the parts of its name.
        key: the columns of a unique index.
        alias: what the statement calls the table; None for what its text says.
        parallel: how many ranges are worked on at the same time.
        vacuum: after how many bytes of new row versions the table is vacuumed; None for never.
        sweep: whether the whole table is gone through again, until there is nothing to change.
        line: of the directive.
        columns: in Python, what is read of each row; empty for all.
        into: in Python, the table of the rows that are returned; None for statements.
        skip_conflicts: whether such a row is left out where one with its key is there.
        memory: in Python, the bytes that the process may have.
        time_ms: in Python, how long a batch may take, milliseconds.
    """

    table: tuple[str, ...]
    key: tuple[str, ...]
    alias: str | None = None
    parallel: int = 1
    vacuum: int | None = None
    sweep: bool = False
    line: int = 1
    columns: tuple[str, ...] = ()
    into: tuple[str, ...] | None = None
    skip_conflicts: bool = False
    memory: int = 256 * 2**20
    time_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class Swap:
    """A table that is changed in a copy, which then takes its place.

    Attributes:
        table: the parts of its name.
        key: the columns of a unique index, by which its rows are copied; empty for the primary
            key.
        parallel: how many ranges of them are copied at the same time.
        line: of the directive.
    """

    table: tuple[str, ...]
    key: tuple[str, ...] = ()
    parallel: int = 1
    line: int = 1


# Stands in a backfill's statement for the range of keys.
BATCH = "{batch}"


@dataclass(frozen=True, slots=True)
class Directives:
    """What the ``-- turnback:`` lines of a file's header ask for; times in milliseconds.

    Attributes:
        after: versions whose backfills must be done before.
        keep_rows: of a rollback script: why rows stay as its migration has changed them.
    """

    lock_timeout_ms: int | None = None
    statement_timeout_ms: int | None = None
    no_transaction: bool = False
    isolation: str | None = None
    irreversible: str | None = None
    backfill: Backfill | None = None
    swap: Swap | None = None
    after: tuple[str, ...] = ()
    keep_rows: str | None = None
    waivers: tuple[Waiver, ...] = ()
    keeps: tuple[Keep, ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """One file of SQL, or of Python, as it is run.

    Attributes:
        path: relative to the project's folder, with forward slashes.
        sql: the text, without a byte order mark; line ends as they are in the file.
        checksum: SHA-256 of the file's bytes, hex.
    """

    path: str
    sql: str
    checksum: str
    directives: Directives = field(default_factory=Directives)
    _line_ends: array[int] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def head(self) -> str:
        """The text, or so much of it as has the header."""
        return self.sql

    @property
    def size(self) -> int:
        """How long the text is, in characters or a little more."""
        return len(self.sql)

    def blocks(self) -> Iterable[str]:
        """The text in parts of whole lines."""
        return (self.sql,)

    @property
    def code(self) -> str:
        """The text as SQL: with blanks in place of rows of COPY, and of what else is for psql.

        Of a backfill, with ``(true)`` in place of its range: as if it took all rows at once. Of
        a file in Python, nothing.
        """
        return self.as_sql(self.sql)

    @property
    def code_head(self) -> str:
        """The beginning of ``code``, as long as ``head``."""
        return self.as_sql(self.head)

    def as_sql(self, text: str, found: list[Cut] | None = None) -> str:
        """A part of the text as SQL: see ``code``.

        Args:
            text: from the beginning of the text.
            found: its ``cuts``, where they are known.
        """
        if is_python(self.path):
            return ""
        text = without_cuts(text, found)
        for at in unquoted(text, BATCH) if self.directives.backfill else ():
            text = f"{text[:at]}( true){text[at + len(BATCH) :]}"
        return text

    def line_start(self, line: int) -> int:
        """The offset, in characters, at which a line begins that the text has; lines from 1."""
        self.position(0)
        assert self._line_ends is not None
        return self._line_ends[min(line - 2, len(self._line_ends) - 1)] + 1 if line > 1 else 0

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of an offset in characters from 0.

        The text is read for the first one only: whoever asks for each statement of a large file
        would otherwise read the file for each.
        """
        if self._line_ends is None:
            object.__setattr__(self, "_line_ends", line_ends(self.blocks()))
        assert self._line_ends is not None
        line = bisect_left(self._line_ends, offset)
        return line + 1, offset - (self._line_ends[line - 1] if line else -1)


@dataclass(frozen=True, slots=True)
class Migration:
    """A forward script with its version and name, its rollback script, its verify script.

    Attributes:
        write_rollback: what to do to give it a rollback script, as the layout has it.
        kind: ``migration``; or ``repeatable``, of which the path is the version, and the rollback
            script undoes the first time.
    """

    version: str
    name: str
    forward: Script
    rollback: Script | None = None
    verify: Script | None = None
    kind: str = "migration"
    write_rollback: str = ""

    def __post_init__(self) -> None:
        if not self.write_rollback:
            repeatable = self.kind == "repeatable"
            file = self.version if repeatable else f"{self.version}_rollback.sql"
            hint = f"write rollback/{file}"
            object.__setattr__(self, "write_rollback", hint)

    @property
    def key(self) -> str:
        """What the version is compared by."""
        return key(self.version)

    @property
    def number(self) -> int:
        """The version as a number, for layouts in which every version is one."""
        return int(self.version)


@dataclass(frozen=True, slots=True)
class Project:
    """All migrations of a folder, in the order in which they are applied.

    Attributes:
        folder: where they are.
        migrations: in the order of their layout.
        sums: what SHA256SUMS says; None where there is no such file.
        shadow: what a shadow database needs before the first migration; None if it does not exist.
        settings: what turnback.toml says.
        ignored: files below the folder that turnback.toml leaves out, and nothing else does.
        besides: files that are no scripts, and that the layout is read from: path → checksum.
        repeatables: what is applied again whenever its text changes, by path.
        left_over: why rollback and verify scripts are refused whose forward script is not there.
        baseline: how many of the first migrations were applied before turnback was used: they need
            no rollback script, and are not rolled back.
    """

    folder: Path
    migrations: tuple[Migration, ...]
    sums: Mapping[str, str] | None = None
    shadow: Script | None = None
    settings: ProjectFile = field(default_factory=ProjectFile)
    ignored: tuple[str, ...] = ()
    besides: Mapping[str, str] = field(default_factory=dict)
    repeatables: tuple[Migration, ...] = ()
    left_over: tuple[TurnbackError, ...] = ()
    baseline: int = field(init=False, default=0, compare=False)
    _places: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The first of a version, where a version is there twice.
        numbered = reversed(list(enumerate(self.migrations)))
        object.__setattr__(self, "_places", {one.key: place for place, one in numbered})
        if self.settings.baseline is not None:
            last = self.place(self.settings.baseline)
            object.__setattr__(self, "baseline", 0 if last is None else last + 1)

    def place(self, version: str) -> int | None:
        """The place of this version in ``migrations``, from 0; None if it does not exist."""
        return self._places.get(key(version))

    def find(self, version: str) -> Migration | None:
        """The migration of this version, or the repeatable; None if it does not exist."""
        place = self.place(version)
        if place is None:
            return next((one for one in self.repeatables if one.version == version), None)
        return self.migrations[place]

    def before(self, version: str) -> Sequence[Migration]:
        """The migrations before this version, which exists."""
        return self.migrations[: self._places[key(version)]]

    def in_baseline(self, version: str) -> bool:
        """Whether this version was applied before turnback was used."""
        return self._places.get(key(version), len(self.migrations)) < self.baseline

    def choose(self, versions: Sequence[str]) -> list[Migration]:
        """The migrations of these versions, in the project's order.

        Raises:
            UnknownVersion: one of them does not exist.
        """
        for version in versions:
            if self.find(version) is None:
                raise UnknownVersion(
                    f"there is no migration {version}",
                    version=version,
                    hint="turnback status shows every migration",
                )
        places = {self._places[key(version)] for version in versions}
        return [self.migrations[place] for place in sorted(places)]
