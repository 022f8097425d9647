-- The last attempt at each statement of a migration, since the whole was last applied or rolled
-- back. The "failed" row of a statement says what it left behind; it is no attempt.
WITH attempts AS (
    SELECT * FROM "history_schema".migration_log WHERE version = %(version)s)
SELECT DISTINCT ON (direction, statement)
       direction,
       statement AS number,
       statement_checksum AS checksum,
       outcome = 'done' AS done,
       outcome = 'started' AND NOT EXISTS (
           SELECT FROM attempts f WHERE f.id > a.id AND f.outcome = 'failed') AS interrupted,
       error AS note,
       CASE WHEN outcome = 'done' THEN sqlstate END AS skipped
  FROM attempts a
 WHERE statement IS NOT NULL AND outcome <> 'failed'
   AND id > coalesce((SELECT max(id) FROM attempts
                       WHERE outcome = 'done' AND statement IS NULL), 0)
 ORDER BY direction, statement, id DESC;
