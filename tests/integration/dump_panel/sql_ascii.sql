-- No encoding at all: bytes that are no characters.
-- database: ENCODING 'SQL_ASCII' LOCALE 'C'
CREATE TABLE t (id int, word text);
INSERT INTO t VALUES (1, E'\xe9'), (2, E'\xc3\xa9'), (3, E'\xff\xfe');
CREATE FUNCTION odd() RETURNS text LANGUAGE sql AS E'SELECT ''\xe9''::text';
-- changed
DELETE FROM t WHERE id = 3; UPDATE t SET word = 'e';
