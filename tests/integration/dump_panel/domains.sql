-- Domains with checks and functions, over arrays and composites.
CREATE FUNCTION is_even(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 % 2 = 0; END';
CREATE TYPE pair AS (x int, y int);
CREATE DOMAIN even AS int DEFAULT 4 CONSTRAINT is_even CHECK (is_even(VALUE));
CREATE DOMAIN evens AS even[] CHECK (cardinality(VALUE) < 5);
CREATE DOMAIN ordered AS pair CHECK ((VALUE).x <= (VALUE).y);
CREATE DOMAIN word AS text COLLATE "C" NOT NULL;
CREATE TABLE t (a even, b evens, c ordered, d word);
INSERT INTO t VALUES (2, '{2,4}', '(1,2)', 'w'), (DEFAULT, NULL, NULL, '');
INSERT INTO t VALUES (6, NULL, NULL, 'odd one');
ALTER DOMAIN even ADD CONSTRAINT small CHECK (VALUE < 6) NOT VALID;
COMMENT ON CONSTRAINT small ON DOMAIN even IS 'from now on';
-- changed
ALTER DOMAIN even DROP CONSTRAINT is_even; ALTER TABLE t DROP COLUMN c; DROP DOMAIN ordered;
