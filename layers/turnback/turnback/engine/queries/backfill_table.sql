-- The table's name with its schema, and whether a unique index has these columns in this order.
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname),
       EXISTS (
           SELECT FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
              AND ARRAY(SELECT a.attname::text
                          FROM pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (n, place)
                          LEFT JOIN pg_catalog.pg_attribute a
                            ON a.attrelid = c.oid AND a.attnum = k.n
                         WHERE k.place <= i.indnkeyatts
                         ORDER BY k.place) = %(columns)s::text[])
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = %(table)s::oid;
