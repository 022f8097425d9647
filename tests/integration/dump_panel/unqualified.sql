-- Functions that name others without their schema, in checks, columns, domains and partitions.
CREATE TABLE kinds (kind text PRIMARY KEY);
CREATE TABLE zones (zone text);
INSERT INTO kinds VALUES ('a'), ('b'); INSERT INTO zones VALUES ('z');
CREATE FUNCTION plain(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)';
CREATE FUNCTION more(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN plain($1) || ''!''; END';
CREATE FUNCTION known(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN EXISTS (SELECT FROM kinds WHERE kind = $1); END';
CREATE FUNCTION zoned(text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM zones WHERE zone = $1)';
CREATE TABLE a_first (kind text CHECK (known(kind)), zone text CHECK (zoned(zone)),
    m text GENERATED ALWAYS AS (more(kind)) STORED);
INSERT INTO a_first VALUES ('a', 'z'), ('b', 'z');
CREATE DOMAIN kind_of AS text CHECK (known(VALUE));
CREATE TABLE a_second (k kind_of);
INSERT INTO a_second VALUES ('a');
CREATE TABLE parts (k text) PARTITION BY LIST (more(k));
CREATE TABLE part PARTITION OF parts FOR VALUES IN ('a!');
INSERT INTO parts VALUES ('A');
-- changed
DELETE FROM a_first; DROP TABLE kinds CASCADE;
