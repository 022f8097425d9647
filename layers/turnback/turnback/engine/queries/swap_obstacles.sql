-- What around a table a swap cannot carry over to another table, a sentence each.
WITH me AS (
    SELECT c.* FROM pg_catalog.pg_class c WHERE c.oid = %(table)s::oid
), dependent AS (
    SELECT DISTINCT d.classid, d.objid, d.objsubid, d.deptype
      FROM pg_catalog.pg_depend d, me
     WHERE (d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = me.oid)
        OR (d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid IN (me.reltype,
               (SELECT t.typarray FROM pg_catalog.pg_type t WHERE t.oid = me.reltype)))
)
SELECT 'it is partitioned' FROM me WHERE relkind = 'p'
UNION ALL
SELECT 'it is no plain table' FROM me WHERE relkind NOT IN ('r', 'p')
UNION ALL
SELECT 'it is a temporary table' FROM me WHERE relpersistence = 't'
UNION ALL
SELECT 'it is a partition' FROM me WHERE relispartition
UNION ALL
SELECT 'it inherits from ' || h.inhparent::regclass
  FROM pg_catalog.pg_inherits h, me WHERE h.inhrelid = me.oid AND NOT me.relispartition
UNION ALL
SELECT h.inhrelid::regclass || ' inherits from it'
  FROM pg_catalog.pg_inherits h, me WHERE h.inhparent = me.oid AND me.relkind <> 'p'
UNION ALL
SELECT 'it is a table of the type ' || pg_catalog.format_type(reloftype, NULL)
  FROM me WHERE reloftype <> 0
UNION ALL
SELECT 'it belongs to an extension' FROM me
 WHERE EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = me.oid
                AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'e')
UNION ALL
SELECT 'it forces row security on its owner, who copies the rows' FROM me
 WHERE relforcerowsecurity AND NOT EXISTS (
     SELECT FROM pg_catalog.pg_roles r
      WHERE r.oid = me.relowner AND (r.rolsuper OR r.rolbypassrls))
UNION ALL
SELECT 'a subscription writes to it: ' || s.subname
  FROM pg_catalog.pg_subscription_rel r
  JOIN pg_catalog.pg_stat_subscription s ON s.subid = r.srsubid, me
 WHERE r.srrelid = me.oid
UNION ALL
SELECT 'the publication ' || p.pubname || ' publishes all tables, the copy among them'
  FROM pg_catalog.pg_publication p WHERE p.puballtables
UNION ALL
SELECT 'it has a security label' FROM me
 WHERE EXISTS (SELECT FROM pg_catalog.pg_seclabel l WHERE l.objoid = me.oid
                AND l.classoid = 'pg_catalog.pg_class'::regclass)
UNION ALL
SELECT 'the index ' || i.indexrelid::regclass || ' is not valid'
  FROM pg_catalog.pg_index i, me WHERE i.indrelid = me.oid AND NOT i.indisvalid
UNION ALL
SELECT 'the constraint ' || pg_catalog.quote_ident(k.conname) || ' was never validated'
  FROM pg_catalog.pg_constraint k, me
 WHERE k.conrelid = me.oid AND NOT k.convalidated AND k.contype IN ('c', 'n')
UNION ALL
SELECT 'the foreign key ' || pg_catalog.quote_ident(k.conname) || ' of the partitioned table '
       || k.conrelid::regclass
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid AND c.relkind = 'p', me
 WHERE k.confrelid = me.oid AND k.conparentid = 0
UNION ALL
SELECT 'the statistics ' || s.stxname || ' are in another schema'
  FROM pg_catalog.pg_statistic_ext s, me
 WHERE s.stxrelid = me.oid AND s.stxnamespace <> me.relnamespace
UNION ALL
SELECT 'a role other than the owner has granted ' || g.privilege_type
  FROM me, pg_catalog.aclexplode(me.relacl) g WHERE g.grantor <> me.relowner
UNION ALL
SELECT 'it is used by ' || pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
  FROM dependent d, me
 WHERE NOT CASE d.classid
           WHEN 'pg_catalog.pg_attrdef'::regclass THEN
               EXISTS (SELECT FROM pg_catalog.pg_attrdef e
                        WHERE e.oid = d.objid AND e.adrelid = me.oid)
           WHEN 'pg_catalog.pg_constraint'::regclass THEN
               EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = d.objid
                        AND (k.conrelid = me.oid OR (k.contype = 'f' AND k.confrelid = me.oid)))
           WHEN 'pg_catalog.pg_class'::regclass THEN
               d.objid = me.oid OR d.deptype = 'i' OR EXISTS (
                   SELECT FROM pg_catalog.pg_class c
                     LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
                    WHERE c.oid = d.objid AND (i.indrelid = me.oid OR c.relkind IN ('S', 't')
                                               OR c.relispartition
                                               OR EXISTS (SELECT FROM pg_catalog.pg_inherits h
                                                           WHERE h.inhrelid = c.oid)))
           WHEN 'pg_catalog.pg_trigger'::regclass THEN
               EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.oid = d.objid
                        AND (t.tgrelid = me.oid OR t.tgisinternal))
           WHEN 'pg_catalog.pg_policy'::regclass THEN
               EXISTS (SELECT FROM pg_catalog.pg_policy p
                        WHERE p.oid = d.objid AND p.polrelid = me.oid)
           WHEN 'pg_catalog.pg_rewrite'::regclass THEN
               EXISTS (SELECT FROM pg_catalog.pg_rewrite r
                         JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
                        WHERE r.oid = d.objid AND v.relkind = 'v' AND r.rulename = '_RETURN')
           WHEN 'pg_catalog.pg_publication_rel'::regclass THEN true
           WHEN 'pg_catalog.pg_statistic_ext'::regclass THEN true
           WHEN 'pg_catalog.pg_type'::regclass THEN d.objid = me.reltype OR EXISTS (
               SELECT FROM pg_catalog.pg_type t WHERE t.oid = d.objid AND t.typelem = me.reltype)
           ELSE false END;
