-- Every extension that the server can load, with something that depends on some of them.
-- superuser
-- elsewhere: CREATE EXTENSION|COMMENT ON EXTENSION|^--|^$
CREATE SCHEMA tools;
SELECT format('CREATE EXTENSION IF NOT EXISTS %I CASCADE', name) FROM pg_available_extensions
 WHERE name IN ('amcheck', 'autoinc', 'bloom', 'btree_gin', 'btree_gist', 'citext', 'cube', 'dblink',
    'dict_int', 'dict_xsyn', 'earthdistance', 'file_fdw', 'fuzzystrmatch', 'hstore', 'insert_username',
    'intagg', 'intarray', 'isn', 'lo', 'moddatetime', 'pageinspect', 'pg_buffercache',
    'pg_freespacemap', 'pg_prewarm', 'pg_stat_statements', 'pg_surgery', 'pg_trgm', 'pg_visibility',
    'pg_walinspect', 'pgrowlocks', 'pgstattuple', 'postgres_fdw', 'refint', 'seg', 'tablefunc', 'tcn',
    'tsm_system_rows', 'tsm_system_time', 'unaccent') ORDER BY name \gexec
CREATE EXTENSION ltree SCHEMA tools;
CREATE TABLE t (c citext PRIMARY KEY, h hstore, l tools.ltree, cu cube, i isbn, words text);
INSERT INTO t VALUES ('Abc', 'a=>1', 'a.b.c', '(1,2)', '9780393040029', 'some words');
CREATE INDEX ON t USING gin (words gin_trgm_ops);
CREATE INDEX ON t USING gist (l tools.gist_ltree_ops);
CREATE INDEX ON t USING bloom (words);
CREATE TABLE rooms (room int, during tstzrange, EXCLUDE USING gist (room WITH =, during WITH &&));
CREATE FUNCTION plain(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT public.unaccent('public.unaccent', $1) $$;
CREATE INDEX ON t (plain(words));
CREATE VIEW v AS SELECT * FROM t TABLESAMPLE system_rows (1);
REVOKE ALL ON FUNCTION dblink(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tools.nlevel(tools.ltree) TO panel_reader;
-- changed
DELETE FROM t; DROP EXTENSION ltree CASCADE; DROP FUNCTION plain CASCADE;
