-- Constraints, of tables and of domains. An index that belongs to one is part of it.
-- keys of pg_class pg_type
SELECT con.tableoid AS _class,
       con.oid AS _oid,
       coalesce(nullif(con.conrelid, 0), con.contypid) AS _key,
       nullif(con.conrelid, 0) AS _relation,
       i.tableoid AS _part_class,
       i.oid AS _part_oid,
       CASE WHEN i.oid IS NOT NULL THEN 'index' END AS _part,
       format('constraint %I.%I.%I', n.nspname, coalesce(c.relname, t.typname), con.conname)
           AS _object,
       CASE WHEN con.convalidated THEN pg_get_constraintdef(con.oid)
            ELSE regexp_replace(pg_get_constraintdef(con.oid), ' NOT VALID$', '') END AS definition,
       CASE WHEN con.contype IN ('c', 'f')
            AND con.conenforced  -- since 18
            THEN CASE WHEN con.convalidated THEN 'yes' ELSE 'no' END END AS validated,
       CASE WHEN con.contypid <> 0 THEN 'yes' END AS "of a domain",
       CASE WHEN NOT con.conislocal THEN 'yes' END AS inherited,
       p.inhparent::regclass AS parent,
       CASE WHEN NOT x.indisvalid THEN 'no' END AS "index valid",
       CASE WHEN x.indisclustered THEN 'yes' END AS clustered,
       CASE WHEN x.indisreplident THEN 'yes' END AS "replica identity",
       nullif(array_to_string(ARRAY(
              SELECT o FROM unnest(i.reloptions) AS o WHERE o !~ '^pg_' ORDER BY 1), ', '), '') AS "storage parameters",
       s.spcname AS tablespace,
       (SELECT string_agg(DISTINCT g.tgrelid::regclass || ' ' ||
                   CASE g.tgenabled WHEN 'D' THEN 'disabled' WHEN 'A' THEN 'always'
                        WHEN 'R' THEN 'replica' END, ', ')
          FROM pg_trigger g
         WHERE con.contype = 'f' AND g.tgconstraint = con.oid AND g.tgenabled <> 'O'
       ) AS enforcement
  FROM pg_constraint con
  JOIN pg_namespace n ON n.oid = con.connamespace
  LEFT JOIN pg_class c ON c.oid = con.conrelid
  LEFT JOIN pg_type t ON t.oid = con.contypid
  LEFT JOIN pg_class i ON i.oid = con.conindid AND con.contype IN ('p', 'u', 'x')
  LEFT JOIN pg_index x ON x.indexrelid = i.oid
  LEFT JOIN pg_inherits p ON p.inhrelid = i.oid
  LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace
 WHERE con.oid >= 16384
   AND (con.conrelid = ANY ($1) OR con.contypid = ANY ($1))  -- changed
   AND con.contype IN ('c', 'p', 'u', 'x', 'f')
   AND NOT (con.contype = 'f' AND con.conparentid <> 0)
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE con.contypid <> 0 AND e.objid = con.contypid
                      AND e.classid = t.tableoid AND e.deptype = 'e');

-- Indexes that belong to no constraint. The definition is without the name.
-- keys of pg_class
SELECT i.tableoid AS _class,
       i.oid AS _oid,
       x.indrelid AS _key,
       x.indrelid AS _relation,
       format('index %I.%I', n.nspname, i.relname) AS _object,
       x.indrelid::regclass AS "table",
       k.word || 'ON'
           || substr(pg_get_indexdef(i.oid), length(k.word || quote_ident(i.relname) || ' ON') + 1)
           AS definition,
       CASE WHEN x.indisvalid THEN 'yes' ELSE 'no' END AS valid,
       CASE WHEN x.indisclustered THEN 'yes' END AS clustered,
       CASE WHEN x.indisreplident THEN 'yes' END AS "replica identity",
       s.spcname AS tablespace,
       p.inhparent::regclass AS parent,
       CASE WHEN x.indexprs IS NOT NULL
            THEN (SELECT string_agg(a.attnum || ' ' || a.attstattarget, ', ' ORDER BY a.attnum)
                    FROM pg_attribute a
                   WHERE a.attrelid = i.oid AND a.attstattarget >= 0) END AS "statistics targets"
  FROM pg_index x
  JOIN pg_class i ON i.oid = x.indexrelid
  JOIN pg_namespace n ON n.oid = i.relnamespace
  LEFT JOIN pg_inherits p ON p.inhrelid = i.oid
  LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace
 CROSS JOIN LATERAL (
       SELECT CASE WHEN x.indisunique THEN 'CREATE UNIQUE INDEX ' ELSE 'CREATE INDEX ' END
       ) AS k (word)
 WHERE x.indexrelid >= 16384
   AND x.indrelid = ANY ($1)  -- changed
   AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_constraint con
                    WHERE con.conrelid = x.indrelid AND con.conindid = i.oid
                      AND con.contype IN ('p', 'u', 'x'));

-- Triggers, without their name in the definition. Of a partition's copy of its parent's trigger
-- the state is an attribute where it is another.
-- keys of pg_class
-- only with pg_trigger
SELECT g.tableoid AS _class,
       g.oid AS _oid,
       g.tgrelid AS _key,
       g.tgrelid AS _relation,
       format('trigger %I.%I.%I', n.nspname, c.relname, g.tgname) AS _object,
       CASE WHEN g.tgparentid = 0 THEN k.word
            || substr(pg_get_triggerdef(g.oid), length(k.word || quote_ident(g.tgname)) + 2)
            END AS definition,
       CASE g.tgenabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'A' THEN 'always'
            WHEN 'R' THEN 'replica' END AS enabled
  FROM pg_trigger g
  JOIN pg_class c ON c.oid = g.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_trigger u ON u.oid = g.tgparentid
 CROSS JOIN LATERAL (
       SELECT CASE WHEN g.tgconstraint <> 0 THEN 'CREATE CONSTRAINT TRIGGER '
                   ELSE 'CREATE TRIGGER ' END
       ) AS k (word)
 WHERE g.tgrelid > 0
   AND g.tgrelid = ANY ($1)  -- changed
   AND (NOT g.tgisinternal
        OR g.tgparentid <> 0  -- since 14 until 14
       ) AND (g.tgparentid = 0 OR g.tgenabled <> u.tgenabled);

-- Rules, except the one that makes a view a view.
-- keys of pg_class
-- only with pg_rewrite WHERE oid >= 16384
SELECT r.tableoid AS _class,
       r.oid AS _oid,
       r.ev_class AS _key,
       r.ev_class AS _relation,
       format('rule %I.%I.%I', n.nspname, c.relname, r.rulename) AS _object,
       pg_get_ruledef(r.oid) AS definition,
       CASE r.ev_enabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'A' THEN 'always'
            WHEN 'R' THEN 'replica' END AS enabled
  FROM pg_rewrite r
  JOIN pg_class c ON c.oid = r.ev_class
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE r.oid >= 16384 AND r.rulename <> '_RETURN'
   AND r.ev_class = ANY ($1)  -- changed
;

-- Policies of row security.
-- keys of pg_class
-- only with pg_policy
SELECT p.tableoid AS _class,
       p.oid AS _oid,
       p.polrelid AS _key,
       p.polrelid AS _relation,
       format('policy %I.%I.%I', n.nspname, c.relname, p.polname) AS _object,
       CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
            WHEN 'd' THEN 'delete' ELSE 'all' END AS command,
       CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END AS kind,
       (SELECT string_agg(CASE WHEN o = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(o)) END,
                          ', ' ORDER BY pg_get_userbyid(o)) FROM unnest(p.polroles) AS o) AS roles,
       pg_get_expr(p.polqual, p.polrelid) AS "using",
       pg_get_expr(p.polwithcheck, p.polrelid) AS "check"
  FROM pg_policy p
  JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE p.oid >= 16384
   AND p.polrelid = ANY ($1)  -- changed
;

-- Extended statistics.
-- only with pg_statistic_ext
SELECT s.tableoid AS _class,
       s.oid AS _oid,
       s.stxrelid AS _relation,
       format('statistics %I.%I', n.nspname, s.stxname) AS _object,
       s.stxrelid::regclass AS "table",
       pg_get_userbyid(s.stxowner) AS owner,
       pg_get_statisticsobjdef(s.oid) AS definition,
       CASE WHEN s.stxstattarget >= 0 THEN s.stxstattarget END AS "statistics target"
  FROM pg_statistic_ext s
  JOIN pg_namespace n ON n.oid = s.stxnamespace;

-- Sequences; what they have counted to is data.
-- keys of pg_sequence
SELECT c.tableoid AS _class,
       c.oid AS _oid,
       c.oid AS _key,
       d.refobjid AS _relation,
       format('sequence %I.%I', n.nspname, c.relname) AS _object,
       array_to_string(c.relacl, E'\n') AS _grants,
       CASE WHEN c.relacl IS NOT NULL
            THEN array_to_string(acldefault('s', c.relowner), E'\n') END AS _granted_by_default,
       pg_get_userbyid(c.relowner) AS owner,
       CASE c.relpersistence WHEN 'u' THEN 'unlogged' END AS persistence,
       format_type(s.seqtypid, NULL) AS type,
       s.seqstart AS "start",
       s.seqincrement AS increment,
       s.seqmin AS minimum,
       s.seqmax AS maximum,
       s.seqcache AS cache,
       CASE WHEN s.seqcycle THEN 'yes' END AS cycle,
       CASE d.deptype WHEN 'a' THEN format('%s.%I', d.refobjid::regclass, a.attname) END AS "owned by",
       CASE d.deptype WHEN 'i' THEN format('%s.%I', d.refobjid::regclass, a.attname)
            END AS "identity of"
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_sequence s ON s.seqrelid = c.oid
  LEFT JOIN pg_depend d ON d.classid = c.tableoid AND d.objid = c.oid AND d.objsubid = 0
        AND d.refclassid = c.tableoid AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
  LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
 WHERE c.oid >= 16384 AND c.relkind = 'S'
   AND c.oid = ANY ($1)  -- changed
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = c.tableoid
                      AND e.objid = c.oid AND e.deptype = 'e');
