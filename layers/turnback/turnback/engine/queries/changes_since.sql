-- What other runs did since a time, and to which of these versions another run was the last to do
-- anything; one row a run.
SELECT run_id, release, pg_catalog.array_agg(version::text ORDER BY id)
  FROM (SELECT run_id, release, version, min(id) AS id
          FROM (SELECT id, run_id, release, version
                  FROM "history_schema".migration_log
                 WHERE run_id <> %(run)s AND outcome <> 'failed'
                   AND logged_at > %(since)s::timestamptz
                 UNION ALL
                SELECT id, run_id, release, version
                  FROM (SELECT DISTINCT ON (version) id, version, run_id, release
                          FROM "history_schema".migration_log
                         WHERE outcome = 'done' AND statement IS NULL
                         ORDER BY version, id DESC) last
                 WHERE run_id <> %(run)s AND version = ANY (%(versions)s)) found
         GROUP BY run_id, release, version) q
 GROUP BY run_id, release
 ORDER BY run_id, release;
