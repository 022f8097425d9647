-- Composite types, enums whose values were added out of order, ranges.
CREATE TYPE mood AS ENUM ('sad', 'happy');
ALTER TYPE mood ADD VALUE 'it''s ok' BEFORE 'happy';
ALTER TYPE mood RENAME VALUE 'sad' TO 'very sad';
CREATE FUNCTION mood_gap(float8, float8) RETURNS float8 IMMUTABLE LANGUAGE sql AS 'SELECT $1 - $2';
CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = mood_gap, multirange_type_name = spans);
CREATE TYPE leaf AS (a int, m mood);
CREATE TYPE tree AS (l leaf, many leaf[], s span);
ALTER TYPE leaf ADD ATTRIBUTE c text COLLATE "C";
CREATE TABLE t (m mood, ms mood[], s span, ss spans, tr tree, trs tree[]);
INSERT INTO t VALUES ('it''s ok', '{very sad,NULL}', '[1,2)', '{[1,2),[5,6)}',
    ROW(ROW(1, 'happy', 'x')::leaf, ARRAY[ROW(2, NULL, NULL)::leaf], '[0,1]'),
    ARRAY[ROW(NULL, NULL, NULL)::tree]);
CREATE INDEX ON t (m); CREATE INDEX ON t USING gist (s);
CREATE TABLE typed OF leaf (PRIMARY KEY (a));
INSERT INTO typed VALUES (1, 'happy', 'c');
-- changed
DROP TABLE typed; ALTER TYPE mood ADD VALUE 'new'; DROP TYPE tree CASCADE;
