-- A materialized view that is behind its table, and one with a random column.
-- announced: materialized views public\.behind, public\.random: the rows are not in the dump
-- differs: rows of public\.(behind|random)
CREATE TABLE t (id int);
INSERT INTO t VALUES (1);
CREATE MATERIALIZED VIEW behind AS SELECT * FROM t;
CREATE MATERIALIZED VIEW random AS SELECT gen_random_uuid();
INSERT INTO t VALUES (2);
-- changed
DELETE FROM t;
