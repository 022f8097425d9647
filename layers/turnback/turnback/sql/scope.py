"""What a name in a script means: search_path, temporary tables, renames, and what is new."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator

from turnback.sql.replay import moved, replay
from turnback.sql.statements import Statement, json_value
from turnback.sql.tables import TEMPORARY, Schema, Table
from turnback.sql.tree import (
    Named,
    Node,
    commands,
    definition,
    dropped,
    made,
    makes,
    relations,
    strings,
    table_name,
    takes_away,
    walk,
)

# Where a statement names the relation that it makes.
_NEW = {
    "CreateStmt": ("relation",),
    "CreateForeignTableStmt": ("base", "relation"),
    "CreateTableAsStmt": ("into", "rel"),
    "SelectStmt": ("intoClause", "rel"),
    "CreateSeqStmt": ("sequence",),
    "ViewStmt": ("view",),
    "CompositeTypeStmt": ("typevar",),
}
# Kinds whose names are searched for along the search_path.
_SEARCHED = {
    "OBJECT_TABLE",
    "OBJECT_FOREIGN_TABLE",
    "OBJECT_VIEW",
    "OBJECT_MATVIEW",
    "OBJECT_SEQUENCE",
    "OBJECT_INDEX",
    "OBJECT_TYPE",
    "OBJECT_DOMAIN",
}
# Kinds whose names are not those of tables, nor of parts of tables.
_NOT_IN_TABLES = {
    "OBJECT_SCHEMA",
    "OBJECT_FUNCTION",
    "OBJECT_EXTENSION",
    "OBJECT_ROLE",
    "OBJECT_EVENT_TRIGGER",
}
_NOT_SEARCHED = ("$user", "pg_catalog", TEMPORARY, "")


class Scope:
    """The meaning of names while the scripts of a release run, one statement after the other."""

    def __init__(self) -> None:
        self.tables = Schema()
        self._path = ["public"]
        self._new: set[Named] = set()
        # A table or column by its name now → by its name before the release.
        self._before: dict[str, str] = {}
        # A view → the tables that it reads: what is written into it ends up there.
        self._views: dict[str, list[str]] = {}

    def fork(self) -> Scope:
        """One that knows the same, and goes its own way from here on."""
        other = Scope()
        other.tables = self.tables
        other._path = list(self._path)
        other._new = set(self._new)
        other._before = dict(self._before)
        other._views = dict(self._views)
        return other

    def begin_script(self) -> None:
        """A script begins: each has the settings and temporary tables of a new session."""
        self._path = ["public"]
        for name in self.tables.temporary:
            self.tables = self.tables.without(name)

    def forget_what_is_new(self) -> None:
        """From here on, all that there is was there before."""
        self._new.clear()
        self._before.clear()

    def is_new(self, kind: str, name: str) -> bool:
        """Whether the release itself made the object, so that nothing is lost with it."""
        return name.startswith(f"{TEMPORARY}.") or Named(kind, name) in self._new

    def is_new_column(self, table: str, column: str) -> bool:
        """Whether the release itself made the column, or its table."""
        return self.is_new("OBJECT_TABLE", table) or self.is_new(
            "OBJECT_COLUMN", f"{table}.{column}"
        )

    def before(self, name: str) -> str:
        """The name that a table had before the release renamed it."""
        return self._before.get(name, name)

    def column_before(self, table: str, column: str) -> str:
        """The name that a column had before the release, with its table's."""
        plain = self._before.get(f"{table}.{column}", column)
        return f"{self.before(table)}.{plain}"

    def written(self, name: str) -> list[str]:
        """The tables in which a change of rows of this relation ends up.

        The table of a view; a table and those that inherit from it. Partitions are the table.
        """

        def below(relation: str) -> Iterable[str]:
            table = self.tables.find(relation)
            if relation in self._views or table is None or table.partitioned:
                return self._views.get(relation, ())
            return self.tables.heirs.get(relation, ())

        return [found for found in _with_those_below(name, below) if found not in self._views]

    def with_heirs(self, name: str) -> list[str]:
        """A table, and those that inherit from it or are its partitions, at any depth."""
        return _with_those_below(name, lambda table: self.tables.heirs.get(table, ()))

    def qualified(self, statement: Statement) -> Statement:
        """The statement with a schema at each name that means another one than ``public``."""
        new = self._new_relation(statement)
        temporary = bool(new) and new.get("relpersistence") == "t"
        if self._path == ["public"] and not temporary and not self.tables.temporary:
            return statement
        tree = copy.deepcopy(statement.tree)
        statement = Statement(
            statement.outline, statement.offset, statement.kind, tree, statement.first
        )
        new = self._new_relation(statement)
        for _, node in walk({"tree": tree}):
            if "relname" in node and not node.get("schemaname"):
                node["schemaname"] = (
                    self._schema_of_new(node) if node is new else self._find(node["relname"])
                )
        if statement.kind == "DropStmt" and tree["removeType"] in _SEARCHED:
            self._qualify_dropped(tree)
        return statement

    def after(self, statement: Statement, path: str) -> None:
        """Remember what the statement makes, renames and drops, and where it looks for names.

        Args:
            path: of the script.
        """
        tree = statement.tree
        if statement.kind == "VariableSetStmt" and tree.get("name") == "search_path":
            self._search(str(json_value(item)) for item in tree.get("args", ()))
        elif statement.kind in ("RenameStmt", "AlterObjectSchemaStmt"):
            self._rename(statement)
        elif statement.kind == "DropStmt":
            self._new -= set(dropped(tree))
        elif statement.kind == "ViewStmt":
            self._views[table_name(tree["view"])] = relations(tree["query"])
        for kind, node in walk({statement.kind: tree}):
            if kind == "FuncCall" and strings(node["funcname"])[-1] == "set_config":
                self._set_config(node)
        for inner in _parts(statement):
            uncertain = _if_not_exists(inner)
            known = any(item.name in self.tables.tables for item in made(inner))
            self.tables = replay(self.tables, inner, path)
            if not known:
                self._new |= {item for item in made(inner) if item.name not in uncertain}

    def _new_relation(self, statement: Statement) -> Node:
        node = statement.tree
        for key in _NEW.get(statement.kind, ("",)):
            node = node.get(key, {})
        return node

    def _schema_of_new(self, relation: Node) -> str:
        return TEMPORARY if relation.get("relpersistence") == "t" else self._path[0]

    def _find(self, name: str) -> str:
        """The schema in which the server finds a relation of this name."""
        for schema in (TEMPORARY, *self._path):
            full = table_name({"schemaname": schema, "relname": name})
            if self.tables.find(full) or any(item.name == full for item in self._new):
                return schema
        return self._path[0]

    def _qualify_dropped(self, tree: Node) -> None:
        for item in tree["objects"]:
            holder = item.get("List", {}).get("items") or item.get("TypeName", {}).get("names")
            if holder and len(holder) == 1:
                holder.insert(0, {"String": {"sval": self._find(strings(holder)[0])}})

    def _search(self, schemas: Iterable[str]) -> None:
        found = [name for name in schemas if name not in _NOT_SEARCHED]
        self._path = found or ["public"]

    def _set_config(self, call: Node) -> None:
        values = [
            item["A_Const"].get("sval", {}).get("sval")
            for item in call.get("args", ())
            if "A_Const" in item
        ]
        if values[:1] == ["search_path"] and len(values) > 1 and values[1] is not None:
            self._search(part.strip().strip('"') for part in values[1].split(","))

    def _rename(self, statement: Statement) -> None:
        tree = statement.tree
        kind: str = tree.get("renameType") or tree.get("objectType", "")
        if "relation" not in tree:
            self._rename_other(statement, kind)
            return
        old = table_name(tree["relation"])
        if kind == "OBJECT_COLUMN":
            self._move_column(old, tree["subname"], tree["newname"])
        elif kind in _SEARCHED:
            if kind == "OBJECT_TABLE" and self.tables.find(old) is None:
                # No script made it, but it is there, wherever it goes.
                self.tables = self.tables.with_table(Table(old, ""))
            changed = {"schemaname": tree.get("newschema") or tree["relation"].get("schemaname")}
            changed["relname"] = tree.get("newname", tree["relation"]["relname"])
            new = table_name({key: value for key, value in changed.items() if value})
            self._move(old, new)

    def _rename_other(self, statement: Statement, kind: str) -> None:
        """A schema with all that is in it, or a type, a function, a role."""
        if statement.kind != "RenameStmt":
            return
        [old], [new] = takes_away(statement), makes(statement)
        was_new = Named(kind, old) in self._new
        self._new -= {Named(kind, old), Named(kind, new)}
        if was_new:
            self._new.add(Named(kind, new))
        else:
            self._before[new] = self._before.pop(old, old)
        if kind != "OBJECT_SCHEMA":
            return
        for table in self.tables_in(old):
            renamed = f"{new}.{table.name.removeprefix(f'{old}.')}"
            self._move(table.name, renamed)
            self.tables = moved(self.tables, table.name, renamed)

    def _move(self, old: str, new: str) -> None:
        self._new = {
            item if item.kind in _NOT_IN_TABLES else Named(item.kind, _moved(item.name, old, new))
            for item in self._new
        }
        was = self.before(old)
        self._before = {_moved(name, old, new): was for name, was in self._before.items()}
        self._before.pop(old, None)
        self._before[new] = was

    def _move_column(self, table: str, old: str, new: str) -> None:
        was = self._before.pop(f"{table}.{old}", old)
        self._before[f"{table}.{new}"] = was
        if Named("OBJECT_COLUMN", f"{table}.{old}") in self._new:
            self._new.discard(Named("OBJECT_COLUMN", f"{table}.{old}"))
            self._new.add(Named("OBJECT_COLUMN", f"{table}.{new}"))

    def tables_in(self, schema: str) -> list[Table]:
        """The tables that the scripts made in a schema."""
        prefix = f"{schema}."
        return [
            table
            for name, table in self.tables.tables.items()
            if name.startswith(prefix) or (schema == "public" and "." not in name)
        ]


def _with_those_below(name: str, below: Callable[[str], Iterable[str]]) -> list[str]:
    """A relation and all below it, each once: a script may ask for a circle, and be refused."""
    found: dict[str, None] = {}
    left = [name]
    while left:
        relation = left.pop()
        if relation not in found:
            found[relation] = None
            left += reversed(list(below(relation)))
    return list(found)


def _moved(name: str, old: str, new: str) -> str:
    """The name of a table that is renamed, or of one of its columns."""
    if name == old or name.startswith(f"{old}."):
        return new + name[len(old) :]
    return name


def _parts(statement: Statement) -> Iterator[Statement]:
    """The statement, and those inside a CREATE SCHEMA, whose names are in that schema."""
    yield statement
    if statement.kind != "CreateSchemaStmt":
        return
    for element in statement.tree.get("schemaElts", ()):
        kind, tree = next(iter(copy.deepcopy(element).items()))
        for _, node in walk({"tree": tree}):
            if "relname" in node:
                node.setdefault("schemaname", statement.tree.get("schemaname"))
        yield Statement(statement.sql, statement.offset, kind, tree)


def _if_not_exists(statement: Statement) -> set[str]:
    """The names of what was perhaps there before: IF NOT EXISTS makes nothing then."""
    tree = statement.tree
    if statement.kind != "AlterTableStmt":
        return {item.name for item in made(statement)} if tree.get("if_not_exists") else set()
    table = table_name(tree["relation"])
    return {
        f"{table}.{definition(command)[1]['colname']}"
        for command in commands(tree)
        if command["subtype"] == "AT_AddColumn" and command.get("missing_ok")
    }
