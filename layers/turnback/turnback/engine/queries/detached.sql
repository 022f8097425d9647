-- Versions that were left to the server and have no record of their end; how often.
SELECT version, count(*)
  FROM "history_schema".migration_log d
 WHERE outcome = 'detached'
   AND NOT EXISTS (SELECT FROM "history_schema".migration_log l
                    WHERE l.version = d.version AND l.id > d.id
                      AND l.outcome IN ('done', 'failed'))
 GROUP BY version;
