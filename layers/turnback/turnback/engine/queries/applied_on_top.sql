-- What other runs applied after this run began with the first of these versions, and is still
-- applied; one row a run.
SELECT run_id, release, pg_catalog.array_agg(version::text ORDER BY last.id)
  FROM (SELECT DISTINCT ON (version) id, version, run_id, release, direction
          FROM "history_schema".migration_log
         WHERE outcome = 'done' AND statement IS NULL
         ORDER BY version, id DESC) last
  JOIN "history_schema".migrations v USING (version)
 WHERE v.success AND v.rolled_back_at IS NULL
   AND run_id <> %(run)s AND last.direction <> 'down'
   AND last.id > (SELECT min(f.id)
                    FROM "history_schema".migration_log f
                   WHERE f.run_id = %(run)s AND f.direction = 'up' AND f.outcome <> 'failed'
                     AND f.version = ANY (%(versions)s))
 GROUP BY run_id, release
 ORDER BY run_id, release;
