-- The same, where the functions are found by the search path of the database.
RESET SESSION AUTHORIZATION;
ALTER DATABASE :"DBNAME" SET search_path = app, public;
SET SESSION AUTHORIZATION panel_owner;
CREATE SCHEMA app;
SET search_path = app, public;
CREATE FUNCTION plain(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)';
CREATE FUNCTION more(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN plain($1); END';
CREATE TABLE t (w text, g text GENERATED ALWAYS AS (more(w)) STORED);
INSERT INTO t VALUES ('A');
-- changed
DELETE FROM app.t;
