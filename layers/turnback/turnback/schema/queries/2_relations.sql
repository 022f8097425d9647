-- Tables, views, materialized views and foreign tables.
-- keys of pg_class
SELECT c.tableoid AS _class,
       c.oid AS _oid,
       c.oid AS _key,
       c.oid AS _declares,
       n.nspname AS _schema,
       c.relname AS _name,
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
            WHEN 'f' THEN 'foreign table' ELSE 'table' END
           || format(' %I.%I', n.nspname, c.relname) AS _object,
       array_to_string(c.relacl, E'\n') AS _grants,
       CASE WHEN c.relacl IS NOT NULL
            THEN array_to_string(acldefault('r', c.relowner), E'\n') END AS _granted_by_default,
       array_to_string(f.ftoptions, E'\n') AS _options,
       pg_get_userbyid(c.relowner) AS owner,
       CASE c.relpersistence WHEN 'u' THEN 'unlogged' END AS persistence,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS definition,
       CASE WHEN c.relkind = 'm'
            THEN CASE WHEN c.relispopulated THEN 'yes' ELSE 'no' END END AS populated,
       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS "partition key",
       CASE WHEN NOT c.relispartition
            THEN (SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
                    FROM pg_inherits i WHERE i.inhrelid = c.oid) END AS inherits,
       CASE WHEN c.relispartition
            THEN (SELECT i.inhparent::regclass::text
                         || CASE WHEN i.inhdetachpending THEN ' (being detached)' ELSE '' END
                    FROM pg_inherits i WHERE i.inhrelid = c.oid) END AS "partition of",
       CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END AS "partition bounds",
       CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END AS "of type",
       CASE WHEN c.relam <> 0 AND m.amname <> 'heap' THEN m.amname END AS "access method",
       s.spcname AS tablespace,
       nullif(array_to_string(ARRAY(
              SELECT o FROM unnest(c.reloptions) AS o WHERE o !~ '^pg_' ORDER BY 1), ', '), '') AS "storage parameters",
       nullif(array_to_string(ARRAY(
              SELECT 'toast.' || o FROM unnest(t.reloptions) AS o WHERE o !~ '^pg_' ORDER BY 1), ', '), '') AS "toast storage parameters",
       CASE c.relreplident WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' WHEN 'i' THEN 'index'
            END AS "replica identity",
       CASE WHEN c.relrowsecurity THEN 'enabled' END AS "row security",
       CASE WHEN c.relforcerowsecurity THEN 'yes' END AS "row security forced",
       v.srvname AS server
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_am m ON m.oid = c.relam
  LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
  LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
  LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid
  LEFT JOIN pg_foreign_server v ON v.oid = f.ftserver
 WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND c.oid = ANY ($1)  -- changed
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = c.tableoid
                      AND e.objid = c.oid AND e.deptype = 'e');
