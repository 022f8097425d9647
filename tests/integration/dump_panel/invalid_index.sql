-- An index that was never finished, and one that is not valid on a partition.
-- announced: index public\.twice: not valid, so not in the dump
CREATE TABLE t (id int);
INSERT INTO t VALUES (1), (1);
\set ON_ERROR_STOP off
CREATE UNIQUE INDEX CONCURRENTLY twice ON t (id);
\set ON_ERROR_STOP on
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (9);
CREATE INDEX half ON ONLY parts (id);
-- changed
DROP INDEX twice; DROP TABLE parts;
