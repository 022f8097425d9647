"""The runs of twenty migrations that the faults are tried on."""

from __future__ import annotations

MIGRATIONS = 20
VERSIONS = [f"{number:04}" for number in range(1, MIGRATIONS + 1)]

# Each of them: its forward script, and a verify script where it has one. What is done twice shows
# in the ledger.
_MIXED: list[str | tuple[str, str]] = [
    """
    CREATE TABLE ledger (entry int NOT NULL);
    CREATE TABLE customers (id int PRIMARY KEY, email text, name text);
    INSERT INTO ledger VALUES (1);
    """,
    """
    CREATE TABLE orders (id int, year int NOT NULL) PARTITION BY LIST (year);
    CREATE TABLE orders_2023 PARTITION OF orders FOR VALUES IN (2023);
    CREATE TABLE orders_2024 PARTITION OF orders FOR VALUES IN (2024);
    INSERT INTO ledger VALUES (2);
    """,
    """
    INSERT INTO customers SELECT n, n || '@example.org', n FROM generate_series(1, 200) n;
    INSERT INTO orders SELECT n, 2023 + n % 2 FROM generate_series(1, 50) n;
    INSERT INTO ledger VALUES (3);
    """,
    (
        """
        CREATE TYPE mood AS ENUM ('calm');
        CREATE TABLE diary (day int, felt mood);
        INSERT INTO diary VALUES (1, 'calm');
        INSERT INTO ledger VALUES (4);
        """,
        "DO $$ BEGIN ASSERT (SELECT count(*) FROM diary) = 1; END $$;",
    ),
    (
        "CREATE INDEX CONCURRENTLY customers_email ON customers (email);",
        "DO $$ BEGIN ASSERT (SELECT indisvalid FROM pg_index "
        "WHERE indexrelid = 'customers_email'::regclass); END $$;",
    ),
    """
    SET maintenance_work_mem = '8MB';
    INSERT INTO ledger VALUES (6);
    CREATE INDEX CONCURRENTLY customers_name ON customers (name);
    CREATE TABLE notes (body text);
    INSERT INTO ledger VALUES (60);
    """,
    "ALTER TYPE mood ADD VALUE 'merry';",
    """
    ALTER TYPE mood ADD VALUE 'grave';
    INSERT INTO diary VALUES (2, 'grave');
    INSERT INTO ledger VALUES (8);
    """,
    (
        """
        ALTER TABLE customers ADD COLUMN since date NOT NULL DEFAULT '2024-01-15';
        INSERT INTO ledger VALUES (9);
        """,
        "SELECT since FROM customers LIMIT 1;",
    ),
    "ALTER TABLE orders DETACH PARTITION orders_2023 CONCURRENTLY;",
    """
    ALTER TABLE orders_2023 ADD COLUMN archived boolean NOT NULL DEFAULT true;
    INSERT INTO ledger VALUES (11);
    """,
    "REINDEX INDEX CONCURRENTLY customers_email;",
    "VACUUM (ANALYZE) customers;",
    """
    CREATE VIEW merry_days AS SELECT day FROM diary WHERE felt = 'merry';
    INSERT INTO ledger VALUES (14);
    """,
    """
    CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.name := upper(NEW.name);
        RETURN NEW;
    END $$;
    CREATE TRIGGER customers_touched BEFORE UPDATE ON customers
        FOR EACH ROW EXECUTE FUNCTION touched();
    INSERT INTO ledger VALUES (15);
    """,
    """
    INSERT INTO ledger VALUES (16);
    SAVEPOINT here;
    INSERT INTO ledger VALUES (-16);
    ROLLBACK TO here;
    """,
    "DROP INDEX CONCURRENTLY customers_name;",
    "CREATE INDEX CONCURRENTLY ON customers (since);",
    """
    CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS diary_day ON diary (day);
    INSERT INTO ledger VALUES (19);
    """,
    """
    SET search_path = pg_catalog;
    SET lock_timeout = '7s';
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE;
    INSERT INTO public.ledger VALUES (20);
    """,
]
MIXED_LEDGER = [1, 2, 3, 4, 6, 8, 9, 11, 14, 15, 16, 19, 20, 60]
PLAIN_LEDGER = list(range(1, MIGRATIONS + 1))


def mixed() -> dict[str, str]:
    """Some in a transaction, some not, some with a verify script."""
    files = {}
    for version, item in zip(VERSIONS, _MIXED, strict=True):
        sql, verify = item if isinstance(item, tuple) else (item, None)
        files[f"sql/{version}_step.sql"] = _plain(sql)
        files[f"rollback/{version}_rollback.sql"] = "SELECT 1;\n"
        if verify:
            files[f"verify/{version}_verify.sql"] = verify
    return files


def plain() -> dict[str, str]:
    """Every one in a transaction, so that they travel together."""
    files = {}
    for number, version in enumerate(VERSIONS, 1):
        ledger = "CREATE TABLE ledger (entry int NOT NULL);\n" if number == 1 else ""
        files[f"sql/{version}_step.sql"] = (
            f"{ledger}CREATE TABLE t{number} (id int PRIMARY KEY, body text);\n"
            f"INSERT INTO ledger VALUES ({number});\n"
        )
        files[f"rollback/{version}_rollback.sql"] = f"DROP TABLE t{number};\n"
    files["verify/0007_verify.sql"] = "SELECT body FROM t7;\n"
    files["sql/0012_step.sql"] += "SAVEPOINT s;\nINSERT INTO ledger VALUES (0);\nROLLBACK TO s;\n"
    return files


def _plain(sql: str) -> str:
    return "\n".join(line.strip() for line in sql.strip().splitlines()) + "\n"
