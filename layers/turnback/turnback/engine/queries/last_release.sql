-- The release that applied the newest of the migrations that are applied now; of each migration the
-- last time counts.
SELECT release
  FROM (SELECT DISTINCT ON (version) l.id, l.release
          FROM "history_schema".migration_log l
          JOIN "history_schema".migrations m USING (version)
         WHERE m.success AND m.rolled_back_at IS NULL
           AND l.direction = 'up' AND l.outcome = 'done' AND l.statement IS NULL
         ORDER BY version, l.id DESC) a
 WHERE release IS NOT NULL
 ORDER BY id DESC LIMIT 1;
