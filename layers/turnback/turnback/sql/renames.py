"""Names that a pair of scripts drops and makes: what may have been meant as a rename.

A tool that compares two schemas does not see a rename: it writes DROP COLUMN and ADD COLUMN, and
with them the values are lost. What the two scripts of a migration drop and add says which names
these may be.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from turnback.sql import tree
from turnback.sql.deparse import without_places
from turnback.sql.quoting import identifier, joined, literal
from turnback.sql.statements import Statement

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rename:
    """An old name and a new one.

    Attributes:
        kind: ``table``, ``column``, ``type`` or ``value`` (of an enum).
        owner: what has the name: a schema other than ``public``, or a table or a type, as the parts
            of its name.
        likely: whether it looks like a rename: a column of the same type, a table with half of its
            columns or more, an enum with half of its values or more.
    """

    kind: str
    owner: Parts
    old: str
    new: str
    likely: bool = True

    @property
    def text(self) -> str:
        """As ``--rename`` has it: ``users.name=full_name``."""
        return f"{'.'.join((*self.owner, self.old))}={self.new}"

    @property
    def sql(self) -> str:
        """The statement that renames it."""
        name = joined((*self.owner, self.old))
        match self.kind:
            case "table":
                return f"ALTER TABLE {name} RENAME TO {identifier(self.new)};"
            case "type":
                return f"ALTER TYPE {name} RENAME TO {identifier(self.new)};"
            case "column":
                old, new = identifier(self.old), identifier(self.new)
                return f"ALTER TABLE {joined(self.owner)} RENAME COLUMN {old} TO {new};"
        old, new = literal(self.old), literal(self.new)
        return f"ALTER TYPE {joined(self.owner)} RENAME VALUE {old} TO {new};"

    @property
    def reverse(self) -> Rename:
        """What undoes it."""
        return replace(self, old=self.new, new=self.old)


def renames(forward: Iterable[Statement], rollback: Iterable[Statement]) -> list[Rename]:
    """What may have been renamed: each dropped name with each one that is added beside it.

    Args:
        forward, rollback: the statements of a migration, which undo each other. The rollback says
            what the dropped one was.
    """
    there, back = _Change.of(forward), _Change.of(rollback)
    found = []
    for kind in ("table", "type", "column"):
        dropped = [
            name
            for name in there.dropped[kind]
            if name in back.made[kind].keys() - there.made[kind]
        ]
        for old, (new, made) in itertools.product(dropped, there.made[kind].items()):
            # A column that is dropped and added again has another type.
            if old[:-1] == new[:-1] and new not in there.dropped[kind]:
                likely = _alike(back.made[kind][old], made)
                found.append(Rename(kind, old[:-1], old[-1], new[-1], likely))
    for name, (gone, new_values) in there.values(back).items():
        likely = len(gone) == len(new_values) == 1
        pairs = itertools.product(gone, new_values)
        found += [Rename("value", name, old, new, likely) for old, new in pairs]
    return found


def lost_values(forward: Iterable[Statement], rollback: Iterable[Statement]) -> list[str]:
    """The values of enums that a migration removes, such as ``'GUEST' of "Role"``."""
    values = _Change.of(forward).values(_Change.of(rollback))
    return [
        f"{literal(value)} of {joined(name)}"
        for name, (gone, _) in values.items()
        for value in gone
    ]


class _Change:
    """What a script drops and makes, by kind; names are without ``public``.

    Attributes:
        made: each with what it consists of: a table's columns with their types, an enum's values,
            a column's type.
        rebuilt: the values of an enum that is made anew under another name, which becomes its own.
        added: the values that are added to an enum.
    """

    def __init__(self) -> None:
        self.dropped: dict[str, list[Parts]] = defaultdict(list)
        self.made: dict[str, dict[Parts, list[Any]]] = defaultdict(dict)
        self.rebuilt: dict[Parts, list[str]] = {}
        self.added: dict[Parts, list[str]] = defaultdict(list)

    @classmethod
    def of(cls, statements: Iterable[Statement]) -> _Change:
        found = cls()
        for statement in statements:
            found._read(statement.kind, statement.tree)
        return found

    def values(self, back: _Change) -> dict[Parts, tuple[list[str], list[str]]]:
        """Of each enum that is rebuilt, the values that are gone and those that are new."""
        found = {}
        for name, values in self.rebuilt.items():
            before = [*back.rebuilt.get(name, ()), *back.added[name]]
            gone = [value for value in before if value not in values]
            known = name in back.rebuilt
            found[name] = gone, [value for value in values if known and value not in before]
        return found

    def _read(self, kind: str, node: tree.Node) -> None:
        match kind:
            case "CreateStmt":
                columns = [one["ColumnDef"] for one in node["tableElts"] if "ColumnDef" in one]
                of_table = [[one["colname"], _type(one)] for one in columns]
                self.made["table"][_relation(node["relation"])] = of_table
            case "CreateEnumStmt":
                self.made["type"][_name(tree.strings(node["typeName"]))] = tree.strings(
                    node.get("vals", ())
                )
            case "AlterEnumStmt" if "oldVal" not in node:
                self.added[_name(tree.strings(node["typeName"]))].append(node["newVal"])
            case "RenameStmt" if node["renameType"] == "OBJECT_TYPE":
                name = _name(tree.object_parts(node["object"]))
                if values := self.made["type"].pop(name, None):
                    self.rebuilt[(*name[:-1], node["newname"])] = values
            case "DropStmt" if node["removeType"] in _DROPPED:
                names = map(_name, tree.objects(node))
                self.dropped[_DROPPED[node["removeType"]]] += names
            case "AlterTableStmt":
                table = _relation(node["relation"])
                for command in tree.commands(node):
                    if command["subtype"] == "AT_DropColumn":
                        self.dropped["column"].append((*table, command["name"]))
                    elif command["subtype"] == "AT_AddColumn":
                        _, column = tree.definition(command)
                        self.made["column"][(*table, column["colname"])] = [_type(column)]


_DROPPED = {"OBJECT_TABLE": "table", "OBJECT_TYPE": "type"}


def _relation(relation: tree.Node) -> Parts:
    return _name([part for part in (relation.get("schemaname"), relation["relname"]) if part])


def _name(parts: list[str]) -> Parts:
    return tuple(parts[1:] if len(parts) > 1 and parts[0] == "public" else parts)


def _type(column: tree.Node) -> Any:
    found = without_places(column["typeName"])
    return {**found, "names": _name(tree.strings(found["names"]))}


def _alike(old: list[Any], new: list[Any]) -> bool:
    """Whether half of what they consist of is the same."""
    return 2 * sum(one in new for one in old) >= max(len(old), len(new))
