"""The judge of loss against PostgreSQL: each case is run, and rows and catalog are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from turnback.local.server import EmbeddedServer
from turnback.migrations.model import Script
from turnback.sql.destroys import UNKNOWN, Certainty, Judge, Kind, Loss

from tests.integration.destroys_panel import BEFORE, KEEPING, LOSING, ROWS, cases

Found = set[tuple[str, str]]
OBJECTS = """
SELECT 'schemas', oid::text, nspname, '' FROM pg_namespace
 WHERE nspname !~ '^pg_|information_schema'
UNION ALL SELECT 'extensions', extname, extname, '' FROM pg_extension
UNION ALL SELECT 'types', t.oid::text, format('%s.%s', n.nspname, t.typname), ''
  FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
  LEFT JOIN pg_class c ON c.oid = t.typrelid
 WHERE n.nspname !~ '^pg_|information_schema' AND (typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')
UNION ALL SELECT 'tables', c.oid::text, format('%s.%s', n.nspname, relname),
       format('%s %s %s', relpersistence, relrowsecurity, relforcerowsecurity)
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_|information_schema'
UNION ALL SELECT 'columns', format('%s.%s', a.attrelid, a.attnum),
       format('%s.%s.%s', n.nspname, c.relname, a.attname), format_type(atttypid, atttypmod)
  FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
  JOIN pg_namespace n ON n.oid = relnamespace
 WHERE attnum > 0 AND NOT attisdropped AND (relkind IN ('r', 'p', 'f', 'c'))
   AND n.nspname !~ '^pg_|information_schema'
UNION ALL SELECT 'sequences', c.oid::text, format('%s.%s', n.nspname, relname), ''
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid
                                        AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)
UNION ALL SELECT 'triggers', format('%s.%s', c.oid, t.oid),
       format('%s.%s.%s', n.nspname, c.relname, tgname), tgenabled::text
  FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = relnamespace
 WHERE NOT tgisinternal
UNION ALL SELECT 'policies', format('%s.%s', c.oid, p.oid),
       format('%s.%s.%s', n.nspname, c.relname, polname), ''
  FROM pg_policy p JOIN pg_class c ON c.oid = polrelid JOIN pg_namespace n ON n.oid = relnamespace
UNION ALL SELECT 'public', format('%s.%s', n.nspname, relname), format('%s.%s', n.nspname, relname),
       string_agg(privilege_type, ' ' ORDER BY 1)
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace, aclexplode(relacl)
 WHERE grantee = 0 AND n.nspname !~ '^pg_|information_schema' GROUP BY 1, 2, 3
UNION ALL SELECT 'public', nspname, nspname, string_agg(privilege_type, ' ' ORDER BY 1)
  FROM pg_namespace, aclexplode(nspacl)
 WHERE grantee = 0 AND nspname !~ '^pg_|information_schema' GROUP BY 1, 2, 3
"""


@dataclass
class State:
    """A database as it is at one moment."""

    objects: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    # Table's oid → id → column's number → value as text.
    rows: dict[str, dict[str, dict[str, str | None]]] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: psycopg.Connection) -> State:
        state = cls()
        for kind, key, name, text in connection.execute(OBJECTS):
            state.objects[kind, key] = (name, text)
        for (kind, key), (name, _) in list(state.objects.items()):
            if kind == "tables" and not name.startswith("public.events_"):
                state.rows[key] = state._rows(connection, key, name)
            elif kind == "sequences":
                [[last]] = connection.execute(f"SELECT last_value FROM {name}".encode())
                state.sequences[key] = last
        return state

    def _rows(
        self, connection: psycopg.Connection, oid: str, name: str
    ) -> dict[str, dict[str, str | None]]:
        columns = {
            key.split(".")[1]: column.rpartition(".")[2]
            for (kind, key), (column, _) in self.objects.items()
            if kind == "columns" and key.split(".")[0] == oid
        }
        if "id" not in columns.values():
            return {}
        listed = ", ".join(f'"{column}"::text' for column in columns.values())
        only = "" if name == "public.events" else "ONLY "
        [[name]] = connection.execute("SELECT %s::oid::regclass::text", [oid])
        found = connection.execute(f"SELECT id::text, {listed} FROM {only}{name}".encode())
        return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in found}

    def of_kind(self, kind: str) -> dict[str, tuple[str, str]]:
        return {key: value for (found, key), value in self.objects.items() if found == kind}


def lost(connection: psycopg.Connection, before: State, after: State) -> Found:
    """What the server shows to be gone, overwritten or open."""
    found: Found = set()
    for kind in ("schemas", "extensions", "types", "tables"):
        gone = before.of_kind(kind).keys() - after.of_kind(kind).keys()
        found |= {(kind, before.of_kind(kind)[key][0]) for key in gone}
    tables = after.of_kind("tables")
    found |= _columns(before, after)
    for oid, rows in before.rows.items():
        if oid not in tables:
            continue
        name = before.of_kind("tables")[oid][0]
        if rows.keys() - after.rows[oid].keys():
            found.add(("rows", name))
        found |= {("values", column) for column in _values(connection, before, after, oid)}
        if name == "public.migrations" and after.rows[oid].keys() - rows.keys():
            found.add(("protections", name))
    for key, last in before.sequences.items():
        if after.sequences.get(key, 0) < last:
            found.add(("values", before.of_kind("sequences")[key][0]))
    found |= _protections(before, after)
    return {(kind, name.removeprefix("public.")) for kind, name in found}


def _columns(before: State, after: State) -> Found:
    found: Found = set()
    for key, (name, _) in before.of_kind("columns").items():
        owner = key.split(".")[0]
        if key in after.of_kind("columns"):
            continue
        if owner in after.of_kind("tables"):
            found.add(("columns", name))
        elif owner not in before.of_kind("tables") and ("types", name.rpartition(".")[0]) not in {
            ("types", gone) for gone, _ in before.of_kind("types").values()
        } - {("types", still) for still, _ in after.of_kind("types").values()}:
            # An attribute of a type that is still there.
            found.add(("values", name))
    return found


def _values(connection: psycopg.Connection, before: State, after: State, oid: str) -> Iterator[str]:
    for key, (name, old_type) in before.of_kind("columns").items():
        owner, number = key.split(".")
        if owner != oid or key not in after.of_kind("columns"):
            continue
        new_type = after.of_kind("columns")[key][1]
        for row, values in before.rows[oid].items():
            now = after.rows[oid].get(row, {}).get(number)
            old = values[number]
            if row not in after.rows[oid] or old is None or now == old:
                continue
            if new_type == old_type or back(connection, now, new_type, old_type) != old:
                yield name
                break


def back(
    connection: psycopg.Connection, value: str | None, new_type: str, old_type: str
) -> str | None:
    """A value of the new type changed back to the old one."""
    try:
        with connection.transaction():
            for between in ("", "::text"):
                sql = f"SELECT (%s::text::{new_type}{between}::{old_type})::text"
                try:
                    with connection.transaction():
                        [[text]] = connection.execute(sql.encode(), [value])
                        return str(text)
                except psycopg.Error:
                    continue
    except psycopg.Error:
        pass
    return None


def _protections(before: State, after: State) -> Found:
    found: Found = set()
    for key, (name, was) in before.of_kind("tables").items():
        if key in after.of_kind("tables"):
            now = after.of_kind("tables")[key][1]
            if (" t" in was and now.count(" t") < was.count(" t")) or (
                was[0] == "p" and now[0] == "u"
            ):
                found.add(("protections", name))
    for kind in ("triggers", "policies"):
        for key, (name, was) in before.of_kind(kind).items():
            still = key.split(".")[0] in after.of_kind("tables")
            now = after.of_kind(kind).get(key)
            if still and (now is None or (was == "O" and now[1] in "DR")):
                found.add(("protections", name))
    for key, (name, was) in after.of_kind("public").items():
        known = {item for item, _ in before.objects.values()}
        if name in known and before.of_kind("public").get(key, ("", ""))[1] != was:
            found.add(("privileges", name))
    return found


def script(path: str, sql: str) -> Script:
    data = sql.encode()
    return Script(path, sql, hashlib.sha256(data).hexdigest())


def judged(sql: str) -> list[Loss]:
    judge = Judge()
    judge.learn(script("sql/0001_before.sql", BEFORE))
    return judge.losses(script("sql/0002_case.sql", sql))


def pairs(losses: list[Loss], certainty: Certainty) -> Found:
    return {(str(loss.kind), loss.object) for loss in losses if loss.certainty is certainty}


@pytest.fixture(scope="module")
def panel(server: EmbeddedServer, admin: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A database with what earlier migrations made, and rows."""
    admin.execute("CREATE DATABASE panel")
    admin.execute("CREATE ROLE panel_bob")
    with psycopg.connect(server.url("panel"), autocommit=True) as connection:
        connection.execute(BEFORE.encode())
        connection.execute(ROWS.encode())
        connection.execute("ALTER TABLE derived OWNER TO panel_bob")
        yield connection
    admin.execute("DROP DATABASE panel WITH (FORCE)")
    admin.execute("DROP ROLE panel_bob")


def run(connection: psycopg.Connection, sql: str, folder: Path) -> Found:
    """What a script destroys, as the server shows it; the database is as before afterwards."""
    with connection.transaction(force_rollback=True):
        before = State.of(connection)
        connection.execute(sql.replace("{tmp}", str(folder)).encode())
        connection.execute("RESET search_path; RESET session_replication_role")
        found = lost(connection, before, State.of(connection))
    if "{tmp}" in sql and (folder / "rows").exists():
        found.add(("protections", "the server itself"))
    return found


def unseen(server: Found, losses: list[Loss]) -> Found:
    """What is gone and was not announced; what is unknown may be anything in tables."""
    announced = pairs(losses, Certainty.CERTAIN) | pairs(losses, Certainty.POSSIBLE)
    vague = {
        loss.kind
        for loss in losses
        if loss.object == UNKNOWN or loss.object.startswith(("all that", "what depends", "a seq"))
    }
    if vague:
        data = {Kind.TABLES, Kind.COLUMNS, Kind.ROWS, Kind.VALUES}
        server = {pair for pair in server if pair[0] not in data}
    return server - announced


@pytest.mark.parametrize("sql", cases(LOSING))
def test_what_the_server_loses_is_announced_and_no_more(
    panel: psycopg.Connection, sql: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    losses = judged(sql)
    shown = run(panel, sql, tmp_path)
    assert shown, "nothing is lost here"
    assert unseen(shown, losses) == set()
    assert pairs(losses, Certainty.CERTAIN) <= shown


@pytest.mark.parametrize("sql", cases(KEEPING))
def test_where_the_server_loses_nothing_no_loss_is_certain(
    panel: psycopg.Connection, sql: str, tmp_path: Path
) -> None:
    assert run(panel, sql, tmp_path) == set()
    assert judged(sql) == []


def test_the_panel_is_large_and_no_case_stands_twice() -> None:
    every = cases(LOSING) + cases(KEEPING)
    assert len(every) == len(set(every)) >= 120
