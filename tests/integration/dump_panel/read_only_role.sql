-- A role whose sessions only read: it backs up, and cannot restore.
-- announced: whether it can be restored was not tried: .*CREATE DATABASE in a read-only transaction
-- refuses: CREATE DATABASE in a read-only transaction
CREATE TABLE t (id int);
INSERT INTO t VALUES (1);
RESET SESSION AUTHORIZATION;
ALTER ROLE panel_owner SET default_transaction_read_only = on;
-- changed
DROP TABLE t;
-- after
ALTER ROLE panel_owner RESET ALL;
