"""The tables as the chain of forward scripts builds them: enough to tell new from in use.

It is read from the scripts alone. What a DO block, a function or a person does is not in it, so a
table that it does not know counts as one that is there and in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, ValuesView
from dataclasses import dataclass, field, replace
from typing import Any

from turnback.sql.parted import Parted
from turnback.sql.tree import Named

# Of these the indexes are good for one another: the operator class is the same.
_ONE_ORDER = ({"text", "varchar"}, {"cidr", "inet"})


# ``(table, column)`` of what is read; an empty column stands for the table alone.
Reads = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Type:
    """A column's type: its name, and the numbers in its parentheses."""

    name: str
    numbers: tuple[int, ...] = ()
    array: bool = False

    def __str__(self) -> str:
        numbers = f"({', '.join(map(str, self.numbers))})" if self.numbers else ""
        return f"{self.name}{numbers}{'[]' if self.array else ''}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        filled: whether a default, an identity or an expression fills it.
        computed_from: the columns that a generated column's expression names.
        virtual: whether it is computed when it is read, and not stored.
        collation: the one it is declared with, if any.
        needs: what its default or its expression calls.
        born: path of the script that added it to its table; empty if the table's own did.
    """

    name: str
    type: Type
    not_null: bool = False
    filled: bool = False
    computed_from: tuple[str, ...] = ()
    collation: str = ""
    virtual: bool = False
    needs: frozenset[Named] = frozenset()
    born: str = ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint.

    Attributes:
        kind: ``check``, ``foreign``, ``primary``, ``unique`` or ``exclusion``.
        columns: those it is on; of a check, those it names.
        validated: whether PostgreSQL has read every row for it.
        filled: the columns a check proves to be not null.
        references: the table a foreign key points at.
        target_columns: those it points at; empty for the primary key.
        on_delete: the parser's letter for what a foreign key does to its rows when theirs are
            deleted: ``a`` nothing, ``c`` delete, ``n`` set null, ``d`` set default.
        node: the parser's node of a check or a foreign key.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    validated: bool = True
    filled: tuple[str, ...] = ()
    references: str = ""
    on_delete: str = "a"
    target_columns: tuple[str, ...] = ()
    node: Mapping[str, object] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """An index.

    Attributes:
        columns: None where one is an expression.
        partial: whether it has a WHERE.
        mentions: the columns that its expressions and its WHERE name.
        where_filled: the columns of which its WHERE says that they are not null, and no more.
        needs: what its expressions and its WHERE call.
    """

    name: str
    columns: tuple[str | None, ...]
    unique: bool = False
    partial: bool = False
    mentions: tuple[str, ...] = ()
    where_filled: frozenset[str] = frozenset()
    needs: frozenset[Named] = frozenset()

    @property
    def is_special(self) -> bool:
        """Whether it has an expression or a WHERE: such a one is never kept as it is."""
        return self.partial or None in self.columns

    @property
    def all_columns(self) -> set[str]:
        """Every column it has to do with."""
        return {*self.mentions, *(column for column in self.columns if column)}


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or a materialized view.

    Attributes:
        born: path of the script that made it.
        partitioned: whether its rows are in partitions.
        parents: the tables it inherits from, or is a partition of.
        partition_key: the columns that partitions are chosen by; None for an expression.
        is_default: whether it is the default partition.
        unlogged: whether it is UNLOGGED.
        needs: the type that it is of, and its foreign server.
        triggers: by name, what each one's OF and WHEN read; rules are among them.
        policies: by name, what each one's expressions read.
        called: by the name of a trigger, a rule or a policy, what it calls.
        row_security: whether row level security is enabled.
    """

    name: str
    born: str
    partitioned: bool = False
    columns: Mapping[str, Column] = field(default_factory=dict)
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    parents: tuple[str, ...] = ()
    triggers: Mapping[str, Reads] = field(default_factory=dict)
    policies: Mapping[str, Reads] = field(default_factory=dict)
    called: Mapping[str, frozenset[Named]] = field(default_factory=dict)
    row_security: bool = False
    partition_key: tuple[str | None, ...] = ()
    is_default: bool = False
    unlogged: bool = False
    needs: frozenset[Named] = frozenset()

    @property
    def others(self) -> tuple[str, ...]:
        """The other tables that its foreign keys, triggers and policies name, each once."""
        if not (self.constraints or self.triggers or self.policies):
            return ()
        found = [item.references for item in self.constraints if item.references]
        for parts in (self.triggers, self.policies):
            found += [table for reads in parts.values() for table, _ in reads]
        return tuple(sorted({*found} - {self.name}))

    @property
    def own_names(self) -> tuple[str, ...]:
        """The names of its indexes and constraints, each once."""
        named: tuple[Index | Constraint, ...] = (*self.indexes, *self.constraints)
        return tuple(dict.fromkeys(item.name for item in named))

    def names_as(self, other: Table) -> bool:
        """Whether it has the very constraints, indexes, triggers and policies of another one."""
        return (
            self.constraints is other.constraints
            and self.indexes is other.indexes
            and self.triggers is other.triggers
            and self.policies is other.policies
        )

    def column(self, name: str) -> Column | None:
        """The column of this name."""
        return self.columns.get(name)

    def with_column(self, column: Column) -> Table:
        """With this column, in place of one of the same name."""
        return replace(self, columns={**self.columns, column.name: column})

    def with_constraint(self, constraint: Constraint) -> Table:
        """With this constraint; a primary key makes its columns not null."""
        changed = replace(self, constraints=(*self.constraints, constraint))
        if constraint.kind == "primary":
            for name in constraint.columns:
                if column := changed.column(name):
                    changed = changed.with_column(replace(column, not_null=True))
        return changed

    def never_null(self, column: str) -> bool:
        """Whether PostgreSQL knows already that the column has no NULL."""
        known = self.column(column)
        return bool(known and known.not_null) or any(
            column in constraint.filled and constraint.validated for constraint in self.constraints
        )

    def depends_on(self, column: str, old: Type, new: Type, collation: str) -> bool:
        """Whether a change of the column's type rebuilds an index or repeats a check.

        Args:
            collation: the one the column gets; empty for that of its type.
        """
        known = self.column(column)
        other_order = old.name != new.name and not any(
            {old.name, new.name} <= group for group in _ONE_ORDER
        )
        if other_order or (known and known.collation != collation):
            return any(column in key for key in self.keys()) or self._checks(column)
        return any(
            index.is_special and column in index.all_columns for index in self.indexes
        ) or self._checks(column)

    def _checks(self, column: str) -> bool:
        return any(
            item.kind == "check" and item.validated and column in item.columns
            for item in self.constraints
        )

    def keys(self) -> Iterator[set[str]]:
        """The columns of every index, those of its constraints included."""
        for constraint in self.constraints:
            if constraint.kind in ("primary", "unique", "exclusion"):
                yield set(constraint.columns)
        for index in self.indexes:
            yield index.all_columns

    def leading(self, not_null: Iterable[str] = ()) -> Iterator[tuple[str | None, ...]]:
        """The columns of every whole index, those of its keys included.

        Args:
            not_null: an index of the rows where these are not null counts as a whole one.
        """
        for constraint in self.constraints:
            if constraint.kind in ("primary", "unique"):
                yield constraint.columns
        for index in self.indexes:
            if not index.partial or (index.where_filled and index.where_filled <= set(not_null)):
                yield index.columns

    def unique_keys(self) -> Iterator[tuple[str | None, ...]]:
        """The columns of which one row at most has the same values."""
        for constraint in self.constraints:
            if constraint.kind in ("primary", "unique"):
                yield constraint.columns
        for index in self.indexes:
            if index.unique and not index.partial:
                yield index.columns


class Tables(Mapping[str, Table]):
    """Tables by name, in the order in which they were made; never changed."""

    __slots__ = ("_found", "_made", "_size")

    def __init__(
        self, found: Parted[tuple[int, Table]] | None = None, size: int = 0, made: int = 0
    ) -> None:
        self._found = found or Parted()
        self._size = size
        self._made = made

    def __getitem__(self, name: str) -> Table:
        found = self._found.get(name)
        if found is None:
            raise KeyError(name)
        return found[1]

    # Mapping has these too, by way of __getitem__, which costs several times as much.
    def get(self, name: str, default: Any = None) -> Any:
        """The table of this name, or the default."""
        found = self._found.get(name)
        return found[1] if found else default

    def values(self) -> ValuesView[Table]:
        """The tables, in order."""
        return dict(sorted((item for _, item in self._found.items()), key=_made)).values()

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        every = [(made, name) for name, (made, _) in self._found.items()]
        return (name for _, name in sorted(every))

    def put(self, table: Table) -> Tables:
        """With this table, in place of one of the same name."""
        known = self._found.get(table.name)
        made = known[0] if known else self._made
        found = self._found.put(table.name, (made, table))
        return Tables(found, self._size + (known is None), self._made + 1)

    def remove(self, name: str) -> Tables:
        """Without the table of this name."""
        if self._found.get(name) is None:
            return self
        return Tables(self._found.remove(name), self._size - 1, self._made)


def _made(item: tuple[int, Table]) -> int:
    return item[0]


@dataclass(frozen=True, slots=True)
class Function:
    """A function.

    Attributes:
        volatile: whether any of its name is VOLATILE, which is the default.
        is_trigger: whether only triggers call it.
        definer: whether it runs with its owner's rights (SECURITY DEFINER).
        arguments: name and type of each that is passed to it.
        returns: the type it gives back.
        overloaded: whether there are others of its name.
        body: its text, in SQL or PL/pgSQL.
        pinned: whether it has a search_path of its own.
    """

    name: str
    volatile: bool
    is_trigger: bool = False
    definer: bool = False
    arguments: tuple[tuple[str, str], ...] = ()
    returns: str = ""
    overloaded: bool = False
    body: str = ""
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain.

    Attributes:
        checks: the expressions of its CHECKs, in which the value is called ``value``.
        default: the parser's node of its DEFAULT, if any.
    """

    name: str
    type: Type
    not_null: bool = False
    checks: tuple[Mapping[str, object], ...] = ()
    default: Mapping[str, object] | None = None

    @property
    def checked(self) -> bool:
        """Whether it has a CHECK."""
        return bool(self.checks)


@dataclass(frozen=True, slots=True)
class View:
    """A view, or a materialized view.

    Attributes:
        reads: the tables and columns that it needs.
        invoker: whether it reads with the rights of whoever asks it (``security_invoker``).
        columns: its columns; empty where the scripts do not tell.
        needs: what its query calls.
        tree: the parser's node of CREATE VIEW; None of a materialized view.
    """

    name: str
    reads: Reads
    invoker: bool = False
    columns: tuple[str, ...] = ()
    needs: frozenset[Named] = frozenset()
    tree: Mapping[str, object] | None = field(default=None, compare=False)


# The schema of temporary tables.
TEMPORARY = "pg_temp"


@dataclass(frozen=True, slots=True)
class Schema:
    """All tables, at one moment of the chain.

    Attributes:
        tables: by name.
        temporary: the names of those that end with their session.
        heirs: a table → those that inherit from it, or are its partitions.
        named_by: a table → those whose foreign keys, triggers and policies name it.
        owners: the name of an index or a constraint → the tables that have one.
        functions, domains, views: by name.
        born: of what is no table: path of the script that made it.
    """

    tables: Tables = field(default_factory=Tables)
    temporary: frozenset[str] = frozenset()
    heirs: Parted[tuple[str, ...]] = field(default_factory=Parted)
    named_by: Parted[tuple[str, ...]] = field(default_factory=Parted)
    owners: Parted[tuple[str, ...]] = field(default_factory=Parted)
    functions: Mapping[str, Function] = field(default_factory=dict)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    born: Mapping[Named, str] = field(default_factory=dict)

    def find(self, name: str) -> Table | None:
        """The table of this name, if a script made it."""
        found: Table | None = self.tables.get(name)
        return found

    def with_type(self, name: str) -> Iterator[Table]:
        """The tables with a column of this type or domain."""
        for table in self.tables.values():
            if any(column.type.name == name for column in table.columns.values()):
                yield table

    def owner_of_index(self, name: str) -> Table | None:
        """The table that has an index or a key of this name."""
        owners = self.owners.get(name.rpartition(".")[2])
        return self.find(owners[0]) if owners else None

    def truncated_with(self, named: Iterable[str]) -> list[str]:
        """These tables, and those that TRUNCATE … CASCADE empties with them."""
        hit = list(named)
        for name in hit:
            hit += [
                table.name
                for table in self.tables.values()
                if table.name not in hit and any(c.references == name for c in table.constraints)
            ]
        return hit

    def with_table(self, table: Table) -> Schema:
        """With this table, in place of one of the same name."""
        temporary = self.temporary
        if table.name.startswith(f"{TEMPORARY}."):
            temporary |= {table.name}
        before = self.find(table.name) or Table(table.name, "")
        named_by, owners = self.named_by, self.owners
        if not before.names_as(table):
            named_by = _indexed(named_by, table.name, before.others, table.others)
            owners = _indexed(owners, table.name, before.own_names, table.own_names)
        # Most statements pass here: replace() takes twice as long.
        return Schema(
            self.tables.put(table),
            temporary,
            _indexed(self.heirs, table.name, before.parents, table.parents),
            named_by,
            owners,
            self.functions,
            self.domains,
            self.views,
            self.born,
        )

    def without(self, name: str) -> Schema:
        """Without the table of this name."""
        table = self.find(name)
        if table is None:
            return self
        return replace(
            self,
            tables=self.tables.remove(name),
            temporary=self.temporary - {name},
            heirs=_indexed(self.heirs, name, table.parents, ()),
            named_by=_indexed(self.named_by, name, table.others, ()),
            owners=_indexed(self.owners, name, table.own_names, ()),
        )

    def readers(self, table: str, column: str = "") -> list[View]:
        """The views that need the table, or that column of it."""
        return [
            view
            for view in self.views.values()
            if any(t == table and (not column or c == column) for t, c in view.reads)
        ]


def _indexed(
    known: Parted[tuple[str, ...]], name: str, before: tuple[str, ...], after: tuple[str, ...]
) -> Parted[tuple[str, ...]]:
    """With a table under those of ``after``, and no more under those of ``before``."""
    if before == after:
        return known
    for other in before:
        left = tuple(item for item in known.get(other, ()) if item != name)
        known = known.put(other, left) if left else known.remove(other)
    for other in after:
        known = known.put(other, (*known.get(other, ()), name))
    return known
