-- Row level security that its owner is subject to, too.
-- superuser
CREATE TABLE t (id int);
INSERT INTO t VALUES (1), (2);
ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON t USING (id = 1);
ALTER TABLE t OWNER TO panel_app;
-- changed
ALTER TABLE t NO FORCE ROW LEVEL SECURITY; DELETE FROM t;
