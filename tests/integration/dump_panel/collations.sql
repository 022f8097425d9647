-- Collations of one's own, in columns, indexes and views.
CREATE COLLATION plain (provider = libc, locale = 'C');
CREATE COLLATION copied FROM "POSIX";
CREATE TABLE t (a text COLLATE plain, b text COLLATE "C");
INSERT INTO t VALUES ('b', 'B'), ('a', 'ä'), ('B', NULL);
CREATE UNIQUE INDEX ON t (a COLLATE copied DESC NULLS LAST);
CREATE VIEW v AS SELECT a COLLATE copied AS a FROM t ORDER BY b COLLATE plain;
-- changed
DROP VIEW v; DROP INDEX t_a_idx; DROP COLLATION copied;
