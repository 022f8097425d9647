-- A setting of the database that its owner may not give again: the trial goes on, and it is said.
-- announced: a restore by panel_owner is refused: .*SET "app"\."custom"
-- refuses: permission denied to set parameter
CREATE TABLE t (id int);
INSERT INTO t VALUES (1);
RESET SESSION AUTHORIZATION;
ALTER DATABASE :"DBNAME" SET app.custom = 'a, "b" {c}';
-- changed
DROP TABLE t;
