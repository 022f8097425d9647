-- The run that applied a version last.
SELECT run_id
  FROM "history_schema".migration_log
 WHERE version = %(version)s AND direction = 'up' AND outcome = 'done'
 ORDER BY id DESC
 LIMIT 1;
