-- The repeatables in the history, in the order in which they were applied.
SELECT version,
       name,
       checksum,
       pg_catalog.to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
           AS applied_at,
       execution_time AS execution_ms,
       success,
       error,
       pg_catalog.to_char(rolled_back_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
           AS rolled_back_at,
       kind
  FROM "history_schema".migrations
 WHERE kind = 'repeatable'
 ORDER BY position;
