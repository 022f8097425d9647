-- The session that holds the advisory lock of a history. Of a pipeline whose client froze only a
-- part may have arrived; the server then waits for the rest, in the state "active".
SELECT a.pid,
       coalesce(a.usename, '?') AS user,
       coalesce(a.application_name, '') AS application,
       coalesce(a.client_addr::text, '') AS address,
       CASE WHEN a.state = 'active' AND a.wait_event = 'ClientRead'
            THEN 'idle in the middle of a message'
            ELSE coalesce(a.state, '')
       END AS state,
       coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.backend_start)::integer, 0)
           AS connected_s,
       coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::integer, 0)
           AS in_state_s,
       coalesce(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 80), '')
           AS query,
       (SELECT min(extract(epoch FROM pg_catalog.clock_timestamp() - w.state_change)::integer)
          FROM pg_catalog.pg_stat_activity w
         WHERE w.usesysid = a.usesysid
           AND w.datid = a.datid
           AND w.application_name = pg_catalog.left(
                   pg_catalog.replace(a.application_name, %(run)s, %(monitor)s), 63)) AS watched_s
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory'
   AND l.granted
   AND l.objsubid = 1
   AND l.classid = %(high)s::oid
   AND l.objid = %(low)s::oid
   AND l.database = (SELECT oid FROM pg_catalog.pg_database
                      WHERE datname = pg_catalog.current_database());
