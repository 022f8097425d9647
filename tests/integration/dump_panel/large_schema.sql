-- Six hundred tables in ten schemas.
SELECT format('CREATE SCHEMA s%s', n) FROM generate_series(1, 10) n \gexec
SELECT format('CREATE TABLE s%s.t%s (id serial PRIMARY KEY, word text UNIQUE)', 1 + n % 10, n) FROM generate_series(1, 600) n \gexec
SELECT format('INSERT INTO s%s.t%s (word) VALUES (%L)', 1 + n % 10, n, n) FROM generate_series(1, 600) n \gexec
-- changed
DROP SCHEMA s1 CASCADE;
