"""Makes the copy of a table, empty, and tries the exchange with it before a row is copied."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import scalar_row, tuple_row

from turnback.engine.backfill.records import Records
from turnback.engine.run.failure import point
from turnback.engine.run.ladder import Ladder
from turnback.engine.session.message import ServerError, send
from turnback.engine.session.query import query
from turnback.engine.swap import mapping
from turnback.engine.swap.exchange import Around
from turnback.engine.swap.mirror import Mirror
from turnback.engine.swap.parts import (
    Column,
    columns_of,
    different,
    obstacles,
    parts_of,
    signature,
)
from turnback.engine.swap.work import TRANSIENT, Work
from turnback.errors import TurnbackError
from turnback.sql.quoting import identifier, joined, literal
from turnback.wording import listed

_SHOWN = 5
_FIRST = "change that first, or change the table without a swap"
_PRIMARY_KEY = """
SELECT a.attname::text FROM pg_catalog.pg_index i
 CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (n, place)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n
 WHERE i.indrelid = %(table)s::oid AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place
"""
_OWNER = """
SELECT pg_catalog.pg_get_userbyid(relowner)::text, relpersistence = 'u'
  FROM pg_catalog.pg_class WHERE oid = %(table)s::oid
"""
# What default privileges and ownership have granted, of a table and its identity columns.
_NO_GRANTS = """
SELECT DISTINCT pg_catalog.format('REVOKE ALL ON %%s%%s FROM %%s',
           CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END, c.oid::regclass,
           coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC'))
  FROM pg_catalog.pg_class c
 CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault(
           CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) a
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
 WHERE c.oid = %(table)s::oid
    OR (c.relkind = 'S' AND EXISTS (
           SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
              AND d.refobjid = %(table)s::oid AND d.deptype = 'i'))
"""
_TABLES = (
    "CREATE TABLE {state} (version text NOT NULL, direction text NOT NULL, state text NOT NULL, "
    "signature text NOT NULL, key text[] NOT NULL, after_exchange text[] NOT NULL DEFAULT '{{}}'); "
    "CREATE TABLE {missed} (key text[] NOT NULL, error text NOT NULL)"
)


def prepare(work: Work) -> None:
    """Make the copy and the triggers that fill it, in one transaction.

    Raises:
        MigrationFailed, RollbackFailed: something around the table cannot be carried over, or the
            definition is wrong.
    """
    connection, names = work.connection, work.names
    oid = work.oid(names.own)
    if found := obstacles(connection, oid):
        raise work.refused(f"{names.shown} cannot be swapped: {listed(found, _SHOWN)}", _FIRST)
    key = work.change.options.key or query(connection, _PRIMARY_KEY, scalar_row, {"table": oid})
    if not key:
        raise work.refused(
            f"{names.shown} has no primary key, by which its rows are copied",
            "name the columns of another unique index: key=",
        )
    work.key = list(key)
    known = signature(parts_of(connection, oid))

    def attempt(ladder: Ladder) -> None:
        send(connection, f"BEGIN; SET LOCAL lock_timeout = {ladder.rung_ms}")
        try:
            _make(work, oid, known)
        except BaseException:
            if work.session.usable:
                send(connection, "ROLLBACK")
            raise

    work.with_locks(attempt, [names.own])


def around(work: Work, leaving: int, entering: int, *, first: bool) -> Around:
    """What the exchange of these two has to move."""
    connection = work.connection
    if first:
        pairs = mapping.pairs_of(connection, leaving, entering)
    else:
        found = mapping.pairs_of(connection, entering, leaving)
        pairs = [(now, before) for before, now in found if now]
    parts = parts_of(connection, leaving)
    what = Around.of(connection, work.names, parts, pairs, (leaving, entering))
    if obstacles := sorted({one for view in what.views for one in view.obstacles}):
        raise work.refused(
            f"the views of {work.names.shown} are dropped and made again, and on them depends "
            f"{listed(obstacles, _SHOWN)}",
            "drop that in a migration before this one, and make it again in one after it",
        )
    return what


def _make(work: Work, oid: int, known: str) -> None:
    connection, names, step = work.connection, work.names, work.step
    path = work.path()
    ((owner, unlogged),) = query(connection, _OWNER, tuple_row, {"table": oid})
    owner = identifier(owner)
    lock = work.session.recorder.lock_assertion
    send(connection, f"{lock} SET LOCAL search_path = pg_catalog")
    parts = parts_of(connection, oid)
    send(
        connection,
        f"CREATE SCHEMA {identifier(names.beside)} AUTHORIZATION {owner}; "
        f"CREATE {'UNLOGGED ' if unlogged else ''}TABLE {names.other} (LIKE {names.own} "
        "INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY INCLUDING STORAGE "
        f"INCLUDING COMPRESSION); ALTER TABLE {names.other} OWNER TO {owner}; "
        f"{_TABLES.format(state=names.state, missed=names.missed)}",
    )
    there = work.oid(names.other)
    _name_sequences(work, columns_of(connection, oid), columns_of(connection, there))
    work.send_all(query(connection, _NO_GRANTS, scalar_row, {"table": there}))
    work.send_all(part.on(names) for part in parts if part.phase == "copy")
    # What differs is what nobody has thought of: the copy would lose it.
    if differs := different(parts, parts_of(connection, there)):
        raise work.refused(
            f"{names.shown} cannot be copied as it is: {listed(differs, _SHOWN)}", _FIRST
        )
    send(connection, f"SET LOCAL search_path TO {path}")
    for change in work.change.changes:
        try:
            send(connection, change.on(names.beside, names.table))
        except ServerError as error:
            raise point(step, error, change.statement.offset, change.statement) from error
    mapping.refuse_values(work, oid, there)
    forth = mapping.forth(work, oid, there)
    back = mapping.back(work, oid, there, swapped=False)
    _plan(work, forth)
    send(connection, "SET LOCAL search_path = pg_catalog")
    work.send_all([*forth.functions, *back.functions])
    made = [*forth.function_names, *back.function_names]
    work.send_all(f"ALTER FUNCTION {name}() OWNER TO {owner}" for name in made)
    for table in (names.state, names.missed):
        send(connection, f"ALTER TABLE {table} OWNER TO {owner}")
        work.send_all(query(connection, _NO_GRANTS, scalar_row, {"table": work.oid(table)}))
        send(connection, f"GRANT ALL ON {table} TO {owner}")
    _try(work, around(work, oid, there, first=True), forth, back)
    records = Records(work.session.history.schema, step.version, step.direction)
    records.create(connection)
    # From here on a rollback has something to undo.
    trying = work.session.recorder.trying(step, 1, work.change.first, None)
    values = ", ".join(map(literal, (step.version, step.direction, "copying", known)))
    send(
        connection,
        f"INSERT INTO {names.state} (version, direction, state, signature, key) VALUES ({values}, "
        f"ARRAY[{', '.join(map(literal, work.key))}]::pg_catalog.text[]); {records.forget()}; "
        f"{trying}",
    )
    # A writer waits for the rest: not for the disk as well, which the record of the end waits for.
    triggers = "; ".join(forth.triggers)
    send(connection, f"SET LOCAL synchronous_commit = off; {triggers}; COMMIT")


def _name_sequences(work: Work, old: Sequence[Column], new: Sequence[Column]) -> None:
    """Give the sequences of identity columns the names that the table's have."""
    for before, after in zip(old, new, strict=True):
        if after.sequence and before.sequence and before.sequence != after.sequence:
            made = joined([work.names.beside, after.sequence])
            send(
                work.connection,
                f"ALTER SEQUENCE {made} RENAME TO {identifier(before.sequence)}",
            )


def _plan(work: Work, mirror: Mirror) -> None:
    """Let the server plan the copy: a wrong expression is found before the first row."""
    try:
        send(work.connection, f"EXPLAIN {mirror.copy('false')}")
    except ServerError as error:
        where = work.change.first
        raise point(work.step, error, where.offset, where) from error


def _try(work: Work, what: Around, forth: Mirror, back: Mirror) -> None:
    """Do the whole exchange with the empty copy, and undo it.

    So whatever the copy cannot take over fails now, in the server's own words: a policy of a column
    that goes, a view of a column that changes its type, a foreign key without its unique index.
    """
    connection = work.connection
    exchange = [
        *forth.triggers,
        *what.exchange(first=True, before=forth.without_triggers, after=back.triggers),
    ]
    send(connection, f"SAVEPOINT turnback_swap; {what.lock()}")
    try:
        work.send_all(exchange)
    except ServerError as error:
        if error.sqlstate in TRANSIENT:
            raise
        send(connection, "ROLLBACK TO turnback_swap")
        raise _refusal(work, exchange) from error
    send(connection, "ROLLBACK TO turnback_swap")


def _refusal(work: Work, exchange: Sequence[str]) -> TurnbackError:
    """The error for an exchange that fails: one after another shows which statement it is."""
    for sql in exchange:
        try:
            send(work.connection, sql)
        except ServerError as error:
            what = " ".join(sql.split()[:5])
            return work.refused(
                f"the copy cannot take the place of {work.names.shown}: {error}, in {what} …",
                _FIRST,
            )
    return work.incomplete("the exchange failed once, and then not", "run it again")
