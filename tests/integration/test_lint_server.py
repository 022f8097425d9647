"""What lint says PostgreSQL reads, rewrites and locks is what PostgreSQL does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import psycopg
import pytest
from click.testing import CliRunner
from turnback.cli.main import cli
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Script
from turnback.sql.lint.linter import lint
from turnback.sql.lint.locked import locks
from turnback.sql.lint.step import LintStep, steps
from turnback.sql.lint.work import slow_work
from turnback.sql.statements import split
from turnback.sql.tables import Schema
from turnback.sql.volatility import is_known, volatile_call

from tests.conftest import ProjectFactory
from tests.integration.test_corpora import corpus

# The lock modes that keep somebody from his work, by the numbers that lint uses.
STRONG = {
    "ShareLock": 5,
    "ShareRowExclusiveLock": 6,
    "ExclusiveLock": 7,
    "AccessExclusiveLock": 8,
}
TABLES = """
CREATE TABLE u (id int PRIMARY KEY);
CREATE FUNCTION steady() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION moody() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE TABLE t (
    id int, a int, v varchar(10), vu varchar, n numeric(10, 2), tx text, ch char(5),
    ts timestamp, ts3 timestamp(3), tz timestamptz, tm time(2), iv interval(2), ar int[],
    ip cidr, vb varbit(5), bi bit(4), small smallint, js json, low varchar(10), part varchar(10),
    checked varchar(10), loose varchar(10), at timestamp, fk int REFERENCES u
);
ALTER TABLE t ADD CONSTRAINT loose CHECK (a IS NOT NULL) NOT VALID;
ALTER TABLE t ADD CONSTRAINT loose2 CHECK (length(loose) > 0) NOT VALID;
ALTER TABLE t ADD CONSTRAINT full1 CHECK (length(checked) > 0);
ALTER TABLE t ADD CONSTRAINT proof CHECK (small IS NOT NULL);
CREATE INDEX t_v ON t (v);
CREATE INDEX t_low ON t (lower(low));
CREATE INDEX t_part ON t (id) WHERE part = 'a';
CREATE INDEX t_at ON t (at);
CREATE UNIQUE INDEX t_u ON t (a);
CREATE TABLE p (id int) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE MATERIALIZED VIEW m AS SELECT id FROM u;
CREATE INDEX p_id ON p (id);
CREATE TABLE gen (a int, s int GENERATED ALWAYS AS (a) STORED,
    v int GENERATED ALWAYS AS (a) VIRTUAL);
CREATE TABLE w (id int, a int, b int NOT NULL, c int);
CREATE UNIQUE INDEX w_id ON w (id);
CREATE UNIQUE INDEX w_b ON w (b);
CREATE UNIQUE INDEX w_c ON w (c);
ALTER TABLE w ADD CONSTRAINT w_filled CHECK (c IS NOT NULL);
ALTER TABLE w ADD CONSTRAINT w_loose CHECK (a > 0) NOT VALID;
ALTER TABLE w ADD CONSTRAINT w_key FOREIGN KEY (a) REFERENCES u NOT ENFORCED;
CREATE UNLOGGED TABLE ul (id int);
CREATE DOMAIN checked AS int CHECK (VALUE > 0);
CREATE DOMAIN inner_checked AS checked;
CREATE DOMAIN random_default AS float DEFAULT random();
CREATE DOMAIN filled AS int NOT NULL;
CREATE DOMAIN plain AS int DEFAULT 5;
CREATE TABLE uses (d plain);
CREATE TABLE r (id int, a int) PARTITION BY RANGE (id);
CREATE TABLE r_default PARTITION OF r DEFAULT;
CREATE TABLE r_new (id int, a int);
CREATE TABLE r_proven (id int NOT NULL, a int, CHECK (id >= 20 AND id < 30));
CREATE TABLE q (id int) PARTITION BY RANGE (id);
CREATE TABLE q_default PARTITION OF q DEFAULT;
ALTER TABLE q_default ADD CHECK (NOT (id IS NOT NULL AND id >= 20 AND id < 30));
CREATE TABLE e (id int) PARTITION BY LIST (id);
CREATE TABLE e_new (id int);
"""
STATEMENTS = [
    "ALTER TABLE t ADD x int",
    "ALTER TABLE t ADD x int CHECK (x > 0)",
    "ALTER TABLE t ADD x int UNIQUE",
    "ALTER TABLE t ADD x int REFERENCES u",
    "ALTER TABLE t ADD x int DEFAULT 1 REFERENCES u",
    "ALTER TABLE t ADD x int NOT NULL DEFAULT 1",
    "ALTER TABLE t ADD x int GENERATED ALWAYS AS (a + 1)",
    "ALTER TABLE t ADD x int GENERATED ALWAYS AS (a + 1) STORED",
    "ALTER TABLE t ADD x serial",
    "ALTER TABLE t ADD x int GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE t ADD x timestamptz DEFAULT now()",
    "ALTER TABLE t ADD x timestamptz DEFAULT clock_timestamp()",
    "ALTER TABLE t ADD x uuid DEFAULT gen_random_uuid()",
    "ALTER TABLE t ADD x int DEFAULT (random() * 10)::int",
    "ALTER TABLE t ADD x text DEFAULT ('a' || now())",
    "ALTER TABLE t ADD x jsonb DEFAULT jsonb_build_object('a', 1)",
    "ALTER TABLE t ADD x checked",
    "ALTER TABLE t ADD x inner_checked DEFAULT 1",
    "ALTER TABLE t ADD x checked[]",
    "ALTER TABLE t ADD x random_default",
    "ALTER TABLE t ADD x filled DEFAULT 1",
    "ALTER TABLE t ADD x plain",
    "ALTER TABLE t ADD x int NOT NULL GENERATED ALWAYS AS (a) VIRTUAL",
    "ALTER TABLE gen ALTER s SET EXPRESSION AS (a + 1)",
    "ALTER TABLE gen ALTER v SET EXPRESSION AS (a + 1)",
    "ALTER TABLE gen ALTER v SET NOT NULL",
    "ALTER TABLE w ADD PRIMARY KEY USING INDEX w_id",
    "ALTER TABLE w ADD PRIMARY KEY USING INDEX w_b",
    "ALTER TABLE w ADD PRIMARY KEY USING INDEX w_c",
    "ALTER TABLE w ALTER CONSTRAINT w_key ENFORCED",
    "ALTER TABLE w ADD CONSTRAINT x CHECK (id > 0) NOT VALID, VALIDATE CONSTRAINT x",
    "ALTER TABLE w ADD x int, VALIDATE CONSTRAINT w_loose",
    "ALTER TABLE w SET LOGGED",
    "ALTER TABLE ul SET LOGGED",
    "ALTER TABLE ul SET UNLOGGED",
    "ALTER TABLE w SET ACCESS METHOD heap",
    "ALTER TABLE w SET ACCESS METHOD DEFAULT",
    "ALTER DOMAIN plain SET NOT NULL",
    "ALTER DOMAIN plain ADD CHECK (VALUE > 0)",
    "ALTER DOMAIN plain ADD CHECK (VALUE > 0) NOT VALID",
    "ALTER DOMAIN checked ADD CHECK (VALUE > 1)",
    "CREATE TABLE x PARTITION OF r FOR VALUES FROM (20) TO (30)",
    "CREATE TABLE x PARTITION OF q FOR VALUES FROM (20) TO (30)",
    "CREATE TABLE x PARTITION OF e FOR VALUES IN (1)",
    "ALTER TABLE r ATTACH PARTITION r_new FOR VALUES FROM (20) TO (30)",
    "ALTER TABLE r ATTACH PARTITION r_proven FOR VALUES FROM (20) TO (30)",
    "ALTER TABLE e ATTACH PARTITION e_new FOR VALUES IN (1)",
    "ALTER TABLE e ATTACH PARTITION e_new DEFAULT",
    "ALTER TABLE r DETACH PARTITION r_default",
    "ALTER TABLE t DROP a",
    "ALTER TABLE t DROP fk",
    "ALTER TABLE t ALTER a SET NOT NULL",
    "ALTER TABLE t ALTER small SET NOT NULL",
    "ALTER TABLE u ALTER id SET NOT NULL",
    "ALTER TABLE t ADD CONSTRAINT x NOT NULL a",
    "ALTER TABLE t ADD CONSTRAINT x NOT NULL a NOT VALID",
    "ALTER TABLE t ADD CONSTRAINT x CHECK (id > 0)",
    "ALTER TABLE t ADD CONSTRAINT x CHECK (id > 0) NOT VALID",
    "ALTER TABLE t VALIDATE CONSTRAINT loose",
    "ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES u NOT VALID",
    "ALTER TABLE t ADD UNIQUE (id)",
    "ALTER TABLE t ADD UNIQUE USING INDEX t_u",
    "ALTER TABLE t ADD EXCLUDE USING btree (id WITH =)",
    "ALTER TABLE t DROP CONSTRAINT t_fk_fkey",
    "ALTER TABLE t ADD x float8 DEFAULT pi()",
    "ALTER TABLE t ADD x inet DEFAULT inet_client_addr()",
    "ALTER TABLE t ADD x int DEFAULT steady()",
    "ALTER TABLE t ADD x int DEFAULT moody()",
    'ALTER TABLE t ALTER v TYPE varchar(10) COLLATE "C"',
    'ALTER TABLE t ALTER vu TYPE varchar COLLATE "C"',
    "ALTER TABLE t ALTER v TYPE text USING v",
    "ALTER TABLE t ALTER v TYPE text USING tx",
    "ALTER TABLE t ALTER bi TYPE varbit",
    "ALTER TABLE t ALTER a TYPE oid",
    "ALTER TABLE t ALTER v TYPE varchar(20)",
    "ALTER TABLE t ALTER v TYPE varchar(5)",
    "ALTER TABLE t ALTER v TYPE varchar",
    "ALTER TABLE t ALTER v TYPE text",
    "ALTER TABLE t ALTER v TYPE text USING v::text",
    "ALTER TABLE t ALTER vu TYPE varchar(5)",
    "ALTER TABLE t ALTER tx TYPE varchar",
    "ALTER TABLE t ALTER tx TYPE varchar(20)",
    "ALTER TABLE t ALTER ch TYPE text",
    "ALTER TABLE t ALTER ch TYPE char(10)",
    "ALTER TABLE t ALTER n TYPE numeric(12, 2)",
    "ALTER TABLE t ALTER n TYPE numeric(12, 3)",
    "ALTER TABLE t ALTER n TYPE numeric(8, 2)",
    "ALTER TABLE t ALTER n TYPE numeric",
    "ALTER TABLE t ALTER id TYPE bigint",
    "ALTER TABLE t ALTER id TYPE int",
    "ALTER TABLE t ALTER ts TYPE timestamptz",
    "ALTER TABLE t ALTER tz TYPE timestamp",
    "ALTER TABLE t ALTER at TYPE timestamptz",
    "ALTER TABLE t ALTER ts3 TYPE timestamp",
    "ALTER TABLE t ALTER ts3 TYPE timestamp(6)",
    "ALTER TABLE t ALTER ts TYPE timestamp(3)",
    "ALTER TABLE t ALTER tm TYPE time(4)",
    "ALTER TABLE t ALTER iv TYPE interval",
    "ALTER TABLE t ALTER ip TYPE inet",
    "ALTER TABLE t ALTER vb TYPE varbit(10)",
    "ALTER TABLE t ALTER bi TYPE bit(8)",
    "ALTER TABLE t ALTER ar TYPE bigint[]",
    "ALTER TABLE t ALTER js TYPE jsonb",
    "ALTER TABLE t ALTER low TYPE text",
    "ALTER TABLE t ALTER part TYPE varchar(20)",
    "ALTER TABLE t ALTER checked TYPE varchar(20)",
    "ALTER TABLE t ALTER checked TYPE varchar(10)",
    "ALTER TABLE t ALTER vu TYPE varchar",
    "ALTER TABLE t ALTER loose TYPE varchar(20)",
    "ALTER TABLE t SET UNLOGGED",
    "ALTER TABLE t SET (fillfactor = 10)",
    "ALTER TABLE t ALTER a SET STATISTICS 10",
    "ALTER TABLE t ALTER a SET DEFAULT 1",
    "ALTER TABLE t DISABLE TRIGGER ALL",
    "ALTER TABLE t RENAME a TO b",
    "ALTER TABLE t RENAME CONSTRAINT loose TO tight",
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    "CREATE INDEX ON t (a)",
    "CREATE INDEX IF NOT EXISTS t_v ON t (v)",
    "CREATE INDEX ON ONLY p (id)",
    "CREATE TRIGGER x BEFORE UPDATE ON t EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE POLICY x ON t USING (true)",
    "CREATE TABLE z (id int REFERENCES u)",
    "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
    "COMMENT ON TABLE t IS 'x'",
    "TRUNCATE t",
    "LOCK TABLE t IN SHARE MODE",
    "DROP INDEX t_v",
    "REFRESH MATERIALIZED VIEW m",
]
# Truncated and refreshed relations get a new file without any row of the old one being read.
NEW_FILE_ONLY = ("TRUNCATE", "REFRESH")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a statement did to the tables that were there before."""

    touched: frozenset[str]
    locked: dict[str, int]


def watch(connection: psycopg.Connection, sql: str) -> Seen:
    """Run a statement, and compare the server's own figures before and after."""
    scans = "SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE schemaname = 'public'"
    nodes = (
        "SELECT relname, pg_relation_filenode(oid) FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'm')"
    )
    with connection.transaction():
        scans_before = dict(connection.execute(scans.encode()).fetchall())
        nodes_before = dict(connection.execute(nodes.encode()).fetchall())
        connection.execute(sql.encode())
        scans_after = dict(connection.execute(scans.encode()).fetchall())
        nodes_after = dict(connection.execute(nodes.encode()).fetchall())
        held = connection.execute(
            "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
            "WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p', 'm')"
        ).fetchall()
    touched = {name for name in scans_after if scans_after[name] != scans_before.get(name, 0)}
    touched |= {n for n in nodes_before if n in nodes_after and nodes_after[n] != nodes_before[n]}
    locked: dict[str, int] = {}
    for name, mode in held:
        if name in nodes_before and mode in STRONG:
            locked[name] = max(STRONG[mode], locked.get(name, 0))
    return Seen(frozenset(touched & nodes_before.keys()), locked)


@pytest.fixture
def furnished(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES.encode())
        yield connection


@pytest.mark.parametrize("sql", STATEMENTS)
def test_what_lint_expects_is_what_the_server_does(sql: str, furnished: psycopg.Connection) -> None:
    _, schema, _ = steps(Script("sql/0001_t.sql", TABLES, ""), Schema(), fresh=frozenset())
    [step], _, unreadable = steps(Script("sql/0002_s.sql", sql, ""), schema, fresh=frozenset())
    assert unreadable is None
    seen = watch(furnished, sql)
    if not sql.startswith(NEW_FILE_ONLY):
        assert {item.table for item in slow_work(step)} == seen.touched
    assert strong(step) == seen.locked


def strong(step: LintStep) -> dict[str, int]:
    return {table: level for table, level in locks(step).items() if level >= STRONG["ShareLock"]}


@pytest.mark.parametrize("name", ["cratesio", "gitness"])
def test_lint_knows_what_real_migrations_read_and_which_keys_lack_an_index(
    name: str, database: str
) -> None:
    folder, _ = corpus(name)
    project = load_project(folder)
    schema = Schema()
    differ = []
    with psycopg.connect(database, autocommit=True) as connection:
        for migration in project.migrations:
            found, schema, _ = steps(migration.forward, schema, fresh=frozenset())
            for step in found:
                if step.statement.outside_transaction:
                    connection.execute(step.statement.sql.encode())
                    continue
                seen = watch(connection, step.statement.sql)
                if step.kind in ("AlterTableStmt", "IndexStmt") and not compare(step, seen):
                    differ.append((migration.forward.path, step.statement.sql, seen))
        lacking = connection.execute(WITHOUT_INDEX.encode()).fetchall()
    assert differ == []
    reported = {
        (found.message.split()[3], found.message.rstrip(".").split()[-1])
        for found in lint(project).findings
        if found.rule.id == "TB301"
    }
    assert reported == set(lacking)


def compare(step: LintStep, seen: Seen) -> bool:
    """Whether the two agree, but for the table that a foreign key points at and TB112's scan."""
    expected = list(slow_work(step))
    targets = {item.constraint.references for item in expected if item.constraint}
    touched = {table for table in seen.touched if step.in_use(table)}
    ours = {item.table for item in expected}
    required = "NOT NULL" in step.statement.sql.upper() and "DEFAULT" not in step.statement.sql
    return touched - (targets - ours) == ours or (required and not ours)


WITHOUT_INDEX = """
SELECT c.conrelid::regclass::text, c.conname
FROM pg_constraint c
WHERE c.contype = 'f' AND c.conparentid = 0 AND NOT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = c.conrelid AND i.indisvalid
      -- NULL refers to nothing, so an index without it serves the foreign key as well.
      AND coalesce(pg_get_expr(i.indpred, i.indrelid), '(a IS NOT NULL)')
        ~ '^\\(\\w+ IS NOT NULL\\)$'
      AND (SELECT array_agg(k ORDER BY k)
           FROM unnest((i.indkey::int2[])[0:cardinality(c.conkey) - 1]) k)
        = (SELECT array_agg(k ORDER BY k) FROM unnest(c.conkey) k)
)
"""


# Those that an expression can call: not the ones behind operators, types and index methods.
FUNCTIONS = """
SELECT proname, bool_or(provolatile = 'v')
  FROM pg_proc
  LEFT JOIN pg_description d ON d.objoid = pg_proc.oid AND d.classoid = 'pg_proc'::regclass
 WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset
   AND NOT proargtypes::oid[] && '{internal,cstring}'::regtype[]::oid[]
   AND prorettype::regtype NOT IN (
       'internal', 'trigger', 'event_trigger', 'language_handler', 'index_am_handler',
       'table_am_handler', 'fdw_handler', 'tsm_handler', 'cstring')
   AND (provolatile = 'v' OR coalesce(description, '') NOT LIKE 'implementation of %')
   AND coalesce(description, '') NOT LIKE '%I/O'
 GROUP BY proname
"""


def test_every_function_of_the_server_is_known_and_volatile_where_the_server_says_so(
    database: str,
) -> None:
    wrong = []
    with psycopg.connect(database) as connection:
        functions = connection.execute(FUNCTIONS).fetchall()
    for name, volatile in functions:
        [statement] = split(f'SELECT pg_catalog."{name}"()')
        called = volatile_call(statement.tree, Schema())
        if not is_known(name) or bool(called) != volatile:
            wrong.append(name)
    assert wrong == []


# Reads it all: what is in it cannot be dropped without CASCADE.
NEEDED = """
CREATE TABLE users (id bigint PRIMARY KEY, email varchar(20) NOT NULL, city text, age int);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, total int);
CREATE DOMAIN label AS text;
CREATE SEQUENCE ticket;
CREATE SCHEMA shop;
CREATE TABLE shop.carts (id bigint PRIMARY KEY, u bigint REFERENCES users);
CREATE VIEW people AS SELECT id, city FROM users;
CREATE VIEW few AS SELECT * FROM people WHERE id < 10;
CREATE FUNCTION rank(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION two(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION two(n text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE OF age ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE bills (
    id bigint PRIMARY KEY DEFAULT nextval('ticket'), tag label, net int, worth int,
    gross int GENERATED ALWAYS AS (net * 2) STORED, CHECK (two(worth) > 0)
);
CREATE INDEX bills_rank_idx ON bills (rank(worth));
CREATE POLICY few ON bills USING (worth > (SELECT count(*) FROM orders));
ALTER TABLE bills ENABLE ROW LEVEL SECURITY;
"""
REFUSED = [
    ("ALTER TABLE users DROP city;", "view people"),
    ("ALTER TABLE users DROP city CASCADE;", ""),
    ("ALTER TABLE users DROP age;", "trigger or rule users.touched"),
    ("ALTER TABLE users DROP id;", "view people"),
    ("ALTER TABLE users DROP email;", ""),
    ("ALTER TABLE bills DROP net;", "generated column bills.gross"),
    ("ALTER TABLE bills DROP gross, DROP net;", ""),
    ("ALTER TABLE bills DROP worth;", "policy bills.few"),
    ("ALTER TABLE users DROP CONSTRAINT users_pkey;", "constraint shop.carts.carts_u_fkey"),
    ("DROP VIEW people;", "view few"),
    ("DROP VIEW people, few;", ""),
    ("DROP VIEW few;\nDROP VIEW people;", ""),
    ("DROP VIEW people CASCADE;\nALTER TABLE users DROP city;", ""),
    ("DROP TABLE orders;", "policy bills.few"),
    ("DROP TABLE bills;\nDROP TABLE orders;\nDROP SEQUENCE ticket;\nDROP DOMAIN label;", ""),
    ("DROP TABLE users;", "view people"),
    ("DROP TABLE users CASCADE;\nALTER TABLE shop.carts DROP u;", ""),
    ("DROP SEQUENCE ticket;", "default of bills.id"),
    ("DROP DOMAIN label;", "column bills.tag"),
    ("DROP FUNCTION touch();", "trigger or rule users.touched"),
    ("DROP TRIGGER touched ON users;\nDROP FUNCTION touch();", ""),
    ("DROP FUNCTION rank(int);", "index bills_rank_idx"),
    ("DROP FUNCTION two(text);", ""),
    ("DROP INDEX users_pkey;", "constraint users.users_pkey"),
    ("DROP SCHEMA shop;", "table shop.carts"),
    ("ALTER TABLE users RENAME TO accounts;\nDROP TABLE accounts;", "view people"),
    ("ALTER TABLE users RENAME city TO town;\nALTER TABLE users DROP town;", "view people"),
    ("CREATE OR REPLACE VIEW people AS SELECT id FROM users;", "replaced"),
    ("CREATE OR REPLACE VIEW people AS SELECT city, id FROM users;", "replaced"),
    ("CREATE OR REPLACE VIEW people AS SELECT id, city, age FROM users;", ""),
    ("CREATE OR REPLACE FUNCTION rank(n int) RETURNS text LANGUAGE sql AS 'SELECT 1';", "type"),
    ("CREATE OR REPLACE FUNCTION rank(m int) RETURNS int LANGUAGE sql AS 'SELECT 1';", "name"),
    ("CREATE OR REPLACE FUNCTION rank(m text) RETURNS int LANGUAGE sql AS 'SELECT 1';", ""),
    ("UPDATE users SET age = 1, age = 2 WHERE id = 1;", "twice"),
    ("INSERT INTO users (id, email, id) VALUES (1, '', 1);", "twice"),
    ("CREATE TABLE z (id bigint PRIMARY KEY, id int);", "twice"),
]


def test_what_lint_calls_refused_is_what_the_server_refuses(
    database: str, project_factory: ProjectFactory
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(NEEDED.encode())
        for sql, said in REFUSED:
            written = {"sql/0001_given.sql": NEEDED, "sql/0002_s.sql": sql}
            report = lint(load_project(project_factory(written, sums=False)))
            found = [item.message for item in report.findings if item.rule.id == "TB702"]
            assert (said in found[0]) if said and found else found == [] and not said, sql
            connection.execute("BEGIN")
            with pytest.raises(psycopg.Error) if said else nullcontext():
                connection.execute(sql.encode())
            connection.execute("ROLLBACK")


# Statements of each version, which need a table t (id int, v int) and a view of no columns.
NEWER = {
    15: [
        "MERGE INTO t USING t s ON s.id = t.id WHEN MATCHED THEN DELETE",
        "CREATE UNIQUE INDEX ON t (v) NULLS NOT DISTINCT",
        "ALTER TABLE t ADD UNIQUE NULLS NOT DISTINCT (v)",
        "CREATE VIEW w WITH (security_invoker) AS SELECT 1",
        "ALTER TABLE t ADD FOREIGN KEY (id, v) REFERENCES k ON DELETE SET NULL (v)",
        "ALTER TABLE t SET ACCESS METHOD heap",
        "SELECT regexp_count('a', 'a')",
    ],
    16: [
        "CREATE TABLE n (a text STORAGE external)",
        "SELECT * FROM (SELECT 1)",
        "SELECT JSON_ARRAY(1)",
        "SELECT '{}' IS JSON",
        "SELECT any_value(id) FROM t",
    ],
    17: [
        "MERGE INTO t USING t s ON s.id = t.id WHEN MATCHED THEN DELETE RETURNING t.id",
        "MERGE INTO t USING t s ON s.id = t.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
        "SELECT JSON_VALUE('{}', '$.a')",
        "ALTER TABLE t ALTER g SET EXPRESSION AS (id + 2)",
        "SELECT to_bin(3)",
    ],
    18: [
        "ALTER TABLE t ADD x int GENERATED ALWAYS AS (id + 1) VIRTUAL",
        "ALTER TABLE t ADD CONSTRAINT x NOT NULL v NOT VALID",
        "ALTER TABLE t ADD CHECK (v > 0) NOT ENFORCED",
        "CREATE TABLE n (a int CHECK (a > 0) NOT ENFORCED)",
        "CREATE TABLE n (a int4range, at daterange, PRIMARY KEY (a, at WITHOUT OVERLAPS))",
        "ALTER TABLE t ALTER CONSTRAINT t_own NOT ENFORCED",
        "SELECT uuidv7()",
    ],
}


def test_syntax_that_is_newer_than_a_server_is_refused_there(
    server_of: Callable[[int], tuple[str, psycopg.Connection]], project_factory: ProjectFactory
) -> None:
    given = (
        "CREATE TABLE k (id int, v int, PRIMARY KEY (id, v));\n"
        "CREATE TABLE t (id int, v int, g int GENERATED ALWAYS AS (id + 1) STORED);\n"
        "ALTER TABLE t ADD CONSTRAINT t_own FOREIGN KEY (id, v) REFERENCES k;"
    )
    every = [(version, sql) for version, listed in NEWER.items() for sql in listed]
    for version, sql in every:
        written = {"sql/0001_given.sql": given, "sql/0002_s.sql": sql}
        project = load_project(project_factory(written, sums=False))
        for server in (14, 15, 16, 17, 18):
            found = [i for i in lint(project, server=server).findings if i.rule.id == "TB703"]
            assert bool(found) == (server < version), (server, sql)
    for server in (15, 18):
        address, connection = server_of(server)
        connection.execute("CREATE SCHEMA newer; SET search_path TO newer")
        connection.execute(given.encode())
        for version, sql in every:
            connection.execute("BEGIN")
            with pytest.raises(psycopg.Error) if server < version else nullcontext():
                connection.execute(sql.encode())
            connection.execute("ROLLBACK")
        connection.execute("DROP SCHEMA newer CASCADE; RESET search_path")
        written = {"sql/0001_s.sql": "SELECT uuidv7();"}
        arguments = ["lint", "--dir", str(project_factory(written, sums=False))]
        asked = CliRunner().invoke(cli, [*arguments, "--database-url", f"{address}/postgres"])
        assert ("TB703" in asked.output) == (server < 18), asked.output
