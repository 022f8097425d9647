-- What a table has besides its rows, and the SQL that gives the same to another table; see
-- engine/swap/parts.py for the phases. An index, a constraint or a sequence of the other table has
-- the same name as here, in that table's schema.
WITH me AS (
    SELECT c.*, n.nspname, pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS own
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = %(table)s::oid
), columns AS (
    SELECT a.*, pg_catalog.rank() OVER (ORDER BY a.attnum) AS place
      FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = %(table)s::oid AND a.attnum > 0 AND NOT a.attisdropped
), indexes AS (
    SELECT i.*, x.relname, x.reloptions, x.reltablespace, x.relacl,
           EXISTS (SELECT FROM pg_catalog.pg_constraint k
                    WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid
                      AND k.contype IN ('p', 'u', 'x')) AS of_constraint,
           pg_catalog.format('%%I.%%I', '{turnback:schema}', x.relname) AS there
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
     WHERE i.indrelid = %(table)s::oid
), sequences AS (
    SELECT s.*, c.relname, c.relacl, c.relowner, a.attname, c.oid,
           pg_catalog.format('%%I.%%I', '{turnback:schema}', c.relname) AS there
      FROM columns a
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass
       AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
       AND d.classid = 'pg_catalog.pg_class'::regclass
      JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'
      JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
), publications AS (
    -- PostgreSQL 14 has no lists of columns and no row filters.
    SELECT p.pubname, pg_catalog.to_jsonb(r) -> 'prattrs' AS columns,
           (SELECT pg_catalog.to_jsonb(t) ->> 'rowfilter' FROM pg_catalog.pg_publication_tables t
             WHERE t.pubname = p.pubname AND t.schemaname = me.nspname
               AND t.tablename = me.relname) AS filter
      FROM me
      JOIN pg_catalog.pg_publication_rel r ON r.prrelid = me.oid
      JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
), triggers AS (
    SELECT t.* FROM pg_catalog.pg_trigger t
     WHERE t.tgrelid = %(table)s::oid AND NOT t.tgisinternal
       AND NOT pg_catalog.starts_with(t.tgname::text, 'turnback_swap_')
), parts (phase, place, kind, name, sql, undo, after_exchange) AS (
    SELECT 'look', 0, 'column', a.attname::text,
           pg_catalog.concat_ws(' ', a.place, pg_catalog.format_type(a.atttypid, a.atttypmod),
               a.attnotnull, a.attidentity, a.attgenerated, a.attstorage,
               pg_catalog.to_jsonb(a) ->> 'attcompression', a.attcollation,
               pg_catalog.pg_get_expr(e.adbin, e.adrelid)),
           NULL, NULL
      FROM columns a
      LEFT JOIN pg_catalog.pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
    UNION ALL
    SELECT 'look', 0, 'table', 'its kind',
           pg_catalog.concat_ws(' ', relpersistence, relkind, relam, relreplident), NULL, NULL
      FROM me
    UNION ALL
    SELECT 'copy', 0, 'sequence', attname::text,
           pg_catalog.format('ALTER SEQUENCE %%s AS %%s START %%s INCREMENT %%s MAXVALUE %%s MINVALUE %%s '
               'CACHE %%s%%s', there, pg_catalog.format_type(seqtypid, NULL), seqstart, seqincrement,
               seqmax, seqmin, seqcache, CASE WHEN seqcycle THEN ' CYCLE' ELSE '' END), NULL, NULL
      FROM sequences
    UNION ALL
    SELECT 'look', 0, 'not null constraint', k.conname::text,
           pg_catalog.concat_ws(' ', k.convalidated, k.connoinherit, a.attname), NULL, NULL
      FROM pg_catalog.pg_constraint k
      JOIN columns a ON a.attnum = k.conkey[1]
     WHERE k.conrelid = %(table)s::oid AND k.contype = 'n'
    UNION ALL
    SELECT 'copy', 1, 'column settings', a.attname::text,
           pg_catalog.format('ALTER TABLE ONLY {turnback:target} ALTER COLUMN %%I %%s', a.attname, s.setting),
           NULL, NULL
      FROM columns a,
           LATERAL (SELECT 'SET STATISTICS ' || a.attstattarget AS setting WHERE a.attstattarget >= 0
                    UNION ALL
                    SELECT 'SET (' || pg_catalog.array_to_string(a.attoptions, ', ') || ')'
                     WHERE a.attoptions IS NOT NULL) s
    UNION ALL
    SELECT 'copy', 1, 'storage parameters', o.name,
           pg_catalog.format('ALTER TABLE {turnback:target} SET (%%s)', o.options), NULL, NULL
      FROM (SELECT '' AS name, pg_catalog.array_to_string(reloptions, ', ') AS options FROM me
            UNION ALL
            SELECT 'toast', 'toast.' || pg_catalog.array_to_string(x.reloptions, ', toast.')
              FROM me JOIN pg_catalog.pg_class x ON x.oid = me.reltoastrelid) o
     WHERE o.options <> ''
    UNION ALL
    SELECT 'copy', 1, 'tablespace', s.spcname::text,
           pg_catalog.format('ALTER TABLE {turnback:target} SET TABLESPACE %%I', s.spcname), NULL, NULL
      FROM me JOIN pg_catalog.pg_tablespace s ON s.oid = me.reltablespace
    UNION ALL
    SELECT 'copy', 2, 'constraint', k.conname::text,
           pg_catalog.format('ALTER TABLE {turnback:target} ADD CONSTRAINT %%I %%s', k.conname,
                             pg_catalog.pg_get_constraintdef(k.oid)), NULL, NULL
      FROM pg_catalog.pg_constraint k
     WHERE k.conrelid = %(table)s::oid AND k.contype IN ('c', 'p', 'u', 'x')
    UNION ALL
    SELECT 'copy', 3, 'index', i.relname::text,
           pg_catalog.replace(
               pg_catalog.pg_get_indexdef(i.indexrelid), ' ON ' || me.own || ' USING ',
               ' ON ' || '{turnback:target}' || ' USING '), NULL, NULL
      FROM indexes i, me WHERE NOT i.of_constraint
    UNION ALL
    SELECT 'copy', 4, 'index settings', i.relname::text,
           pg_catalog.format('ALTER INDEX %%s %%s', i.there, s.setting), NULL, NULL
      FROM indexes i,
           LATERAL (SELECT 'SET (' || pg_catalog.array_to_string(i.reloptions, ', ') || ')' AS setting
                     WHERE i.of_constraint AND i.reloptions IS NOT NULL
                    UNION ALL
                    SELECT 'SET TABLESPACE ' || pg_catalog.quote_ident(s.spcname)
                      FROM pg_catalog.pg_tablespace s WHERE s.oid = i.reltablespace
                    UNION ALL
                    SELECT pg_catalog.format('ALTER COLUMN %%s SET STATISTICS %%s', x.attnum,
                                             x.attstattarget)
                      FROM pg_catalog.pg_attribute x
                     WHERE x.attrelid = i.indexrelid AND x.attstattarget >= 0) s
    UNION ALL
    SELECT 'copy', 4, 'clustered index', i.relname::text,
           pg_catalog.format('ALTER TABLE {turnback:target} CLUSTER ON %%I', i.relname), NULL, NULL
      FROM indexes i WHERE i.indisclustered
    UNION ALL
    SELECT 'copy', 4, 'replica identity', '',
           pg_catalog.format('ALTER TABLE {turnback:target} REPLICA IDENTITY %%s',
               CASE me.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
                    ELSE 'USING INDEX ' || (SELECT pg_catalog.quote_ident(i.relname)
                                              FROM indexes i WHERE i.indisreplident) END), NULL, NULL
      FROM me WHERE me.relreplident <> 'd'
    UNION ALL
    SELECT 'copy', 4, 'row security', '', 'ALTER TABLE {turnback:target} ENABLE ROW LEVEL SECURITY', NULL, NULL
      FROM me WHERE me.relrowsecurity
    UNION ALL
    SELECT 'copy', 4, 'row security', 'forced', 'ALTER TABLE {turnback:target} FORCE ROW LEVEL SECURITY', NULL, NULL
      FROM me WHERE me.relforcerowsecurity
    UNION ALL
    SELECT 'copy', 5, 'statistics', s.stxname::text,
           pg_catalog.replace(
               pg_catalog.replace(pg_catalog.pg_get_statisticsobjdef(s.oid),
                   pg_catalog.format('CREATE STATISTICS %%I.%%I', n.nspname, s.stxname),
                   pg_catalog.format('CREATE STATISTICS %%I.%%I', '{turnback:schema}', s.stxname)),
               ' FROM ' || me.own, ' FROM ' || '{turnback:target}')
           || CASE WHEN s.stxstattarget >= 0 THEN
                  pg_catalog.format('; ALTER STATISTICS %%I.%%I SET STATISTICS %%s', '{turnback:schema}',
                                    s.stxname, s.stxstattarget) ELSE '' END,
           NULL, NULL
      FROM me
      JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = me.oid
      JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
    UNION ALL
    SELECT 'copy', 6, 'privileges', coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC'),
           pg_catalog.format('GRANT %%s%%s ON %%s TO %%s%%s', g.privilege_type,
               ' (' || pg_catalog.quote_ident(g.attname) || ')', g.what,
               coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC'),
               CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), NULL, NULL
      FROM me,
           LATERAL (SELECT NULL AS attname, '{turnback:target}'::text AS what, x.*
                      FROM pg_catalog.aclexplode(coalesce(me.relacl,
                               pg_catalog.acldefault('r', me.relowner))) x
                    UNION ALL
                    SELECT a.attname, '{turnback:target}', x.*
                      FROM columns a, pg_catalog.aclexplode(a.attacl) x
                    UNION ALL
                    SELECT NULL, 'SEQUENCE ' || s.there, x.*
                      FROM sequences s, pg_catalog.aclexplode(coalesce(s.relacl,
                               pg_catalog.acldefault('s', s.relowner))) x) g
      LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
    UNION ALL
    SELECT 'copy', 7, 'comment', c.what,
           pg_catalog.format('COMMENT ON %%s IS %%L', c.what, d.description), NULL, NULL
      FROM (SELECT 'pg_catalog.pg_class'::regclass AS class, oid, 0 AS part,
                   'TABLE {turnback:target}' AS what FROM me
            UNION ALL
            SELECT 'pg_catalog.pg_class'::regclass, attrelid, attnum,
                   pg_catalog.format('COLUMN {turnback:target}.%%I', attname) FROM columns
            UNION ALL
            SELECT 'pg_catalog.pg_class'::regclass, indexrelid, 0, 'INDEX ' || there FROM indexes
            UNION ALL
            SELECT 'pg_catalog.pg_class'::regclass, oid, 0, 'SEQUENCE ' || there FROM sequences
            UNION ALL
            SELECT 'pg_catalog.pg_statistic_ext'::regclass, oid, 0,
                   pg_catalog.format('STATISTICS %%I.%%I', '{turnback:schema}', stxname)
              FROM pg_catalog.pg_statistic_ext WHERE stxrelid = %(table)s::oid
            UNION ALL
            SELECT 'pg_catalog.pg_constraint'::regclass, oid, 0,
                   pg_catalog.format('CONSTRAINT %%I ON {turnback:target}', conname)
              FROM pg_catalog.pg_constraint
             WHERE conrelid = %(table)s::oid AND contype <> 'f') c
      JOIN pg_catalog.pg_description d ON d.classoid = c.class AND d.objoid = c.oid
                                      AND d.objsubid = c.part
    UNION ALL
    SELECT CASE WHEN k.confrelid = k.conrelid OR k.confrelid = %(table)s::oid THEN 'join'
                ELSE 'link' END, 1, 'foreign key',
           pg_catalog.format('%%s of %%s', k.conname, k.conrelid::regclass),
           pg_catalog.format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s%%s', o.owner, k.conname,
               pg_catalog.pg_get_constraintdef(k.oid),
               CASE WHEN k.convalidated THEN ' NOT VALID' ELSE '' END)
           || coalesce(pg_catalog.format('; COMMENT ON CONSTRAINT %%I ON %%s IS %%L', k.conname,
                   o.owner, pg_catalog.obj_description(k.oid, 'pg_constraint')), ''),
           pg_catalog.format('ALTER TABLE %%s DROP CONSTRAINT %%I', k.conrelid::regclass, k.conname),
           CASE WHEN k.convalidated THEN
               pg_catalog.format('ALTER TABLE %%s VALIDATE CONSTRAINT %%I', o.owner, k.conname) END
      FROM pg_catalog.pg_constraint k,
           LATERAL (SELECT CASE WHEN k.conrelid = %(table)s::oid AND k.confrelid <> k.conrelid
                                THEN '{turnback:target}'::text ELSE k.conrelid::regclass::text END AS owner) o
     WHERE k.contype = 'f' AND k.conparentid = 0
       AND (k.conrelid = %(table)s::oid OR k.confrelid = %(table)s::oid)
    UNION ALL
    SELECT 'join', 2, 'publication', p.pubname::text,
           pg_catalog.format('ALTER PUBLICATION %%I ADD TABLE %%s%%s%%s', p.pubname, me.own,
               (SELECT ' (' || pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', '
                                                     ORDER BY a.attnum) || ')'
                  FROM columns a
                 WHERE p.columns @> pg_catalog.to_jsonb(a.attnum)),
               ' WHERE (' || p.filter || ')'),
           pg_catalog.format('ALTER PUBLICATION %%I DROP TABLE %%s', p.pubname, me.own), NULL
      FROM publications p, me
    UNION ALL
    SELECT 'move', 1, 'trigger', t.tgname::text,
           pg_catalog.pg_get_triggerdef(t.oid)
           || CASE WHEN t.tgenabled = 'O' THEN '' ELSE
                  pg_catalog.format('; ALTER TABLE %%s %%s TRIGGER %%I', me.own,
                      CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'
                           ELSE 'ENABLE REPLICA' END, t.tgname) END
           || coalesce(pg_catalog.format('; COMMENT ON TRIGGER %%I ON %%s IS %%L', t.tgname, me.own,
                          pg_catalog.obj_description(t.oid, 'pg_trigger')), ''),
           pg_catalog.format('ALTER TABLE %%s DISABLE TRIGGER %%I', me.own, t.tgname),
           pg_catalog.format('ALTER TABLE %%s %%s TRIGGER %%I', me.own,
               CASE t.tgenabled WHEN 'O' THEN 'ENABLE' WHEN 'D' THEN 'DISABLE'
                    WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE REPLICA' END, t.tgname)
      FROM triggers t, me
    UNION ALL
    SELECT 'move', 2, 'policy', p.polname::text,
           pg_catalog.format('CREATE POLICY %%I ON %%s AS %%s FOR %%s TO %%s%%s%%s', p.polname, me.own,
               CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
               CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                    WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
               (SELECT pg_catalog.string_agg(CASE WHEN o = 0 THEN 'PUBLIC' ELSE
                           pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o)) END, ', ')
                  FROM pg_catalog.unnest(p.polroles) AS o),
               ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
               ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')')
           || coalesce(pg_catalog.format('; COMMENT ON POLICY %%I ON %%s IS %%L', p.polname, me.own,
                          pg_catalog.obj_description(p.oid, 'pg_policy')), ''), NULL, NULL
      FROM pg_catalog.pg_policy p, me WHERE p.polrelid = me.oid
)
SELECT phase, kind, name, sql, undo, after_exchange FROM parts ORDER BY place, kind, name, sql;
