-- Who keeps a backend waiting for a lock, who holds a lock that conflicts with one of these on
-- relations, and which of these transactions have not ended; the oldest transaction first.
WITH RECURSIVE wanted (oid, level, reach) AS (
    SELECT w.oid, w.level, w.reach
      FROM ROWS FROM (pg_catalog.unnest(%(oids)s::oid[]),
                      pg_catalog.unnest(%(levels)s::integer[]),
                      pg_catalog.unnest(%(reach)s::text[])) AS w (oid, level, reach)
     UNION
    SELECT h.inhrelid, w.level, CASE WHEN w.reach <> 'heirs' THEN w.reach END
      FROM wanted w
      JOIN pg_catalog.pg_inherits h ON h.inhparent = w.oid
      JOIN pg_catalog.pg_class r ON r.oid = h.inhrelid
     WHERE w.reach IN ('heirs', 'children', 'dropped')
        OR (w.reach = 'partitions' AND r.relispartition)),
locked (oid, level) AS (
    SELECT oid, level FROM wanted
     UNION
    SELECT i.indrelid, w.level
      FROM wanted w
      JOIN pg_catalog.pg_index i ON i.indexrelid = w.oid
     WHERE w.reach = 'dropped'
     UNION
    SELECT i.indexrelid, 8
      FROM wanted w
      JOIN pg_catalog.pg_index i ON i.indrelid = w.oid
     WHERE w.reach = 'indexes'
     UNION
    SELECT p.partdefid, 8
      FROM wanted w
      JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = w.oid
     WHERE w.reach = 'default'
     UNION
    SELECT c.confrelid, 8
      FROM wanted w
      JOIN pg_catalog.pg_constraint c
        ON c.conrelid = w.oid AND c.contype = 'f' AND c.conparentid = 0
     WHERE w.reach = 'dropped'
     UNION
    SELECT pg_catalog.unnest(ARRAY[p.partrelid, p.partdefid]), 8
      FROM wanted w
      JOIN pg_catalog.pg_class r ON r.oid = w.oid AND r.relispartition
      JOIN pg_catalog.pg_inherits h ON h.inhrelid = w.oid
      JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = h.inhparent
     WHERE w.reach = 'dropped'),
-- Manual, table 13.2.
conflicts (level, mode) AS (
    SELECT c.level, pg_catalog.unnest(c.modes)
      FROM (VALUES
        (4, '{ShareUpdateExclusiveLock, ShareLock, ShareRowExclusiveLock, ExclusiveLock,
              AccessExclusiveLock}'::text[]),
        (5, '{RowExclusiveLock, ShareUpdateExclusiveLock, ShareRowExclusiveLock, ExclusiveLock,
              AccessExclusiveLock}'),
        (6, '{RowExclusiveLock, ShareUpdateExclusiveLock, ShareLock, ShareRowExclusiveLock,
              ExclusiveLock, AccessExclusiveLock}'),
        (7, '{RowShareLock, RowExclusiveLock, ShareUpdateExclusiveLock, ShareLock,
              ShareRowExclusiveLock, ExclusiveLock, AccessExclusiveLock}'),
        (8, '{AccessShareLock, RowShareLock, RowExclusiveLock, ShareUpdateExclusiveLock, ShareLock,
              ShareRowExclusiveLock, ExclusiveLock, AccessExclusiveLock}')) AS c (level, modes)),
held AS MATERIALIZED (
    SELECT l.pid, l.virtualtransaction, l.relation, l.mode
      FROM pg_catalog.pg_locks l
     WHERE l.granted
       AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
       AND (l.relation IS NULL
            OR l.database = (SELECT oid FROM pg_catalog.pg_database
                              WHERE datname = pg_catalog.current_database()))),
found AS (
    SELECT h.pid, h.virtualtransaction
      FROM held h
     WHERE h.virtualtransaction = ANY (%(transactions)s::text[])
        OR h.pid IN (SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(%(pid)s)))
     UNION
    SELECT h.pid, h.virtualtransaction
      FROM locked t
      JOIN conflicts c USING (level)
      JOIN held h ON h.relation = t.oid AND h.mode = c.mode)
SELECT coalesce(f.pid, 0) AS pid,
       coalesce(a.usename, '?') AS user,
       coalesce(nullif(a.application_name, ''),
                CASE WHEN f.pid IS NULL THEN 'a prepared transaction' ELSE a.backend_type END,
                '') AS application,
       coalesce(a.state, '') AS state,
       coalesce(extract(epoch FROM pg_catalog.clock_timestamp()
           - coalesce(a.state_change, a.backend_start))::integer, 0) AS seconds,
       coalesce(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 100), '')
           AS query,
       coalesce(pg_catalog.to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '')
           AS since,
       f.virtualtransaction AS transaction,
       -- Autovacuum belongs to no user; what prevents a wraparound does not yield.
       (a.pid IS NOT NULL AND a.usesysid IS NULL
        AND coalesce(a.query, '') NOT LIKE '%%(to prevent wraparound)') AS yields
  FROM found f
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = f.pid
 ORDER BY a.xact_start NULLS FIRST;
