-- Schemas. The server's own begin with pg_, and so do those of temporary objects.
SELECT n.tableoid AS _class,
       n.oid AS _oid,
       n.nspname AS _schema,
       format('schema %I', n.nspname) AS _object,
       array_to_string(n.nspacl, E'\n') AS _grants,
       CASE WHEN n.nspacl IS NOT NULL
            THEN array_to_string(acldefault('n', n.nspowner), E'\n') END AS _granted_by_default,
       pg_get_userbyid(n.nspowner) AS owner
  FROM pg_namespace n
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = n.tableoid
                      AND e.objid = n.oid AND e.deptype = 'e');

-- Extensions stand for all that belongs to them.
SELECT x.tableoid AS _class,
       x.oid AS _oid,
       format('extension %I', x.extname) AS _object,
       x.extversion AS version,
       format('%I', n.nspname) AS schema,
       pg_get_userbyid(x.extowner) AS owner
  FROM pg_extension x
  JOIN pg_namespace n ON n.oid = x.extnamespace;

-- Default privileges; those of one schema are added to the global ones.
-- only with pg_default_acl
SELECT d.tableoid AS _class,
       d.oid AS _oid,
       format('default privileges for role %I%s on %s', pg_get_userbyid(d.defaclrole),
              CASE WHEN d.defaclnamespace <> 0 THEN format(' in schema %I', n.nspname) END,
              CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences'
                   WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas'
                   WHEN 'L' THEN 'large objects' END) AS _object,
       array_to_string(d.defaclacl, E'\n') AS _grants,
       CASE WHEN d.defaclnamespace = 0
            THEN array_to_string(acldefault(
                     CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END,
                     d.defaclrole), E'\n') END AS _granted_by_default,
       pg_get_userbyid(d.defaclrole) AS owner
  FROM pg_default_acl d
  LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace;

-- The database itself has another name on another server, so its name is left out.
SELECT b.tableoid AS _class,
       b.oid AS _oid,
       'database' AS _object,
       array_to_string(b.datacl, E'\n') AS _grants,
       CASE WHEN b.datacl IS NOT NULL
            THEN array_to_string(acldefault('d', b.datdba), E'\n') END AS _granted_by_default,
       pg_get_userbyid(b.datdba) AS owner,
       CASE WHEN b.datistemplate THEN 'yes' END AS template,
       CASE WHEN NOT b.datallowconn THEN 'no' END AS "allows connections",
       CASE WHEN b.datconnlimit <> -1 THEN b.datconnlimit END AS "connection limit",
       -- The mark of a shadow database (rehearsal/shadow.py) is no part of its schema: a rollback
       -- that removes a migration's comment would not give it back.
       CASE WHEN shobj_description(b.oid, 'pg_database') NOT LIKE 'turnback: shadow of a rehearsal,%'
            THEN shobj_description(b.oid, 'pg_database') END AS comment
  FROM pg_database b
 WHERE b.datname = current_database();

-- ALTER DATABASE … SET, and ALTER ROLE … IN DATABASE … SET.
-- only with pg_db_role_setting WHERE setdatabase <> 0
SELECT s.tableoid AS _class,
       0 AS _oid,
       format('setting %s%s', split_part(c.setting, '=', 1),
              CASE WHEN s.setrole <> 0 THEN format(' for role %I', pg_get_userbyid(s.setrole)) END
       ) AS _object,
       split_part(c.setting, '=', 1) AS _name,
       substr(c.setting, strpos(c.setting, '=') + 1) AS value
  FROM pg_db_role_setting s
 CROSS JOIN unnest(s.setconfig) AS c (setting)
 WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database());
