-- What PostgreSQL 18 added: virtual columns, keys over time, constraints that are not enforced.
-- from: 18
CREATE TABLE t (id int4range, during daterange, v int, w int GENERATED ALWAYS AS (v * 2) VIRTUAL,
    PRIMARY KEY (id, during WITHOUT OVERLAPS), CONSTRAINT loose CHECK (v > 100) NOT ENFORCED,
    CONSTRAINT "v is there" NOT NULL v NO INHERIT);
CREATE TABLE r (id int4range, during daterange,
    FOREIGN KEY (id, PERIOD during) REFERENCES t (id, PERIOD during));
CREATE TABLE old (a int);
INSERT INTO t VALUES ('[1,2)', '[2026-01-01,2026-02-01)', 5);
INSERT INTO r VALUES ('[1,2)', '[2026-01-05,2026-01-06)');
INSERT INTO old VALUES (NULL);
ALTER TABLE old ADD CONSTRAINT filled NOT NULL a NOT VALID;
CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int REFERENCES p NOT ENFORCED);
INSERT INTO c VALUES (9);
-- changed
DROP TABLE r; ALTER TABLE t DROP COLUMN w; ALTER TABLE old DROP CONSTRAINT filled;
