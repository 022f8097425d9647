-- Inheritance from several parents, with columns and checks of one's own.
-- gate
-- announced: tables? .*public\.c.*: a restore puts inherited columns first
-- differs: ^COPY public\.[ce] |\t|rows of public\.[ce]:|^    (note|own|more)
CREATE TABLE a (id int, note text DEFAULT 'a', CONSTRAINT positive CHECK (id > 0));
CREATE TABLE b (id int, more text NOT NULL);
CREATE TABLE c (own date, note text DEFAULT 'c') INHERITS (a, b);
CREATE TABLE d (LIKE c INCLUDING ALL);
ALTER TABLE d INHERIT a;
CREATE TABLE e () INHERITS (c);
ALTER TABLE e ALTER note SET DEFAULT 'e';
ALTER TABLE a DROP COLUMN note;
CREATE TABLE f (id int, x int, CHECK (x > 1) NO INHERIT);
CREATE TABLE g () INHERITS (f);
ALTER TABLE ONLY f DROP COLUMN x;
INSERT INTO c VALUES (1, 'm', 'n', '2026-01-01');
INSERT INTO e (id, more) VALUES (2, 'm'); INSERT INTO g VALUES (1, 0); INSERT INTO d (id, more) VALUES (5, '');
-- changed
DROP TABLE e; ALTER TABLE c NO INHERIT b; TRUNCATE c;
