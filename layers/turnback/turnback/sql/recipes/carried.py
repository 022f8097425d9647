"""What belongs to a column, for the column that takes its place: indexes, constraints, views.

Each is built from the parser's tree of the statement that made it, with another column in it, in
the way that lets the application go on: an index CONCURRENTLY, a constraint NOT VALID first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from turnback.errors import ConfigurationError
from turnback.sql.deparse import deparse
from turnback.sql.lint.writing import OUTSIDE, dotted_name, name
from turnback.sql.recipes.model import Duration, Pair, Values
from turnback.sql.recipes.parts import removed, validated
from turnback.sql.recipes.trees import constraint_node, constraint_text, replaced
from turnback.sql.statements import Statement
from turnback.sql.tables import Constraint, Index, View
from turnback.sql.tree import (
    Node,
    dotted,
    strings,
    table_name,
)

# What a unique constraint may have besides its columns; such a one is not carried over.
_SPECIAL = ("including", "deferrable", "nulls_not_distinct", "indexspace")
Called = Callable[[str], str]


def same(text: str) -> str:
    """The name that a thing has already."""
    return text


def old_name(text: str) -> str:
    """The name of a thing that has been replaced."""
    return _with_end(text, "_old")


def new_name(text: str) -> str:
    """The name of a thing until it takes the place of another one."""
    return _with_end(text, "_new")


def _with_end(text: str, end: str) -> str:
    # No longer than PostgreSQL keeps.
    return text.encode("utf-8")[: 63 - len(end)].decode("utf-8", "ignore") + end


@dataclass(frozen=True, slots=True)
class Carried:
    """What belongs to a column of the table, as the migrations make it.

    Attributes:
        indexes: with the trees of the statements that made them.
        constraints: those that are no keys, with the parser's nodes.
        unique: the unique constraints.
        views: those that read it, and those that read these, each after what it reads.
        refused: what cannot be carried over.
    """

    values: Values
    column: str
    indexes: Sequence[tuple[Index, Node]]
    constraints: Sequence[tuple[Constraint, Node]]
    unique: Sequence[Constraint]
    views: Sequence[View]
    refused: Sequence[str]

    @classmethod
    def of(cls, values: Values, column: str, besides: Collection[str] = ()) -> Carried:
        """Everything that belongs to the column.

        Args:
            besides: the names of constraints that are left out.
        """
        table, refused = values.known(), list[str]()
        indexes, constraints, unique = [], [], []
        for index in table.indexes:
            if column not in index.all_columns:
                continue
            if tree := values.index_tree(index.name):
                indexes.append((index, tree))
            else:
                refused.append(f"the index {index.name}")
        for item in table.constraints:
            if column not in item.columns or item.name in besides:
                continue
            node = constraint_node(values, item.name)
            plain = node is not None and not any(node.get(key) for key in _SPECIAL)
            if item.kind in ("check", "foreign") and item.validated and item.node:
                constraints.append((item, dict(item.node)))
            elif item.kind == "unique" and plain:
                unique.append(item)
            else:
                refused.append(f"the {item.kind} constraint {item.name}")
        views = list(_views(values, table.name, column))
        refused += _others(values, column, besides)
        return cls(values, column, indexes, constraints, unique, views, refused)

    def require(self, views: Collection[View], *, alone: bool = False) -> Carried:
        """The same, if all of it can be carried over.

        Args:
            views: those that can.
            alone: whether an index or a constraint of several columns cannot: it would go with the
                column, and the other columns would be without it.

        Raises:
            ConfigurationError: something cannot; it is named.
        """
        refused = [*self.refused, *(f"the view {v.name}" for v in self.views if v not in views)]
        if alone:
            named = [*self.unique, *(one for one, _ in self.constraints)]
            several = [one for one in named if set(one.columns) != {self.column}]
            refused += [f"the index {one.name}" for one, _ in self.indexes if len(one.columns) > 1]
            refused += [f"the constraint {one.name}" for one in several]
        if refused:
            raise ConfigurationError(
                f"{self.values.table}.{self.column} is used by {', '.join(dict.fromkeys(refused))}",
                hint="drop these in a migration before, and make what is still needed after it",
            )
        return self

    @property
    def plain_views(self) -> list[View]:
        """The views that can be made again as they are."""
        return [view for view in self.views if _is_plain(self.values, view)]

    @property
    def _direct(self) -> list[View]:
        return self.values.schema.readers(self.values.known().name, self.column)

    @property
    def replaceable_views(self) -> list[View]:
        """The views that can read another column: those of this table alone, and who reads them."""
        plain = self.values.plain
        kept = [view for view in self.views if view not in self._direct]
        return kept + [
            view for view in self._direct if view.tree and _reads_only(_query(view), plain)
        ]

    def pairs(self, on: str, called: Called) -> list[Pair]:
        """The migrations that make its indexes and constraints for another column.

        Args:
            on: that column.
            called: gives each one's name there.
        """
        found = list(self._others_on(on, called))
        for key in self.unique:
            shown, drop = self._columns(key, on), self._drop_index(called(key.name))
            found += unique_pairs(self.values, called(key.name), shown, drop)
        return found

    def removal(self, on: str, called: Called) -> list[Pair]:
        """The migrations that undo these, and whose rollback scripts make all of it again."""
        found = removed(list(self._others_on(on, called)))
        for key in self.unique:
            new = called(key.name)
            index, constraint = unique_pairs(self.values, new, self._columns(key, on), "")
            waiver = f"-- turnback: waive TB401 because {on} goes\n"
            drop = f"ALTER TABLE {self.values.table} DROP CONSTRAINT {name(new)};"
            again = f"{OUTSIDE}\n{index.forward}\n{constraint.forward}"
            found.append(Pair(f"no {new}", waiver + drop, again, Duration.INSTANT))
        return found

    def _others_on(self, on: str, called: Called) -> Iterator[Pair]:
        """The migrations for the indexes, the checks and the foreign keys."""
        values, names = self.values, {self.column: on}
        for index, tree in self.indexes:
            new = called(index.name)
            made = {**replaced(tree, names, values.plain), "idxname": new, "concurrent": True}
            drop = self._drop_index(new)
            yield Pair(new, f"{deparse('IndexStmt', made)};", drop, Duration.BUILD)
        for item, node in self.constraints:
            new = called(item.name)
            text = constraint_text(values, node, names)
            yield from validated(values.table, new, name(new), text)

    def _columns(self, key: Constraint, on: str) -> str:
        return ", ".join(name(on if one == self.column else one) for one in key.columns)

    def _drop_index(self, called: str) -> str:
        how = "" if self.values.known().partitioned else "CONCURRENTLY "
        *schema, _ = self.values.parts("table")
        return f"DROP INDEX {how}{'.'.join(map(name, [*schema, called]))};"

    def renamed(self, called: Called) -> list[str]:
        """Statements that give its indexes and constraints other names."""
        *schema, _ = self.values.parts("table")
        indexes = [
            f"ALTER INDEX {'.'.join(map(name, [*schema, one.name]))}"
            f" RENAME TO {name(called(one.name))};"
            for one, _ in self.indexes
        ]
        named = [*self.unique, *(one for one, _ in self.constraints)]
        return indexes + [
            f"ALTER TABLE {self.values.table} RENAME CONSTRAINT {name(one.name)}"
            f" TO {name(called(one.name))};"
            for one in named
        ]

    def back(self, called: Called) -> list[str]:
        """Statements that give them the names that they have, in place of others."""
        *schema, _ = self.values.parts("table")
        indexes = [
            f"ALTER INDEX {'.'.join(map(name, [*schema, called(one.name)]))}"
            f" RENAME TO {name(one.name)};"
            for one, _ in self.indexes
        ]
        named = [*self.unique, *(one for one, _ in self.constraints)]
        return indexes + [
            f"ALTER TABLE {self.values.table} RENAME CONSTRAINT {name(called(one.name))}"
            f" TO {name(one.name)};"
            for one in named
        ]

    def without_views(self) -> list[str]:
        """Statements that drop the views that read it."""
        return [f"DROP VIEW {dotted_name(view.name)};" for view in reversed(self.views)]

    def with_views(self) -> list[str]:
        """Statements that make them, with their rights and comments."""
        found = []
        for view in self.views:
            assert view.tree is not None
            found.append(f"{deparse('ViewStmt', {**dict(view.tree), 'replace': False})};")
            found += [f"{one.sql};" for one in _of_view(self.values, view) if one.kind in _KEPT]
        return found

    def views_on(self, on: str) -> list[Pair]:
        """A migration for each view that reads another column in the place of this one."""
        found = []
        for view in self._direct:
            tree, query = dict(view.tree or {}), _query(view)
            changed = replaced(query, {self.column: on}, self.values.plain)
            both = zip(query["targetList"], changed["targetList"], strict=True)
            changed["targetList"] = [_under_its_name(before, after) for before, after in both]
            forward = {**tree, "replace": True, "query": {"SelectStmt": changed}}
            found.append(
                Pair(
                    f"{view.name} reads {on}",
                    f"{deparse('ViewStmt', forward)};",
                    f"{deparse('ViewStmt', {**tree, 'replace': True})};",
                    Duration.INSTANT,
                )
            )
        return found


def unique_pairs(values: Values, called: str, columns: str, drop: str) -> list[Pair]:
    """A unique constraint: the index first.

    Args:
        called: its name.
        columns: as SQL.
        drop: the statement that drops the index.
    """
    shown, table = name(called), values.table
    return [
        Pair(
            called,
            f"CREATE UNIQUE INDEX CONCURRENTLY {shown} ON {table} ({columns});",
            drop,
            Duration.BUILD,
        ),
        Pair(
            f"{called} constraint",
            f"ALTER TABLE {table} ADD CONSTRAINT {shown} UNIQUE USING INDEX {shown};",
            f"{OUTSIDE}\nALTER TABLE {table} DROP CONSTRAINT {shown};\n"
            f"CREATE UNIQUE INDEX CONCURRENTLY {shown} ON {table} ({columns});",
            Duration.INSTANT,
        ),
    ]


def _views(values: Values, table: str, column: str = "") -> Iterator[View]:
    """The views that read it, and those that read these, each once, after what it reads."""
    found: dict[str, View] = {}
    for view in values.schema.readers(table, column):
        for one in (view, *_views(values, view.name)):
            found.pop(one.name, None)
            found[one.name] = one
    yield from found.values()


# What is said again of a view that is made again.
_KEPT = ("GrantStmt", "CommentStmt", "AlterOwnerStmt")


def _of_view(values: Values, view: View) -> list[Statement]:
    """The statements about a view, after the one that made it."""
    found = []
    for statement in values.statements:
        tree = statement.tree
        relation = tree.get("relation") or tree.get("view")
        named = [table_name(relation)] if isinstance(relation, dict) else []
        if statement.kind == "GrantStmt":
            listed = [one.get("RangeVar") for one in tree.get("objects", ())]
            named = [table_name(one) for one in listed if one]
        elif statement.kind == "CommentStmt":
            parts = strings(tree.get("object", {}).get("List", {}).get("items", ()))
            whole = tree["objtype"] == "OBJECT_VIEW"
            named = [dotted([{"String": {"sval": p}} for p in (parts if whole else parts[:-1])])]
        if view.name in named:
            found.append(statement)
    return found


def _is_plain(values: Values, view: View) -> bool:
    """Whether CREATE VIEW, and what _KEPT has, is all that the scripts say of it."""
    kinds = {one.kind for one in _of_view(values, view)}
    return view.tree is not None and kinds <= {"ViewStmt", *_KEPT}


def _others(values: Values, column: str, besides: Collection[str]) -> Iterator[str]:
    """What names the column besides, and stays with it."""
    table = values.known()
    for kind, parts in (("trigger", table.triggers), ("policy", table.policies)):
        for called, reads in parts.items():
            if (table.name, column) in reads:
                yield f"the {kind} {called}"
    for other in table.columns.values():
        if column in other.computed_from:
            yield f"the column {other.name}"
    if column in table.partition_key:
        yield "the partitions"
    for pointing in map(values.schema.find, values.schema.named_by.get(table.name, ())):
        for item in pointing.constraints if pointing else ():
            if item.name in besides or item.references != table.name:
                continue
            if column in item.target_columns:
                yield f"the foreign key {item.name} of {pointing.name if pointing else ''}"


def _query(view: View) -> Node:
    tree: Node = dict(view.tree or {})
    found: Node = tree["query"]["SelectStmt"]
    return found


def _reads_only(query: Node, table: str) -> bool:
    """Whether a query is of one table, and names its columns."""
    sources = query.get("fromClause", [])
    if len(sources) != 1 or sources[0].get("RangeVar", {}).get("relname") != table:
        return False
    if "alias" in sources[0]["RangeVar"] or "withClause" in query:
        return False
    text = str(query)
    return "A_Star" not in text and "SubLink" not in text


def _under_its_name(before: Node, after: Node) -> Node:
    """A column of a view, under the name that it had."""
    target = before["ResTarget"]
    if "name" in target or "ColumnRef" not in target["val"]:
        return after
    own = strings(target["val"]["ColumnRef"]["fields"])[-1]
    now = strings(after["ResTarget"]["val"]["ColumnRef"]["fields"])[-1]
    return after if own == now else {"ResTarget": {**after["ResTarget"], "name": own}}
