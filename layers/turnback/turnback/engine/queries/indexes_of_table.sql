-- The indexes of a table, without those that a running statement is building.
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name,
       c.relname AS own_name,
       i.indisvalid AS valid
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE i.indrelid = %(table)s
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p
                    WHERE p.index_relid = i.indexrelid);
