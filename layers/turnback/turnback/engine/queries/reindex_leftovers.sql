-- Invalid indexes that REINDEX CONCURRENTLY leaves: the one it builds and the one it has replaced
-- (manual, REINDEX, "Rebuilding Indexes Concurrently").
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid
   AND c.relname ~ '_cc(new|old)\d*$'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p
                    WHERE p.index_relid = i.indexrelid);
