-- Every client session of this database that waits for a lock, keeps another one waiting, or has a
-- transaction open; the oldest transaction first.
SELECT a.pid,
       coalesce(a.usename, '?') AS user,
       coalesce(a.application_name, '') AS application,
       coalesce(a.client_addr::text, 'local') AS client,
       coalesce(a.state, '?') AS state,
       coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::integer, 0)
           AS in_transaction_s,
       coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::integer, 0)
           AS in_state_s,
       coalesce(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 120), '')
           AS query,
       (SELECT l.mode || ' on '
               || coalesce(regexp_replace(l.relation::regclass::text, '^public\.', ''), l.locktype)
          FROM pg_catalog.pg_locks l
         WHERE l.pid = a.pid AND NOT l.granted LIMIT 1) AS wants,
       coalesce((SELECT pg_catalog.array_agg(DISTINCT
                     l.mode || ' on '
                     || regexp_replace(l.relation::regclass::text, '^public\.', ''))
          FROM pg_catalog.pg_locks l
         WHERE l.pid = a.pid AND l.granted AND l.relation IS NOT NULL AND l.locktype = 'relation'
           AND l.mode NOT IN ('AccessShareLock') AND l.database <> 0), '{}') AS holds,
       pg_catalog.pg_blocking_pids(a.pid) AS waits_for
  FROM pg_catalog.pg_stat_activity a
 WHERE a.datname = pg_catalog.current_database()
   AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.backend_type = 'client backend'
   AND (a.xact_start IS NOT NULL
        OR a.pid IN (SELECT b
                       FROM pg_catalog.pg_stat_activity w,
                            pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) b))
 ORDER BY a.xact_start NULLS LAST;
