"""The header of a file: its ``-- turnback:`` directives and its documentation fields."""

from __future__ import annotations

import re
from collections.abc import Iterable

from turnback.errors import InvalidMigration
from turnback.migrations.backfill import read_backfill, read_swap
from turnback.migrations.model import Backfill, Directives, Keep, Script, Swap, Waiver
from turnback.migrations.psql import directive_cuts, is_quoted, skip_comments, without_cuts
from turnback.migrations.python import as_comments, is_python

_DIRECTIVE = re.compile(r"^[ \t]*--[ \t]*turnback:[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE)
_FIELD = re.compile(r"^--[ \t]*(Migration|Version|Date):[ \t]*(.*?)[ \t]*\r?$", re.IGNORECASE)
_DURATION = re.compile(r"^(\d+)[ ]?(ms|s|min|h)$")
_UNITS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}
# PostgreSQL keeps both timeouts in a signed 32-bit number of milliseconds (manual, 19.11.1).
_LONGEST_MS = 2**31 - 1
_LONGEST_TEMPLATE = 1000
KNOWN = (
    "lock-timeout, statement-timeout, no-transaction, isolation, backfill, swap, after, waive, "
    "irreversible, keep, keep-rows"
)
ISOLATION_LEVELS = ("read committed", "repeatable read", "serializable")
_NAME = r'[A-Za-z_][\w$]*|"(?:[^"]|"")+"'
_TABLE = re.compile(rf"(?:({_NAME})\.)?({_NAME})")
_PLAIN = re.compile(r'"([a-z_][a-z0-9_$]*)"')
_Value = int | bool | str | Backfill | Swap | tuple[str, ...]
# How goose, sql-migrate, dbmate and Atlas say that a file runs outside a transaction.
_OUTSIDE = re.compile(
    r"^[ \t]*--[ \t]*(\+goose[ \t]+NO[ \t]+TRANSACTION"
    r"|\+migrate[ \t]+(Up|Down)[ \t]+notransaction|migrate:(up|down)\b.*\btransaction:false"
    r"|atlas:txmode[ \t]+none)\b",
    re.IGNORECASE | re.MULTILINE,
)


def read_directives(path: str, text: str | Iterable[str], *, rollback: bool = False) -> Directives:
    """The directives of this file.

    Args:
        path: of the file, for an error.
        text: its text, whole or in parts of whole lines.
        rollback: whether it is a rollback script.

    A waiver may stand anywhere, before the statement it is for; everything else belongs in the
    header, the comment lines before the first statement.

    Raises:
        InvalidMigration: an unknown directive, a bad value, no reason, or outside the header.
    """
    values: dict[str, _Value] = {}
    waivers: list[Waiver] = []
    keeps: list[Keep] = []
    line, in_header, in_rows = 1, True, False
    if is_python(path):
        text = as_comments(text if isinstance(text, str) else "".join(text))
    for block in [text] if isinstance(text, str) else text:
        cuts, in_rows = directive_cuts(block, in_rows)
        block = without_cuts(block, cuts) if "turnback:" in block else block
        header_end = skip_comments(block) if in_header else 0
        for match in _DIRECTIVE.finditer(block) if "turnback:" in block else ():
            at = line + block.count("\n", 0, match.start())
            word, _, rest = match[1].partition(" ")
            if is_quoted(block, match.start()):
                # In the body of a function, or in a comment around it, it is not for us.
                continue
            if word == "waive":
                rule, reason = _because(path, at, word, rest)
                waivers.append(Waiver(rule, reason, at))
                continue
            if match.start() >= header_end:
                raise InvalidMigration(
                    f"the directive '{word}' stands after the first statement",
                    file=path,
                    line=at,
                    hint="move it to the header, before the first statement",
                )
            if word in ("keep", "keep-rows") and not rollback:
                raise InvalidMigration(
                    f"'{word}' is for the rollback script that leaves them", file=path, line=at
                )
            if word == "keep":
                keeps.append(_keep(path, at, rest))
                continue
            key, value = _read(path, at, word, rest.strip())
            if key in values:
                raise InvalidMigration(f"the directive '{word}' is given twice", file=path, line=at)
            values[key] = value
        if _OUTSIDE.search(block, 0, header_end):
            values["no_transaction"] = True
        in_header = header_end == len(block)
        line += block.count("\n")
    return Directives(**values, waivers=tuple(waivers), keeps=tuple(keeps))  # type: ignore[arg-type]


def read_fields(sql: str, path: str = "") -> dict[str, tuple[str, int]]:
    """The documentation header: ``migration``, ``version``, ``date`` → value and line."""
    sql = as_comments(sql) if is_python(path) else sql
    fields: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(sql[: skip_comments(sql)].split("\n"), 1):
        if match := _FIELD.match(line.strip()):
            fields[match[1].lower()] = (match[2], number)
    return fields


def _read(path: str, line: int, word: str, rest: str) -> tuple[str, _Value]:
    match word:
        case "swap":
            return word, read_swap(path, line, rest)
        case "after" if versions := rest.replace(",", " ").split():
            return word, tuple(versions)
        case "after":
            raise InvalidMigration(
                "'after' needs the version of a backfill",
                file=path,
                line=line,
                hint="write for example: -- turnback: after 0012",
            )
        case "backfill":
            return word, read_backfill(path, line, rest)
        case "lock-timeout" | "statement-timeout":
            return word.replace("-", "_") + "_ms", _duration(path, line, word, rest)
        case "no-transaction" if not rest:
            return "no_transaction", True
        case "no-transaction":
            raise InvalidMigration(
                f"'no-transaction' takes no value: '{rest}'", file=path, line=line
            )
        case "isolation" if (level := " ".join(rest.lower().split())) in ISOLATION_LEVELS:
            return "isolation", level
        case "isolation":
            raise InvalidMigration(
                f"'isolation' needs a level, not '{rest}'",
                file=path,
                line=line,
                hint=f"the levels are {', '.join(ISOLATION_LEVELS)}",
            )
        case "irreversible" | "keep-rows":
            return word.replace("-", "_"), _because(path, line, word, " " + rest)[1]
    raise InvalidMigration(
        f"unknown directive '{word}'", file=path, line=line, hint=f"known directives: {KNOWN}"
    )


def _duration(path: str, line: int, word: str, text: str) -> int:
    match = _DURATION.match(text)
    milliseconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < milliseconds <= _LONGEST_MS:
        raise InvalidMigration(
            f"'{word}' needs a time, not '{text}'",
            file=path,
            line=line,
            hint=f"write a number with ms, s, min or h, for example: -- turnback: {word} 2s",
        )
    return milliseconds


def _keep(path: str, line: int, rest: str) -> Keep:
    table, reason = _because(path, line, "keep", rest)
    name = _TABLE.fullmatch(table)
    if name is None:
        raise InvalidMigration(
            f"'{table}' is not the name of a table",
            file=path,
            line=line,
            hint="write: -- turnback: keep TABLE because REASON",
        )
    parts = (part if part[0] == '"' else part.lower() for part in (name[1] or "public", name[2]))
    return Keep(".".join(_PLAIN.sub(r"\1", part) for part in parts), reason)


def _because(path: str, line: int, word: str, rest: str) -> tuple[str, str]:
    subject, found, reason = rest.partition("because ")
    subject, reason = subject.strip(), reason.strip()
    if not found or not reason or (word == "waive" and len(subject.split()) != 1):
        what = {"waive": " RULE", "keep": " TABLE"}.get(word, "")
        form = f"{word}{what} because REASON"
        raise InvalidMigration(
            f"'{word}' needs a reason", file=path, line=line, hint=f"write: -- turnback: {form}"
        )
    return subject, reason


def is_template(script: Script) -> bool:
    """Whether a script has nothing but the header that ``turnback generate`` writes."""
    if script.size > _LONGEST_TEMPLATE:
        return False
    lines = [line for line in script.sql.splitlines() if line.strip()]
    return bool(lines) and all(_FIELD.match(line) for line in lines)
