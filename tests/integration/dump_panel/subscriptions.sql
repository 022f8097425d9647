-- A subscription, which a restore makes but does not start.
-- gate
-- superuser
-- announced: subscription elsewhere: a restore makes it disabled, and makes no slot for it
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
CREATE SUBSCRIPTION elsewhere CONNECTION 'host=nowhere dbname=x' PUBLICATION p
    WITH (connect = false, slot_name = 'kept', binary = true);
COMMENT ON SUBSCRIPTION elsewhere IS 'from elsewhere';
-- changed
DROP TABLE t;
-- after
ALTER SUBSCRIPTION elsewhere DISABLE;
ALTER SUBSCRIPTION elsewhere SET (slot_name = NONE);
DROP SUBSCRIPTION elsewhere;
