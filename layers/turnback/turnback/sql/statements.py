"""A script as its statements, and what kind each of them is."""

from __future__ import annotations

import hashlib
import itertools
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from turnback.migrations.large import BLOCK_BYTES, LargeScript
from turnback.migrations.model import Script
from turnback.migrations.psql import Cut
from turnback.sql.parser import parse_tree


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a COPY … FROM stdin, in the file that has the statement; iterated in blocks.

    Attributes:
        script: the file.
        offset: where they begin in it, in characters from 0.
        span: where they are in it, from and to: in characters, of a LargeScript in bytes.
        fault: what is wrong with them; None where they are complete.
    """

    script: Script
    offset: int
    span: tuple[int, int]
    fault: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        start, end = self.span
        if not isinstance(self.script, LargeScript):
            yield self.script.sql[start:end].encode("utf-8")
            return
        for block in range(start, end, BLOCK_BYTES):
            yield self.script.read_bytes(block, min(block + BLOCK_BYTES, end))

    def line_start(self, line: int) -> int:
        """The offset in the script, in characters, of a line of the rows, which count from 1."""
        return self.script.line_start(self.script.position(self.offset)[0] + line - 1)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script.

    Attributes:
        sql: its text, without the semicolon.
        offset: where it begins in the script, in characters from 0.
        kind: the parser's name of it, such as ``IndexStmt``.
        tree: the parser's node.
        first: the byte at which it begins in the text that was parsed, in which the places of the
            tree are counted.
        rows: of a COPY … FROM stdin; empty for any other statement.
    """

    sql: str
    offset: int
    kind: str
    tree: dict[str, Any]
    first: int = 0
    rows: tuple[Rows, ...] = ()

    @property
    def checksum(self) -> str:
        """SHA-256 of what it is: its text, and its rows."""
        found = hashlib.sha256(self.sql.encode("utf-8"))
        for block in itertools.chain.from_iterable(self.rows):
            found.update(block)
        return found.hexdigest()

    @property
    def outline(self) -> str:
        """Its text as far as names and words count: rows of constants may be left out."""
        return self.sql

    def place(self, location: int) -> int:
        """The offset in the script, in characters, of a place in the tree."""
        before = self.sql.encode("utf-8")[: location - self.first]
        return self.offset + len(before.decode("utf-8", errors="ignore"))

    @property
    def end(self) -> int:
        """Where it ends in the script, in characters, before the semicolon."""
        return self.offset + len(self.sql)

    @property
    def outside_transaction(self) -> bool:
        """Whether PostgreSQL refuses it inside a transaction block."""
        return runs_outside_transaction(self.kind, self.tree)

    @property
    def strong_outside(self) -> bool:
        """Whether it runs outside a transaction and shuts readers out while it waits for a lock.

        The others of its kind (CREATE INDEX CONCURRENTLY and its like) take weak locks and wait
        for old transactions by design.
        """
        match self.kind:
            case "VacuumStmt":
                return is_on(_option(self.tree, "full"))
            case "ReindexStmt":
                return not is_on(_option(self.tree, "concurrently", field="params"))
        # The last step of DETACH PARTITION CONCURRENTLY shuts the partition's own readers out
        # (manual, ALTER TABLE).
        return self.kind in ("ClusterStmt", "AlterTableStmt")


def split(sql: str) -> list[Statement]:
    """The statements of a script, in order; empty ones are not counted, as the server does.

    Raises:
        SqlSyntaxError: the text is not SQL.
    """
    data = sql.encode("utf-8")
    statements = []
    counted = offset = 0
    for raw in parse_tree(sql):
        start = raw.get("stmt_location", 0)
        end = start + raw["stmt_len"] if raw.get("stmt_len") else len(data)
        # Counted from the statement before: from the beginning it would be quadratic.
        offset += len(data[counted:start].decode("utf-8"))
        counted = start
        text = data[start:end].decode("utf-8")
        kind, tree = next(iter(raw["stmt"].items()))
        # A blank before a statement is of one byte.
        lead = len(text) - len(text.lstrip())
        statements.append(Statement(text.strip(), offset + lead, kind, tree, start + lead))
    return statements


def with_rows(statements: list[Statement], script: Script, cuts: list[Cut]) -> list[Statement]:
    """The statements of a script, each COPY … FROM stdin with its rows.

    Args:
        statements: in order.
        script: theirs.
        cuts: what its ``cuts`` are.
    """
    offsets = [statement.offset for statement in statements]
    for cut in cuts:
        number = bisect_left(offsets, cut.start) - 1
        if cut.rows is not None and number >= 0:
            rows = Rows(script, cut.start, (cut.start, cut.rows), cut.fault)
            statements[number] = replace(statements[number], rows=(rows,))
    return statements


def _option(tree: dict[str, Any], name: str, *, field: str = "options") -> dict[str, Any] | None:
    for item in tree.get(field, ()):
        element: dict[str, Any] = item["DefElem"]
        if element["defname"] == name:
            return element
    return None


def is_option_on(tree: dict[str, Any], name: str, *, field: str = "options") -> bool:
    """Whether an option of the statement, such as ANALYZE of EXPLAIN, is on."""
    return is_on(_option(tree, name, field=field))


def is_on(element: dict[str, Any] | None) -> bool:
    """Whether a boolean option is given and not switched off (as defGetBoolean reads it)."""
    if element is None:
        return False
    value = element.get("arg")
    if value is None:
        return True
    text = json_value(value)
    return str(text).lower() not in ("false", "off", "0")


_LEFT_OUT: dict[str, object] = {"Integer": 0, "ival": 0, "String": "", "sval": ""}


def json_value(node: dict[str, Any]) -> object:
    """The plain value inside a node that wraps one: ``{"String": {"sval": "x"}}`` → ``x``."""
    inner = next(iter(node.values()))
    if not isinstance(inner, dict):
        return inner
    if not inner:
        # Zero, the empty string and false are left out.
        return _LEFT_OUT.get(next(iter(node)), False)
    return (
        json_value(inner)
        if isinstance(next(iter(inner.values())), dict)
        else next(iter(inner.values()))
    )


def runs_outside_transaction(kind: str, tree: dict[str, Any]) -> bool:
    """Whether the server refuses this statement in a transaction block.

    The list is that of PreventInTransactionBlock's callers, as each command's page in the
    PostgreSQL manual says ("cannot be executed inside a transaction block").
    """
    match kind:
        case "IndexStmt" | "DropStmt":
            return bool(tree.get("concurrent"))
        case "ReindexStmt":
            whole = tree.get("kind") in (
                "REINDEX_OBJECT_DATABASE",
                "REINDEX_OBJECT_SYSTEM",
                "REINDEX_OBJECT_SCHEMA",
            )
            return whole or is_on(_option(tree, "concurrently", field="params"))
        case "VacuumStmt":
            return bool(tree.get("is_vacuumcmd"))
        case "ClusterStmt":
            return "relation" not in tree
        case "AlterTableStmt":
            return any(_detaches_concurrently(item["AlterTableCmd"]) for item in tree["cmds"])
        case "AlterDatabaseStmt":
            return _option(tree, "tablespace") is not None
        case "CreateSubscriptionStmt":
            connects = _option(tree, "connect")
            slot = _option(tree, "create_slot")
            return (connects is None or is_on(connects)) and (slot is None or is_on(slot))
        case "AlterSubscriptionStmt":
            slot_changes = _option(tree, "failover") or _option(tree, "two_phase")
            return slot_changes is not None or str(tree.get("kind", "")).startswith(
                (
                    "ALTER_SUBSCRIPTION_REFRESH",
                    "ALTER_SUBSCRIPTION_SET_PUBLICATION",
                    "ALTER_SUBSCRIPTION_ADD_PUBLICATION",
                    "ALTER_SUBSCRIPTION_DROP_PUBLICATION",
                )
            )
        case "DiscardStmt":
            return tree.get("target") == "DISCARD_ALL"
    return kind in {
        "CreatedbStmt",
        "DropdbStmt",
        "CreateTableSpaceStmt",
        "DropTableSpaceStmt",
        "AlterSystemStmt",
        "DropSubscriptionStmt",
    }


def _detaches_concurrently(command: dict[str, Any]) -> bool:
    if command.get("subtype") != "AT_DetachPartition":
        return False
    return bool(command.get("def", {}).get("PartitionCmd", {}).get("concurrent"))
