"""Texts that PostgreSQL writes otherwise once it has read them, as a restored dump shows."""

from __future__ import annotations

import subprocess

import psycopg
import pytest
from turnback.local.programs import binaries, clean_environment
from turnback.local.server import EmbeddedServer
from turnback.schema.compare import compare
from turnback.schema.read import fingerprint
from turnback.schema.reread import settle

# A text that is not stable, wherever a schema can have one.
UNSTABLE = "s IN ('a', 'b') OR n BETWEEN 1 AND 2 AND n > 0"
SCHEMA = f"""
CREATE SCHEMA "of app";
SET search_path = "of app";
CREATE TABLE t (
    n int, s varchar(10), f boolean DEFAULT ('x'::varchar(3) IN ('a', 'b')),
    g boolean GENERATED ALWAYS AS ({UNSTABLE}) STORED, CHECK ({UNSTABLE})
);
CREATE TABLE o (s varchar(10));
CREATE DOMAIN d AS varchar(4) CHECK (VALUE IN ('a', 'b'));
CREATE DOMAIN e AS boolean DEFAULT ('x'::varchar(3) IN ('a', 'b'));
CREATE INDEX i ON t (n) WHERE {UNSTABLE};
CREATE UNIQUE INDEX j ON t (({UNSTABLE}));
CREATE VIEW v AS SELECT n FROM t WHERE {UNSTABLE};
CREATE POLICY p ON t USING ({UNSTABLE})
    WITH CHECK (EXISTS (SELECT FROM o WHERE o.s = t.s AND t.s IN ('a', 'b')));
CREATE FUNCTION x() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.s IN ('a', 'b')) EXECUTE FUNCTION x();
CREATE RULE u AS ON DELETE TO t WHERE OLD.s IN ('a', 'b') DO INSTEAD NOTHING;
CREATE STATISTICS st ON n, (s IN ('a', 'b')) FROM t;
CREATE FUNCTION f(s varchar, n int) RETURNS boolean LANGUAGE sql RETURN {UNSTABLE};
"""
UNSTABLE_ATTRIBUTES = 14


@pytest.fixture
def restored(database: str, server: EmbeddedServer, admin: psycopg.Connection):
    """Sessions with a database, and with another one that was made from its dump."""
    admin.execute("CREATE DATABASE restored TEMPLATE template0")
    with psycopg.connect(database, autocommit=True) as session:
        session.execute(SCHEMA.encode())
        dump = [binaries() / "pg_dump", "--schema-only", database]
        done = subprocess.run(dump, env=clean_environment(), capture_output=True, check=True)
        psql = [binaries() / "psql", "-qX", "-v", "ON_ERROR_STOP=1", server.url("restored")]
        # Meta-commands of pg_dump are psql's.
        subprocess.run(psql, input=done.stdout, env=clean_environment(), check=True)
        with psycopg.connect(server.url("restored"), autocommit=True) as other:
            yield session, other
    admin.execute("DROP DATABASE restored WITH (FORCE)")


def test_a_schema_that_was_restored_from_its_dump_is_the_same(restored) -> None:
    session, other = restored
    before, now = fingerprint(session), fingerprint(other)
    differences = compare(before, now)
    assert {one.softness for one in differences} == {"hard"}
    assert len(differences) == UNSTABLE_ATTRIBUTES
    settled = settle(other, differences, before.objects, now.objects)
    assert [str(one) for one in settled if one.softness != "cosmetic"] == []
    # Nothing is left of the copies.
    assert fingerprint(other) == now
    [[temporary]] = other.execute(
        "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"
    ).fetchall()
    assert temporary == 0


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE t DROP CONSTRAINT t_check, ADD CONSTRAINT t_check CHECK (s IN ('a', 'c'))",
        "ALTER TABLE t ALTER f SET DEFAULT ('y'::varchar(3) IN ('a', 'b'))",
        "DROP INDEX i; CREATE INDEX i ON t (n) WHERE s IN ('a', 'c')",
        "CREATE OR REPLACE VIEW v AS SELECT n FROM t WHERE s IN ('a', 'c')",
        "ALTER POLICY p ON t USING (s IN ('a', 'c'))",
    ],
)
def test_other_texts_still_differ(restored, change: str) -> None:
    session, other = restored
    other.execute(f'SET search_path = "of app"; {change}'.encode())
    before, now = fingerprint(session), fingerprint(other)
    settled = settle(other, compare(before, now), before.objects, now.objects)
    assert len([one for one in settled if one.softness == "hard"]) == 1
