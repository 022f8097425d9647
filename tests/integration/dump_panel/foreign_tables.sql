-- Foreign data with mappings of others, and foreign tables, one of them a partition.
-- gate
-- superuser
CREATE EXTENSION postgres_fdw;
CREATE SERVER "far away" TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h', dbname 'd');
CREATE USER MAPPING FOR panel_owner SERVER "far away" OPTIONS (user 'o', password 'it''s');
CREATE USER MAPPING FOR PUBLIC SERVER "far away" OPTIONS (user 'p');
CREATE USER MAPPING FOR panel_app SERVER "far away" OPTIONS (user 'y', password 'x');
CREATE FOREIGN TABLE ft (id int OPTIONS (column_name 'k') NOT NULL, w text COLLATE "C" DEFAULT 'x', CHECK (id > 0))
    SERVER "far away" OPTIONS (schema_name 's', table_name 't');
CREATE TABLE parts (id int) PARTITION BY LIST (id);
CREATE FOREIGN TABLE part_far PARTITION OF parts FOR VALUES IN (1) SERVER "far away";
CREATE TABLE part_here PARTITION OF parts DEFAULT;
INSERT INTO parts VALUES (2);
GRANT USAGE ON FOREIGN SERVER "far away" TO panel_reader;
COMMENT ON SERVER "far away" IS 'far';
-- changed
DROP FOREIGN TABLE part_far; DROP USER MAPPING FOR PUBLIC SERVER "far away"; ALTER FOREIGN TABLE ft DROP COLUMN w;
