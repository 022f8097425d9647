-- Casts.
-- only with pg_cast WHERE oid >= 16384
SELECT c.tableoid AS _class,
       c.oid AS _oid,
       format('cast (%s AS %s)', format_type(c.castsource, NULL), format_type(c.casttarget, NULL))
           AS _object,
       CASE c.castmethod WHEN 'f' THEN 'WITH FUNCTION ' || c.castfunc::regprocedure
            WHEN 'i' THEN 'WITH INOUT' ELSE 'WITHOUT FUNCTION' END
           || CASE c.castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT'
                   ELSE '' END AS definition
  FROM pg_cast c
 WHERE c.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = c.tableoid
                      AND e.objid = c.oid AND e.deptype IN ('e', 'i'));

-- Operators.
-- only with pg_operator WHERE oid >= 16384
SELECT o.tableoid AS _class,
       o.oid AS _oid,
       format('operator %I.%s (%s, %s)', n.nspname, o.oprname,
              CASE WHEN o.oprleft = 0 THEN 'NONE' ELSE format_type(o.oprleft, NULL) END,
              format_type(o.oprright, NULL)) AS _object,
       pg_get_userbyid(o.oprowner) AS owner,
       concat_ws(', ',
           'FUNCTION = ' || CASE WHEN o.oprcode <> 0 THEN o.oprcode::regproc END,
           'LEFTARG = ' || CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END,
           'RIGHTARG = ' || format_type(o.oprright, NULL),
           'COMMUTATOR = ' || CASE WHEN o.oprcom <> 0 THEN o.oprcom::regoperator END,
           'NEGATOR = ' || CASE WHEN o.oprnegate <> 0 THEN o.oprnegate::regoperator END,
           'RESTRICT = ' || CASE WHEN o.oprrest <> 0 THEN o.oprrest::regproc END,
           'JOIN = ' || CASE WHEN o.oprjoin <> 0 THEN o.oprjoin::regproc END,
           CASE WHEN o.oprcanhash THEN 'HASHES' END,
           CASE WHEN o.oprcanmerge THEN 'MERGES' END
       ) AS definition
  FROM pg_operator o
  JOIN pg_namespace n ON n.oid = o.oprnamespace
 WHERE o.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = o.tableoid
                      AND e.objid = o.oid AND e.deptype = 'e');

-- Operator classes; their operators and functions are attributes of their family.
-- only with pg_opclass WHERE oid >= 16384
SELECT o.tableoid AS _class,
       o.oid AS _oid,
       format('operator class %I.%I USING %I', n.nspname, o.opcname, m.amname) AS _object,
       pg_get_userbyid(o.opcowner) AS owner,
       format('%sFOR TYPE %s FAMILY %I.%I%s', CASE WHEN o.opcdefault THEN 'DEFAULT ' END,
              format_type(o.opcintype, NULL), fn.nspname, f.opfname,
              CASE WHEN o.opckeytype <> 0
                   THEN ' STORAGE ' || format_type(o.opckeytype, NULL) END) AS definition
  FROM pg_opclass o
  JOIN pg_namespace n ON n.oid = o.opcnamespace
  JOIN pg_opfamily f ON f.oid = o.opcfamily
  JOIN pg_namespace fn ON fn.oid = f.opfnamespace
  JOIN pg_am m ON m.oid = o.opcmethod
 WHERE o.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = o.tableoid
                      AND e.objid = o.oid AND e.deptype = 'e');

-- only with pg_opfamily WHERE oid >= 16384
SELECT f.tableoid AS _class,
       f.oid AS _oid,
       format('operator family %I.%I USING %I', n.nspname, f.opfname, m.amname) AS _object,
       pg_get_userbyid(f.opfowner) AS owner,
       concat_ws(', ',
           (SELECT string_agg(format('OPERATOR %s %s%s', o.amopstrategy, o.amopopr::regoperator,
                       CASE WHEN o.amoppurpose = 'o'
                            THEN format(' FOR ORDER BY %I.%I', bn.nspname, b.opfname) END),
                       ', ' ORDER BY o.amopstrategy, o.amopopr::regoperator::text)
              FROM pg_amop o
              LEFT JOIN pg_opfamily b ON b.oid = o.amopsortfamily
              LEFT JOIN pg_namespace bn ON bn.oid = b.opfnamespace
             WHERE o.amopfamily = f.oid),
           (SELECT string_agg(format('FUNCTION %s (%s, %s) %s', p.amprocnum,
                       format_type(p.amproclefttype, NULL), format_type(p.amprocrighttype, NULL),
                       p.amproc::regprocedure),
                       ', ' ORDER BY p.amprocnum, p.amproc::regprocedure::text)
              FROM pg_amproc p
             WHERE p.amprocfamily = f.oid)) AS definition
  FROM pg_opfamily f
  JOIN pg_namespace n ON n.oid = f.opfnamespace
  JOIN pg_am m ON m.oid = f.opfmethod
 WHERE f.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = f.tableoid
                      AND e.objid = f.oid AND e.deptype = 'e');

-- Access methods, languages, transforms.
-- only with pg_am WHERE oid >= 16384
SELECT m.tableoid AS _class,
       m.oid AS _oid,
       format('access method %I', m.amname) AS _object,
       format('TYPE %s HANDLER %s', CASE m.amtype WHEN 't' THEN 'TABLE' ELSE 'INDEX' END,
              m.amhandler::regproc) AS definition
  FROM pg_am m
 WHERE m.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = m.tableoid
                      AND e.objid = m.oid AND e.deptype = 'e');

-- only with pg_language WHERE oid >= 16384
SELECT l.tableoid AS _class,
       l.oid AS _oid,
       format('language %I', l.lanname) AS _object,
       array_to_string(l.lanacl, E'\n') AS _grants,
       CASE WHEN l.lanacl IS NOT NULL
            THEN array_to_string(acldefault('l', l.lanowner), E'\n') END AS _granted_by_default,
       pg_get_userbyid(l.lanowner) AS owner,
       CASE WHEN l.lanpltrusted THEN 'yes' ELSE 'no' END AS trusted,
       concat_ws(' ',
           'HANDLER ' || CASE WHEN l.lanplcallfoid <> 0 THEN l.lanplcallfoid::regproc END,
           'INLINE ' || CASE WHEN l.laninline <> 0 THEN l.laninline::regproc END,
           'VALIDATOR ' || CASE WHEN l.lanvalidator <> 0 THEN l.lanvalidator::regproc END
       ) AS definition
  FROM pg_language l
 WHERE l.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = l.tableoid
                      AND e.objid = l.oid AND e.deptype = 'e');

-- only with pg_transform WHERE oid >= 16384
SELECT f.tableoid AS _class,
       f.oid AS _oid,
       format('transform for %s language %I', format_type(f.trftype, NULL), l.lanname) AS _object,
       concat_ws(', ',
           'FROM SQL WITH FUNCTION '
               || CASE WHEN f.trffromsql <> 0 THEN f.trffromsql::regprocedure END,
           'TO SQL WITH FUNCTION ' || CASE WHEN f.trftosql <> 0 THEN f.trftosql::regprocedure END
       ) AS definition
  FROM pg_transform f
  JOIN pg_language l ON l.oid = f.trflang
 WHERE f.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = f.tableoid
                      AND e.objid = f.oid AND e.deptype = 'e');

-- Conversions and collations.
-- only with pg_conversion WHERE oid >= 16384
SELECT c.tableoid AS _class,
       c.oid AS _oid,
       format('conversion %I.%I', n.nspname, c.conname) AS _object,
       pg_get_userbyid(c.conowner) AS owner,
       format('%sFOR %L TO %L FROM %s', CASE WHEN c.condefault THEN 'DEFAULT ' END,
              pg_encoding_to_char(c.conforencoding), pg_encoding_to_char(c.contoencoding),
              c.conproc::regproc) AS definition
  FROM pg_conversion c
  JOIN pg_namespace n ON n.oid = c.connamespace
 WHERE c.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = c.tableoid
                      AND e.objid = c.oid AND e.deptype = 'e');

-- only with pg_collation WHERE oid >= 16384
SELECT c.tableoid AS _class,
       c.oid AS _oid,
       format('collation %I.%I', n.nspname, c.collname) AS _object,
       pg_get_userbyid(c.collowner) AS owner,
       concat_ws(', ',
           CASE c.collprovider WHEN 'c' THEN 'PROVIDER = libc' WHEN 'i' THEN 'PROVIDER = icu'
                WHEN 'b' THEN 'PROVIDER = builtin' END,
           'LC_COLLATE = ' || quote_literal(c.collcollate),
           'LC_CTYPE = ' || quote_literal(c.collctype),
           'LOCALE = ' || quote_literal(c.colliculocale),  -- since 15 until 16
           'LOCALE = ' || quote_literal(c.colllocale),  -- since 17
           'RULES = ' || quote_literal(c.collicurules),  -- since 16
           CASE WHEN NOT c.collisdeterministic THEN 'DETERMINISTIC = false' END
       ) AS definition
  FROM pg_collation c
  JOIN pg_namespace n ON n.oid = c.collnamespace
 WHERE c.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = c.tableoid
                      AND e.objid = c.oid AND e.deptype = 'e');

-- Text search.
-- only with pg_ts_config WHERE oid >= 16384
SELECT c.tableoid AS _class,
       c.oid AS _oid,
       format('text search configuration %I.%I', n.nspname, c.cfgname) AS _object,
       pg_get_userbyid(c.cfgowner) AS owner,
       format('%I.%I', pn.nspname, p.prsname) AS parser,
       (SELECT string_agg(format('%s with %s', t.alias, m.dictionaries), '; ' ORDER BY t.tokid)
          FROM ts_token_type(c.cfgparser) t
          JOIN (SELECT maptokentype,
                       string_agg(mapdict::regdictionary::text, ', ' ORDER BY mapseqno)
                  FROM pg_ts_config_map WHERE mapcfg = c.oid GROUP BY maptokentype
               ) AS m (token, dictionaries) ON m.token = t.tokid) AS mapping
  FROM pg_ts_config c
  JOIN pg_namespace n ON n.oid = c.cfgnamespace
  JOIN pg_ts_parser p ON p.oid = c.cfgparser
  JOIN pg_namespace pn ON pn.oid = p.prsnamespace
 WHERE c.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = c.tableoid
                      AND e.objid = c.oid AND e.deptype = 'e');

-- only with pg_ts_dict WHERE oid >= 16384
SELECT d.tableoid AS _class,
       d.oid AS _oid,
       format('text search dictionary %I.%I', n.nspname, d.dictname) AS _object,
       pg_get_userbyid(d.dictowner) AS owner,
       concat_ws(', ', format('TEMPLATE = %I.%I', tn.nspname, t.tmplname), d.dictinitoption)
           AS definition
  FROM pg_ts_dict d
  JOIN pg_namespace n ON n.oid = d.dictnamespace
  JOIN pg_ts_template t ON t.oid = d.dicttemplate
  JOIN pg_namespace tn ON tn.oid = t.tmplnamespace
 WHERE d.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.tableoid
                      AND e.objid = d.oid AND e.deptype = 'e');

-- only with pg_ts_parser WHERE oid >= 16384
SELECT p.tableoid AS _class,
       p.oid AS _oid,
       format('text search parser %I.%I', n.nspname, p.prsname) AS _object,
       format('START = %s, GETTOKEN = %s, END = %s, HEADLINE = %s, LEXTYPES = %s', p.prsstart,
              p.prstoken, p.prsend, p.prsheadline, p.prslextype) AS definition
  FROM pg_ts_parser p
  JOIN pg_namespace n ON n.oid = p.prsnamespace
 WHERE p.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = p.tableoid
                      AND e.objid = p.oid AND e.deptype = 'e');

-- only with pg_ts_template WHERE oid >= 16384
SELECT t.tableoid AS _class,
       t.oid AS _oid,
       format('text search template %I.%I', n.nspname, t.tmplname) AS _object,
       format('INIT = %s, LEXIZE = %s', t.tmplinit, t.tmpllexize) AS definition
  FROM pg_ts_template t
  JOIN pg_namespace n ON n.oid = t.tmplnamespace
 WHERE t.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = t.tableoid
                      AND e.objid = t.oid AND e.deptype = 'e');
