-- What belongs to an extension is not in a dump: what was added to one, and what was done to its members.
-- superuser
-- announced: table public\.added: part of an extension
-- differs: added|watch|^--|^$
CREATE EXTENSION lo;
CREATE TABLE added (id int, word text);
INSERT INTO added VALUES (1, 'x');
CREATE INDEX added_word ON added (word);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER watch BEFORE INSERT ON added FOR EACH ROW EXECUTE FUNCTION watch();
ALTER EXTENSION lo ADD TABLE added;
CREATE TABLE t (id int);
-- changed
DROP TABLE t;
