"""Statements and short files for the judge of loss, and the database that they meet."""

from __future__ import annotations

# What earlier migrations made. Every table has a column ``id`` that no statement changes.
BEFORE = """
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE SCHEMA app;
CREATE SCHEMA empty;
CREATE TYPE mood AS ENUM ('ok', 'sad');
CREATE TYPE unused AS ENUM ('a');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN address AS text CHECK (VALUE LIKE '%@%');
CREATE TABLE users (
    id int PRIMARY KEY, email text NOT NULL, name varchar(50), age int, big bigint,
    seen timestamp(6), score numeric(10, 2), ratio float8, mood mood, nick citext, addr address,
    tags text[], data json, flag boolean, code char(5), empty text, two pair, gone text
);
CREATE TABLE orders (
    id serial PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE, total numeric NOT NULL
);
CREATE TABLE notes (
    id int PRIMARY KEY, user_id int REFERENCES users ON DELETE SET NULL, body text
);
CREATE TABLE app.users (id int PRIMARY KEY, email text);
CREATE TABLE app.items (id int PRIMARY KEY, mood mood, note text);
CREATE TABLE events (id int, kind text) PARTITION BY RANGE (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (100);
CREATE TABLE base (id int, word text);
CREATE TABLE derived (extra text) INHERITS (base);
CREATE TABLE secrets (id int PRIMARY KEY, body text);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON secrets USING (id > 0);
CREATE TABLE migrations (id int PRIMARY KEY, version text);
CREATE SEQUENCE numbers START 42;
CREATE TABLE marks (id int PRIMARY KEY);
CREATE VIEW codes AS SELECT id, code FROM users;
CREATE MATERIALIZED VIEW totals AS SELECT user_id, sum(total) AS total FROM orders GROUP BY 1;
CREATE INDEX users_email_idx ON users (email);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.body := trim(NEW.body); RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE FUNCTION purge() RETURNS void LANGUAGE sql AS 'DELETE FROM orders';
CREATE FUNCTION purge_app() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN EXECUTE 'DELETE FROM app.items'; END $$;
CREATE PROCEDURE forget(who int) LANGUAGE plpgsql AS $$
    BEGIN UPDATE users SET email = 'gone' WHERE id = who; END $$;
CREATE FUNCTION double(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
CREATE FUNCTION forget_items() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN DELETE FROM app.items WHERE id = OLD.id; RETURN OLD; END $$;
CREATE TRIGGER forget_items AFTER DELETE ON marks FOR EACH ROW EXECUTE FUNCTION forget_items();
CREATE FUNCTION purge_atomic() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM marks; END;
"""

ROWS = """
INSERT INTO users VALUES
    (1, 'ann@x', 'Ann Example', 30, 5000000001, '2026-01-02 03:04:05.678901', 1.25, 0.123456789,
     'ok', 'Ann', 'a@x', '{a,b}', '{"a":  1, "a": 2}', true, 'ab', NULL, (1, 2), 'x'),
    (2, 'bob@x', 'Bob', 40, 7, '2026-02-03 00:00:00', 2.50, 1.5, 'sad', 'bob', 'b@x', '{}', '{}',
     false, 'b', NULL, (3, 4), 'y');
INSERT INTO orders (user_id, total) VALUES (1, 10.5), (2, 20.25);
INSERT INTO notes VALUES (1, 1, 'first'), (2, 2, 'second');
INSERT INTO app.users VALUES (1, 'app@x');
INSERT INTO app.items VALUES (1, 'ok', 'n'), (2, NULL, NULL);
INSERT INTO events VALUES (1, 'a');
INSERT INTO base VALUES (1, 'b');
INSERT INTO derived VALUES (2, 'd', 'e');
INSERT INTO secrets VALUES (1, 's');
INSERT INTO marks VALUES (1);
INSERT INTO migrations VALUES (1, '0001');
SELECT nextval('numbers'), nextval('numbers');
"""

LOSING = """
DROP TABLE notes
--
DROP TABLE notes, secrets
--
DROP TABLE IF EXISTS users CASCADE
--
DROP TABLE app.users
--
DROP TABLE events
--
DROP TABLE base CASCADE
--
DROP SCHEMA app CASCADE
--
DROP SCHEMA app CASCADE; CREATE SCHEMA app
--
DROP SCHEMA empty
--
DROP TYPE unused
--
DROP TYPE mood CASCADE
--
DROP DOMAIN address CASCADE
--
DROP EXTENSION hstore
--
DROP EXTENSION citext CASCADE
--
DROP SEQUENCE numbers
--
ALTER SEQUENCE numbers RESTART
--
DROP POLICY own_rows ON secrets
--
DROP TRIGGER stamp ON notes
--
ALTER TABLE users DROP COLUMN gone
--
ALTER TABLE users DROP COLUMN email, DROP COLUMN age
--
ALTER TABLE users DROP COLUMN code CASCADE
--
ALTER TABLE app.users DROP COLUMN IF EXISTS email
--
ALTER TABLE users RENAME COLUMN gone TO left_over; ALTER TABLE users DROP COLUMN left_over
--
ALTER TABLE users RENAME TO people; ALTER TABLE people DROP COLUMN gone
--
ALTER TABLE notes RENAME TO old_notes; DROP TABLE old_notes
--
ALTER TABLE notes SET SCHEMA empty; DROP SCHEMA empty CASCADE
--
ALTER SCHEMA app RENAME TO old_app; DROP SCHEMA old_app CASCADE
--
CREATE SCHEMA fresh; ALTER SCHEMA fresh RENAME TO fresher; ALTER SCHEMA app RENAME TO fresh;
DROP SCHEMA fresh CASCADE
--
CREATE TYPE fresh AS ENUM (); ALTER TYPE fresh RENAME TO fresher;
ALTER TYPE unused RENAME TO fresh; DROP TYPE fresh
--
CREATE TABLE "app.users" (id int); DROP TABLE app.users
--
ALTER TABLE notes RENAME TO old_notes; CREATE TABLE notes (id int); DROP TABLE old_notes
--
DROP TABLE notes; CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)
--
ALTER TYPE pair DROP ATTRIBUTE b CASCADE
--
TRUNCATE notes
--
TRUNCATE TABLE ONLY notes, app.items RESTART IDENTITY
--
TRUNCATE users CASCADE
--
TRUNCATE events
--
DELETE FROM notes
--
DELETE FROM notes WHERE id = 1
--
DO $$ BEGIN IF false THEN
    CREATE TABLE notes (id int); INSERT INTO app.users VALUES (1, 'x');
END IF; END $$; DROP TABLE notes; DELETE FROM app.users WHERE id = 1
--
INSERT INTO notes VALUES (9, 1, 'x'); DELETE FROM notes WHERE id IN (1, 9)
--
INSERT INTO notes VALUES (9, 1, 'x'); DELETE FROM notes WHERE id = 9 OR id = 1
--
INSERT INTO notes VALUES (9, 1, 'x'); DELETE FROM notes WHERE id <> 9
--
INSERT INTO app.items VALUES (9, 'ok', 'n'); DELETE FROM app.items WHERE note = 'n'
--
INSERT INTO notes VALUES (1, 1, 'x') ON CONFLICT DO NOTHING; DELETE FROM notes WHERE id = 1
--
INSERT INTO app.users VALUES (1 + 1, 'x'); DELETE FROM app.users WHERE id = 1
--
DELETE FROM notes WHERE true
--
DELETE FROM app.users
--
DELETE FROM users WHERE id = 1
--
DELETE FROM orders USING users WHERE users.id = user_id RETURNING *
--
DELETE/**/FROM/* x */notes
--
UPDATE users SET email = 'gone'
--
UPDATE users SET email = 'gone' WHERE id = 1
--
UPDATE users SET email = lower(upper(email) || 'x'), age = age + 1
--
UPDATE users SET (email, age) = ('x', 1)
--
UPDATE users SET (email, age) = (SELECT 'x', 1)
--
UPDATE ONLY users AS u SET tags[1] = 'z' WHERE u.id = 1
--
UPDATE users SET name = NULL
--
UPDATE users SET name = DEFAULT, empty = 'full' WHERE empty IS NULL
--
UPDATE app.users SET email = u.email FROM users u WHERE u.id = app.users.id
--
UPDATE codes SET code = 'x'
--
DELETE FROM base
--
UPDATE base SET word = 'x'
--
DELETE FROM ONLY base
--
UPDATE users SET email = 'x' WHERE empty IS NULL OR id = 1
--
INSERT INTO notes (id, body) VALUES (1, 'other') ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body
--
MERGE INTO notes n USING users u ON n.id = u.id WHEN MATCHED THEN DELETE
--
MERGE INTO notes n USING users u ON n.id = u.id WHEN MATCHED THEN UPDATE SET body = u.email
--
MERGE INTO notes n USING (SELECT 9 AS id) u ON n.id = u.id
    WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (u.id)
--
WITH x AS (DELETE FROM notes RETURNING *) SELECT count(*) FROM x
--
WITH x AS (UPDATE notes SET body = 'x' RETURNING *) INSERT INTO app.items SELECT id + 10 FROM x
--
WITH x AS (SELECT 1) DELETE FROM notes WHERE id IN (SELECT * FROM x)
--
CREATE TABLE moved AS WITH x AS (SELECT * FROM notes) SELECT * FROM x; DELETE FROM notes
--
EXPLAIN ANALYZE DELETE FROM notes
--
PREPARE p AS DELETE FROM notes; EXECUTE p
--
COPY (DELETE FROM notes RETURNING id) TO PROGRAM 'cat > {tmp}/rows'
--
COPY users TO PROGRAM 'cat > {tmp}/rows'
--
ALTER TABLE users ALTER COLUMN score TYPE numeric(10, 1)
--
ALTER TABLE users ALTER COLUMN score TYPE int
--
ALTER TABLE users ALTER COLUMN ratio TYPE float4
--
ALTER TABLE users ALTER COLUMN seen TYPE date
--
ALTER TABLE users ALTER COLUMN seen TYPE timestamp(0)
--
ALTER TABLE users ALTER COLUMN name TYPE varchar(3) USING name::varchar(3)
--
ALTER TABLE users ALTER COLUMN name TYPE text USING lower(name)
--
ALTER TABLE users ALTER COLUMN data TYPE jsonb
--
ALTER TABLE users ALTER COLUMN email TYPE int USING length(email)
--
ALTER TABLE users ALTER COLUMN big TYPE float4
--
ALTER TABLE notes SET UNLOGGED
--
ALTER TABLE secrets DISABLE ROW LEVEL SECURITY
--
ALTER TABLE secrets NO FORCE ROW LEVEL SECURITY
--
ALTER TABLE notes DISABLE TRIGGER stamp
--
ALTER TABLE notes ENABLE REPLICA TRIGGER stamp
--
GRANT SELECT ON users TO PUBLIC
--
GRANT ALL ON app.items, notes TO PUBLIC
--
GRANT USAGE ON SCHEMA app TO PUBLIC
--
GRANT USAGE ON SEQUENCE numbers TO PUBLIC
--
SET search_path = app; DELETE FROM users
--
SET LOCAL search_path TO app, public; DELETE FROM users; DELETE FROM notes
--
SELECT set_config('search_path', 'app', true); DROP TABLE items
--
SET search_path = app; CREATE TABLE fresh (id int); DROP TABLE fresh; DROP TABLE public.notes
--
CREATE TEMP TABLE notes (id int); DROP TABLE notes; DELETE FROM notes
--
CREATE TEMP TABLE notes (id int); DELETE FROM public.notes
--
UPDATE migrations SET version = '0009'
--
DELETE FROM migrations
--
INSERT INTO migrations VALUES (2, '0002')
--
DROP TABLE migrations; CREATE TABLE migrations (id int)
--
DO $$ BEGIN DELETE FROM notes; END $$
--
DO $$ BEGIN DELETE/**/FROM notes; END $$
--
DO 'BEGIN DROP TABLE notes; END'
--
DO LANGUAGE plpgsql $x$ DECLARE n int; BEGIN
    WITH d AS (DELETE FROM notes RETURNING *) SELECT count(*) INTO n FROM d;
    IF n > 0 THEN TRUNCATE app.items; ELSE DROP TABLE app.users; END IF;
END $x$
--
DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT id FROM notes LOOP UPDATE notes SET body = 'x' WHERE id = r.id; END LOOP;
END $$
--
DO $$ DECLARE r record; BEGIN
    FOR r IN DELETE FROM notes RETURNING id LOOP NULL; END LOOP;
EXCEPTION WHEN others THEN DROP TABLE users; END $$
--
DO $$ DECLARE n int; BEGIN DELETE FROM notes WHERE id = 1 RETURNING id INTO STRICT n; END $$
--
DO $$ BEGIN EXECUTE 'DROP TABLE notes'; END $$
--
DO $$ BEGIN EXECUTE 'DROP ' || 'TABLE notes'; END $$
--
DO $$ DECLARE t text := 'notes'; BEGIN EXECUTE format('DELETE FROM %I', t); END $$
--
DO $$ DECLARE t text; BEGIN
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'app' LOOP
        EXECUTE 'TRUNCATE app.' || quote_ident(t);
    END LOOP;
END $$
--
DO $$ BEGIN PERFORM purge(); END $$
--
DO $$ DECLARE x text := purge_app(); BEGIN NULL; END $$
--
DO $$ BEGIN IF 1 = 1 THEN SET LOCAL search_path = app; DELETE FROM users; END IF; END $$
--
SELECT purge()
--
SELECT purge_app()
--
SELECT purge_atomic() FROM users LIMIT 1
--
DELETE FROM marks
--
DO $$ BEGIN DELETE FROM marks WHERE id = 1; END $$
--
CALL forget(1)
--
CREATE FUNCTION wipe() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM notes; END $$;
SELECT wipe(); DROP FUNCTION wipe()
--
CREATE FUNCTION outer_one() RETURNS void LANGUAGE sql AS 'SELECT purge()'; SELECT outer_one()
--
CREATE FUNCTION users() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP TABLE users CASCADE
--
CREATE TABLE IF NOT EXISTS notes (id int); DROP TABLE notes
--
ALTER TABLE users ADD COLUMN IF NOT EXISTS gone text; ALTER TABLE users DROP COLUMN gone
--
SELECT setval('numbers', 1)
--
DROP OWNED BY panel_bob
--
CREATE TABLE copy AS SELECT * FROM users; ALTER TABLE users RENAME TO before_users;
ALTER TABLE copy RENAME TO users; DROP TABLE before_users CASCADE
"""

KEEPING = """
SELECT 1
--
CREATE TABLE more (id int)
--
CREATE TABLE notes_copy AS SELECT * FROM notes; TRUNCATE notes_copy; DROP TABLE notes_copy
--
CREATE TABLE t (id int, a int); INSERT INTO t VALUES (1, 1); UPDATE t SET a = 2; DELETE FROM t;
ALTER TABLE t DROP COLUMN a; TRUNCATE t; DROP TABLE t
--
CREATE TABLE t (id int); ALTER TABLE t RENAME TO u; DELETE FROM u; DROP TABLE u
--
CREATE TEMP TABLE notes AS SELECT * FROM public.notes; DELETE FROM notes; DROP TABLE notes
--
SELECT * INTO TEMP users FROM public.users; UPDATE users SET email = 'x'; DROP TABLE users
--
CREATE SCHEMA own CREATE TABLE t (id int); DELETE FROM own.t; DROP SCHEMA own CASCADE
--
SET search_path = app; CREATE TABLE fresh (id int); DELETE FROM fresh; DROP TABLE fresh
--
ALTER TABLE users ADD COLUMN plan text; UPDATE users SET plan = 'free';
ALTER TABLE users DROP COLUMN plan
--
ALTER TABLE users ADD plan text; ALTER TABLE users RENAME plan TO tier; UPDATE users SET tier = 'x'
--
UPDATE users SET empty = 'x' WHERE empty IS NULL
--
UPDATE users SET empty = 'x' WHERE id > 0 AND users.empty IS NULL
--
UPDATE users SET email = email
--
UPDATE users SET email = 'x' WHERE false
--
DELETE FROM notes WHERE false
--
INSERT INTO notes VALUES (1, 1, 'x') ON CONFLICT DO NOTHING
--
INSERT INTO notes VALUES (9, 1, 'x')
--
INSERT INTO notes VALUES (9, 1, 'x'); DELETE FROM notes WHERE id = 9
--
INSERT INTO notes (body, id) VALUES ('x', 9), ('y', 8); UPDATE notes SET body = 'z' WHERE id = 8;
DELETE FROM notes WHERE notes.id IN (8, 9) AND body <> ''
--
INSERT INTO notes VALUES (9, 1, 'x'); DELETE FROM notes WHERE id = ANY (ARRAY[9])
--
INSERT INTO app.items SELECT id + 10, mood FROM users
--
EXPLAIN DELETE FROM notes
--
DROP VIEW codes
--
DROP MATERIALIZED VIEW totals
--
DROP INDEX users_email_idx
--
DROP FUNCTION purge()
--
ALTER TABLE users ALTER COLUMN name TYPE varchar(80)
--
ALTER TABLE users ALTER COLUMN name TYPE text
--
ALTER TABLE users ALTER COLUMN name TYPE varchar(20)
--
ALTER TABLE users ALTER COLUMN age TYPE smallint
--
ALTER TABLE users ALTER COLUMN age TYPE bigint
--
ALTER TABLE users ALTER COLUMN age TYPE numeric(12, 2)
--
ALTER TABLE users ALTER COLUMN score TYPE numeric(12, 4)
--
ALTER TABLE users ALTER COLUMN email TYPE varchar
--
ALTER TABLE users ALTER COLUMN seen TYPE timestamptz
--
ALTER TABLE users ALTER COLUMN mood TYPE text USING mood::text
--
ALTER TABLE users ALTER COLUMN flag TYPE int USING flag::int
--
ALTER TABLE users ALTER COLUMN age TYPE text
--
ALTER TABLE users ALTER COLUMN nick TYPE text
--
ALTER TABLE users ADD CHECK (id > 0)
--
ALTER TABLE notes SET LOGGED
--
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY
--
REVOKE ALL ON users FROM PUBLIC
--
GRANT SELECT ON users TO panel_bob
--
CREATE TABLE t (id int); GRANT SELECT ON t TO PUBLIC
--
CREATE TABLE t (id int); ALTER TABLE t SET UNLOGGED
--
SELECT nextval('numbers')
--
SELECT double(2), lower('X'), now()
--
CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM notes'
--
CREATE RULE r AS ON DELETE TO notes DO INSTEAD NOTHING
--
CREATE VIEW v AS SELECT * FROM notes; DROP VIEW v
--
CREATE TYPE fresh AS ENUM ('a'); DROP TYPE fresh
--
CREATE TYPE fresh AS ENUM ('a'); ALTER TYPE fresh RENAME TO fresher; DROP TYPE fresher
--
CREATE SCHEMA fresh CREATE TABLE t (id int); ALTER SCHEMA fresh RENAME TO fresher;
DELETE FROM fresher.t; DROP SCHEMA fresher CASCADE
--
CREATE SEQUENCE s; ALTER SEQUENCE s RESTART; DROP SEQUENCE s
--
CREATE EXTENSION pg_trgm; DROP EXTENSION pg_trgm
--
CREATE TRIGGER t2 BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION stamp();
DROP TRIGGER t2 ON notes
--
DO $$ BEGIN PERFORM 1; RAISE NOTICE 'DELETE FROM notes'; -- DROP TABLE notes
END $$
--
DO $$ BEGIN CREATE TABLE t (id int); DELETE FROM t; DROP TABLE t; END $$
--
DO $$ DECLARE n int; BEGIN
    SELECT count(*) INTO n FROM users; INSERT INTO notes VALUES (n + 10);
END $$
--
DO $$ DECLARE x text := Upper('a') || NOW(); BEGIN EXECUTE 'CREATE TABLE t (id int)'; END $$
--
REFRESH MATERIALIZED VIEW totals; ANALYZE users; LOCK TABLE users; COMMENT ON TABLE users IS 'x'
"""


def cases(text: str) -> list[str]:
    """The statements and files of a part of the panel."""
    return [part.strip() for part in text.strip().split("\n--\n")]
