-- Tables and indexes in a tablespace of their own, and a database whose usual one it is.
-- superuser
-- announced: materialized view public\.m: the rows are not in the dump
CREATE TABLE here (id int) TABLESPACE pg_default;
CREATE TABLE there (id int, w text) TABLESPACE panel_space;
INSERT INTO there VALUES (1, 'x');
CREATE INDEX ON here (id) TABLESPACE panel_space;
CREATE TABLE parts (id int) PARTITION BY RANGE (id) TABLESPACE panel_space;
CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (9);
CREATE MATERIALIZED VIEW m TABLESPACE panel_space AS SELECT 1 AS one;
-- changed
ALTER TABLE there SET TABLESPACE pg_default; DROP TABLE here; DELETE FROM there;
