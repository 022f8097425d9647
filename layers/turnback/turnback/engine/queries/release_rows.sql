-- Each release in the log, with the last row in which it applied something.
SELECT release, max(id)
  FROM "history_schema".migration_log
 WHERE direction = 'up' AND outcome = 'done' AND statement IS NULL AND release IS NOT NULL
 GROUP BY release;
