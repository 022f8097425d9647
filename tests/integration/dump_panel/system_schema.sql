-- Functions that lie in pg_catalog, and grants on those of the system.
-- superuser
-- announced: object pg_catalog\.mine\(\): in a schema of the system
CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(float8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO panel_app;
CREATE TABLE t (id int);
-- changed
GRANT EXECUTE ON FUNCTION pg_catalog.pg_sleep(float8) TO PUBLIC; DROP TABLE t;
