-- Each release in the log, with the highest version that it ever applied.
SELECT release, max(version::numeric)::bigint
  FROM "history_schema".migration_log
 WHERE direction = 'up' AND outcome = 'done' AND statement IS NULL AND release IS NOT NULL
 GROUP BY release;
