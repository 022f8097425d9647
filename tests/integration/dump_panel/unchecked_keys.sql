-- Rows that break a foreign key, written while its triggers were off.
-- gate
-- superuser
-- announced: foreign key children_parent_fkey on public\.children: the triggers are disabled
-- unmade: children_parent_fkey.*NOT VALID
-- differs: children_parent_fkey|NOT VALID
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int, parent int REFERENCES parents);
INSERT INTO parents VALUES (1);
ALTER TABLE children DISABLE TRIGGER ALL;
INSERT INTO children VALUES (1, 1), (2, 99);
-- changed
DELETE FROM children;
