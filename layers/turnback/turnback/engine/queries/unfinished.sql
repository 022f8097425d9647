-- The rows of migrations that ran outside a transaction, since each was last applied or rolled back
-- as a whole; the version that began last first, oldest row first.
SELECT version,
       run_id AS run,
       statement,
       outcome,
       statement_checksum AS checksum,
       error AS text,
       rollback_path,
       rollback_sql
  FROM "history_schema".migration_log l
 WHERE direction = 'up'
   AND version IN (SELECT s.version FROM "history_schema".migration_log s
                    WHERE s.direction = 'up' AND s.statement IS NOT NULL)
   AND NOT EXISTS (SELECT FROM "history_schema".migration_log w
                    WHERE w.version = l.version AND w.id >= l.id
                      AND w.outcome = 'done' AND w.statement IS NULL)
 ORDER BY min(id) OVER (PARTITION BY version) DESC, id;
