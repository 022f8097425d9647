-- A subscription that its owner cannot dump: only superusers see it whole.
-- announced: subscription elsewhere: only a superuser can dump it; it is not in the dump
-- differs: elsewhere|^$|^--
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
RESET SESSION AUTHORIZATION;
CREATE SUBSCRIPTION elsewhere CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE);
-- changed
DROP TABLE t;
-- after
DROP SUBSCRIPTION elsewhere;
