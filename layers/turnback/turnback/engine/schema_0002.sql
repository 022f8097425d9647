-- The history from format 1 to format 2: versions that are not numbers, and the order in which the
-- migrations were applied. "history_schema" stands for the schema's name.
--
-- The view names the column whose type changes, so it is made anew, with the owner, the options and
-- the privileges that it had.
WITH health AS (
    SELECT c.relowner::pg_catalog.regrole::text AS owner,
           c.relacl::text AS acl,
           pg_catalog.array_to_string(c.reloptions, ', ') AS options
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'history_schema' AND c.relname = 'migration_health')
SELECT pg_catalog.set_config('turnback.health_owner',
                             coalesce((SELECT owner FROM health), ''), true),
       pg_catalog.set_config('turnback.health_acl', coalesce((SELECT acl FROM health), ''), true),
       pg_catalog.set_config('turnback.health_options',
                             coalesce((SELECT options FROM health), ''), true);
DROP VIEW IF EXISTS "history_schema".migration_health;

-- A longer varchar is the same bytes: neither the tables nor their indexes are written again.
ALTER TABLE "history_schema".migrations
    ALTER COLUMN version TYPE varchar(1000),
    ADD COLUMN position bigint,
    ADD COLUMN kind text NOT NULL DEFAULT 'migration'
        CHECK (kind IN ('migration', 'repeatable', 'adopted'));
UPDATE "history_schema".migrations m
   SET position = ranked.place
  FROM (SELECT id, pg_catalog.row_number() OVER (ORDER BY version::numeric) AS place
          FROM "history_schema".migrations) ranked
 WHERE ranked.id = m.id;
ALTER TABLE "history_schema".migrations ALTER COLUMN position SET NOT NULL;
CREATE INDEX migrations_position ON "history_schema".migrations (position);

ALTER TABLE "history_schema".migration_log
    ALTER COLUMN version TYPE varchar(1000),
    DROP CONSTRAINT IF EXISTS migration_log_direction_check,
    ADD CONSTRAINT migration_log_direction_check
        CHECK (direction IN ('up', 'down', 'repair', 'adopt')),
    ADD COLUMN script text;

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
       error,
       kind
  FROM "history_schema".migrations
 ORDER BY GREATEST(applied_at, rolled_back_at) DESC, position DESC;

COMMENT ON TABLE "history_schema".migrations IS 'turnback history, format 2';
COMMENT ON COLUMN "history_schema".migration_log.script IS 'of a repeatable, what was applied';
COMMENT ON COLUMN "history_schema".migrations.position IS 'the order in which they were applied';

DO $$
DECLARE
    health regclass := pg_catalog.format('%I.migration_health', 'history_schema');
    owner text := pg_catalog.current_setting('turnback.health_owner');
    options text := pg_catalog.current_setting('turnback.health_options');
    acl text := pg_catalog.current_setting('turnback.health_acl');
    change text;
BEGIN
    IF options <> '' THEN
        EXECUTE pg_catalog.format('ALTER VIEW %s SET (%s)', health, options);
    END IF;
    FOR change IN
        -- Default privileges may have granted others something on a new view.
        SELECT DISTINCT pg_catalog.format('REVOKE ALL ON %s FROM %s', health,
                   coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC'))
          FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
          LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
         WHERE c.oid = health AND a.grantee <> c.relowner
    LOOP
        EXECUTE change;
    END LOOP;
    FOR change IN
        SELECT pg_catalog.format('GRANT %s ON %s TO %s%s', a.privilege_type, health,
                   coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC'),
                   CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
          FROM pg_catalog.aclexplode(nullif(acl, '')::aclitem[]) a
          LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
         WHERE a.grantee <> a.grantor
    LOOP
        EXECUTE change;
    END LOOP;
    IF owner NOT IN ('', current_user::regrole::text) THEN
        EXECUTE pg_catalog.format('ALTER VIEW %s OWNER TO %s', health, owner);
    END IF;
END
$$;
