-- Settings of the role that dumps and restores: they hold in every database.
RESET SESSION AUTHORIZATION;
ALTER ROLE panel_owner SET statement_timeout = '1ms';
ALTER ROLE panel_owner SET search_path = 'nowhere';
ALTER ROLE panel_owner SET row_security = off;
SET SESSION AUTHORIZATION panel_owner;
SET statement_timeout = 0; SET search_path = public;
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
-- changed
SET statement_timeout = 0;
DROP TABLE public.t;
-- after
ALTER ROLE panel_owner RESET ALL;
