-- pg_repack: what its client calls is not here, and no migration calls it.
-- control: comment = 'stand-in of turnback: pg_repack'
-- control: relocatable = false
-- versions: 1.4.7 1.4.8 1.5.0 1.5.1 1.5.2

CREATE SCHEMA repack;
GRANT USAGE ON SCHEMA repack TO PUBLIC;
CREATE FUNCTION repack.version() RETURNS text LANGUAGE sql STABLE AS $$SELECT 'pg_repack 1.5.2'$$;
CREATE FUNCTION repack.version_sql() RETURNS text LANGUAGE sql STABLE
    AS $$SELECT 'pg_repack 1.5.2'$$;
