-- Objects that belong to several roles, one of them with an odd name.
-- gate
RESET SESSION AUTHORIZATION;
CREATE SCHEMA theirs AUTHORIZATION panel_app;
CREATE TABLE theirs.t (id serial); ALTER TABLE theirs.t OWNER TO panel_app;
CREATE TABLE odd (id int); ALTER TABLE odd OWNER TO "panel ""odd"" rôle";
CREATE FUNCTION theirs.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION theirs.f() OWNER TO panel_app;
CREATE TYPE theirs.e AS ENUM ('a'); ALTER TYPE theirs.e OWNER TO panel_app;
INSERT INTO theirs.t DEFAULT VALUES; INSERT INTO odd VALUES (1);
GRANT CREATE ON SCHEMA public TO panel_app, "panel ""odd"" rôle";
-- changed
DROP TABLE odd; ALTER FUNCTION theirs.f() OWNER TO panel_owner;
