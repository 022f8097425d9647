-- Unlogged tables and sequences.
CREATE UNLOGGED TABLE t (id serial PRIMARY KEY, word text);
CREATE UNLOGGED SEQUENCE s START 5;
INSERT INTO t (word) VALUES ('a'), ('b');
SELECT nextval('s');
CREATE TABLE was (id int); ALTER TABLE was SET UNLOGGED;
-- changed
ALTER TABLE t SET LOGGED; TRUNCATE t; DROP SEQUENCE s;
