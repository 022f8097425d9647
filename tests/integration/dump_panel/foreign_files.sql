-- Foreign data as a superuser has it: mappings are whole, and a file is read.
-- superuser
CREATE EXTENSION file_fdw;
CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (debug 'on');
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE SERVER s FOREIGN DATA WRAPPER nowhere;
CREATE USER MAPPING FOR panel_reader SERVER s OPTIONS (password 'x');
CREATE FOREIGN TABLE nothing (line text) SERVER files OPTIONS (filename '/dev/null');
ALTER FOREIGN DATA WRAPPER nowhere OWNER TO postgres;
-- changed
DROP USER MAPPING FOR panel_reader SERVER s; DROP FOREIGN TABLE nothing;
