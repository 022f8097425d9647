-- Aggregates: plain, moving, ordered-set, with an own operator.
CREATE FUNCTION add_up(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT coalesce($1, 0) + coalesce($2, 0)';
CREATE FUNCTION take_off(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 - $2';
CREATE AGGREGATE total(int) (SFUNC = add_up, STYPE = int, INITCOND = '0', COMBINEFUNC = add_up,
    PARALLEL = SAFE, MSFUNC = add_up, MINVFUNC = take_off, MSTYPE = int);
CREATE AGGREGATE collected(anycompatible) (SFUNC = array_append, STYPE = anycompatiblearray, INITCOND = '{}');
COMMENT ON AGGREGATE total(int) IS 'sum';
CREATE TABLE t AS SELECT n FROM generate_series(1, 9) n;
CREATE VIEW v AS SELECT total(n) AS t FROM t;
-- changed
DROP AGGREGATE total(int) CASCADE;
