-- The rollback scripts that were stored when these versions were last applied.
SELECT * FROM (
    SELECT DISTINCT ON (version) version, rollback_path, rollback_sql
      FROM "history_schema".migration_log
     WHERE version = ANY (%(versions)s)
       AND direction = 'up' AND outcome = 'done' AND statement IS NULL
     ORDER BY version, id DESC) l
 WHERE rollback_sql IS NOT NULL;
