-- The relations that are locked when these objects are dropped with all that depends on them.
WITH RECURSIVE asked (kind, id, schema, name, member) AS (
    SELECT * FROM ROWS FROM (pg_catalog.unnest(%(kinds)s::text[]),
                             pg_catalog.unnest(%(oids)s::oid[]),
                             pg_catalog.unnest(%(schemas)s::text[]),
                             pg_catalog.unnest(%(names)s::text[]),
                             pg_catalog.unnest(%(members)s::text[]))),
dropped (class, id, part) AS (
    SELECT s.class, s.id, s.part
      FROM asked a
     CROSS JOIN LATERAL (
        SELECT 'pg_class'::regclass::oid, a.id, 0 WHERE a.kind = 'relation' AND a.member = ''
         UNION ALL
        SELECT 'pg_class'::regclass, attrelid, attnum FROM pg_catalog.pg_attribute
         WHERE a.kind = 'relation' AND attrelid = a.id AND attname = a.member
         UNION ALL
        SELECT 'pg_constraint'::regclass, oid, 0 FROM pg_catalog.pg_constraint
         WHERE a.kind = 'relation' AND conrelid = a.id AND conname = a.member
         UNION ALL
        SELECT 'pg_type'::regclass, a.id, 0 WHERE a.kind = 'type'
         UNION ALL
        SELECT 'pg_namespace'::regclass, oid, 0 FROM pg_catalog.pg_namespace
         WHERE a.kind = 'schema' AND nspname = a.name
         UNION ALL
        SELECT 'pg_extension'::regclass, oid, 0 FROM pg_catalog.pg_extension
         WHERE a.kind = 'extension' AND extname = a.name
         UNION ALL
        -- All of the name, whatever their arguments.
        SELECT 'pg_proc'::regclass, p.oid, 0
          FROM pg_catalog.pg_proc p
          JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
         WHERE a.kind = 'function' AND p.proname = a.name AND a.schema IN ('', n.nspname)
     ) AS s (class, id, part)
     WHERE s.id IS NOT NULL
     UNION
    SELECT n.*
      FROM dropped o
     CROSS JOIN LATERAL (
        SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend d
         WHERE d.refclassid = o.class AND d.refobjid = o.id AND o.part IN (0, d.refobjsubid)
         UNION ALL
        -- The whole of which this is a part: a view, of its rule.
        SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_catalog.pg_depend d
         WHERE d.classid = o.class AND d.objid = o.id AND d.deptype = 'i'
     ) AS n)
SELECT DISTINCT r.id
  FROM dropped o
 CROSS JOIN LATERAL (
    SELECT o.id WHERE o.class = 'pg_class'::regclass
     UNION ALL
    SELECT indrelid FROM pg_catalog.pg_index
     WHERE o.class = 'pg_class'::regclass AND indexrelid = o.id
     UNION ALL
    SELECT pg_catalog.unnest(ARRAY[conrelid, confrelid]) FROM pg_catalog.pg_constraint
     WHERE o.class = 'pg_constraint'::regclass AND oid = o.id
     UNION ALL
    SELECT tgrelid FROM pg_catalog.pg_trigger
     WHERE o.class = 'pg_trigger'::regclass AND oid = o.id
     UNION ALL
    SELECT adrelid FROM pg_catalog.pg_attrdef
     WHERE o.class = 'pg_attrdef'::regclass AND oid = o.id
     UNION ALL
    SELECT polrelid FROM pg_catalog.pg_policy
     WHERE o.class = 'pg_policy'::regclass AND oid = o.id
     UNION ALL
    SELECT ev_class FROM pg_catalog.pg_rewrite
     WHERE o.class = 'pg_rewrite'::regclass AND oid = o.id
 ) AS r (id)
 WHERE r.id <> 0;
