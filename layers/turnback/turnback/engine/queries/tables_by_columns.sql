-- Every table with its columns: the histories of other tools are found by these. A table with a
-- type of somebody's own is left out: to read or to sort it would run the functions of that type.
-- So are those of Supabase's services, which migrate their schemas with tools that are known.
SELECT n.nspname,
       c.relname,
       json_object_agg(a.attname, pg_catalog.format_type(a.atttypid, NULL)),
       pg_catalog.row_security_active(c.oid)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE c.relkind = 'r'
   AND c.relpersistence <> 't'
   AND n.nspname <> 'information_schema'
   AND n.nspname NOT LIKE 'pg\_%'
   AND pg_catalog.pg_get_userbyid(n.nspowner) <> 'supabase_admin'
 GROUP BY 1, 2, 4
HAVING bool_and(t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace)
 ORDER BY 1, 2
