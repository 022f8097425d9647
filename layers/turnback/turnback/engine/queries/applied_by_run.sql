-- The versions that are applied now and were last applied by this run, in that order.
SELECT v.version
  FROM "history_versions" v,
       LATERAL (SELECT l.id, l.run_id
                  FROM "history_schema".migration_log l
                 WHERE l.version = v.version
                   AND l.direction = 'up' AND l.outcome = 'done' AND l.statement IS NULL
                 ORDER BY l.id DESC LIMIT 1) last
 WHERE v.success AND v.rolled_back_at IS NULL AND last.run_id = %(run)s
 ORDER BY last.id;
