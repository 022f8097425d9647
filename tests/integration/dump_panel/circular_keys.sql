-- Tables that refer to each other and to themselves.
CREATE TABLE teams (id int PRIMARY KEY, lead int);
CREATE TABLE people (id int PRIMARY KEY, team int REFERENCES teams, boss int REFERENCES people);
ALTER TABLE teams ADD FOREIGN KEY (lead) REFERENCES people DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO teams SELECT n, 10 - n FROM generate_series(1, 9) n;
INSERT INTO people SELECT n, n, 10 - n FROM generate_series(1, 9) n;
COMMIT;
-- changed
ALTER TABLE teams DROP COLUMN lead; DELETE FROM people;
