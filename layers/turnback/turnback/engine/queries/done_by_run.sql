-- The migrations that this run has done in this direction, with their milliseconds. One that failed
-- half way and was undone never was a success.
SELECT version, l.execution_ms
  FROM "history_schema".migration_log l
  JOIN "history_schema".migrations m USING (version)
 WHERE l.run_id = %(run)s AND l.direction = %(direction)s
   AND l.outcome = 'done' AND l.statement IS NULL
   AND CASE WHEN %(direction)s = 'up' THEN m.success AND m.rolled_back_at IS NULL
            ELSE m.rolled_back_at IS NOT NULL
              -- What was before may be an earlier text. A history of format 1 has no such column.
              OR pg_catalog.to_jsonb(m) ->> 'kind' = 'repeatable'
       END
 ORDER BY l.id;
