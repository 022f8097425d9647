-- Views over views, in circles of dependence, with options.
CREATE TABLE t (id int PRIMARY KEY, word text, amount int);
INSERT INTO t VALUES (1, 'a', 5), (2, 'b', 7);
CREATE VIEW grouped AS SELECT id, word, sum(amount) AS s FROM t GROUP BY id;
CREATE VIEW above WITH (security_barrier) AS SELECT * FROM grouped WHERE s > 0;
CREATE VIEW top WITH (security_invoker = true) AS SELECT word FROM above UNION ALL SELECT 'x' ORDER BY 1;
CREATE VIEW updatable AS SELECT id, word FROM t WHERE id > 0 WITH LOCAL CHECK OPTION;
ALTER VIEW updatable ALTER word SET DEFAULT 'from the view';
CREATE RECURSIVE VIEW numbers (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 9;
CREATE VIEW "none" AS SELECT;
CREATE FUNCTION of_view() RETURNS SETOF above LANGUAGE sql AS 'SELECT * FROM above';
CREATE VIEW over_function AS SELECT * FROM of_view();
CREATE OR REPLACE VIEW grouped AS SELECT id, word, sum(amount) AS s, (SELECT count(*) FROM numbers) AS n FROM t GROUP BY id;
CREATE VIEW whole AS SELECT t, t.* FROM t;
-- changed
DROP VIEW top, over_function; CREATE OR REPLACE VIEW updatable AS SELECT id, word FROM t;
