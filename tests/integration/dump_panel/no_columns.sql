-- Tables without columns, or with generated ones only, that have rows.
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE dropped (a int);
INSERT INTO dropped VALUES (1), (2);
ALTER TABLE dropped DROP COLUMN a;
CREATE TABLE computed (a int GENERATED ALWAYS AS (7) STORED);
INSERT INTO computed DEFAULT VALUES; INSERT INTO computed DEFAULT VALUES;
CREATE TABLE empty (a int, b text);
-- changed
DELETE FROM nothing; DROP TABLE computed;
