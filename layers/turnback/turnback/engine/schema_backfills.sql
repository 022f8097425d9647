-- How far backfills have come; made by the first one. "history_schema" stands for the schema's name.
CREATE TABLE "history_schema".migration_backfills (
    version varchar(1000) NOT NULL,
    direction text NOT NULL CHECK (direction IN ('up', 'down')),
    part integer NOT NULL,
    state text NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'paused', 'cancelled', 'failed', 'done')),
    checksum varchar(64) NOT NULL,
    relation text NOT NULL,
    key text[] NOT NULL,
    low text[],
    position text[],
    upto text[],
    parked jsonb NOT NULL DEFAULT '[]',
    batch_rows integer NOT NULL DEFAULT 1000,
    target_ms integer NOT NULL,
    pause_ms integer NOT NULL,
    rows bigint NOT NULL DEFAULT 0,
    keys bigint NOT NULL DEFAULT 0,
    keys_in_all bigint NOT NULL,
    batches bigint NOT NULL DEFAULT 0,
    work_ms bigint NOT NULL DEFAULT 0,
    passes integer NOT NULL DEFAULT 1,
    run text,
    announced integer NOT NULL DEFAULT 0,
    error text,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (version, direction, part)
) WITH (fillfactor = 50);

COMMENT ON TABLE "history_schema".migration_backfills IS 'turnback: how far backfills have come';

-- Default privileges may have granted others something: they could move its position.
DO $$
DECLARE
    change text;
BEGIN
    FOR change IN
        SELECT DISTINCT pg_catalog.format('REVOKE ALL ON %s FROM %s', c.oid::pg_catalog.regclass,
                   coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC'))
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
               pg_catalog.aclexplode(c.relacl) a
          LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
         WHERE n.nspname = 'history_schema' AND c.relname = 'migration_backfills'
           AND a.grantee <> c.relowner
    LOOP
        EXECUTE change;
    END LOOP;
END
$$;
