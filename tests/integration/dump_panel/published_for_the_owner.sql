-- Publications of all tables and event triggers, where the owner is no superuser.
-- gate
-- announced: a restore cannot make it: (PUBLICATION everything|PUBLICATION schemas|PUBLICATION TABLES IN SCHEMA|EVENT TRIGGER watch)
-- unmade: PUBLICATION everything.*EVENT TRIGGER watch
-- differs: PUBLICATION|EVENT TRIGGER|^ *EXECUTE FUNCTION|^--|^$
CREATE TABLE t (id int PRIMARY KEY);
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
RESET SESSION AUTHORIZATION;
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION watch();
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION schemas FOR TABLES IN SCHEMA public;
-- changed
DROP TABLE t;
