-- Settings of the database and of roles in it, that stop what writes or change how it is read.
-- gate
RESET SESSION AUTHORIZATION;
CREATE SCHEMA app AUTHORIZATION panel_owner;
SET SESSION AUTHORIZATION panel_owner;
CREATE TABLE app.t (id int PRIMARY KEY, at timestamptz, i interval, b bytea, f float8, x text, m money);
INSERT INTO app.t VALUES (1, '2026-02-03 04:05:06.789+01', '1 year 2 mons -3 days 04:05:06', '\x00ff5c', 0.1::float8 + 0.2, E'back\\slash ''q'' 🐢', 12.34);
CREATE FUNCTION app.n() RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT count(*) FROM app.t); END';
CREATE INDEX ON app.t ((id + 1));
RESET SESSION AUTHORIZATION;
ALTER DATABASE :"DBNAME" SET default_transaction_read_only = on;
ALTER DATABASE :"DBNAME" SET search_path = app, public;
ALTER DATABASE :"DBNAME" SET statement_timeout = '1ms';
ALTER DATABASE :"DBNAME" SET lock_timeout = '1ms';
ALTER DATABASE :"DBNAME" SET idle_in_transaction_session_timeout = '1ms';
ALTER DATABASE :"DBNAME" SET DateStyle = 'German, DMY';
ALTER DATABASE :"DBNAME" SET IntervalStyle = 'sql_standard';
ALTER DATABASE :"DBNAME" SET bytea_output = 'escape';
ALTER DATABASE :"DBNAME" SET extra_float_digits = -10;
ALTER DATABASE :"DBNAME" SET TimeZone = 'Asia/Kolkata';
ALTER DATABASE :"DBNAME" SET client_encoding = 'LATIN1';
ALTER DATABASE :"DBNAME" SET quote_all_identifiers = on;
ALTER DATABASE :"DBNAME" SET row_security = off;
ALTER DATABASE :"DBNAME" SET array_nulls = off;
ALTER DATABASE :"DBNAME" SET xmloption = 'document';
ALTER DATABASE :"DBNAME" SET default_transaction_isolation = 'serializable';
ALTER DATABASE :"DBNAME" SET default_transaction_deferrable = on;
ALTER DATABASE :"DBNAME" SET check_function_bodies = on;
ALTER DATABASE :"DBNAME" SET default_toast_compression = 'pglz';
ALTER ROLE panel_owner IN DATABASE :"DBNAME" SET default_transaction_read_only = on;
ALTER ROLE panel_owner IN DATABASE :"DBNAME" SET statement_timeout = '2ms';
-- changed
SET default_transaction_read_only = off; SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;
BEGIN; SET TRANSACTION READ WRITE; DELETE FROM app.t; COMMIT;
