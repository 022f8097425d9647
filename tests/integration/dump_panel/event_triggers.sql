-- Event triggers, one of which refuses and one of which is off.
-- superuser
CREATE TABLE t (id int);
INSERT INTO t VALUES (1);
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no tables any more'; END $$;
CREATE EVENT TRIGGER off ON ddl_command_start EXECUTE FUNCTION refuse();
ALTER EVENT TRIGGER off DISABLE;
CREATE EVENT TRIGGER no_tables ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION refuse();
COMMENT ON EVENT TRIGGER no_tables IS 'done with tables';
-- changed
DROP EVENT TRIGGER off; DROP TABLE t;
