-- Generated columns, identities and defaults.
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE TABLE t (
    a int GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3 MINVALUE 1 MAXVALUE 999 CYCLE),
    b serial, c bigserial, d int DEFAULT twice(4), e text DEFAULT 'it''s',
    f int GENERATED ALWAYS AS (twice(d) + 1) STORED,
    g text GENERATED ALWAYS AS (upper(e)) STORED, h timestamptz DEFAULT now()
);
INSERT INTO t (d) SELECT n FROM generate_series(1, 9) n;
INSERT INTO t (a, d) OVERRIDING SYSTEM VALUE VALUES (500, 1);
CREATE INDEX ON t (f);
-- changed
ALTER TABLE t DROP COLUMN g; UPDATE t SET d = 0;
