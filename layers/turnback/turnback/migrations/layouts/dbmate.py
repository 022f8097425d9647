"""dbmate: ``VERSION_name.sql`` with a section ``migrate:up`` and a section ``migrate:down``.

Source: pkg/dbmate/migration.go and postgres.go of github.com/amacneil/dbmate (2.x).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from turnback.errors import InvalidMigration
from turnback.migrations.files import Files
from turnback.migrations.layouts.layout import Applied, Kept, Row, Table
from turnback.migrations.layouts.names import header, listed
from turnback.migrations.layouts.reading import Reading
from turnback.migrations.layouts.sections import Sections, Text, after_line, divided, line_of
from turnback.migrations.model import Migration

_NAME = re.compile(r"([0-9]{1,20})(.*)\.sql")
_UP, _DOWN = (
    re.compile(rf"^--[ \t]*migrate:{word}(?=[ \t\r]|$)([^\r\n]*)", re.MULTILINE)
    for word in ("up", "down")
)
_UP_LINE, _DOWN_LINE = "-- migrate:up", "-- migrate:down"


class Dbmate:
    """See Layout."""

    name = "dbmate"
    by_time = True

    def __init__(self) -> None:
        self.history = _History()

    def recognise(self, files: Files) -> str | None:
        """See Layout."""
        for path, data in listed(files, _NAME):
            if _UP.search(data):
                return f"{path} has a line '{_UP_LINE}'"
        return None

    def read(self, reading: Reading) -> list[Migration]:
        """See Layout."""
        return list(_migrations(reading))

    def new(self, version: str, slug: str) -> dict[str, str]:
        """See Layout."""
        text = f"{header(slug, version)}{_UP_LINE}\n\n\n{_DOWN_LINE}\n\n"
        return {f"{version}_{slug}.sql": text}


def _migrations(reading: Reading) -> Iterator[Migration]:
    for filename in reading.names(""):
        match = _NAME.fullmatch(filename)
        if not match or (read := reading.text(filename)) is None:
            continue
        file = Text(filename, match[1], match[2].removeprefix("_") or match[1], *read)
        try:
            found = _sections(file)
        except InvalidMigration as finding:
            reading.findings.append(finding)
            continue
        if migration := divided(reading, file, found, _DOWN_LINE):
            yield migration


def _sections(file: Text) -> Sections:
    text = file.text
    up, down = _UP.search(text), _DOWN.search(text)
    if up is None:
        raise InvalidMigration(
            f"there is no line '{_UP_LINE}'",
            file=file.path,
            hint="write it above the statements; dbmate reads no file without it",
        )
    if down and down.start() < up.start():
        raise InvalidMigration(
            f"'{_DOWN_LINE}' comes before '{_UP_LINE}'",
            file=file.path,
            line=line_of(text, down),
            hint="dbmate reads the section of the rollback from the end of the file",
        )
    for before, line in enumerate(text[: up.start()].split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("--"):
            raise InvalidMigration(
                f"a statement precedes '{_UP_LINE}'",
                file=file.path,
                line=before,
                hint="move it below that line; dbmate refuses the file",
            )
    end = down.start() if down else len(text)
    below = [(after_line(text, down.start()), len(text))] if down else []
    return Sections(
        [(0, up.start()), (after_line(text, up.start()), end)],
        below,
        _outside(file, up),
        down is not None and _outside(file, down),
    )


def _outside(file: Text, marker: re.Match[str]) -> bool:
    """Whether the options of a section say that it runs outside a transaction."""
    outside = False
    for option in marker[1].split():
        if option not in ("transaction:false", "transaction:true"):
            raise InvalidMigration(
                f"the option '{option}' is not known",
                file=file.path,
                line=line_of(file.text, marker),
                hint="turnback obeys transaction:false; write what another option inserts into "
                "the file",
            )
        outside = option == "transaction:false"
    return outside


class _History:
    """``schema_migrations(version)``: one row for each migration that is applied."""

    def owns(self, table: Table, beside: Collection[Table]) -> bool:
        """See History. Rails has the same table, beside ``ar_internal_metadata``."""
        return dict(table.columns) == {"version": "character varying"} and not any(
            other.name == "ar_internal_metadata" and other.schema == table.schema
            for other in beside
        )

    def query(self, table: str, columns: Collection[str]) -> str:  # noqa: ARG002
        """See History."""
        return f"SELECT version FROM {table} ORDER BY version"

    def read(
        self,
        rows: Sequence[Row],
        migrations: Sequence[Migration],
        files: Files,  # noqa: ARG002
    ) -> Kept:
        """See History."""
        names = {migration.version: migration.name for migration in migrations}
        versions = [str(row["version"]) for row in rows]
        return Kept([Applied(version, names.get(version, "")) for version in versions])


LAYOUT = Dbmate()
