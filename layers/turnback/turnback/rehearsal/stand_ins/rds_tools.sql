-- rds_tools: the types of passwords are not read.
-- control: comment = 'stand-in of turnback: rds_tools'
-- control: relocatable = false
-- versions: 1.0 1.1 1.2 1.3 1.4 1.5 1.6 1.7

CREATE SCHEMA rds_tools;
GRANT USAGE ON SCHEMA rds_tools TO PUBLIC;
CREATE FUNCTION rds_tools.role_password_encryption_type(OUT rolname name, OUT encryption_type text)
RETURNS SETOF record LANGUAGE sql STABLE
    AS 'SELECT rolname, NULL::pg_catalog.text FROM pg_catalog.pg_roles';
