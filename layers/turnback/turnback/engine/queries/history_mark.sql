-- The comment of the table "migrations", '' where it has none; NULL where there is no such table.
SELECT pg_catalog.pg_backend_pid(),
       (SELECT coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '')
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'history_schema' AND c.relname = 'migrations');
