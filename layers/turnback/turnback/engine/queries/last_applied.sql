-- The row of the log in which each of these versions was last applied.
SELECT DISTINCT ON (version) version, id
  FROM "history_schema".migration_log
 WHERE version = ANY (%(versions)s)
   AND direction IN ('up', 'adopt', 'repair') AND outcome = 'done' AND statement IS NULL
 ORDER BY version, id DESC;
