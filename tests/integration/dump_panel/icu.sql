-- A database whose order is of ICU, and columns of other orders.
-- database: LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kn' LOCALE 'C'
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE t (a text PRIMARY KEY, b text COLLATE nocase UNIQUE, c text COLLATE "sv-x-icu");
INSERT INTO t VALUES ('a10', 'X', 'z'), ('a2', 'y', 'ö'), ('ä', 'Z', 'a');
CREATE VIEW v AS SELECT a FROM t ORDER BY a;
-- changed
DELETE FROM t WHERE b = 'x'; DROP VIEW v;
