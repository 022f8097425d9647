"""What lint suggests runs on a server with rows, keeps what was meant, and lints clean.

The judge is PostgreSQL: each suggestion is carried out beside the statement that it replaces, while
the statements of the application that is running are tried after each file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg
import pytest
from turnback.migrations.discovery import load_project
from turnback.migrations.model import BATCH
from turnback.sql.lint.linter import lint
from turnback.sql.lint.model import Severity
from turnback.sql.lint.writing import NEXT, VERIFY
from turnback.sql.script import prepare
from turnback.sql.statements import split

from tests.conftest import ProjectFactory

GIVEN = """
CREATE TABLE users (
    id bigint PRIMARY KEY, email text NOT NULL, name varchar(50), city text, age integer,
    "Odd name" integer DEFAULT 1
);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, code text, total integer);
CREATE INDEX orders_user_id_idx ON orders (user_id);
CREATE INDEX orders_code_idx ON orders (code);
CREATE TABLE codes (id bigint PRIMARY KEY, a bigint NOT NULL, b bigint, UNIQUE (a, b));
CREATE TABLE links (id bigint PRIMARY KEY, a bigint, b bigint);
CREATE INDEX links_a_b_idx ON links (a, b);
CREATE TABLE plain (id bigint NOT NULL, label text);
CREATE DOMAIN amount AS integer;
CREATE TABLE bills (id bigint PRIMARY KEY, sum amount, state varchar(10) CHECK (state <> ''));
CREATE TABLE events (id bigint, at date NOT NULL, user_id bigint) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
ALTER TABLE orders ADD CONSTRAINT orders_total_there CHECK (total IS NOT NULL) NOT VALID;
CREATE TABLE events_3 (id bigint, at date NOT NULL, user_id bigint);
CREATE TABLE stays (id bigint, at date) PARTITION BY RANGE (at);
CREATE TABLE stays_rest PARTITION OF stays DEFAULT;
CREATE TABLE heap (id bigint, at date);
CREATE UNIQUE INDEX heap_id ON heap (id);
CREATE MATERIALIZED VIEW totals AS SELECT a, count(*) AS n FROM codes GROUP BY a;
CREATE UNIQUE INDEX totals_a ON totals (a);
CREATE DOMAIN label AS text NOT NULL;
CREATE VIEW "Short" (who) AS SELECT name FROM users WHERE name <> E'it''s';
CREATE TABLE wide (id bigint PRIMARY KEY, %s int);
CREATE TYPE tier AS ENUM ('low', 'high');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0) CHECK (VALUE < 100);
CREATE TABLE bosses (id bigint PRIMARY KEY);
CREATE TABLE staff (id bigint PRIMARY KEY, boss bigint, CONSTRAINT staff_boss FOREIGN KEY (boss)
    REFERENCES bosses ON DELETE CASCADE NOT ENFORCED);
CREATE INDEX staff_boss_idx ON staff (boss);
""" % ("c" * 60)
# More than one batch of a suggestion takes.
ROWS = """
INSERT INTO users SELECT i, 'e' || i, 'n', 'x', 3, i FROM generate_series(1, 6000) i;
INSERT INTO orders SELECT i, i, i::text, 5 FROM generate_series(1, 6000) i;
INSERT INTO codes SELECT i, i, i FROM generate_series(1, 100) i;
INSERT INTO links SELECT i, i, i FROM generate_series(1, 100) i;
INSERT INTO plain SELECT i, 'p' FROM generate_series(1, 6000) i;
INSERT INTO bills SELECT i, 5, 'new' FROM generate_series(1, 100) i;
INSERT INTO events SELECT i, '2020-06-01', i FROM generate_series(1, 100) i;
INSERT INTO events_3 SELECT i, '2022-06-01', i FROM generate_series(1, 100) i;
INSERT INTO stays SELECT i, '2020-06-01' FROM generate_series(1, 100) i;
INSERT INTO heap SELECT i FROM generate_series(1, 100) i;
"""
APPLICATION = """
INSERT INTO users (id, email, name, city, age) VALUES (%(n)s, 'new' || %(n)s, 'n', 'x', 3);
UPDATE users SET city = 'y', name = 'm' WHERE id = 2;
SELECT id, email, name, city, age FROM users WHERE id = 3;
INSERT INTO orders (id, user_id, code, total) VALUES (%(n)s, 1, %(n)s, 5);
UPDATE orders SET total = 6 WHERE id = 2;
SELECT id, user_id, code, total FROM orders WHERE id = 3;
INSERT INTO plain (id, label) VALUES (%(n)s, 'q');
INSERT INTO links (id, a, b) VALUES (%(n)s, 1, 1);
INSERT INTO bills (id, sum, state) VALUES (%(n)s, 6, 'new');
INSERT INTO events (id, at, user_id) VALUES (%(n)s, '2021-05-05', 3);
"""
# What a table is, by names and not by places; of a constraint and an index their own text.
SHAPE = """
SELECT 'column', attname, format_type(atttypid, atttypmod), attnotnull::text
       || coalesce(pg_get_expr(adbin, adrelid), '')
  FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
 WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint', conname, pg_get_constraintdef(oid), convalidated::text
  FROM pg_constraint WHERE conrelid = %(table)s::regclass
UNION ALL
SELECT 'index', relname, pg_get_indexdef(indexrelid), indisvalid::text
  FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = %(table)s::regclass
 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Case:
    """A statement, the rule that finds it, and what is there after the suggestion."""

    rule: str
    sql: str
    table: str = "users"
    # The same as after the statement itself; else the rows that a query must give.
    same: bool = True
    query: str = "SELECT 1"
    rows: list[tuple[object, ...]] = field(default_factory=lambda: [(1,)])


def other(rule: str, sql: str, query: str, *row: object, table: str = "users") -> Case:
    """A suggestion that goes another way: judged by a query."""
    return Case(rule, sql, table, same=False, query=query, rows=[row])


ALL_FILLED = "SELECT count(*) FILTER (WHERE {} IS NULL) FROM {} WHERE id < 10000"
CASES = [
    Case("TB101", "CREATE INDEX users_city_idx ON users (city)"),
    Case("TB101", "CREATE INDEX ON users (lower(email) DESC, city) INCLUDE (age) WHERE age > 1"),
    Case("TB101", 'CREATE INDEX /* an index */ "i 1" ON users ("Odd name")'),
    Case("TB101", "CREATE INDEX IF NOT EXISTS users_age_idx ON users (age)"),
    Case("TB101", "CREATE INDEX events_at_idx ON events (at, lower(user_id::text))", "events"),
    Case("TB102", "REINDEX TABLE users"),
    Case("TB102", "REINDEX (CONCURRENTLY false, VERBOSE) TABLE users"),
    Case("TB104", "ALTER TABLE staff ALTER CONSTRAINT staff_boss ENFORCED", "staff"),
    other(
        "TB108",
        "ALTER TABLE users ADD COLUMN rank positive",
        "SELECT count(*) FROM pg_constraint WHERE conrelid = 'users'::regclass AND convalidated"
        " AND pg_get_constraintdef(oid) LIKE '%%rank%%'",
        2,
    ),
    Case("TB109", "ALTER TABLE heap SET UNLOGGED", "heap"),
    Case("TB103", "ALTER TABLE users ALTER COLUMN city SET NOT NULL"),
    Case("TB103", 'ALTER TABLE users ALTER COLUMN "Odd name" SET NOT NULL'),
    Case("TB103", "ALTER TABLE plain ALTER COLUMN label SET NOT NULL", "plain"),
    Case(
        "TB104",
        "ALTER TABLE orders ADD CONSTRAINT u FOREIGN KEY (user_id) REFERENCES users"
        " ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
        "orders",
    ),
    Case(
        "TB104",
        "ALTER TABLE links ADD FOREIGN KEY (a, b) REFERENCES codes (a, b) ON DELETE SET NULL (b)",
        "links",
    ),
    Case(
        "TB104",
        "ALTER TABLE orders ADD COLUMN boss bigint NOT NULL DEFAULT 1 REFERENCES users (id)",
        "orders",
    ),
    Case("TB104", "ALTER TABLE events ADD FOREIGN KEY (user_id) REFERENCES users", "events"),
    Case("TB105", "ALTER TABLE users ADD CONSTRAINT c CHECK (city <> E'it''s' AND age > 0)"),
    Case("TB105", "ALTER TABLE users ADD COLUMN n int NOT NULL DEFAULT 5 CHECK (n > 1)"),
    Case("TB106", "ALTER TABLE bills ALTER COLUMN state TYPE varchar(20)", "bills"),
    other(
        "TB106",
        "ALTER TABLE orders ALTER COLUMN total TYPE bigint",
        ALL_FILLED.format("total_new", "orders"),
        0,
        table="orders",
    ),
    other(
        "TB106",
        "ALTER TABLE orders ALTER COLUMN code TYPE integer USING code::integer + 1",
        "SELECT code_new FROM orders WHERE id = 6000",
        6001,
        table="orders",
    ),
    other(
        "TB106",
        "ALTER TABLE users ALTER COLUMN name TYPE varchar(90)",
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
        """ WHERE attrelid = '"Short"'::regclass AND attname = 'who'""",
        "character varying(90)",
    ),
    Case("TB107", "ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email)"),
    Case("TB107", "ALTER TABLE users ADD UNIQUE NULLS NOT DISTINCT (id, age) INCLUDE (city)"),
    Case("TB107", "ALTER TABLE users ADD CONSTRAINT d UNIQUE (email) DEFERRABLE"),
    Case("TB107", "ALTER TABLE plain ADD PRIMARY KEY (id)", "plain"),
    other(
        "TB107",
        "ALTER TABLE users DROP CONSTRAINT users_pkey, ADD PRIMARY KEY (email)",
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'users'::regclass AND contype = 'p'",
        "PRIMARY KEY (email)",
    ),
    other(
        "TB108",
        "ALTER TABLE users ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid()",
        "SELECT count(DISTINCT token) > 6000, count(*) FILTER (WHERE token IS NULL) FROM users",
        True,
        0,
    ),
    other(
        "TB108",
        "ALTER TABLE users ADD low text GENERATED ALWAYS AS (lower(email)) STORED",
        "SELECT count(*) FILTER (WHERE low IS DISTINCT FROM lower(email)) FROM users",
        0,
    ),
    other(
        "TB108",
        "ALTER TABLE users ADD COLUMN number serial",
        "SELECT count(DISTINCT number) = count(*) FROM users",
        True,
    ),
    other(
        "TB111",
        "ALTER DOMAIN amount ADD CONSTRAINT positive CHECK (value > 0)",
        "SELECT conname::text, convalidated FROM pg_constraint WHERE conname = 'positive'",
        "positive",
        True,
        table="bills",
    ),
    other(
        "TB112",
        "ALTER TABLE users ADD COLUMN plan text NOT NULL",
        "SELECT count(*) FILTER (WHERE plan = '') > 6000 FROM users",
        True,
    ),
    other(
        "TB112",
        "ALTER TABLE users ADD COLUMN plan label",
        "SELECT count(*) FILTER (WHERE plan = '') > 6000 FROM users",
        True,
    ),
    other(
        "TB112",
        "ALTER TABLE users ADD COLUMN plan tier NOT NULL",
        "SELECT count(*) FILTER (WHERE plan IS NULL) > 6000 FROM users",
        True,
    ),
    other(
        "TB203",
        "UPDATE users SET city = 'z', age = age + 1",
        "SELECT count(*) FILTER (WHERE age = 4 AND city = 'z') FROM users WHERE id BETWEEN 3 AND"
        " 6000",
        5998,
    ),
    other(
        "TB203",
        "UPDATE users AS u SET city = o.code FROM orders AS o WHERE o.user_id = u.id"
        " RETURNING u.id",
        "SELECT count(*) FILTER (WHERE city = id::text) FROM users WHERE id BETWEEN 3 AND 6000",
        5998,
    ),
    other(
        "TB203",
        "DELETE FROM orders WHERE code <> '7'",
        "SELECT count(*) FROM orders WHERE id <= 6000",
        1,
        table="orders",
    ),
    Case(
        "TB105",
        "ALTER TABLE users ADD CONSTRAINT old CHECK (age > 0) NOT VALID, VALIDATE CONSTRAINT old",
    ),
    Case(
        "TB105",
        "ALTER TABLE events ATTACH PARTITION events_3 FOR VALUES FROM ('2022-01-01') TO"
        " (date '2023-01-01')",
        "events_3",
    ),
    Case(
        "TB105",
        "CREATE TABLE stays_1 PARTITION OF stays FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')",
        "stays_rest",
    ),
    Case("TB103", "ALTER TABLE heap ADD CONSTRAINT pk PRIMARY KEY USING INDEX heap_id", "heap"),
    Case(
        "TB103",
        "ALTER TABLE heap ADD twice bigint NOT NULL GENERATED ALWAYS AS (id * 2) VIRTUAL",
        "heap",
    ),
    Case("TB109", "REFRESH MATERIALIZED VIEW totals", "totals"),
    Case(
        "TB202",
        "ALTER TABLE orders ADD note text, VALIDATE CONSTRAINT orders_total_there",
        "orders",
    ),
    other(
        "TB111",
        "ALTER DOMAIN amount SET NOT NULL",
        "SELECT convalidated FROM pg_constraint WHERE contypid = 'amount'::regtype",
        True,
        table="bills",
    ),
    other(
        "TB203",
        "UPDATE users SET city = $$a'b$$ -- every one\nWHERE name <> E'\\''",
        "SELECT count(*) FILTER (WHERE city = 'a''b') FROM users WHERE id BETWEEN 3 AND 6000",
        5998,
    ),
    Case(
        "TB107",
        f"ALTER TABLE users ADD CONSTRAINT {'n' * 63} UNIQUE (email)",
    ),
    Case("TB103", f"ALTER TABLE wide ALTER COLUMN {'c' * 60} SET NOT NULL", "wide"),
    Case("TB302", "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_age_idx ON users (age)"),
    Case("TB303", "CREATE INDEX CONCURRENTLY ON users (age)"),
    other(
        "TB402",
        "ALTER TABLE users RENAME COLUMN city TO town",
        ALL_FILLED.format("town", "users"),
        0,
    ),
    other(
        "TB402",
        "ALTER TABLE users RENAME TO accounts",
        "SELECT count(*) >= 6000 FROM accounts",
        True,
        table="orders",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.sql[:60]}")
def test_a_suggestion_runs_keeps_the_application_going_and_lints_clean(
    case: Case, database: str, project_factory: ProjectFactory
) -> None:
    given = {"sql/0001_given.sql": GIVEN, "sql/0002_between.sql": "COMMENT ON TABLE users IS 'a';"}
    found = project_factory({**given, "sql/0003_it.sql": f"{case.sql};"}, sums=False)
    report = lint(load_project(found))
    [finding] = [item for item in report.findings if item.rule.id == case.rule]
    files = [text.partition(f"{VERIFY}\n") for text in finding.safer.split(f"{NEXT}\n")]

    names = {f"sql/{number:04}_safer.sql": text for number, (text, *_) in enumerate(files, 3)}
    project = load_project(project_factory({**given, **names}, sums=False))
    for migration in project.migrations:
        prepare(migration.forward)
    again = lint(project)
    before = {item.rule.id for item in report.findings} - {case.rule}
    bad = [
        (item.rule.id, item.message)
        for item in again.findings
        if item.file in names and item.level is not Severity.INFO and item.rule.id not in before
    ]
    assert bad == [], finding.safer

    meant = None
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(GIVEN + ROWS)
        if case.same and not split(case.sql)[0].outside_transaction:
            connection.execute("BEGIN")
            connection.execute(case.sql.encode())
            meant = connection.execute(SHAPE, {"table": case.table}).fetchall()
            connection.execute("ROLLBACK")
        for number, (text, _, verify) in enumerate(files, 10_001):
            last = "a later release" in text
            if verify:
                # A part of the rows is not enough.
                with pytest.raises(psycopg.errors.AssertFailure):
                    connection.execute(verify.encode())
            run(connection, text.replace(BATCH, "true"))
            connection.execute(verify.encode())
            if not last:
                for line in APPLICATION.strip().splitlines():
                    connection.execute(line.encode(), {"n": number})
        if meant is not None:
            assert connection.execute(SHAPE, {"table": case.table}).fetchall() == meant
        assert connection.execute(case.query.encode()).fetchall() == case.rows


def run(connection: psycopg.Connection, sql: str) -> None:
    """Run a file as the engine does."""
    statements = split(sql)
    if "no-transaction" in sql or any(item.outside_transaction for item in statements):
        for item in statements:
            connection.execute(item.sql.encode())
    else:
        with connection.transaction():
            connection.execute(sql.encode())
