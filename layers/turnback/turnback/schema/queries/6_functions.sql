-- Functions and procedures; those that a range type brings with it are part of the type.
-- keys of pg_proc
SELECT p.tableoid AS _class,
       p.oid AS _oid,
       p.oid AS _key,
       CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END
           || format(' %I.%I(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)) AS _object,
       array_to_string(p.proacl, E'\n') AS _grants,
       CASE WHEN p.proacl IS NOT NULL
            THEN array_to_string(acldefault('f', p.proowner), E'\n') END AS _granted_by_default,
       pg_get_userbyid(p.proowner) AS owner,
       l.lanname AS language,
       pg_get_functiondef(p.oid) AS definition
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_language l ON l.oid = p.prolang
 WHERE p.oid >= 16384 AND p.prokind <> 'a'
   AND p.oid = ANY ($1)  -- changed
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = p.tableoid
                      AND e.objid = p.oid AND e.deptype IN ('e', 'i'));

-- keys of pg_proc
-- only with pg_aggregate WHERE aggfnoid::oid >= 16384
SELECT p.tableoid AS _class,
       p.oid AS _oid,
       p.oid AS _key,
       format('aggregate %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
           AS _object,
       array_to_string(p.proacl, E'\n') AS _grants,
       CASE WHEN p.proacl IS NOT NULL
            THEN array_to_string(acldefault('f', p.proowner), E'\n') END AS _granted_by_default,
       pg_get_userbyid(p.proowner) AS owner,
       concat_ws(', ',
           'SFUNC = ' || a.aggtransfn::regproc,
           'STYPE = ' || a.aggtranstype::regtype,
           'SSPACE = ' || nullif(a.aggtransspace, 0),
           'FINALFUNC = ' || CASE WHEN a.aggfinalfn <> 0 THEN a.aggfinalfn::regproc END,
           CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
           CASE WHEN a.aggfinalfn <> 0 THEN 'FINALFUNC_MODIFY = ' || CASE a.aggfinalmodify
                WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END,
           'COMBINEFUNC = ' || CASE WHEN a.aggcombinefn <> 0 THEN a.aggcombinefn::regproc END,
           'SERIALFUNC = ' || CASE WHEN a.aggserialfn <> 0 THEN a.aggserialfn::regproc END,
           'DESERIALFUNC = ' || CASE WHEN a.aggdeserialfn <> 0 THEN a.aggdeserialfn::regproc END,
           'INITCOND = ' || quote_literal(a.agginitval),
           'MSFUNC = ' || CASE WHEN a.aggmtransfn <> 0 THEN a.aggmtransfn::regproc END,
           'MINVFUNC = ' || CASE WHEN a.aggminvtransfn <> 0 THEN a.aggminvtransfn::regproc END,
           'MSTYPE = ' || CASE WHEN a.aggmtranstype <> 0 THEN a.aggmtranstype::regtype END,
           'MSSPACE = ' || nullif(a.aggmtransspace, 0),
           'MFINALFUNC = ' || CASE WHEN a.aggmfinalfn <> 0 THEN a.aggmfinalfn::regproc END,
           CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
           CASE WHEN a.aggmfinalfn <> 0 THEN 'MFINALFUNC_MODIFY = ' || CASE a.aggmfinalmodify
                WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END,
           'MINITCOND = ' || quote_literal(a.aggminitval),
           'SORTOP = ' || CASE WHEN a.aggsortop <> 0 THEN a.aggsortop::regoperator END,
           CASE p.proparallel WHEN 's' THEN 'PARALLEL = SAFE'
                WHEN 'r' THEN 'PARALLEL = RESTRICTED' END,
           CASE a.aggkind WHEN 'h' THEN 'HYPOTHETICAL' END
       ) AS definition
  FROM pg_proc p
  JOIN pg_aggregate a ON a.aggfnoid = p.oid
  JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE p.oid >= 16384
   AND p.oid = ANY ($1)  -- changed
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = p.tableoid
                      AND e.objid = p.oid AND e.deptype = 'e');
