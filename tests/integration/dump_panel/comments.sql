-- Comments on everything that takes one.
-- announced: materialized view s\.m: the rows are not in the dump
COMMENT ON SCHEMA public IS NULL;
CREATE SCHEMA s; COMMENT ON SCHEMA s IS 'it''s {a} %s $1 "schema" 🐢';
CREATE TABLE s.t (id int PRIMARY KEY CHECK (id > 0), x text);
COMMENT ON TABLE s.t IS E'two\nlines'; COMMENT ON COLUMN s.t.x IS 'a column';
COMMENT ON CONSTRAINT t_pkey ON s.t IS 'key'; COMMENT ON CONSTRAINT t_id_check ON s.t IS 'check';
COMMENT ON INDEX s.t_pkey IS 'index of the key';
CREATE VIEW s.v AS SELECT 1 AS one; COMMENT ON VIEW s.v IS 'view'; COMMENT ON COLUMN s.v.one IS '1';
CREATE MATERIALIZED VIEW s.m AS SELECT 1 AS one; COMMENT ON MATERIALIZED VIEW s.m IS 'm';
CREATE SEQUENCE s.q; COMMENT ON SEQUENCE s.q IS 'q';
CREATE TYPE s.c AS (a int); COMMENT ON TYPE s.c IS 'c'; COMMENT ON COLUMN s.c.a IS 'a';
CREATE DOMAIN s.d AS int; COMMENT ON DOMAIN s.d IS 'd';
CREATE FUNCTION s.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMENT ON FUNCTION s.f(int) IS 'f';
CREATE RULE r AS ON DELETE TO s.t DO NOTHING; COMMENT ON RULE r ON s.t IS 'r';
CREATE STATISTICS s.st ON id, x FROM s.t; COMMENT ON STATISTICS s.st IS 'st';
CREATE TEXT SEARCH CONFIGURATION s.ts (COPY = simple); COMMENT ON TEXT SEARCH CONFIGURATION s.ts IS 'ts';
CREATE COLLATION s.co FROM "C"; COMMENT ON COLLATION s.co IS 'co';
SELECT lo_create(4711); COMMENT ON LARGE OBJECT 4711 IS 'large';
-- changed
COMMENT ON TABLE s.t IS 'other'; DROP VIEW s.v; COMMENT ON SCHEMA public IS 'back';
