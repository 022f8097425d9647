-- Event triggers.
-- only with pg_event_trigger
SELECT t.tableoid AS _class,
       t.oid AS _oid,
       format('event trigger %I', t.evtname) AS _object,
       pg_get_userbyid(t.evtowner) AS owner,
       format('ON %s%s EXECUTE FUNCTION %s()', t.evtevent,
              CASE WHEN t.evttags IS NOT NULL
                   THEN format(' WHEN TAG IN (%s)',
                        (SELECT string_agg(quote_literal(g), ', ' ORDER BY g)
                           FROM unnest(t.evttags) AS g)) END,
              t.evtfoid::regproc) AS definition,
       CASE t.evtenabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'A' THEN 'always'
            WHEN 'R' THEN 'replica' END AS enabled
  FROM pg_event_trigger t
 WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = t.tableoid
                      AND e.objid = t.oid AND e.deptype = 'e');

-- Publications.
-- only with pg_publication
SELECT p.tableoid AS _class,
       p.oid AS _oid,
       format('publication %I', p.pubname) AS _object,
       pg_get_userbyid(p.pubowner) AS owner,
       concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END,
                 CASE WHEN p.pubupdate THEN 'update' END, CASE WHEN p.pubdelete THEN 'delete' END,
                 CASE WHEN p.pubtruncate THEN 'truncate' END) AS operations,
       CASE WHEN p.puballtables THEN 'yes' END AS "all tables",
       CASE WHEN p.pubviaroot THEN 'yes' END AS "via partition root",
       nullif(p.pubgencols::text, 'n') AS "generated columns",  -- since 18
       (SELECT string_agg(format('%I', n.nspname), ', ' ORDER BY n.nspname)  -- since 15
          FROM pg_publication_namespace x  -- since 15
          JOIN pg_namespace n ON n.oid = x.pnnspid WHERE x.pnpubid = p.oid) AS schemas,  -- since 15
       (SELECT string_agg(x.prrelid::regclass || ''
                   || coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', '  -- since 15
                                               ORDER BY a.attnum)  -- since 15
                                          FROM pg_attribute a WHERE a.attrelid = x.prrelid  -- since 15
                                           AND a.attnum = ANY (x.prattrs::int2[])) || ')', '')  -- since 15
                   || coalesce(' WHERE (' || pg_get_expr(x.prqual, x.prrelid) || ')', '')  -- since 15
                   , ', ' ORDER BY x.prrelid::regclass::text)
          FROM pg_publication_rel x WHERE x.prpubid = p.oid) AS tables
  FROM pg_publication p
 WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = p.tableoid
                      AND e.objid = p.oid AND e.deptype = 'e');

-- Subscriptions, without how they connect: that holds a password.
-- only with pg_subscription
SELECT 'pg_subscription'::regclass::oid AS _class,
       s.oid AS _oid,
       format('subscription %I', s.subname) AS _object,
       pg_get_userbyid(s.subowner) AS owner,
       CASE WHEN s.subenabled THEN 'yes' ELSE 'no' END AS enabled,
       array_to_string(ARRAY(SELECT unnest(s.subpublications) ORDER BY 1), ', ') AS publications,
       concat_ws(', ', 'slot_name = ' || s.subslotname,
                 'synchronous_commit = ' || s.subsynccommit, 'binary = ' || s.subbinary,
                 'origin = ' || s.suborigin,  -- since 16
                 'two_phase = ' || s.subtwophasestate::text,  -- since 15
                 'disable_on_error = ' || s.subdisableonerr,  -- since 15
                 'failover = ' || s.subfailover,  -- since 17
                 'streaming = ' || s.substream::text) AS options
  FROM pg_subscription s
 WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database());

-- Foreign data wrappers, servers, user mappings.
-- only with pg_foreign_data_wrapper WHERE oid >= 16384
SELECT f.tableoid AS _class,
       f.oid AS _oid,
       format('foreign data wrapper %I', f.fdwname) AS _object,
       array_to_string(f.fdwacl, E'\n') AS _grants,
       CASE WHEN f.fdwacl IS NOT NULL
            THEN array_to_string(acldefault('F', f.fdwowner), E'\n') END AS _granted_by_default,
       array_to_string(f.fdwoptions, E'\n') AS _options,
       pg_get_userbyid(f.fdwowner) AS owner,
       concat_ws(' ',
           'HANDLER ' || CASE WHEN f.fdwhandler <> 0 THEN f.fdwhandler::regproc END,
           'VALIDATOR ' || CASE WHEN f.fdwvalidator <> 0 THEN f.fdwvalidator::regproc END
       ) AS definition
  FROM pg_foreign_data_wrapper f
 WHERE f.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = f.tableoid
                      AND e.objid = f.oid AND e.deptype = 'e');

-- only with pg_foreign_server
SELECT s.tableoid AS _class,
       s.oid AS _oid,
       format('server %I', s.srvname) AS _object,
       array_to_string(s.srvacl, E'\n') AS _grants,
       CASE WHEN s.srvacl IS NOT NULL
            THEN array_to_string(acldefault('S', s.srvowner), E'\n') END AS _granted_by_default,
       array_to_string(s.srvoptions, E'\n') AS _options,
       pg_get_userbyid(s.srvowner) AS owner,
       s.srvtype AS type,
       s.srvversion AS version,
       format('%I', f.fdwname) AS wrapper
  FROM pg_foreign_server s
  JOIN pg_foreign_data_wrapper f ON f.oid = s.srvfdw
 WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = s.tableoid
                      AND e.objid = s.oid AND e.deptype = 'e');

-- only with pg_foreign_server
SELECT 'pg_user_mapping'::regclass::oid AS _class,
       m.umid AS _oid,
       format('user mapping for %s server %I',
              CASE WHEN m.umuser = 0 THEN 'PUBLIC' ELSE quote_ident(m.usename) END, m.srvname)
           AS _object,
       array_to_string(m.umoptions, E'\n') AS _options,
       'yes' AS present
  FROM pg_user_mappings m;
