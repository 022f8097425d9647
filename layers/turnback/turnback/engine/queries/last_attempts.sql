-- Versions of which the last attempt has not ended well, with that attempt: a rollback that failed, or
-- work that began, or was left to the server, and has no record of its end.
SELECT version,
       direction,
       outcome,
       error,
       run_id AS run
  FROM (SELECT DISTINCT ON (version) *
          FROM "history_schema".migration_log
         ORDER BY version, id DESC) l
 WHERE outcome IN ('started', 'detached')
    OR (direction = 'down' AND (outcome = 'failed' OR statement IS NOT NULL))
 ORDER BY id;
