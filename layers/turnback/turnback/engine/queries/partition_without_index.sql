-- The first partition that has no index attached to the one above it, of the tree below an index.
-- Foreign tables have no indexes.
WITH RECURSIVE attached AS (
    SELECT i.indexrelid AS index, i.indrelid AS "table"
      FROM pg_catalog.pg_index i
     WHERE i.indexrelid = %(index)s
     UNION ALL
    SELECT i.indexrelid, i.indrelid
      FROM attached a
      JOIN pg_catalog.pg_inherits h ON h.inhparent = a.index
      JOIN pg_catalog.pg_index i ON i.indexrelid = h.inhrelid
), definition AS (
    SELECT i.indexrelid, i.indrelid, i.indisunique, i.indisvalid, c.relispartition,
           pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name,
           pg_catalog.regexp_replace(
               pg_catalog.pg_get_indexdef(i.indexrelid), '^.*? USING ', 'USING ') AS text
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE i.indexrelid = %(index)s
        OR i.indrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(
               (SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid = %(index)s)))
)
SELECT above.name AS above,
       pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS "table",
       c.relkind = 'p' AS partitioned,
       CASE WHEN root.indisunique THEN 'UNIQUE INDEX' ELSE 'INDEX' END AS kind,
       root.text AS definition,
       (SELECT d.name FROM definition d
         WHERE d.indrelid = c.oid AND d.text = root.text AND d.indisunique = root.indisunique
           AND NOT d.relispartition AND (d.indisvalid OR c.relkind = 'p')
         ORDER BY d.indexrelid LIMIT 1) AS built,
       ARRAY(SELECT d.name FROM definition d
              WHERE d.indrelid = c.oid AND d.text = root.text AND c.relkind <> 'p'
                AND NOT d.relispartition AND NOT d.indisvalid) AS broken
  FROM attached a
  JOIN definition above ON above.indexrelid = a.index
  JOIN definition root ON root.indexrelid = %(index)s
  JOIN pg_catalog.pg_inherits h ON h.inhparent = a."table"
  JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM attached b WHERE b."table" = c.oid)
 ORDER BY c.oid
 LIMIT 1;
