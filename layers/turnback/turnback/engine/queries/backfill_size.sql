-- How many rows a table has, by estimate, and how many bytes, with its partitions.
SELECT coalesce(sum(CASE WHEN c.relpages > 0
                         -- As the planner does: rows to a page then, and the pages of today.
                         THEN c.reltuples / c.relpages * pg_catalog.pg_relation_size(c.oid)
                              / pg_catalog.current_setting('block_size')::int
                         -- Never analyzed: as many rows as fit on its pages at a usual width.
                         ELSE pg_catalog.pg_relation_size(c.oid) / 100 END), 0)::bigint,
       coalesce(sum(pg_catalog.pg_relation_size(c.oid)), 0)::bigint
  FROM pg_catalog.pg_class c
 WHERE c.relkind = 'r'
   AND (c.oid = %(table)s::oid
        OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%(table)s::oid)));
