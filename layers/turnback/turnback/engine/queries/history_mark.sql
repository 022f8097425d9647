-- The history: the comment of its table "migrations" ('' where it has none, NULL where there is no
-- such table), whether row-level security hides rows of it from this user, for what reasons it must
-- not even be read (a view or a cast of somebody else would run with our rights), and for what other
-- reasons it cannot be trusted. What it stores is run with the rights of whoever runs turnback, so
-- nobody else may be able to write it or to have code run when it is read or written.
WITH history AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.relrowsecurity
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'history_schema'
       AND c.relname IN ('migrations', 'migration_log', 'migration_backfills')),
grants AS (
    SELECT h.relname, h.relowner, a.grantee, a.privilege_type
      FROM history h, aclexplode(h.relacl) a
     UNION
    SELECT s.relname, s.relowner, a.grantee, a.privilege_type
      FROM history h
      JOIN pg_catalog.pg_depend d ON d.refobjid = h.oid
      JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S', aclexplode(s.relacl) a
     WHERE d.classid = 'pg_catalog.pg_class'::regclass AND a.privilege_type <> 'USAGE'
     UNION
    SELECT h.relname, h.relowner, a.grantee, a.privilege_type
      FROM history h
      JOIN pg_catalog.pg_attribute t ON t.attrelid = h.oid, aclexplode(t.attacl) a)
SELECT pg_catalog.pg_backend_pid(),
       (SELECT coalesce(pg_catalog.obj_description(oid, 'pg_class'), '')
          FROM history WHERE relname = 'migrations'),
       EXISTS (SELECT FROM history WHERE row_security_active(oid)),
       ARRAY(
           SELECT format('%I is not a table', relname) FROM history WHERE relkind <> 'r'
            UNION ALL
           SELECT format('%I belongs to %I', h.relname, o.rolname)
             FROM history h
             JOIN pg_catalog.pg_roles o ON o.oid = h.relowner
             JOIN pg_catalog.pg_roles me ON me.rolname = current_user
             JOIN pg_catalog.pg_database d ON d.datname = current_database()
            WHERE NOT (o.oid = me.oid OR o.oid = d.datdba OR o.rolsuper
                       OR (NOT me.rolsuper AND pg_has_role(me.oid, o.oid, 'USAGE')))
            ORDER BY 1) AS unreadable,
       ARRAY(
           SELECT format('%s may %s %I', coalesce(quote_ident(r.rolname), 'everybody'),
                         string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type), g.relname)
             FROM grants g
             LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
            WHERE g.grantee <> g.relowner AND g.privilege_type NOT IN ('SELECT', 'REFERENCES')
            GROUP BY g.relname, g.grantee, r.rolname
            UNION ALL
           SELECT format('%I has the trigger %I', h.relname, t.tgname)
             FROM history h
             JOIN pg_catalog.pg_trigger t ON t.tgrelid = h.oid
            WHERE NOT t.tgisinternal
            UNION ALL
           SELECT format('%I has the rule %I', h.relname, w.rulename)
             FROM history h
             JOIN pg_catalog.pg_rewrite w ON w.ev_class = h.oid
            WHERE h.relkind = 'r'
            UNION ALL
           SELECT format('%I has row-level security, which may hide rows', relname)
             FROM history WHERE relrowsecurity
            ORDER BY 1)
