-- Very wide tables and values, in and out of line.
SELECT 'CREATE TABLE wide (' || string_agg(format('c%s int', n), ', ') || ')' FROM generate_series(1, 1600) n \gexec
SELECT 'INSERT INTO wide VALUES (' || string_agg(n::text, ', ') || ')' FROM generate_series(1, 1600) n \gexec
CREATE TABLE large (id int, a text, b bytea, c jsonb);
ALTER TABLE large ALTER b SET STORAGE EXTERNAL;
INSERT INTO large SELECT n, repeat('long ' || n, 400000), convert_to(repeat('b', 3000000), 'UTF8'),
    jsonb_build_object('k', repeat('j', 200000)) FROM generate_series(1, 3) n;
-- changed
DELETE FROM wide; UPDATE large SET a = '';
