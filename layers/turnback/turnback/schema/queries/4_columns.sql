-- Columns, with their place among those that are left. What a view's columns are follows from
-- its text. The NOT NULL constraints that PostgreSQL 18 has are part of their columns.
-- keys of pg_class
SELECT c.tableoid AS _class,
       c.oid AS _oid,
       a.attnum AS _sub,
       c.oid AS _key,
       c.oid AS _relation,
       nn.tableoid AS _part_class,  -- since 18
       nn.oid AS _part_oid,  -- since 18
       CASE WHEN nn.oid IS NOT NULL THEN 'not null' END AS _part,  -- since 18
       format('column %I.%I.%I', n.nspname, c.relname, a.attname) AS _object,
       array_to_string(a.attacl, E'\n') AS _grants,
       array_to_string(a.attfdwoptions, E'\n') AS _options,
       CASE WHEN c.relkind IN ('r', 'p', 'f', 'c') THEN pg_get_userbyid(c.relowner) END AS _owner,
       CASE WHEN c.relkind IN ('r', 'p', 'f', 'c')
            THEN format_type(a.atttypid, a.atttypmod) END AS type,
       CASE WHEN a.attcollation <> t.typcollation AND c.relkind IN ('r', 'p', 'f', 'c')
            THEN a.attcollation::regcollation::text END AS collation,
       CASE WHEN a.atthasdef AND a.attgenerated = ''
            THEN pg_get_expr(d.adbin, d.adrelid) END AS "default",
       CASE WHEN a.attgenerated = 's' THEN pg_get_expr(d.adbin, d.adrelid) END AS "generated stored",
       CASE WHEN a.attgenerated = 'v' THEN pg_get_expr(d.adbin, d.adrelid) END AS "generated virtual",
       CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END AS identity,
       CASE WHEN a.attnotnull THEN 'yes'
            || CASE WHEN NOT nn.convalidated THEN ', not valid' ELSE '' END  -- since 18
            || CASE WHEN nn.connoinherit THEN ', no inherit' ELSE '' END  -- since 18
            || CASE WHEN NOT nn.conislocal THEN ', inherited' ELSE '' END  -- since 18
            END AS "not null",
       CASE WHEN nn.conname <> format('%s_%s_not_null', c.relname, a.attname)  -- since 18
            THEN quote_ident(nn.conname) END AS "not null name",  -- since 18
       CASE WHEN a.attstorage <> t.typstorage AND c.relkind <> 'v'
            THEN CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'm' THEN 'main'
                      WHEN 'e' THEN 'external' WHEN 'x' THEN 'extended' END END AS storage,
       CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END AS compression,
       CASE WHEN a.attstattarget >= 0 THEN a.attstattarget END AS "statistics target",
       nullif(array_to_string(ARRAY(
              SELECT o FROM unnest(a.attoptions) AS o WHERE o !~ '^pg_' ORDER BY 1), ', '), '') AS options,
       CASE WHEN NOT a.attislocal THEN 'yes' END AS inherited,
       CASE WHEN c.relkind IN ('r', 'p', 'f', 'c')
            THEN row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) END AS position
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_constraint nn ON nn.conrelid = c.oid AND nn.contype = 'n'  -- since 18
        AND nn.conkey[1] = a.attnum  -- since 18
 WHERE c.oid >= 16384
   AND c.oid = ANY ($1)  -- changed
   AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c');
