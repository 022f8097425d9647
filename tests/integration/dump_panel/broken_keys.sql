-- Rows that break a foreign key and a check, though both are valid and in force.
-- superuser
-- unmade: children_parent_fkey.*NOT VALID
-- differs: children_parent_fkey|NOT VALID
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int, parent int REFERENCES parents);
INSERT INTO parents VALUES (1);
SET session_replication_role = replica;
INSERT INTO children VALUES (1, 1), (2, 99);
RESET session_replication_role;
-- changed
DELETE FROM children;
