-- The versions that are applied now and were last applied by this run, oldest first.
SELECT m.version
  FROM "history_schema".migrations m
 WHERE m.success AND m.rolled_back_at IS NULL
   AND (SELECT l.run_id
          FROM "history_schema".migration_log l
         WHERE l.version = m.version
           AND l.direction = 'up' AND l.outcome = 'done' AND l.statement IS NULL
         ORDER BY l.id DESC LIMIT 1) = %(run)s
 ORDER BY m.version::numeric;
