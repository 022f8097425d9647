-- Extended statistics, targets, and numbers given by hand.
CREATE TABLE t (a int, b int, c text);
INSERT INTO t SELECT n % 7, n % 5, n::text FROM generate_series(1, 300) n;
CREATE STATISTICS one (ndistinct, dependencies, mcv) ON a, b FROM t;
CREATE STATISTICS two ON (a + b), lower(c) FROM t;
CREATE STATISTICS three ON (a * 2) FROM t;
ALTER STATISTICS one SET STATISTICS 500;
ALTER TABLE t ALTER a SET STATISTICS 0, ALTER b SET (n_distinct = -0.5, n_distinct_inherited = 3);
CREATE INDEX i ON t ((a + 1));
ALTER INDEX i ALTER 1 SET STATISTICS 77;
-- changed
DROP STATISTICS one; ALTER TABLE t ALTER b RESET (n_distinct);
