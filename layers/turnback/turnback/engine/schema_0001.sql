-- The history of a database, format 1. "history_schema" stands for the schema's name.
CREATE TABLE "history_schema".migrations (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
    version varchar(20) NOT NULL UNIQUE,
    name varchar(255) NOT NULL,
    checksum varchar(64) NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    execution_time integer NOT NULL DEFAULT 0,
    success boolean NOT NULL,
    error text,
    rolled_back_at timestamptz
);

CREATE TABLE "history_schema".migration_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    logged_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    run_id text NOT NULL,
    release text,
    version varchar(20) NOT NULL,
    direction text NOT NULL CHECK (direction IN ('up', 'down', 'repair')),
    statement integer,
    statement_checksum varchar(64),
    outcome text NOT NULL CHECK (outcome IN ('started', 'done', 'failed', 'detached')),
    sqlstate char(5),
    error text,
    execution_ms integer NOT NULL DEFAULT 0,
    actor text NOT NULL,
    rollback_path text,
    rollback_sql text
);
CREATE INDEX migration_log_version ON "history_schema".migration_log (version, id);

CREATE VIEW "history_schema".migration_health AS
SELECT version,
       name,
       CASE WHEN rolled_back_at IS NOT NULL THEN 'rolled_back'
            WHEN success THEN 'applied'
            ELSE 'failed'
       END AS status,
       applied_at,
       rolled_back_at,
       execution_time,
       error
  FROM "history_schema".migrations
 ORDER BY GREATEST(applied_at, rolled_back_at) DESC, version::numeric DESC;

COMMENT ON TABLE "history_schema".migrations IS 'turnback history, format 1';
COMMENT ON COLUMN "history_schema".migrations.execution_time IS 'milliseconds';
COMMENT ON TABLE "history_schema".migration_log IS 'turnback: every attempt, append only';

-- What the history stores is run with its owner's rights. Default privileges may have granted
-- others something; whoever is to read it is granted that afterwards.
DO $$
DECLARE
    revoke text;
BEGIN
    FOR revoke IN
        SELECT DISTINCT pg_catalog.format('REVOKE ALL ON %s FROM %s', c.oid::pg_catalog.regclass,
                   coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC'))
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
               pg_catalog.aclexplode(c.relacl) a
          LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
         WHERE n.nspname = 'history_schema'
           AND c.relname IN ('migrations', 'migration_log', 'migration_log_id_seq',
                             'migration_health')
           AND a.grantee <> c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
