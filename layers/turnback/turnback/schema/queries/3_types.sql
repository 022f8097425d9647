-- Types. Those of tables, arrays and multiranges come and go with what they belong to.
-- keys of pg_type
SELECT t.tableoid AS _class,
       t.oid AS _oid,
       t.oid AS _key,
       CASE WHEN t.typrelid <> 0 THEN t.typrelid END AS _declares,
       CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END
           || format(' %I.%I', n.nspname, t.typname) AS _object,
       array_to_string(t.typacl, E'\n') AS _grants,
       CASE WHEN t.typacl IS NOT NULL
            THEN array_to_string(acldefault('T', t.typowner), E'\n') END AS _granted_by_default,
       pg_get_userbyid(t.typowner) AS owner,
       CASE WHEN NOT t.typisdefined THEN 'shell'
            ELSE CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite'
                      WHEN 'r' THEN 'range' WHEN 'b' THEN 'base' END END AS kind,
       CASE WHEN t.typtype = 'e'
            THEN (SELECT string_agg(quote_literal(v.enumlabel), ', ' ORDER BY v.enumsortorder)
                    FROM pg_enum v WHERE v.enumtypid = t.oid) END AS values,
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS type,
       CASE WHEN t.typtype = 'd' AND t.typcollation <> u.typcollation
            THEN t.typcollation::regcollation::text END AS collation,
       CASE WHEN t.typtype = 'd' THEN coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault)
            END AS "default",
       CASE WHEN t.typtype = 'd' AND t.typnotnull THEN 'yes' END AS "not null",
       CASE WHEN nn.conname <> t.typname || '_not_null'  -- since 17
            THEN quote_ident(nn.conname) END AS "not null name",  -- since 17
       CASE WHEN t.typtype = 'r'
            THEN format('SUBTYPE = %s, SUBTYPE_OPCLASS = %I.%I%s%s%s, MULTIRANGE_TYPE_NAME = %s',
                        r.rngsubtype::regtype, oc.nspname, o.opcname,
                        CASE WHEN r.rngcollation <> 0
                             THEN ', COLLATION = ' || r.rngcollation::regcollation END,
                        CASE WHEN r.rngcanonical <> 0
                             THEN ', CANONICAL = ' || r.rngcanonical::regproc END,
                        CASE WHEN r.rngsubdiff <> 0
                             THEN ', SUBTYPE_DIFF = ' || r.rngsubdiff::regproc END,
                        r.rngmultitypid::regtype)
            WHEN t.typtype = 'b' AND t.typisdefined
            THEN format('INPUT = %s, OUTPUT = %s, RECEIVE = %s, SEND = %s, TYPMOD_IN = %s, '
                        'TYPMOD_OUT = %s, ANALYZE = %s, SUBSCRIPT = %s, INTERNALLENGTH = %s, '
                        'PASSEDBYVALUE = %s, ALIGNMENT = %s, STORAGE = %s, CATEGORY = %L, '
                        'PREFERRED = %s, DEFAULT = %L, ELEMENT = %s, DELIMITER = %L, '
                        'COLLATABLE = %s',
                        t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout,
                        t.typanalyze, t.typsubscript, t.typlen, t.typbyval, t.typalign,
                        t.typstorage, t.typcategory, t.typispreferred, t.typdefault,
                        t.typelem::regtype, t.typdelim, t.typcollation <> 0)
            END AS definition
  FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_type u ON u.oid = t.typbasetype
  LEFT JOIN pg_range r ON r.rngtypid = t.oid
  LEFT JOIN pg_opclass o ON o.oid = r.rngsubopc
  LEFT JOIN pg_namespace oc ON oc.oid = o.opcnamespace
  LEFT JOIN pg_constraint nn ON nn.contypid = t.oid AND nn.contype = 'n'  -- since 17
 WHERE t.oid >= 16384
   AND t.oid = ANY ($1)  -- changed
   AND t.typtype IN ('b', 'c', 'd', 'e', 'r', 'p')
   AND (t.typrelid = 0
        OR (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) = 'c')
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND (t.typelem = 0 OR NOT EXISTS (SELECT FROM pg_type l
                                      WHERE l.oid = t.typelem AND l.typarray = t.oid))
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = t.tableoid
                      AND e.objid = t.oid AND e.deptype = 'e');
