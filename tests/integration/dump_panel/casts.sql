-- Casts with and without a function.
CREATE TYPE celsius AS (d numeric);
CREATE TYPE kelvin AS (d numeric);
CREATE FUNCTION to_kelvin(celsius) RETURNS kelvin IMMUTABLE LANGUAGE sql AS 'SELECT ROW($1.d + 273)::kelvin';
CREATE FUNCTION to_celsius(kelvin) RETURNS celsius IMMUTABLE LANGUAGE sql AS 'SELECT ROW($1.d - 273)::celsius';
CREATE CAST (celsius AS kelvin) WITH FUNCTION to_kelvin(celsius) AS IMPLICIT;
CREATE CAST (kelvin AS celsius) WITH FUNCTION to_celsius(kelvin) AS ASSIGNMENT;
CREATE CAST (celsius AS text) WITH INOUT;
CREATE TABLE t (c celsius, k kelvin);
INSERT INTO t VALUES ('(20)', ROW(1)::celsius);
CREATE VIEW v AS SELECT c::kelvin AS k, c::text AS t FROM t;
-- changed
DROP CAST (celsius AS kelvin) CASCADE; DELETE FROM t;
