-- The columns of a key, in the order asked for, each with the schema of the operators that order it;
-- those of a domain are its base type's.
WITH RECURSIVE base (attnum, type) AS (
    SELECT a.attnum, a.atttypid
      FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = %(table)s::oid
    UNION ALL
    SELECT b.attnum, t.typbasetype
      FROM base b
      JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype = 'd'
)
SELECT a.attname AS name,
       pg_catalog.format_type(a.atttypid, -1) AS type,
       a.attnotnull AS not_null,
       coalesce(
           (SELECT n.nspname
              FROM pg_catalog.pg_opclass c
              JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
              JOIN pg_catalog.pg_amop o ON o.amopfamily = c.opcfamily AND o.amopstrategy = 5
               AND o.amoplefttype = c.opcintype AND o.amoprighttype = c.opcintype
              JOIN pg_catalog.pg_operator p ON p.oid = o.amopopr
              JOIN pg_catalog.pg_namespace n ON n.oid = p.oprnamespace
              JOIN base b ON b.attnum = a.attnum AND b.type = c.opcintype
             WHERE c.opcdefault),
           'pg_catalog') AS operators
  FROM pg_catalog.unnest(%(columns)s::text[]) WITH ORDINALITY AS k (name, place)
  JOIN pg_catalog.pg_attribute a
    ON a.attrelid = %(table)s::oid AND a.attname = k.name AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY k.place;
