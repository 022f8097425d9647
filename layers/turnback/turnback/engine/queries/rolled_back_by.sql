-- The versions in which this run undid something, and which it did not apply again.
SELECT version
  FROM "history_schema".migration_log d
 WHERE run_id = %(run)s AND direction = 'down' AND outcome <> 'failed'
   AND sqlstate IS NULL
   AND NOT EXISTS (SELECT FROM "history_schema".migration_log u
                    WHERE u.version = d.version AND u.run_id = %(run)s
                      AND u.direction = 'up')
 GROUP BY version
 ORDER BY min(id);
