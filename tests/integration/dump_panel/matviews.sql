-- Materialized views: over each other, over functions without a schema, not populated.
-- announced: materialized views public\.base, public\.later, public\.third: the rows are not in the dump
CREATE TABLE t (id int, word text);
INSERT INTO t SELECT n, 'word ' || n FROM generate_series(1, 50) n;
CREATE FUNCTION words() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM public.t); END';
CREATE MATERIALIZED VIEW base AS SELECT id, word FROM t;
CREATE UNIQUE INDEX ON base (id);
CREATE MATERIALIZED VIEW third AS SELECT count(*) AS n, words() AS w FROM base;
CREATE VIEW between_them AS SELECT n FROM third;
CREATE MATERIALIZED VIEW later WITH (fillfactor = 70) AS SELECT * FROM between_them;
CREATE MATERIALIZED VIEW empty AS SELECT * FROM t WITH NO DATA;
-- changed
DROP MATERIALIZED VIEW later; TRUNCATE t; REFRESH MATERIALIZED VIEW base; REFRESH MATERIALIZED VIEW empty;
