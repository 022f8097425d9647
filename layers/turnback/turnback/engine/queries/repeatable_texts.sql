-- What these rows of the log have stored: what was applied, and what undoes it.
SELECT id, script, rollback_path AS path, rollback_sql AS undo
  FROM "history_schema".migration_log
 WHERE id = ANY (%(ids)s);
