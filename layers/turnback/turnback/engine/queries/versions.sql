-- The rows of the history about versions of migrations, with their place in its order. A history of
-- format 1 has neither "kind" nor "position": then these names are those of the row beside it.
SELECT m.*
  FROM (SELECT 'migration'::text AS kind, NULL::bigint AS position) AS format_1,
       LATERAL (SELECT *, kind AS row_kind, coalesce(position, version::numeric) AS place
                  FROM "history_schema".migrations) AS m
 WHERE m.row_kind <> 'repeatable'
