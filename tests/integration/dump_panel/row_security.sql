-- Row level security with policies for roles, and without forcing the owner.
CREATE TABLE t (id int, owner name DEFAULT current_user);
INSERT INTO t VALUES (1), (2), (3);
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON t FOR SELECT TO panel_reader, panel_app USING (owner = current_user);
CREATE POLICY never ON t AS RESTRICTIVE FOR UPDATE USING (id > 0) WITH CHECK (id > 1);
CREATE FUNCTION may() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN EXISTS (SELECT FROM t); END';
CREATE POLICY by_function ON t FOR INSERT WITH CHECK (may());
CREATE TABLE off (id int);
CREATE POLICY waiting ON off USING (true);
COMMENT ON POLICY own ON t IS 'mine';
-- changed
DROP POLICY own ON t; ALTER TABLE t DISABLE ROW LEVEL SECURITY; DELETE FROM t;
