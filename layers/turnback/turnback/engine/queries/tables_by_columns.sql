-- Every table with its columns: the histories of other tools are found by these.
SELECT n.nspname,
       c.relname,
       json_object_agg(a.attname, pg_catalog.format_type(a.atttypid, NULL)),
       pg_catalog.row_security_active(c.oid)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relkind IN ('r', 'p')
   AND c.relpersistence <> 't'
   AND n.nspname <> 'information_schema'
   AND n.nspname NOT LIKE 'pg\_%'
 GROUP BY 1, 2, 4
 ORDER BY 1, 2
