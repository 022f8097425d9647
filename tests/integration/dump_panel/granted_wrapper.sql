-- Foreign data of an owner who may use the wrapper by a grant, which a restore cannot give.
-- refused: postgres_fdw
RESET SESSION AUTHORIZATION;
CREATE EXTENSION postgres_fdw;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO panel_owner;
SET SESSION AUTHORIZATION panel_owner;
CREATE SERVER "far away" TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h', dbname 'd');
CREATE USER MAPPING FOR panel_owner SERVER "far away" OPTIONS (user 'o', password 'it''s');
-- changed
DROP SERVER "far away" CASCADE;
