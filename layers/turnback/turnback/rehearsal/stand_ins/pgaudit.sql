-- pgaudit: nothing is logged. Its settings can be set as those of any extension.
-- control: comment = 'stand-in of turnback: pgaudit'
-- control: relocatable = true
-- versions: 1.6 1.7 16.0 16.1 17.0 17.1 18.0

CREATE FUNCTION pgaudit_ddl_command_end() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION pgaudit_sql_drop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER pgaudit_ddl_command_end ON ddl_command_end
    EXECUTE FUNCTION pgaudit_ddl_command_end();
CREATE EVENT TRIGGER pgaudit_sql_drop ON sql_drop EXECUTE FUNCTION pgaudit_sql_drop();
