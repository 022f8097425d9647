-- The release that applied the newest of the migrations that are applied now; of each migration the
-- last time counts, and a repeatable that went back to an earlier text does not.
SELECT release
  FROM (SELECT DISTINCT ON (version) l.id, l.release, l.direction
          FROM "history_schema".migration_log l
          JOIN "history_schema".migrations m USING (version)
         WHERE m.success AND m.rolled_back_at IS NULL
           AND l.direction IN ('up', 'down') AND l.outcome = 'done' AND l.statement IS NULL
         ORDER BY version, l.id DESC) a
 WHERE release IS NOT NULL AND direction = 'up'
 ORDER BY id DESC LIMIT 1;
