-- Each time that one of these repeatables was applied, or rolled back, oldest first.
SELECT id, version, direction, run_id AS run
  FROM "history_schema".migration_log
 WHERE version = ANY (%(versions)s)
   AND direction IN ('up', 'down') AND outcome = 'done' AND statement IS NULL
 ORDER BY id;
