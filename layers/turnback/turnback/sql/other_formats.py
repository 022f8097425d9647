"""Files of migration tools that keep both halves, up and down, in one file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from turnback.errors import InvalidMigration
from turnback.migrations.model import Script


@dataclass(frozen=True, slots=True)
class _Format:
    """A tool, and the lines that begin the halves of its files, as its own parser reads them."""

    tool: str
    up: re.Pattern[str]
    down: re.Pattern[str]


def _format(tool: str, line: str) -> _Format:
    up, down = (
        re.compile(rf"^[ \t]*{line.format(word)}", re.IGNORECASE | re.MULTILINE)
        for word in ("up", "down")
    )
    return _Format(tool, up, down)


_FORMATS = (
    _format("dbmate", r"--[ \t]*migrate:{}\b"),
    _format("goose", r"--[ \t]*\+goose[ \t]+{}\b"),
    _format("sql-migrate", r"--[ \t]*\+migrate[ \t]+{}\b"),
    # Words of a sentence may begin in the same way: only the line alone is a marker.
    _format("node-pg-migrate", r"--[ \t-]*{}[ \t]+migration[ \t:.-]*\r?$"),
)


def refuse_other_formats(script: Script, version: str, *, forward: bool) -> None:
    """Refuse a file that has the other half of its migration in it, for the server would run both.

    A marker of the script's own half alone does no harm: it is a comment.

    Args:
        script: a forward, rollback or verify script.
        version: of its migration, for the hint.
        forward: whether it is a forward script.

    Raises:
        InvalidMigration: the file is one of dbmate, goose, sql-migrate or node-pg-migrate.
    """
    markers = [other.down if forward else other.up for other in _FORMATS]
    # Every marker is a comment, and large files of rows have none.
    commented = (block for block in script.blocks() if "--" in block)
    if not any(marker.search(block) for block in commented for marker in markers):
        return
    for other in _FORMATS:
        found = _outside_strings(script.code, other.down if forward else other.up)
        if found:
            line, _ = script.position(found.start())
            raise InvalidMigration(
                f"this is a file for {other.tool}: turnback would run both its halves, "
                f"not only the one {'before' if forward else 'after'} this line",
                file=script.path,
                line=line,
                version=version,
                hint="use the files as they are: turnback adopt; or split it: what is under the "
                f"'up' marker goes to sql/{version}_name.sql, what is under the 'down' marker to "
                f"rollback/{version}_rollback.sql; delete the markers",
            )


def _outside_strings(sql: str, marker: re.Pattern[str]) -> re.Match[str] | None:
    """The first match that is a comment, not a line of a string or of a function's body."""
    matches = list(marker.finditer(sql))
    if not matches:
        return None
    # Compiling what reads tokens takes 7 ms, which a file without a marker does not pay.
    from turnback.sql.tokens import tokens

    texts = [(token.start, token.end) for token in tokens(sql) if token.kind in _QUOTED]
    for match in matches:
        if not any(start < match.start() < end for start, end in texts):
            return match
    return None


_QUOTED = ("string", "quoted")
