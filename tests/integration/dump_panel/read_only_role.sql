-- A role whose sessions only read: it backs up, and cannot restore.
-- announced: whether it can be restored was not tried: .* default_transaction_read_only is on
-- refuses: accepts no writes of this user
CREATE TABLE t (id int);
INSERT INTO t VALUES (1);
RESET SESSION AUTHORIZATION;
ALTER ROLE panel_owner SET default_transaction_read_only = on;
-- changed
DROP TABLE t;
-- after
ALTER ROLE panel_owner RESET ALL;
