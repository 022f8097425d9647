-- Large objects with their owners, grants and comments, one larger than the blocks of a dump.
SELECT lo_from_bytea(101, '\x00ff'), lo_create(102), lo_from_bytea(103, convert_to(repeat('large ', 900000), 'UTF8'));
COMMENT ON LARGE OBJECT 101 IS 'it''s small';
GRANT SELECT ON LARGE OBJECT 101 TO panel_reader;
ALTER LARGE OBJECT 102 OWNER TO panel_app;
CREATE TABLE pictures (id int, picture oid);
INSERT INTO pictures VALUES (1, 101), (2, 103);
-- changed
SELECT lo_unlink(101), lo_put(103, 0, '\xdead'); DROP TABLE pictures;
