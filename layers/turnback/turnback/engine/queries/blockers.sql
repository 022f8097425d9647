-- Who keeps the backend waiting for a lock.
SELECT a.pid,
       coalesce(a.usename, '?') AS user,
       coalesce(a.application_name, '') AS application,
       coalesce(a.state, '?') AS state,
       coalesce(extract(epoch FROM pg_catalog.clock_timestamp()
           - coalesce(a.state_change, a.backend_start))::integer, 0) AS seconds,
       coalesce(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 100), '')
           AS query
  FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(%(pid)s)) AS b (pid)
  JOIN pg_catalog.pg_stat_activity a USING (pid)
 ORDER BY a.xact_start;
