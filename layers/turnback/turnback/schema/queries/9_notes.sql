-- What is said of an object elsewhere: its comment, its security labels, what it goes away with.
SELECT d.classoid AS _class, d.objoid AS _oid, d.objsubid AS _sub, 'comment' AS _note,
       d.description AS _text
  FROM pg_description d
 WHERE d.objoid >= 16384 OR (d.objoid = 2200 AND d.classoid = 'pg_namespace'::regclass)
UNION ALL
SELECT l.classoid, l.objoid, l.objsubid, 'security label of ' || l.provider, l.label
  FROM pg_seclabel l
UNION ALL
SELECT e.classid, e.objid, e.objsubid, 'depends on extension ' || quote_ident(x.extname), 'yes'
  FROM pg_depend e
  JOIN pg_extension x ON x.oid = e.refobjid
 WHERE e.refclassid = 'pg_extension'::regclass AND e.deptype = 'x';

-- Grants on what belongs to the server or to an extension, where they were changed.
-- keys of pg_proc
SELECT p.tableoid AS _class,
       p.oid AS _oid,
       p.oid AS _key,
       format('%s %s', CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate'
              ELSE 'function' END, p.oid::regprocedure) AS _object,
       array_to_string(p.proacl, E'\n') AS _grants,
       array_to_string(coalesce(i.initprivs, acldefault('f', p.proowner)), E'\n')
           AS _granted_by_default,
       pg_get_userbyid(p.proowner) AS _owner
  FROM pg_proc p
  LEFT JOIN pg_init_privs i
         ON i.objoid = p.oid AND i.classoid = 'pg_proc'::regclass AND i.objsubid = 0
 WHERE p.proacl IS NOT NULL AND p.proacl IS DISTINCT FROM i.initprivs
   AND p.oid = ANY ($1)  -- changed
   AND (p.oid < 16384 OR EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass
                                    AND e.objid = p.oid AND e.deptype = 'e'));

-- keys of pg_class
SELECT c.tableoid AS _class,
       c.oid AS _oid,
       c.oid AS _key,
       format('%s %s', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
              WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence' ELSE 'table' END,
              c.oid::regclass) AS _object,
       array_to_string(c.relacl, E'\n') AS _grants,
       array_to_string(coalesce(i.initprivs, k.usual), E'\n') AS _granted_by_default,
       pg_get_userbyid(c.relowner) AS _owner
  FROM pg_class c
 CROSS JOIN LATERAL (
       SELECT acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)
       ) AS k (usual)
  LEFT JOIN pg_init_privs i
         ON i.objoid = c.oid AND i.classoid = 'pg_class'::regclass AND i.objsubid = 0
 WHERE c.relacl IS NOT NULL AND c.relacl IS DISTINCT FROM i.initprivs
   AND c.oid = ANY ($1)  -- changed
   AND c.relnamespace <> 'information_schema'::regnamespace
   AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
   AND (c.oid < 16384 OR EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass
                                    AND e.objid = c.oid AND e.deptype = 'e'));

-- keys of pg_class
SELECT c.tableoid AS _class,
       c.oid AS _oid,
       a.attnum AS _sub,
       c.oid AS _key,
       format('column %s.%I', c.oid::regclass, a.attname) AS _object,
       coalesce(array_to_string(a.attacl, E'\n'), '') AS _grants,
       array_to_string(i.initprivs, E'\n') AS _granted_by_default,
       pg_get_userbyid(c.relowner) AS _owner
  FROM (SELECT attrelid AS oid, attnum FROM pg_attribute
         WHERE attrelid < 16384 AND attacl IS NOT NULL
           AND attrelid = ANY ($1)  -- changed
         UNION
        SELECT attrelid, attnum FROM pg_depend d JOIN pg_attribute ON attrelid = d.objid
         WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_class'::regclass
           AND d.deptype = 'e' AND attacl IS NOT NULL
           AND d.objid = ANY ($1)  -- changed
         UNION
        SELECT objoid, objsubid FROM pg_init_privs
         WHERE classoid = 'pg_class'::regclass AND objsubid > 0
           AND objoid = ANY ($1)  -- changed
       ) AS r
  JOIN pg_class c ON c.oid = r.oid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = r.attnum AND NOT a.attisdropped
  LEFT JOIN pg_init_privs i
         ON i.objoid = c.oid AND i.classoid = c.tableoid AND i.objsubid = a.attnum
 WHERE a.attacl IS DISTINCT FROM i.initprivs
   AND c.relnamespace <> 'information_schema'::regnamespace;

-- keys of pg_namespace pg_type
SELECT o.class AS _class, o.oid AS _oid, o.oid AS _key, o.name AS _object, o.owner AS _owner,
       array_to_string(o.acl, E'\n') AS _grants,
       array_to_string(coalesce(i.initprivs, o.usual), E'\n') AS _granted_by_default
  FROM (SELECT tableoid AS class, oid, format('schema %I', nspname) AS name,
               pg_get_userbyid(nspowner) AS owner, nspacl AS acl,
               acldefault('n', nspowner) AS usual
          FROM pg_namespace
         UNION ALL
        SELECT tableoid, oid, format('language %I', lanname), pg_get_userbyid(lanowner), lanacl,
               acldefault('l', lanowner)
          FROM pg_language
         UNION ALL
        SELECT tableoid, oid, format('foreign data wrapper %I', fdwname),
               pg_get_userbyid(fdwowner), fdwacl, acldefault('F', fdwowner)
          FROM pg_foreign_data_wrapper
         UNION ALL
        SELECT tableoid, oid, format('type %s', format_type(oid, NULL)),
               pg_get_userbyid(typowner), typacl, acldefault('T', typowner)
          FROM pg_type WHERE typacl IS NOT NULL) AS o
  LEFT JOIN pg_init_privs i ON i.objoid = o.oid AND i.classoid = o.class AND i.objsubid = 0
 WHERE o.acl IS NOT NULL
   AND o.oid = ANY ($1)  -- changed
   AND o.acl IS DISTINCT FROM i.initprivs AND o.name !~ '^schema (pg_temp|pg_toast|information_schema)'
   AND (o.oid < 16384 AND o.oid <> 2200
        OR EXISTS (SELECT FROM pg_depend e WHERE e.classid = o.class
                      AND e.objid = o.oid AND e.deptype = 'e'));
