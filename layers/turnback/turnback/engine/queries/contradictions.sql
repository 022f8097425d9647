-- Versions about which the two tables of a history disagree: the last record in the log says applied
-- and the history does not; or the history says applied and the log has no record of it.
SELECT coalesce(l.version, m.version) AS version,
       l.version IS NOT NULL AS logged
  FROM (SELECT DISTINCT ON (version) version, direction, id
          FROM "history_schema".migration_log
         WHERE outcome = 'done' AND statement IS NULL
         ORDER BY version, id DESC) l
  FULL JOIN (SELECT version, applied_at
               FROM "history_schema".migrations
              WHERE success AND rolled_back_at IS NULL) m USING (version)
 WHERE (m.version IS NULL AND l.direction IN ('up', 'adopt')) OR l.version IS NULL
 ORDER BY l.id, m.applied_at;
