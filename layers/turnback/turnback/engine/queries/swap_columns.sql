-- The columns of a table, in order; ``sequence`` counts them up, and ``shared`` says whether their
-- DEFAULT names it (serial), as opposed to an identity column.
SELECT a.attnum AS number,
       a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       pg_catalog.format_type(a.atttypid, -1) AS base,
       a.atttypid::bigint AS type_oid,
       a.attnotnull AS not_null,
       a.atthasdef OR a.attidentity <> '' AS filled,
       a.attgenerated <> '' AS generated,
       a.attidentity = 'a' AS always,
       s.name AS sequence,
       s.schema AS sequence_schema,
       coalesce(s.shared, false) AS shared
  FROM pg_catalog.pg_attribute a
  LEFT JOIN LATERAL (
       SELECT c.relname::text AS name, n.nspname::text AS schema, d.deptype = 'a' AS shared
         FROM pg_catalog.pg_depend d
         JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = a.attrelid
          AND d.refobjsubid = a.attnum AND d.classid = 'pg_catalog.pg_class'::regclass
          AND d.deptype IN ('a', 'i')
        ORDER BY d.deptype DESC LIMIT 1) s ON true
 WHERE a.attrelid = %(table)s::oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum;
