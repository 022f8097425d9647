"""Filling an empty database from a dump, in three passes: its tables, their rows, and the rest.

pg_restore works with an empty search path and in an order of its own. Under these, a function that
names an object without its schema fails, and so does a CHECK constraint whose function reads a
table that has no rows yet, though both work in the database. So what fails is tried again: with a
search path for the functions, and as long as some of it succeeds. What fails even then is made in
another way, where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import psycopg

from turnback.engine.session.connection import Connection, connect
from turnback.engine.session.events import Options
from turnback.engine.session.message import said_by
from turnback.errors import RestoreFailed
from turnback.recovery.dumps.catalog import DumpRecord
from turnback.recovery.dumps.passes import Failure, Passes, advice_on
from turnback.recovery.endpoint import Endpoint
from turnback.store import Store

_SHOWN = 2000
# The last schema of the search paths that are set here: one that does not exist, so that a later
# call finds the functions that one which was cut off has left with it.
_MARK = "turnback is restoring"
# Functions of users that have no search path of their own; then those that have ours.
_ROUTINES = """
SELECT pg_catalog.format('ALTER ROUTINE %I.%I(%s)', n.nspname, p.proname,
                         pg_catalog.pg_get_function_identity_arguments(p.oid))
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
"""
_WITHOUT = f"""{_ROUTINES}
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
   AND l.lanname NOT IN ('internal', 'c') AND p.prokind IN ('f', 'p')
   AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) s WHERE s LIKE 'search_path=%')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""
_WITH_OURS = f"""{_ROUTINES}
 WHERE EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) s
                WHERE s LIKE 'search_path=%"{_MARK}"')
"""
# All that has rows here. ANALYZE of a table with a foreign partition would connect to its server.
_ANALYZE = """
WITH RECURSIVE far AS (
    SELECT i.inhparent FROM pg_catalog.pg_inherits i
      JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'f'
    UNION
    SELECT i.inhparent FROM far JOIN pg_catalog.pg_inherits i ON i.inhrelid = far.inhparent)
SELECT pg_catalog.format('ANALYZE %I.%I', n.nspname, c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm') AND c.relispopulated AND NOT c.relisshared
   AND n.nspname NOT LIKE 'pg\\_t%' AND c.oid NOT IN (SELECT inhparent FROM far)
"""
# What partitions have from their parent is dropped with that only; pg_restore begins with theirs.
_PARTITIONED = """
SELECT pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT IF EXISTS %I CASCADE',
                         n.nspname, c.relname, k.conname)
  FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'p' AND k.conparentid = 0 AND k.contype IN ('p', 'u', 'x', 'f')
UNION ALL
SELECT pg_catalog.format('DROP INDEX IF EXISTS %I.%I CASCADE', n.nspname, c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'I'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                    WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
"""
# The CHECK constraints of tables: the entry of the table's rows, and what to run with each.
_CHECKS = """
SELECT pg_catalog.format('TABLE DATA %s %s %s', n.nspname, c.relname,
                         pg_catalog.pg_get_userbyid(c.relowner)),
       k.conname, pg_catalog.format('ALTER TABLE %I.%I ', n.nspname, c.relname),
       pg_catalog.quote_ident(k.conname), pg_catalog.pg_get_constraintdef(k.oid),
       pg_catalog.format('COMMENT ON CONSTRAINT %I ON %I.%I IS %L', k.conname, n.nspname, c.relname,
                         pg_catalog.obj_description(k.oid, 'pg_constraint'))
  FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE k.contype = 'c' AND k.convalidated AND k.coninhcount = 0
"""


class Filling:
    """Restores one dump into one empty database.

    It is not one transaction (--single-transaction): that would hold a lock on every object, of
    which a server has few (max_locks_per_transaction).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        store: Store,
        record: DumpRecord,
        seconds: float,
        search_path: str | None,
    ) -> None:
        """Fill this database.

        Args:
            endpoint: the database.
            store: where the dump is.
            record: what is known of the dump.
            seconds: after which pg_restore is ended.
            search_path: of the old database, where the record has none; None for the server's.
        """
        self._passes = Passes(endpoint, store, record, seconds)
        self._endpoint = endpoint
        self._path = record.search_path or search_path

    def rows(self) -> list[str]:
        """Restore the tables and their rows.

        Returns:
            The constraints that rows of the dump break, and what they are now.

        Raises:
            RestoreFailed: the dump is gone or was changed, the time is over, or not every row
                could be restored.
            DatabaseUnreachable, AwsError: the connection was lost, or S3 does not answer.
        """
        # pg_restore runs what it reads while it reads it: a changed dump must never reach it.
        self._passes.verify()
        self._refuse(self._tables())
        failures = self._again(self._passes.run("--section=data", whole=True))
        left, broken = self._without_checks(failures)
        self._refuse(left)
        self._reset_functions()
        return broken

    def schema(self) -> list[Failure]:
        """Restore all but the rows; what of it could not be made.

        A subscription is left out: a database that has one cannot be dropped.

        Raises:
            RestoreFailed: the dump is gone or was changed, or the time is over.
            DatabaseUnreachable, AwsError: the connection was lost, or S3 does not answer.
        """
        found = self._tables()
        found += self._again(self._passes.run("--section=post-data", "--no-subscriptions"))
        return found

    def rest(self) -> list[str]:
        """Restore what depends on the rows: indexes, constraints, triggers.

        It can be repeated: what an earlier call has made of it is made again.

        Returns:
            The indexes and the like that could not be made, each with its error.

        Raises:
            DatabaseUnreachable, DatabaseRefused: the database cannot be connected to.
            RestoreFailed: the dump is gone or was changed, the time is over, or what protects the
                rows could not be restored.
        """
        self._passes.verify()
        with self._endpoint.open("turnback fill") as session:
            for (drop,) in session.execute(_PARTITIONED.encode()).fetchall():
                session.execute(str(drop).encode())
        # To drop a subscription drops its slot on another server; they come last.
        options = ("--section=post-data", "--no-subscriptions", "--clean", "--if-exists")
        left = self._again(self._passes.run(*options))
        self._reset_functions()
        final = [one for one in left if not one.can_wait]
        if final:
            name = self._endpoint.name
            raise RestoreFailed(
                f'all rows are in "{name}", but not what protects them: {_shown(final)}',
                hint=f'the old database answers as before. "{name}" is kept: remove the cause '
                f"there ({advice_on(final[0].whole)}) and restore again, which goes on with it; "
                "or drop it",
                detail=final[0].whole,
            )
        return [str(one) for one in left]

    def finish(self) -> list[str]:
        """Make the subscriptions, and the planner's statistics.

        A dump has no statistics, and without them the first minutes of a restored database are its
        slowest.

        Returns:
            What could not be made, each with its error.
        """
        left: list[str] = []
        wanted = [
            entry
            for entry, what in self._passes.entries().items()
            if re.match(r"SUBSCRIPTION|COMMENT - SUBSCRIPTION", what)
        ]
        with self._usual_session() as session:
            found = session.execute(
                "SELECT FROM pg_catalog.pg_subscription WHERE subdbid = (SELECT oid FROM "
                "pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
            ).fetchall()
            if wanted and not found:
                left += [str(one) for one in self._again(self._passes.run(entries=wanted))]
            for (statement,) in session.execute(_ANALYZE.encode()).fetchall():
                try:
                    session.execute(str(statement).encode())
                except psycopg.Error as error:
                    if session.closed:
                        raise
                    left.append(f"{statement}: {said_by(error)}")
        return left

    def _tables(self) -> list[Failure]:
        """Restore what comes before the rows.

        pg_restore grants last of all. But an object can be given to its owner only if that role
        may create in the schema, which it may have been granted: so schemas come first.
        """
        schemas = {
            entry: what
            for entry, what in self._passes.entries().items()
            if what.startswith(("SCHEMA ", "ACL - SCHEMA "))
        }
        failures: list[Failure] = []
        if any(what.startswith("ACL") for what in schemas.values()):
            failures = self._passes.run(entries=list(schemas))
        else:
            schemas = {}
        # Those are there already.
        rest = self._passes.run("--section=pre-data", "--no-subscriptions")
        return self._again(failures + [one for one in rest if one.entry not in schemas])

    def _again(self, failures: Sequence[Failure]) -> list[Failure]:
        """Try again what failed, as long as some of it succeeds; what is left, with its error.

        An entry that had succeeded in part fails the second time because its object exists.
        """
        first = {one.entry: one for one in failures}
        left = len(failures) + 1
        while failures and len(failures) < left and None not in first:
            left = len(failures)
            self._set_functions()
            failures = self._passes.run(entries=[one.entry for one in failures if one.entry])
        return list(filter(None, (self._otherwise(first.get(one.entry, one)) for one in failures)))

    def _without_checks(self, failures: Sequence[Failure]) -> tuple[Sequence[Failure], list[str]]:
        """Restore rows that break a CHECK of their table, which then holds for new rows.

        They were right when they were written, and its function is another one now, or it asks
        for the time. What is left, and the constraints.
        """
        if not failures:
            return failures, []
        entries = self._passes.entries()
        tables = [entries.get(one.entry or 0) for one in failures]
        with self._endpoint.open("turnback fill") as session:
            found = session.execute(_CHECKS.encode()).fetchall()
            checks = [tuple(map(str, row[1:])) for row in found if row[0] in tables]
            for _, alter, name, *_ in checks:
                session.execute(f"{alter} DROP CONSTRAINT {name}".encode())
            left = self._passes.run(entries=[one.entry for one in failures if one.entry])
            broken = []
            for plain, alter, name, definition, comment in checks:
                add = f"{alter} ADD CONSTRAINT {name} {definition} NOT VALID; {comment}"
                session.execute(add.encode())
                try:
                    session.execute(f"{alter} VALIDATE CONSTRAINT {name}".encode())
                except psycopg.Error as error:
                    # Its function may raise an error of its own.
                    if session.closed:
                        raise
                    broken.append(f"CHECK CONSTRAINT {plain}: {_NEW_ROWS}: {said_by(error)}")
        return left, broken

    def _otherwise(self, failure: Failure) -> Failure | None:
        """Make in another way what pg_restore cannot make; None where nothing is lost by it.

        A constraint that rows of the dump break, because they were written past it, or because its
        function is another one now, is made for new rows. And what was granted by another role
        than the owner is granted as that role, for which a superuser is not needed.
        """
        if failure.entry is None or not failure.what.startswith(tuple(_OTHERWISE)):
            return failure
        change, made = next(
            found for kind, found in _OTHERWISE.items() if failure.what.startswith(kind)
        )
        statement = self._passes.statement(failure.entry)
        with self._endpoint.open("turnback fill") as session:
            try:
                session.execute(change(statement).encode())
            except psycopg.Error:
                return failure
        return replace(failure, message=f"{made}: {failure.message}", made=True) if made else None

    def _refuse(self, failures: Sequence[Failure]) -> None:
        if failures:
            raise RestoreFailed(
                f"pg_restore failed: {_shown(failures)}",
                hint=f"the old database answers as before; {advice_on(failures[0].whole)}",
                detail=failures[0].whole,
            )

    def _set_functions(self) -> None:
        """Give the functions a search path; those that we may not alter are left out."""
        path = self._path if self._path is not None else self._usual_path()
        own = f'{path}, "{_MARK}"' if path else f'"{_MARK}"'
        with self._endpoint.open("turnback fill") as session:
            for (alter,) in session.execute(_WITHOUT.encode()).fetchall():
                with suppress(psycopg.errors.InsufficientPrivilege):
                    session.execute(f"{alter} SET search_path TO {own}".encode())

    def _reset_functions(self) -> None:
        """Leave the functions as they are in the dump."""
        with self._endpoint.open("turnback fill") as session:
            for (alter,) in session.execute(_WITH_OURS.encode()).fetchall():
                session.execute(f"{alter} RESET search_path".encode())

    def _usual_path(self) -> str:
        """The path of a session that asks for none."""
        with self._usual_session() as session:
            row = session.execute("SELECT pg_catalog.current_setting('search_path')").fetchone()
        return str(row[0]) if row else ""

    def _usual_session(self) -> Connection:
        """A session with the search path of the user and the database."""
        return self._endpoint.connected(
            lambda: connect(
                self._endpoint.conninfo(), application_name="turnback fill", options=Options()
            )
        )


def _shown(failures: Sequence[Failure]) -> str:
    others = f" (and {len(failures) - 1} more errors)" if len(failures) > 1 else ""
    return f"{str(failures[0])[:_SHOWN]}{others}"


def _not_valid(statement: str) -> str:
    return f"{statement.removesuffix(';')} NOT VALID;"


def _by_role(statement: str) -> str:
    return statement.replace("SET SESSION AUTHORIZATION ", "SET ROLE ").replace(
        "RESET SESSION AUTHORIZATION", "RESET ROLE"
    )


def _of_before_16(statement: str) -> str:
    """Without the option that pg_dump writes for a server that has no other way to apply."""
    return statement.replace(", run_as_owner = true", "")


_NEW_ROWS = "made for new rows only (NOT VALID), because rows of the dump break it"
# For the kinds of entries that can be made in another way: how, and what to say of it.
_OTHERWISE: dict[str, tuple[Callable[[str], str], str]] = {
    "FK CONSTRAINT ": (_not_valid, _NEW_ROWS),
    "CHECK CONSTRAINT ": (_not_valid, _NEW_ROWS),
    "ACL ": (_by_role, ""),
    "SUBSCRIPTION ": (_of_before_16, ""),
    # Of what was made in another way.
    "COMMENT ": (str, ""),
}
