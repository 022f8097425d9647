-- Each release in the log, with the last of the versions that it ever applied, in their order.
SELECT release, version
  FROM (SELECT DISTINCT ON (l.release) l.release, version, v.place
          FROM "history_schema".migration_log l
          JOIN "history_versions" v USING (version)
         WHERE l.direction = 'up' AND l.outcome = 'done' AND l.statement IS NULL
           AND l.release IS NOT NULL
         ORDER BY l.release, v.place DESC) r
 ORDER BY place;
