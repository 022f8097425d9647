-- The same in indexes and materialized views, which PostgreSQL 17 and later do not make any more.
-- until: 16
-- unmade elsewhere: ANALYZE public\.t: function plain
-- announced: materialized view public\.counted: the rows
CREATE FUNCTION plain(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)';
CREATE FUNCTION more(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN plain($1) || ''!''; END';
CREATE TABLE t (word text);
INSERT INTO t VALUES ('A'), ('b');
CREATE INDEX ON t (more(word));
CREATE MATERIALIZED VIEW counted AS SELECT more(word) FROM t;
CREATE UNIQUE INDEX ON counted (more);
-- changed
DELETE FROM t; DROP INDEX t_more_idx;
