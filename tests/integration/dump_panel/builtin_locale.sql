-- A database whose order is of PostgreSQL itself.
-- from: 17
-- database: LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'
CREATE TABLE t (a text PRIMARY KEY, b text GENERATED ALWAYS AS (upper(a)) STORED);
INSERT INTO t VALUES ('ä'), ('z');
CREATE COLLATION mine (provider = builtin, locale = 'C');
-- changed
DELETE FROM t; DROP COLLATION mine;
