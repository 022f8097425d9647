-- Views, by their oids, and every view that reads one of them: what makes each anew as it is, and
-- what else depends on it. Those that are read come first.
WITH RECURSIVE above (oid, depth) AS (
    SELECT oid, 0 FROM pg_catalog.unnest(%(views)s::oid[]) AS given (oid)
     UNION
    SELECT r.ev_class, a.depth + 1
      FROM above a
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass
                                 AND d.refobjid = a.oid
                                 AND d.classid = 'pg_catalog.pg_rewrite'::regclass
      JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND r.ev_class <> a.oid
), named AS (
    SELECT c.*, pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name, a.depth
      FROM (SELECT oid, max(depth) AS depth FROM above GROUP BY oid) a
      JOIN pg_catalog.pg_class c USING (oid)
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
)
SELECT v.name,
       v.oid = ANY (%(views)s::oid[]) AS given,
       pg_catalog.format('CREATE VIEW %%s%%s AS %%s', v.name,
           ' WITH (' || pg_catalog.array_to_string(v.reloptions, ', ') || ')',
           pg_catalog.rtrim(pg_catalog.pg_get_viewdef(v.oid), ';')) AS definition,
       ARRAY(
           SELECT pg_catalog.format('ALTER VIEW %%s ALTER COLUMN %%I SET DEFAULT %%s', v.name,
                      a.attname, pg_catalog.pg_get_expr(e.adbin, e.adrelid))
             FROM pg_catalog.pg_attrdef e
             JOIN pg_catalog.pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
            WHERE e.adrelid = v.oid
       ) || ARRAY(
           SELECT pg_catalog.pg_get_triggerdef(t.oid)
             FROM pg_catalog.pg_trigger t WHERE t.tgrelid = v.oid AND NOT t.tgisinternal
       ) || ARRAY(
           SELECT pg_catalog.format('GRANT %%s%%s ON %%s TO %%s%%s', g.privilege_type,
                      ' (' || pg_catalog.quote_ident(g.attname) || ')', v.name,
                      coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC'),
                      CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
             FROM (SELECT NULL AS attname, x.*
                     FROM pg_catalog.aclexplode(v.relacl) x
                    UNION ALL
                   SELECT a.attname, x.*
                     FROM pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) x
                    WHERE a.attrelid = v.oid) g
             LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
            WHERE g.grantee <> v.relowner
       ) || ARRAY(
           SELECT pg_catalog.format('COMMENT ON %%s%%s IS %%L',
                      CASE WHEN d.objsubid = 0 THEN 'VIEW ' ELSE 'COLUMN ' END,
                      v.name || coalesce('.' || pg_catalog.quote_ident(a.attname), ''),
                      d.description)
             FROM pg_catalog.pg_description d
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = v.oid
                                                AND a.attnum = d.objsubid AND d.objsubid > 0
            WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objoid = v.oid
       ) || ARRAY(
           SELECT pg_catalog.format('ALTER VIEW %%s OWNER TO %%I', v.name, r.rolname)
             FROM pg_catalog.pg_roles r WHERE r.oid = v.relowner AND r.rolname <> current_user
       ) AS state,
       ARRAY(
           SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
             FROM pg_catalog.pg_depend d
            WHERE (d.refclassid, d.refobjid) IN (('pg_catalog.pg_class'::regclass, v.oid),
                                                 ('pg_catalog.pg_type'::regclass, v.reltype))
              AND d.deptype = 'n' AND d.classid <> 'pg_catalog.pg_rewrite'::regclass
            UNION
           SELECT pg_catalog.pg_describe_object('pg_catalog.pg_rewrite'::regclass, r.oid, 0)
             FROM pg_catalog.pg_rewrite r
            WHERE r.ev_class = v.oid AND r.rulename <> '_RETURN'
            UNION
           SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, v.oid, 0)
            WHERE v.relkind <> 'v'
       ) AS obstacles
  FROM named v
 ORDER BY v.depth, v.name;
