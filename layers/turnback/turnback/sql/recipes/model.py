"""What a recipe is, and the values that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from turnback.errors import ConfigurationError
from turnback.sql.definitions import SERIALS
from turnback.sql.deparse import expression
from turnback.sql.lint.suggest.columns import qualified
from turnback.sql.lint.writing import dotted_name, name
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import Statement, split
from turnback.sql.tables import Column, Schema, Table
from turnback.sql.tree import (
    Node,
    commands,
    definition,
    dotted,
    inline_constraints,
    joined,
    strings,
    table_name,
)
from turnback.sql.volatility import volatile_call


class Duration(StrEnum):
    """What the time of a migration grows with."""

    INSTANT = "instant"
    SCAN = "reads every row"
    BUILD = "builds an index"
    BATCHES = "changes every row, in batches"


@dataclass(frozen=True, slots=True)
class Pair:
    """A migration of a recipe.

    Attributes:
        name: of the migration.
        forward: its script.
        rollback: its rollback script; empty for one that cannot be undone.
        duration: what its time grows with.
        verify: its verify script; empty without one.
    """

    name: str
    forward: str
    rollback: str
    duration: Duration
    verify: str = ""


Releases = Sequence[Sequence[Pair]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe.

    Attributes:
        title: what it does, in half a sentence.
        needs: its values: word → what it is.
        takes: those that may be left out.
        write: gives the migrations of each release, in their order.
    """

    name: str
    title: str
    needs: Mapping[str, str]
    write: Callable[[Values], Releases]
    takes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Values:
    """What a recipe is given, read by the parser: no text goes into SQL unread.

    Attributes:
        given: word → text.
        schema: the tables as the project's migrations make them.
        statements: those of the forward scripts, oldest first.
    """

    given: Mapping[str, str]
    schema: Schema
    statements: Sequence[Statement] = ()

    def text(self, word: str) -> str:
        """A value as it is given; empty without one."""
        return self.given.get(word, "")

    @property
    def table(self) -> str:
        """The table, as SQL."""
        return self.relation("table")

    @property
    def plain(self) -> str:
        """The table's own name, for the names of what belongs to it."""
        return self.parts("table")[-1]

    def parts(self, word: str) -> list[str]:
        """The parts of a name: a schema, if there is one, and the name itself."""
        [statement] = self._read(word, f"TABLE {self.text(word)}")
        try:
            relation = statement.tree["fromClause"][0]["RangeVar"]
        except (KeyError, IndexError):
            raise self._wrong(word) from None
        return [part for part in (relation.get("schemaname"), relation["relname"]) if part]

    def relation(self, word: str) -> str:
        """A relation, as SQL."""
        return dotted_name(joined(self.parts(word)))

    def own(self, *parts: str) -> str:
        """A name in the table's schema, as SQL: ``users_city_idx``."""
        *schema, _ = self.parts("table")
        return ".".join(map(name, [*schema, self.called(*parts)]))

    def called(self, *parts: str) -> str:
        """A name of these parts, no longer than PostgreSQL keeps."""
        return "_".join([self.plain, *parts]).encode("utf-8")[:63].decode("utf-8", "ignore")

    def column(self, word: str = "column") -> str:
        """A column's name, without quotes."""
        if len(found := self.parts(word)) != 1:
            raise self._wrong(word)
        return found[0]

    def columns(self, word: str = "columns") -> list[str]:
        """Several columns, with commas between them."""
        [statement] = self._read(word, f"SELECT {self.text(word)}")
        fields = [
            item["ResTarget"]["val"].get("ColumnRef") for item in statement.tree["targetList"]
        ]
        if not all(fields):
            raise self._wrong(word)
        return [one["fields"][-1]["String"]["sval"] for one in fields if one]

    def type(self, word: str = "type") -> str:
        """A type, as SQL."""
        [statement] = self._read(word, f"SELECT NULL::{self.text(word)}")
        [target] = statement.tree["targetList"]
        if "TypeCast" not in target["ResTarget"]["val"]:
            raise self._wrong(word)
        return expression(target["ResTarget"]["val"]).removeprefix("NULL::")

    def expression(self, word: str) -> str:
        """An expression, as SQL."""
        [statement] = self._read(word, f"SELECT {self.text(word)}")
        if set(statement.tree) - {"targetList", "limitOption", "op"}:
            raise self._wrong(word)
        return expression(self.tree_of(self.text(word)))

    def tree_of(self, text: str) -> Node:
        """The parser's tree of an expression."""
        [statement] = split(f"SELECT {text}")
        found: Node = statement.tree["targetList"][0]["ResTarget"]["val"]
        return found

    def is_constant(self, word: str) -> bool:
        """Whether an expression gives each row the same value."""
        return not volatile_call(self._read(word, f"SELECT {self.text(word)}")[0].tree, self.schema)

    def known(self) -> Table:
        """The table, as the migrations make it.

        Raises:
            ConfigurationError: no migration makes it.
        """
        table = self.schema.find(joined(self.parts("table")))
        if table is None:
            raise ConfigurationError(
                f"no migration makes the table {self.table}",
                hint="check its name, with its schema if that is not public",
            )
        return table

    def known_column(self) -> Column:
        """The column, as the migrations make it."""
        column = self.known().column(self.column())
        if column is None:
            raise ConfigurationError(
                f"{self.table} has no column {self.column()}", hint="check its name"
            )
        return column

    def key(self) -> str:
        """The column of a unique key, by which the rows are gone through."""
        if self.text("key"):
            return name(self.column("key"))
        table = self.known()
        for key in table.unique_keys():
            if len(key) == 1 and key[0] and table.never_null(key[0]):
                return name(key[0])
        raise ConfigurationError(
            f"no migration gives {self.table} a key of one column",
            hint="name a column with a unique index that is never null: key=id",
        )

    def of_new_row(self, word: str) -> str:
        """An expression of the table's columns, for the row that a trigger sees."""
        self.expression(word)
        return expression(qualified(self.tree_of(self.text(word)), "new"))

    def index_tree(self, called: str) -> Node | None:
        """The parser's tree of the statement that made an index."""
        for statement in reversed(self.statements):
            if statement.kind == "IndexStmt" and statement.tree.get("idxname") == called:
                tree = {**statement.tree}
                if tree.get("accessMethod") == "btree":
                    del tree["accessMethod"]
                return tree
        return None

    def default_of(self, table: str, column: str) -> str:
        """The default of a column, as SQL; empty without one."""
        found = ""
        for kind, node in self._written(table, column):
            if kind == "ColumnDef":
                for item in inline_constraints(node):
                    if item["contype"] == "CONSTR_DEFAULT":
                        found = expression(item["raw_expr"])
            elif kind == "AT_ColumnDefault":
                found = expression(node) if node else ""
        return found

    def numbered(self, table: str, column: str) -> str:
        """How a column gets numbers: ``GENERATED … AS IDENTITY``, ``serial``, or not."""
        found = ""
        for kind, node in self._written(table, column):
            inner = [node] if kind == "AT_AddIdentity" else inline_constraints(node)
            for item in inner:
                if item["contype"] == "CONSTR_IDENTITY":
                    when = "ALWAYS" if item["generated_when"] == "a" else "BY DEFAULT"
                    found = f"GENERATED {when} AS IDENTITY"
            if kind == "ColumnDef" and dotted(node["typeName"]["names"]) in SERIALS:
                found = "serial"
        return found

    def _written(self, table: str, column: str) -> Iterator[tuple[str, Node]]:
        """Where the scripts define a column: a ColumnDef, or a subcommand and what it sets."""
        for statement in self.statements:
            tree = statement.tree
            if statement.kind not in ("CreateStmt", "AlterTableStmt"):
                continue
            if table_name(tree["relation"]) != table:
                continue
            nodes = [item["ColumnDef"] for item in tree.get("tableElts", ()) if "ColumnDef" in item]
            for command in commands(tree):
                kind, node = definition(command)
                if command.get("name") == column:
                    whole = command.get("def", {})
                    yield command["subtype"], node if kind == "Constraint" else whole
                elif command["subtype"] == "AT_AddColumn" and kind == "ColumnDef":
                    nodes.append(node)
            yield from (("ColumnDef", node) for node in nodes if node["colname"] == column)

    def enum_values(self, called: str) -> list[str]:
        """The values of an enum, in their order.

        Raises:
            ConfigurationError: no migration makes it.
        """
        found: list[str] = []
        for statement in self.statements:
            tree = statement.tree
            if statement.kind == "CreateEnumStmt" and dotted(tree["typeName"]) == called:
                found = strings(tree["vals"])
            elif statement.kind == "AlterEnumStmt" and dotted(tree["typeName"]) == called:
                new, near = tree["newVal"], tree.get("newValNeighbor")
                if "oldVal" in tree:
                    found = [new if one == tree["oldVal"] else one for one in found]
                elif new not in found:
                    after = bool(tree.get("newValIsAfter"))
                    at = found.index(near) + after if near in found else len(found)
                    found.insert(at, new)
        if not found:
            raise ConfigurationError(f"no migration makes the enum {called}", hint="check its name")
        return found

    def _read(self, word: str, sql: str) -> list[Statement]:
        try:
            found = split(sql)
        except SqlSyntaxError:
            raise self._wrong(word) from None
        if len(found) != 1 or found[0].kind != "SelectStmt":
            raise self._wrong(word)
        return found

    def _wrong(self, word: str) -> ConfigurationError:
        return ConfigurationError(
            f"{word}={self.text(word)} cannot be read",
            hint=f"{word}= is a part of SQL: turnback generate --list has an example",
        )
