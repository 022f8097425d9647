"""The one judge of loss: what SQL destroys that no rollback script brings back.

A loss is data that is gone, or a protection that was open for a while. A definition alone (a view,
a function, an index) is no loss: a rollback script makes it again, and the schema is compared.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from turnback.migrations.model import Script
from turnback.migrations.python import is_python
from turnback.sql.blocks import Embedded, embedded, literal_of
from turnback.sql.bulk import statements_of
from turnback.sql.losses import RUNS_QUERIES, Certainty, Found, Kind, StatementLosses
from turnback.sql.own_tables import names_of_own
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.scope import Scope
from turnback.sql.statements import Statement, is_option_on, split
from turnback.sql.tokens import tokens
from turnback.sql.tree import (
    dropped,
    makes,
    strings,
    table_name,
    text_options,
    walk,
)

__all__ = ["UNKNOWN", "Certainty", "Judge", "Kind", "Loss", "drops_with_rows"]

UNKNOWN = "unknown tables"
_WORDS = {
    Kind.TABLES: "table {}, with its rows",
    Kind.COLUMNS: "column {}, with its values",
    Kind.ROWS: "rows of {}",
    Kind.VALUES: "values of {}",
    Kind.TYPES: "type {}",
    Kind.SCHEMAS: "schema {}",
    Kind.EXTENSIONS: "extension {}",
    Kind.PRIVILEGES: "privileges on {}, given to everybody",
    Kind.PROTECTIONS: "protection: {}",
}
# A statement is followed into so many calls of functions.
_FOLLOWED = 25


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that a script destroys.

    Attributes:
        object: its name before the release, with its schema unless that is ``public``.
        file: the script.
        line: of the statement, from 1.
        origin: what does it, as SQL: ``DROP TABLE``, ``UPDATE``, ``EXECUTE in a DO block``.
    """

    kind: Kind
    object: str
    file: str
    line: int
    certainty: Certainty
    origin: str

    @property
    def is_data(self) -> bool:
        """Whether it stays lost; a protection is there again once the schema is as before."""
        return self.kind not in (Kind.PRIVILEGES, Kind.PROTECTIONS)

    @property
    def words(self) -> str:
        """What is lost, in a few words."""
        words = _WORDS[self.kind].format(self.object)
        if self.object == UNKNOWN:
            words = f"data of {UNKNOWN}"
        elif self.object.startswith(("all ", "what ")):
            words = self.object
        return words if self.certainty is Certainty.CERTAIN else f"possibly {words}"

    @property
    def with_place(self) -> str:
        """File and line, what is lost, and by what."""
        return f"{self.file}:{self.line} {self.words} ({self.origin})"


@dataclass(frozen=True, slots=True)
class _Function:
    """A function as a script makes it: its language and its body, as text or as a tree."""

    language: str
    body: str
    statements: tuple[Statement, ...] = ()


class Judge:
    """Says what the scripts of a release destroy, read in the order in which they run."""

    def __init__(self, *, history: str = "public") -> None:
        """Know nothing yet.

        Args:
            history: the schema of turnback's own tables.
        """
        self._scope = Scope()
        self._functions: dict[str, list[_Function]] = {}
        # Trigger → the events that fire it, as the parser's bits, and its function.
        self._triggers: dict[str, tuple[int, str]] = {}
        self._calling: list[str] = []
        # The functions that a statement has been followed into.
        self._followed: list[str] = []
        self._statements = StatementLosses(self._scope, names_of_own(history))

    def fork(self) -> Judge:
        """One that knows the same, and what it reads from here on does not change this one."""
        other = copy.copy(self)
        other._scope = self._scope.fork()
        other._functions = {name: list(known) for name, known in self._functions.items()}
        other._triggers = dict(self._triggers)
        other._statements = self._statements.fork(other._scope)
        return other

    def learn(self, script: Script) -> None:
        """Read a script that ran before the release: what it makes is there, and may be lost."""
        self._scope.begin_script()
        for statement in _statements(script) or ():
            self._remember(self._scope.qualified(statement), script.path)
        self._scope.forget_what_is_new()
        self._statements.forget_what_is_new()

    def losses(self, script: Script) -> list[Loss]:
        """What a script of the release destroys; of what the release made itself nothing is lost.

        A script that the parser cannot read may destroy anything.
        """
        self._scope.begin_script()
        if is_python(script.path):
            return _of_code(script)
        statements = _statements(script)
        if statements is None:
            lost = Found(Kind.TABLES, UNKNOWN, "SQL that cannot be read", Certainty.POSSIBLE)
            return [_loss(lost, script, 0)]
        found: list[Loss] = []
        for statement in statements:
            for offset, lost in self._of(statement, script.path):
                found.append(_loss(lost, script, statement.offset + offset))
        return list(dict.fromkeys(found))

    def _of(self, statement: Statement, path: str) -> Iterator[tuple[int, Found]]:
        """What a statement destroys; each with its offset in the statement."""
        statement = self._scope.qualified(statement)
        if statement.kind == "DoStmt":
            yield from self._block(statement, path)
        elif statement.kind == "PrepareStmt" or _explains_by_running(statement):
            kind, tree = next(iter(statement.tree["query"].items()))
            yield from self._of(Statement(statement.sql, 0, kind, tree), path)
        else:
            yield from ((0, lost) for lost in self._statements.of(statement))
            yield from ((0, lost) for lost in self._called(statement, path))
        self._remember(statement, path)

    def _remember(self, statement: Statement, path: str) -> None:
        if statement.kind == "CreateFunctionStmt":
            name = strings(statement.tree["funcname"])[-1]
            self._functions.setdefault(name, []).append(_function(statement))
        elif statement.kind == "CreateTrigStmt":
            function = strings(statement.tree["funcname"])[-1]
            [trigger] = makes(statement)
            self._triggers[trigger] = statement.tree.get("events", 0), function
        elif statement.kind == "DropStmt":
            for item in dropped(statement.tree):
                self._triggers.pop(item.name, None)
        self._scope.after(statement, path)

    # What runs inside

    def _block(self, statement: Statement, path: str) -> Iterator[tuple[int, Found]]:
        options = text_options(statement.tree.get("args", ()))
        body = options.get("as", "")
        if options.get("language", "plpgsql") != "plpgsql":
            origin = f"a DO block in {options['language']}"
            yield 0, Found(Kind.ROWS, UNKNOWN, origin, Certainty.POSSIBLE)
            return
        start = max(statement.sql.find(body), 0)
        for offset, lost in self._body(body, path):
            yield start + offset, lost.inside("a DO block")

    def _body(self, body: str, path: str) -> Iterator[tuple[int, Found]]:
        """What a PL/pgSQL body destroys, each with its offset in the body."""
        # What a branch makes is perhaps not made: nothing outside it may count on that.
        judges: dict[tuple[int, ...], Judge] = {(): self}
        for part in embedded(body):
            for depth in range(len(part.branch)):
                outer, inner = part.branch[:depth], part.branch[: depth + 1]
                judges.setdefault(inner, judges[outer].fork())
            for lost in judges[part.branch]._part(part, path):
                certainty = Certainty.POSSIBLE if part.branch else lost.certainty
                yield part.offset, replace(lost, certainty=certainty)

    def _part(self, part: Embedded, path: str) -> Iterator[Found]:
        if part.kind == "call":
            name = part.text if '"' in part.text else part.text.lower()
            yield from self._call(name, path)
            return
        if part.kind == "condition":
            return
        text = part.text
        if part.kind == "dynamic":
            literal = literal_of(text)
            if literal is None:
                yield Found(_kind_of(text), UNKNOWN, "EXECUTE", Certainty.POSSIBLE)
                return
            text = literal
        try:
            statements = split(text)
        except SqlSyntaxError:
            if _DESTRUCTIVE.search(" ".join(token.text for token in tokens(text))):
                origin = "SQL that cannot be read"
                yield Found(_kind_of(text), UNKNOWN, origin, Certainty.POSSIBLE)
            return
        for statement in statements:
            yield from (lost for _, lost in self._of(statement, path))

    def _called(self, statement: Statement, path: str) -> Iterator[Found]:
        """What the functions destroy that a statement calls, or has triggers call."""
        for function in dict.fromkeys(self._fired(statement)):
            if function in self._functions:
                yield from (lost.inside("a trigger") for lost in self._call(function, path))
        if statement.kind not in RUNS_QUERIES:
            return
        calls = [
            strings(node["funcname"])
            for kind, node in walk({statement.kind: statement.tree})
            if kind in ("FuncCall", "funccall")
        ]
        for parts in dict.fromkeys(map(tuple, calls)):
            yield from self._call(".".join(parts), path)

    def _fired(self, statement: Statement) -> Iterator[str]:
        """The functions of the triggers that a statement fires."""
        for kind, node in walk({statement.kind: statement.tree}):
            events = _EVENTS.get(kind, 0)
            if kind == "TruncateStmt":
                tables = [table_name(item["RangeVar"]) for item in node["relations"]]
            else:
                tables = [table_name(node["relation"])] if events else []
            if not tables:
                continue
            for trigger, (fires_on, function) in self._triggers.items():
                if fires_on & events and trigger.rpartition(".")[0] in tables:
                    yield function

    def _call(self, name: str, path: str) -> Iterator[Found]:
        schema, _, plain = name.replace('"', "").rpartition(".")
        known = self._functions.get(plain, [])
        where = f"{plain}()"
        if plain in self._calling:
            return
        if not self._calling:
            self._followed.clear()
        if len(self._followed) >= _FOLLOWED:
            # Functions and triggers that call each other have more ways than can be gone.
            yield Found(Kind.TABLES, UNKNOWN, f"a call of {where}", Certainty.POSSIBLE)
            return
        if not known:
            if plain in _WRITING_FUNCTIONS and schema in ("", "pg_catalog"):
                yield replace(_WRITING_FUNCTIONS[plain], certainty=Certainty.POSSIBLE)
            elif schema not in ("", "pg_catalog") or not _is_harmless(plain):
                yield Found(Kind.ROWS, UNKNOWN, f"a call of {where}", Certainty.POSSIBLE)
            return
        self._calling.append(plain)
        self._followed.append(plain)
        for function in known:
            # A call may be passed over: nothing may count on what it makes.
            for lost in self.fork()._function(function, path):
                yield lost.inside(where, Certainty.POSSIBLE)
        self._calling.pop()

    def _function(self, function: _Function, path: str) -> Iterator[Found]:
        if function.language == "plpgsql":
            yield from (lost for _, lost in self._body(function.body, path))
        elif function.language == "sql":
            part = Embedded("sql", function.body, 0)
            yield from self._part(part, path)
            for statement in function.statements:
                yield from (lost for _, lost in self._of(statement, path))
        else:
            yield Found(Kind.ROWS, UNKNOWN, function.language, Certainty.POSSIBLE)


def drops_with_rows(statement: Statement) -> list[tuple[Kind, str]]:
    """The tables, columns and schemas that this statement drops, whoever made them."""
    holding = (Kind.TABLES, Kind.COLUMNS, Kind.SCHEMAS)
    found = StatementLosses(Scope(), frozenset()).of(statement)
    return [(lost.kind, lost.object) for lost in found if lost.kind in holding]


def _loss(lost: Found, script: Script, offset: int) -> Loss:
    line, _ = script.position(offset)
    return Loss(lost.kind, lost.object, script.path, line, lost.certainty, lost.origin)


def _of_code(script: Script) -> list[Loss]:
    """What code may destroy: its statements are known when it runs; rows of ``into=`` are added."""
    if script.directives.backfill and script.directives.backfill.into:
        return []
    lost = Found(Kind.ROWS, UNKNOWN, "statements of transform", Certainty.POSSIBLE)
    return [_loss(lost, script, 0)]


def _statements(script: Script) -> Sequence[Statement] | None:
    try:
        return statements_of(script)
    except SqlSyntaxError:
        return None


def _explains_by_running(statement: Statement) -> bool:
    return statement.kind == "ExplainStmt" and is_option_on(statement.tree, "analyze")


def _function(statement: Statement) -> _Function:
    options = text_options(statement.tree.get("options", ()))
    found = [
        Statement("", 0, kind, node)
        for kind, node in walk(statement.tree.get("sql_body", {}))
        if kind in RUNS_QUERIES
    ]
    language = options.get("language", "sql")
    return _Function(language, options.get("as", ""), tuple(found))


# TRIGGER_TYPE_INSERT, _DELETE, _UPDATE and _TRUNCATE of PostgreSQL's pg_trigger.h.
_EVENTS = {"InsertStmt": 4, "DeleteStmt": 8, "UpdateStmt": 16, "MergeStmt": 28, "TruncateStmt": 32}
_DESTRUCTIVE = re.compile(
    r"\b(DROP|TRUNCATE|DELETE|UPDATE|MERGE|ALTER|GRANT|COPY|EXECUTE|INSERT)\b", re.IGNORECASE
)
_BY_WORD = (
    (re.compile(r"\bDROP\s+(FOREIGN\s+)?TABLE\b", re.IGNORECASE), Kind.TABLES),
    (re.compile(r"\bDROP\s+SCHEMA\b", re.IGNORECASE), Kind.SCHEMAS),
    (re.compile(r"\bDROP\s+(TYPE|DOMAIN)\b", re.IGNORECASE), Kind.TYPES),
    (re.compile(r"\bDROP\s+EXTENSION\b", re.IGNORECASE), Kind.EXTENSIONS),
    (re.compile(r"\bDROP\b", re.IGNORECASE), Kind.COLUMNS),
    (re.compile(r"\bUPDATE\b", re.IGNORECASE), Kind.VALUES),
)


def _kind_of(text: str) -> Kind:
    """What SQL that is put together at run time seems to be about."""
    return next((kind for pattern, kind in _BY_WORD if pattern.search(text)), Kind.ROWS)


@cache
def _harmless() -> frozenset[str]:
    text = Path(__file__).with_name("functions.txt").read_text(encoding="utf-8")
    return frozenset(text.split())


def _is_harmless(name: str) -> bool:
    """Whether a function writes no rows: one of PostgreSQL's own, or of a common extension."""
    return name in _harmless() or name in _EXTENSIONS or name.startswith(("st_", "uuid_generate_"))


# Functions of ltree, pgcrypto, pg_trgm, unaccent, hstore and vector.
_EXTENSIONS = {
    "cosine_distance",
    "crypt",
    "digest",
    "gen_random_bytes",
    "gen_salt",
    "hmac",
    "hstore",
    "ltree2text",
    "nlevel",
    "similarity",
    "subpath",
    "text2ltree",
    "unaccent",
}


# PostgreSQL's own functions that destroy something.
_WRITING_FUNCTIONS = {
    "setval": Found(Kind.VALUES, "a sequence", "setval()"),
    "lo_unlink": Found(Kind.ROWS, "large objects", "lo_unlink()"),
    "lo_put": Found(Kind.VALUES, "large objects", "lo_put()"),
    "lowrite": Found(Kind.VALUES, "large objects", "lowrite()"),
}
