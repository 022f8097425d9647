-- What lint must find, and what it must not: statements whose harm is what PostgreSQL 18 did with them.
-- case: NAME | HARM | the oldest version that has the syntax
--   block: whoever writes waits while 15,000 rows are read; rewrite: a table or an index is written anew;
--   rows: as many rows are changed; fail: the migration fails; break: a statement of the application fails;
--   "by hand": what the server cannot say (a loss, a design, security); none: nothing of it
-- [tables] is the first migration, [rows] fills its tables, [application] runs before and after
-- [tables]
CREATE TABLE users (
    id bigint PRIMARY KEY, email text NOT NULL, name varchar(50), city text, age integer,
    credit numeric(10,2), created timestamp, seen timestamptz(3), code varchar(20),
    active boolean NOT NULL DEFAULT true
);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL, total integer, note text);
CREATE INDEX orders_user_id_idx ON orders (user_id);
CREATE SCHEMA app;
CREATE TABLE app.accounts (id bigint PRIMARY KEY, owner text, balance integer, ref bigint);
CREATE UNIQUE INDEX accounts_owner ON app.accounts (owner);
CREATE TABLE "Big Table" ("Id" bigint PRIMARY KEY, "Col" text, "select" integer, "User" bigint);
CREATE TABLE base (id bigint NOT NULL, a integer, b text);
CREATE TABLE child (c integer) INHERITS (base);
CREATE TABLE events (id bigint, at date NOT NULL, user_id bigint, kind text) PARTITION BY RANGE (at);
CREATE TABLE events_2020 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE events_2021 PARTITION OF events FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE regions (id bigint, region text NOT NULL, v integer) PARTITION BY LIST (region);
CREATE TABLE regions_eu PARTITION OF regions FOR VALUES IN ('eu');
CREATE TABLE loose (id bigint, at date NOT NULL, user_id bigint, kind text);
CREATE TYPE tier AS ENUM ('low', 'high');
CREATE TYPE pair AS (l integer, r integer);
CREATE DOMAIN amount AS integer;
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE bills (id bigint PRIMARY KEY, sum amount, state text NOT NULL DEFAULT 'new', grade tier,
    CONSTRAINT bills_state CHECK (state <> ''));
CREATE UNLOGGED TABLE cache (id bigint PRIMARY KEY, v text);
CREATE TABLE stats (id bigint PRIMARY KEY, n integer, doc jsonb, ids bigint[], twice integer GENERATED ALWAYS AS (n * 2) STORED);
CREATE MATERIALIZED VIEW totals AS SELECT user_id, count(*) AS n FROM orders GROUP BY user_id;
CREATE VIEW people AS SELECT id, name FROM users;
CREATE FUNCTION steady(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION shaky() RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE SEQUENCE ticket;
ALTER TABLE orders ADD CONSTRAINT orders_total_there CHECK (total IS NOT NULL) NOT VALID;
ALTER TABLE users ADD CONSTRAINT users_age_there CHECK (age IS NOT NULL);
-- [rows]
INSERT INTO users SELECT i, 'e' || i, 'n', 'x', 3, 1.5, now(), now(), i::text, true FROM generate_series(1, 20000) i;
INSERT INTO orders SELECT i, i, 5, 'n' FROM generate_series(1, 20000) i;
INSERT INTO app.accounts SELECT i, i::text, 5, i FROM generate_series(1, 20000) i;
INSERT INTO "Big Table" SELECT i, 'c', i, i FROM generate_series(1, 20000) i;
INSERT INTO base SELECT i, i, 'b' FROM generate_series(1, 20000) i;
INSERT INTO child SELECT i, i, 'b', i FROM generate_series(20001, 40000) i;
INSERT INTO events SELECT i, '2020-06-01', i, 'k' FROM generate_series(1, 20000) i;
INSERT INTO events SELECT i, '2021-06-01', i, 'k' FROM generate_series(1, 20000) i;
INSERT INTO events SELECT i, '2030-06-01', i, 'k' FROM generate_series(1, 20000) i;
INSERT INTO regions SELECT i, 'eu', i FROM generate_series(1, 20000) i;
INSERT INTO loose SELECT i, '2022-06-01', i, 'k' FROM generate_series(1, 20000) i;
INSERT INTO bills SELECT i, 5, 'new', 'low' FROM generate_series(1, 20000) i;
INSERT INTO cache SELECT i, 'v' FROM generate_series(1, 20000) i;
INSERT INTO stats SELECT i, i, '{}', '{}' FROM generate_series(1, 20000) i;
REFRESH MATERIALIZED VIEW totals;
-- [application]
INSERT INTO users (id, email, name, city, age, credit, created, seen, code, active) VALUES (-1, 'e', 'n', '1', 3, 1.5, now(), now(), 'c', true);
UPDATE users SET city = '2' WHERE id = 2;
SELECT id, email, name, city, age, credit, created, seen, code, active FROM users WHERE id = 3;
INSERT INTO orders (id, user_id, total, note) VALUES (-1, 1, 5, 'n');
INSERT INTO orders (id, user_id, total, note) VALUES (-1, 1, 5, 'n') ON CONFLICT (id) DO NOTHING;
SELECT id, user_id, total, note FROM orders WHERE id = 3;
INSERT INTO app.accounts (id, owner, balance, ref) VALUES (-1, '-1', 5, 1) ON CONFLICT (owner) DO NOTHING;
SELECT id, owner, balance, ref FROM app.accounts WHERE id = 3;
INSERT INTO "Big Table" ("Id", "Col", "select", "User") VALUES (-1, 'c', 5, 1);
SELECT "Id", "Col", "select", "User" FROM "Big Table" WHERE "Id" = 3;
INSERT INTO base (id, a, b) VALUES (-1, 1, 'b');
INSERT INTO child (id, a, b, c) VALUES (-1, 1, 'b', 1);
SELECT id, a, b FROM base WHERE id = 3;
INSERT INTO events (id, at, user_id, kind) VALUES (-1, '2021-01-05', 1, 'k');
SELECT id, at, user_id, kind FROM events WHERE id = 3;
INSERT INTO regions (id, region, v) VALUES (-1, 'eu', 1);
INSERT INTO loose (id, at, user_id, kind) VALUES (-1, '2022-01-05', 1, 'k');
INSERT INTO bills (id, sum, state, grade) VALUES (-1, 1, 'new', 'high');
INSERT INTO bills (id, sum) VALUES (-2, 1);
SELECT id, sum, state, grade FROM bills WHERE id = 3 AND grade = 'low';
INSERT INTO cache (id, v) VALUES (-1, 'v');
INSERT INTO stats (id, n, doc, ids) VALUES (-1, 1, '{}', '{}');
SELECT user_id, n FROM totals WHERE user_id = 3;
SELECT id, name FROM people WHERE id = 3;
SELECT steady(1), shaky(), nextval('ticket'), ROW(1, 2)::pair, 1::amount;
-- case: idx-quoted | block | 15
-- [up]
CREATE INDEX "Idx" ON "Big Table" ("Col");
-- case: idx-quoted-conc | none | 15
-- [up]
CREATE INDEX CONCURRENTLY "Idx" ON "Big Table" ("Col");
-- case: idx-schema | block | 15
-- [up]
CREATE INDEX accounts_ref ON app.accounts (ref);
-- case: idx-schema-conc | none | 15
-- [up]
CREATE INDEX CONCURRENTLY accounts_ref ON app.accounts USING btree (ref) INCLUDE (owner) WHERE ref > 1;
-- case: idx-only-partitioned | none | 15
-- [up]
CREATE INDEX events_user ON ONLY events (user_id);
-- case: idx-partition | block | 15
-- [up]
CREATE INDEX events_2020_user ON events_2020 (user_id);
-- case: idx-partition-conc | none | 15
-- [up]
CREATE INDEX CONCURRENTLY events_2020_user ON events_2020 (user_id);
-- case: idx-inherit-parent | block | 15
-- [up]
CREATE INDEX base_a ON base (a);
-- case: idx-only-inherit | block | 15
-- [up]
CREATE INDEX base_a ON ONLY base (a);
-- case: idx-gin | block | 15
-- [up]
CREATE INDEX stats_doc ON stats USING gin (doc);
-- case: idx-gin-conc | none | 15
-- [up]
CREATE INDEX CONCURRENTLY stats_doc ON stats USING gin (doc);
-- case: idx-unlogged | block | 15
-- [up]
CREATE INDEX cache_v ON cache (v);
-- case: idx-in-do | block | 15
-- [up]
DO $$ BEGIN CREATE INDEX users_city ON users (city); END $$;
-- case: idx-in-do-execute | block | 15
-- [up]
DO $$ BEGIN EXECUTE 'CREATE INDEX users_city ON users (city)'; END $$;
-- case: idx-new-table | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY, v text); CREATE INDEX fresh_v ON fresh (v);
-- case: idx-new-schema-table | none | 15
-- [up]
CREATE SCHEMA "New S"; CREATE TABLE "New S"."T" (id bigint PRIMARY KEY, v text); CREATE INDEX ON "New S"."T" (v);
-- case: idx-new-table-search-path | none | 15
-- [up]
SET LOCAL search_path = app; CREATE TABLE fresh (id bigint PRIMARY KEY, v text); CREATE INDEX fresh_v ON app.fresh (v);
-- case: idx-new-partition | none | 15
-- [up]
CREATE TABLE events_2023 (LIKE events INCLUDING ALL); CREATE INDEX events_2023_user ON events_2023 (user_id);
-- case: idx-temp | none | 15
-- [up]
CREATE TEMP TABLE t AS SELECT 1 AS id; CREATE INDEX t_id ON t (id);
-- case: idx-temp-schema | none | 15
-- [up]
CREATE TEMP TABLE t (id int); CREATE INDEX ON pg_temp.t (id);
-- case: idx-renamed-table | block | 15
-- [given]
ALTER TABLE users RENAME TO clients; CREATE VIEW users AS SELECT * FROM clients;
-- [up]
CREATE INDEX client_city ON clients (city);
-- case: idx-new-then-renamed | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY, v text); ALTER TABLE fresh RENAME TO fresher; CREATE INDEX ON fresher (v);
-- case: idx-attach-index | none | 15
-- [given]
CREATE INDEX events_user ON ONLY events (user_id); CREATE INDEX events_2020_user ON events_2020 (user_id);
-- [up]
ALTER INDEX events_user ATTACH PARTITION events_2020_user;
-- case: idx-drop-plain | none | 15
-- [up]
DROP INDEX orders_user_id_idx;
-- case: idx-drop-conc | none | 15
-- [up]
DROP INDEX CONCURRENTLY IF EXISTS orders_user_id_idx;
-- case: idx-drop-unique | break | 15
-- [up]
DROP INDEX app.accounts_owner;
-- case: idx-drop-unique-conc | break | 15
-- [up]
DROP INDEX CONCURRENTLY app.accounts_owner;
-- case: idx-alter-set | none | 15
-- [up]
ALTER INDEX orders_user_id_idx SET (fillfactor = 70);
-- case: idx-alter-stat | none | 15
-- [given]
CREATE INDEX users_city ON users (lower(city));
-- [up]
ALTER INDEX users_city ALTER COLUMN 1 SET STATISTICS 500;
-- case: idx-rename | none | 15
-- [up]
ALTER INDEX orders_user_id_idx RENAME TO orders_user;
-- case: idx-rename-as-table | none | 15
-- [up]
ALTER TABLE orders_user_id_idx RENAME TO orders_user;
-- case: idx-reindex-index | rewrite | 15
-- [up]
REINDEX INDEX orders_user_id_idx;
-- case: idx-reindex-conc | none | 15
-- [up]
REINDEX (CONCURRENTLY) TABLE orders;
-- case: idx-reindex-option-off | block by hand | 15
-- [up]
REINDEX (CONCURRENTLY false, VERBOSE) TABLE orders;
-- case: idx-reindex-partitioned | none | 15
-- [up]
REINDEX TABLE CONCURRENTLY events;
-- case: idx-exclude-null | none | 15
-- [up]
CREATE UNIQUE INDEX CONCURRENTLY bills_sum ON bills (id, sum) NULLS NOT DISTINCT;
-- case: col-quoted | none | 15
-- [up]
ALTER TABLE "Big Table" ADD COLUMN "New Col" text;
-- case: col-quoted-volatile | block | 15
-- [up]
ALTER TABLE "Big Table" ADD "New Col" uuid DEFAULT gen_random_uuid();
-- case: col-pgcatalog-volatile | block | 15
-- [up]
ALTER TABLE users ADD COLUMN k double precision DEFAULT pg_catalog.random();
-- case: col-now | none | 15
-- [up]
ALTER TABLE app.accounts ADD COLUMN made timestamptz NOT NULL DEFAULT now();
-- case: col-clock | block | 15
-- [up]
ALTER TABLE app.accounts ADD COLUMN made timestamptz NOT NULL DEFAULT clock_timestamp();
-- case: col-statement-timestamp | none | 15
-- [up]
ALTER TABLE users ADD made timestamptz DEFAULT statement_timestamp();
-- case: col-timeofday | block | 15
-- [up]
ALTER TABLE users ADD made text DEFAULT timeofday();
-- case: col-nextval | block | 15
-- [up]
ALTER TABLE users ADD n bigint DEFAULT nextval('ticket');
-- case: col-nextval-later | none | 15
-- [up]
ALTER TABLE users ADD n bigint; ALTER TABLE users ALTER n SET DEFAULT nextval('ticket');
-- case: col-expr-default | none | 15
-- [up]
ALTER TABLE users ADD until timestamptz DEFAULT now() + interval '1 day' * 3;
-- case: col-case-default | block | 15
-- [up]
ALTER TABLE users ADD k int NOT NULL DEFAULT CASE WHEN random() < 0.5 THEN 1 ELSE 2 END;
-- case: col-cast-default | none | 15
-- [up]
ALTER TABLE users ADD k jsonb NOT NULL DEFAULT '{}'::jsonb;
-- case: col-array-default | none | 15
-- [up]
ALTER TABLE users ADD k text[] NOT NULL DEFAULT ARRAY[]::text[];
-- case: col-steady-udf | none | 15
-- [up]
ALTER TABLE users ADD k integer NOT NULL DEFAULT steady(4);
-- case: col-shaky-udf | block | 15
-- [up]
ALTER TABLE users ADD k integer NOT NULL DEFAULT public.shaky();
-- case: col-udf-altered | none | 15
-- [up]
ALTER FUNCTION shaky() STABLE; ALTER TABLE users ADD k integer NOT NULL DEFAULT shaky();
-- case: col-serial | block | 15
-- [up]
ALTER TABLE users ADD n serial;
-- case: col-smallserial-not-unique | block | 15
-- [up]
ALTER TABLE users ADD COLUMN IF NOT EXISTS n bigserial NOT NULL;
-- case: col-identity-default | block | 15
-- [up]
ALTER TABLE users ADD n bigint GENERATED BY DEFAULT AS IDENTITY;
-- case: col-identity-existing | none | 15
-- [up]
ALTER TABLE users ALTER id ADD GENERATED BY DEFAULT AS IDENTITY;
-- case: col-generated | block | 15
-- [up]
ALTER TABLE users ADD low text GENERATED ALWAYS AS (lower(email)) STORED;
-- case: col-virtual | none | 18
-- [up]
ALTER TABLE users ADD low text GENERATED ALWAYS AS (lower(email)) VIRTUAL;
-- case: col-virtual-implicit | none | 18
-- [up]
ALTER TABLE users ADD low text GENERATED ALWAYS AS (lower(email));
-- case: col-virtual-check | block | 18
-- [up]
ALTER TABLE users ADD low text GENERATED ALWAYS AS (lower(email)) VIRTUAL CHECK (low <> '');
-- case: col-domain-plain | none | 15
-- [up]
ALTER TABLE users ADD k amount;
-- case: col-domain-checked | block | 15
-- [up]
ALTER TABLE users ADD k positive;
-- case: col-domain-checked-default | block | 15
-- [up]
ALTER TABLE users ADD k positive DEFAULT 4;
-- case: col-domain-array | none | 15
-- [up]
ALTER TABLE users ADD k amount[];
-- case: col-domain-checked-array | none | 15
-- [up]
ALTER TABLE users ADD k positive[];
-- case: col-enum | none | 15
-- [up]
ALTER TABLE users ADD k tier NOT NULL DEFAULT 'low';
-- case: col-composite | none | 15
-- [up]
ALTER TABLE users ADD k pair DEFAULT ROW(1, 2);
-- case: col-check | block | 15
-- [up]
ALTER TABLE users ADD k int CHECK (k > 0);
-- case: col-check-default | block | 15
-- [up]
ALTER TABLE users ADD k int DEFAULT 3 CHECK (k > 0);
-- case: col-unique | block | 15
-- [up]
ALTER TABLE users ADD k int UNIQUE;
-- case: col-references | none | 15
-- [up]
ALTER TABLE users ADD boss bigint REFERENCES users;
-- [up]
CREATE INDEX CONCURRENTLY users_boss ON users (boss);
-- case: col-references-default | block | 15
-- [up]
ALTER TABLE users ADD boss bigint DEFAULT 1 REFERENCES users;
-- [up]
CREATE INDEX CONCURRENTLY users_boss ON users (boss);
-- case: col-required | fail | 15
-- [up]
ALTER TABLE app.accounts ADD k int NOT NULL;
-- case: col-required-if-not-exists | fail | 15
-- [up]
ALTER TABLE IF EXISTS app.accounts ADD COLUMN IF NOT EXISTS k int NOT NULL;
-- case: col-required-inherit | fail | 15
-- [up]
ALTER TABLE base ADD k int NOT NULL;
-- case: col-required-new-table | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY); ALTER TABLE fresh ADD k int NOT NULL;
-- case: col-default-null | fail | 15
-- [up]
ALTER TABLE users ADD k int NOT NULL DEFAULT NULL;
-- case: col-several | block | 15
-- [up]
ALTER TABLE users ADD a1 text, ADD a2 int DEFAULT 3, ADD a3 uuid DEFAULT gen_random_uuid();
-- case: col-several-good | none | 15
-- [up]
ALTER TABLE users ADD a1 text, ADD a2 int DEFAULT 3, ADD a3 uuid;
-- case: col-partitioned-volatile | block | 15
-- [up]
ALTER TABLE events ADD k uuid DEFAULT gen_random_uuid();
-- case: col-partitioned | none | 15
-- [up]
ALTER TABLE events ADD k uuid;
-- case: col-json | break | 15
-- [up]
ALTER TABLE users ADD doc json;
-- [application]
SELECT DISTINCT * FROM users;
-- case: col-xml | break | 15
-- [up]
ALTER TABLE users ADD doc xml;
-- [application]
SELECT DISTINCT * FROM users;
-- case: col-point | break | 15
-- [up]
ALTER TABLE users ADD place point;
-- [application]
SELECT DISTINCT * FROM users;
-- case: col-composite-json | break | 15
-- [up]
ALTER TABLE users ADD doc json[];
-- [application]
SELECT DISTINCT * FROM users;
-- case: col-drop | break | 15
-- [up]
ALTER TABLE users DROP COLUMN age;
-- case: col-drop-if-exists | break | 15
-- [up]
ALTER TABLE IF EXISTS users DROP COLUMN IF EXISTS age;
-- case: col-drop-if-exists-unknown | none | 15
-- [up]
ALTER TABLE users DROP COLUMN IF EXISTS nothing_there;
-- case: col-drop-quoted | break | 15
-- [up]
ALTER TABLE "Big Table" DROP COLUMN "select";
-- case: col-drop-with-view | fail | 15
-- [up]
ALTER TABLE users DROP COLUMN name;
-- case: col-drop-view-cascade | break | 15
-- [up]
ALTER TABLE users DROP COLUMN name CASCADE;
-- case: col-drop-new | none | 15
-- [up]
ALTER TABLE users ADD k int; ALTER TABLE users DROP k;
-- case: col-drop-generated-source | fail | 15
-- [up]
ALTER TABLE stats DROP COLUMN n;
-- case: col-set-default | none | 15
-- [up]
ALTER TABLE users ALTER city SET DEFAULT 'x', ALTER age SET DEFAULT 3;
-- case: col-drop-default-notnull | break | 15
-- [up]
ALTER TABLE bills ALTER state DROP DEFAULT;
-- case: col-drop-default-null | none | 15
-- [up]
ALTER TABLE users ALTER city DROP DEFAULT;
-- case: col-set-default-null | break | 15
-- [up]
ALTER TABLE bills ALTER state SET DEFAULT NULL;
-- case: col-drop-expression | none | 15
-- [up]
ALTER TABLE stats ALTER twice DROP EXPRESSION;
-- case: col-set-expression | block | 17
-- [up]
ALTER TABLE stats ALTER twice SET EXPRESSION AS (n * 3);
-- case: col-stats | none | 15
-- [up]
ALTER TABLE users ALTER city SET STATISTICS 500, ALTER name SET (n_distinct = 5);
-- case: col-storage | none | 15
-- [up]
ALTER TABLE users ALTER city SET STORAGE EXTERNAL, ALTER name SET COMPRESSION pglz;
-- case: col-rename | break | 15
-- [up]
ALTER TABLE users RENAME city TO town;
-- case: col-rename-quoted | break | 15
-- [up]
ALTER TABLE "Big Table" RENAME COLUMN "Col" TO col;
-- case: col-rename-only | fail | 15
-- [up]
ALTER TABLE ONLY base RENAME a TO aa;
-- case: col-rename-view | break | 15
-- [up]
ALTER VIEW people RENAME COLUMN name TO full_name;
-- case: col-rename-new | none | 15
-- [up]
ALTER TABLE users ADD k int; ALTER TABLE users RENAME k TO kk;
-- case: null-quoted | block | 15
-- [up]
ALTER TABLE "Big Table" ALTER "select" SET NOT NULL;
-- case: null-proven | none | 15
-- [up]
ALTER TABLE users ALTER age SET NOT NULL;
-- case: null-proven-not-valid | block | 15
-- [up]
ALTER TABLE orders ALTER total SET NOT NULL;
-- case: null-validate-then-set | retry by hand | 15
-- [up]
ALTER TABLE orders VALIDATE CONSTRAINT orders_total_there; ALTER TABLE orders ALTER total SET NOT NULL;
-- case: null-already | none | 15
-- [up]
ALTER TABLE users ALTER email SET NOT NULL, ALTER id SET NOT NULL;
-- case: null-inherit | block | 15
-- [up]
ALTER TABLE base ALTER a SET NOT NULL;
-- case: null-only-inherit | block | 15
-- [up]
ALTER TABLE ONLY base ALTER a SET NOT NULL;
-- case: null-partitioned | block | 15
-- [up]
ALTER TABLE events ALTER user_id SET NOT NULL;
-- case: null-partition | block | 15
-- [up]
ALTER TABLE events_2020 ALTER COLUMN user_id SET NOT NULL;
-- case: null-in-do | block | 15
-- [up]
DO $$ BEGIN ALTER TABLE users ALTER city SET NOT NULL; END $$;
-- case: null-check-and | block | 15
-- [up]
ALTER TABLE users ADD CONSTRAINT c CHECK (city IS NOT NULL AND name IS NOT NULL) NOT VALID;
-- [up]
ALTER TABLE users VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE users ALTER city SET NOT NULL, ALTER name SET NOT NULL, DROP CONSTRAINT c;
-- case: null-check-or | block | 15
-- [up]
ALTER TABLE users ADD CONSTRAINT c CHECK (city IS NOT NULL OR name IS NOT NULL) NOT VALID;
-- [up]
ALTER TABLE users VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE users ALTER city SET NOT NULL;
-- case: null-18-not-valid | none | 18
-- [up]
ALTER TABLE users ADD CONSTRAINT n NOT NULL city NOT VALID;
-- case: null-18-named | block | 18
-- [up]
ALTER TABLE users ADD CONSTRAINT n NOT NULL city;
-- case: null-18-unnamed | block | 18
-- [up]
ALTER TABLE users ADD NOT NULL city;
-- case: null-drop-not-null | none | 15
-- [up]
ALTER TABLE bills ALTER state DROP NOT NULL;
-- case: null-default-and-not-null | block | 15
-- [up]
ALTER TABLE users ADD k int DEFAULT 3, ALTER city SET NOT NULL;
-- case: check-quoted | block | 15
-- [up]
ALTER TABLE "Big Table" ADD CONSTRAINT "C" CHECK ("select" > 0);
-- case: check-not-valid | none | 15
-- [up]
ALTER TABLE app.accounts ADD CHECK (balance > 0) NOT VALID;
-- case: check-inherit | block | 15
-- [up]
ALTER TABLE base ADD CONSTRAINT c CHECK (a > 0);
-- case: check-no-inherit | block | 15
-- [up]
ALTER TABLE base ADD CONSTRAINT c CHECK (a > 0) NO INHERIT;
-- case: check-partitioned | block,break | 15
-- [up]
ALTER TABLE events ADD CONSTRAINT c CHECK (id > 0);
-- case: check-partitioned-not-valid | none | 15
-- [up]
ALTER TABLE events ADD CONSTRAINT c CHECK (id > -5) NOT VALID;
-- case: check-not-enforced | none | 18
-- [up]
ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT ENFORCED;
-- case: check-validate | none | 15
-- [up]
ALTER TABLE orders VALIDATE CONSTRAINT orders_total_there;
-- case: check-validate-alter | block | 15
-- [up]
ALTER TABLE orders ADD k int, VALIDATE CONSTRAINT orders_total_there;
-- case: check-validate-after-lock | block | 15
-- [up]
ALTER TABLE users ADD k int; ALTER TABLE orders VALIDATE CONSTRAINT orders_total_there;
-- case: check-drop | none | 15
-- [up]
ALTER TABLE bills DROP CONSTRAINT bills_state;
-- case: check-drop-add | block | 15
-- [up]
ALTER TABLE bills DROP CONSTRAINT bills_state, ADD CONSTRAINT bills_state CHECK (state <> '' AND state <> 'x');
-- case: check-drop-add-nv | none | 15
-- [up]
ALTER TABLE bills DROP CONSTRAINT bills_state, ADD CONSTRAINT bills_state CHECK (state <> '' AND state <> 'x') NOT VALID;
-- case: check-true | block | 15
-- [up]
ALTER TABLE users ADD CONSTRAINT c CHECK (id IS NOT NULL);
-- case: check-in-do | block | 15
-- [up]
DO $$ BEGIN ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0); EXCEPTION WHEN duplicate_object THEN NULL; END $$;
-- case: check-two | block | 15
-- [up]
ALTER TABLE users ADD CONSTRAINT c1 CHECK (age > 0) NOT VALID, ADD CONSTRAINT c2 CHECK (age > 1);
-- case: fk-quoted | block | 15
-- [up]
CREATE INDEX CONCURRENTLY bu ON "Big Table" ("User");
-- [up]
ALTER TABLE "Big Table" ADD CONSTRAINT "F" FOREIGN KEY ("User") REFERENCES users (id);
-- case: fk-not-valid | none | 15
-- [up]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID;
-- case: fk-not-valid-validate | none | 15
-- [up]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID;
-- [up]
ALTER TABLE orders VALIDATE CONSTRAINT f;
-- case: fk-not-valid-validate-one | block | 15
-- [up]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID; ALTER TABLE orders VALIDATE CONSTRAINT f;
-- case: fk-partition | block | 15
-- [up]
CREATE INDEX CONCURRENTLY eu ON events_2020 (user_id);
-- [up]
ALTER TABLE events_2020 ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users;
-- case: fk-new-table | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY, user_id bigint REFERENCES users); CREATE INDEX ON fresh (user_id);
-- case: fk-new-column-null | block | 15
-- [up]
ALTER TABLE orders ADD COLUMN account bigint, ADD CONSTRAINT f FOREIGN KEY (account) REFERENCES app.accounts;
-- [up]
CREATE INDEX CONCURRENTLY oa ON orders (account);
-- case: fk-not-enforced | none | 18
-- [up]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT ENFORCED;
-- case: fk-enforce | block | 18
-- [given]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT ENFORCED;
-- [up]
ALTER TABLE orders ALTER CONSTRAINT f ENFORCED;
-- case: fk-alter-deferrable | none | 15
-- [given]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID;
-- [up]
ALTER TABLE orders ALTER CONSTRAINT f DEFERRABLE INITIALLY DEFERRED;
-- case: fk-drop | none | 15
-- [given]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID;
-- [up]
ALTER TABLE orders DROP CONSTRAINT f;
-- case: unique-table | block | 15
-- [up]
ALTER TABLE bills ADD CONSTRAINT u UNIQUE (id, state);
-- case: unique-using-index | none | 15
-- [up]
CREATE UNIQUE INDEX CONCURRENTLY u ON bills (id, state);
-- [up]
ALTER TABLE bills ADD CONSTRAINT u UNIQUE USING INDEX u;
-- case: unique-partitioned | block | 15
-- [up]
ALTER TABLE events ADD UNIQUE (id, at);
-- case: unique-quoted-nulls | block | 15
-- [up]
ALTER TABLE "Big Table" ADD CONSTRAINT "U" UNIQUE NULLS NOT DISTINCT ("Id", "Col");
-- case: unique-exclude | block | 15
-- [up]
ALTER TABLE bills ADD CONSTRAINT x EXCLUDE USING btree (id WITH =);
-- case: unique-drop | break by hand | 15
-- [up]
ALTER TABLE users DROP CONSTRAINT users_pkey;
-- case: pk-inherit | block | 15
-- [up]
ALTER TABLE ONLY base ADD PRIMARY KEY (id);
-- case: pk-using-index-proven | none | 15
-- [up]
CREATE UNIQUE INDEX CONCURRENTLY l ON loose (id);
-- [up]
ALTER TABLE loose ADD CONSTRAINT c CHECK (id IS NOT NULL) NOT VALID;
-- [up]
ALTER TABLE loose VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE loose ADD PRIMARY KEY USING INDEX l;
-- case: pk-using-index-null | block | 15
-- [up]
CREATE UNIQUE INDEX CONCURRENTLY l ON loose (id);
-- [up]
ALTER TABLE loose ADD PRIMARY KEY USING INDEX l;
-- case: replica-identity | none | 15
-- [up]
ALTER TABLE app.accounts REPLICA IDENTITY FULL;
-- case: cluster-on | none | 15
-- [up]
ALTER TABLE orders CLUSTER ON orders_user_id_idx;
-- case: type-quoted | block | 15
-- [up]
ALTER TABLE "Big Table" ALTER "select" TYPE bigint;
-- case: type-set-data | block | 15
-- [up]
ALTER TABLE users ALTER COLUMN age SET DATA TYPE bigint;
-- case: type-using-cast | block | 15
-- [up]
ALTER TABLE users ALTER city TYPE integer USING length(city);
-- case: type-varchar-wider | none | 15
-- [up]
DROP VIEW people; ALTER TABLE users ALTER code TYPE varchar(40), ALTER name TYPE varchar(60); CREATE VIEW people AS SELECT id, name FROM users;
-- case: type-code-wider | none | 15
-- [up]
ALTER TABLE users ALTER code TYPE character varying(40);
-- case: type-code-text | none | 15
-- [up]
ALTER TABLE users ALTER code TYPE text USING code::text;
-- case: type-code-narrower | block | 15
-- [up]
ALTER TABLE users ALTER code TYPE varchar(10);
-- case: type-text-to-char | block | 15
-- [up]
ALTER TABLE users ALTER city TYPE char(5);
-- case: type-numeric-same-scale | none | 15
-- [up]
ALTER TABLE users ALTER credit TYPE decimal(14,2);
-- case: type-numeric-other-scale | block | 15
-- [up]
ALTER TABLE users ALTER credit TYPE numeric(14,3);
-- case: type-timestamptz-more | none | 15
-- [up]
ALTER TABLE users ALTER seen TYPE timestamptz(6);
-- case: type-timestamptz-all | none | 15
-- [up]
ALTER TABLE users ALTER seen TYPE timestamp with time zone;
-- case: type-int-domain | block | 15
-- [up]
ALTER TABLE users ALTER age TYPE amount;
-- case: type-int-checked-domain | block | 15
-- [up]
ALTER TABLE users ALTER age TYPE positive;
-- case: type-domain-int | none | 15
-- [up]
ALTER TABLE bills ALTER sum TYPE integer;
-- case: type-domain-bigint | block | 15
-- [up]
ALTER TABLE bills ALTER sum TYPE bigint;
-- case: type-array | block | 15
-- [up]
ALTER TABLE stats ALTER ids TYPE integer[];
-- case: type-array-same | none | 15
-- [up]
ALTER TABLE stats ALTER ids TYPE bigint[];
-- case: type-jsonb-text | block | 15
-- [up]
ALTER TABLE stats ALTER doc TYPE text;
-- case: type-inherit | block | 15
-- [up]
ALTER TABLE base ALTER a TYPE bigint;
-- case: type-partitioned | block | 15
-- [up]
ALTER TABLE events ALTER kind TYPE varchar(10);
-- case: type-partitioned-text | block | 15
-- [up]
ALTER TABLE regions ALTER v TYPE bigint;
-- case: type-new-table | none | 15
-- [up]
CREATE TABLE fresh (id int PRIMARY KEY); ALTER TABLE fresh ALTER id TYPE bigint;
-- case: type-indexed-collate | block | 15
-- [up]
ALTER TABLE app.accounts ALTER owner TYPE text COLLATE "C";
-- case: type-indexed-varchar | none | 15
-- [up]
ALTER TABLE app.accounts ALTER owner TYPE varchar;
-- case: type-check | block | 15
-- [up]
ALTER TABLE bills ALTER state TYPE varchar;
-- case: type-oid | block | 15
-- [up]
ALTER TABLE users ALTER age TYPE oid;
-- case: type-drop-default | block | 15
-- [up]
ALTER TABLE bills ALTER state DROP DEFAULT, ALTER state TYPE varchar(20), ALTER state SET DEFAULT 'new';
-- case: type-generated | fail | 15
-- [up]
ALTER TABLE stats ALTER n TYPE bigint;
-- case: type-composite-attr | none | 15
-- [given]
CREATE TYPE other AS (l integer);
-- [up]
ALTER TYPE other ADD ATTRIBUTE z integer;
-- case: type-composite-attr-type | none | 15
-- [up]
ALTER TYPE pair ALTER ATTRIBUTE l TYPE bigint;
-- case: type-composite-attr-drop | break | 15
-- [up]
ALTER TYPE pair DROP ATTRIBUTE l;
-- case: type-in-do | block | 15
-- [up]
DO $$ BEGIN ALTER TABLE users ALTER age TYPE bigint; END $$;
-- case: rewrite-logged | block | 15
-- [up]
ALTER TABLE cache SET LOGGED;
-- case: rewrite-unlogged | block | 15
-- [up]
ALTER TABLE users SET UNLOGGED;
-- case: rewrite-unlogged-already | none | 15
-- [up]
ALTER TABLE cache SET UNLOGGED;
-- case: rewrite-logged-already | none | 15
-- [up]
ALTER TABLE users SET LOGGED;
-- case: rewrite-tablespace | rewrite | 15
-- [up]
ALTER TABLE app.accounts SET TABLESPACE fast;
-- case: rewrite-tablespace-index | rewrite | 15
-- [up]
ALTER INDEX orders_user_id_idx SET TABLESPACE fast;
-- case: rewrite-tablespace-all | rewrite | 15
-- [up]
ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE fast;
-- case: rewrite-tablespace-partitioned | none | 15
-- [up]
ALTER TABLE events SET TABLESPACE fast;
-- case: rewrite-access-method | none | 15
-- [up]
ALTER TABLE users SET ACCESS METHOD heap;
-- case: rewrite-fillfactor | none | 15
-- [up]
ALTER TABLE users SET (fillfactor = 70, autovacuum_enabled = false);
-- case: rewrite-vacuum-full | rewrite | 15
-- [up]
VACUUM (FULL) app.accounts;
-- case: rewrite-vacuum-analyze | none | 15
-- [up]
VACUUM ANALYZE app.accounts;
-- case: rewrite-cluster | rewrite | 15
-- [up]
CLUSTER orders USING orders_user_id_idx;
-- case: rewrite-cluster-verbose | rewrite | 15
-- [up]
CLUSTER (VERBOSE) orders USING orders_user_id_idx;
-- case: rewrite-refresh | block | 15
-- [up]
REFRESH MATERIALIZED VIEW totals;
-- case: rewrite-refresh-no-data | rewrite,break | 15
-- [up]
REFRESH MATERIALIZED VIEW totals WITH NO DATA;
-- case: rewrite-refresh-conc | none | 15
-- [given]
CREATE UNIQUE INDEX totals_user ON totals (user_id);
-- [up]
REFRESH MATERIALIZED VIEW CONCURRENTLY totals;
-- case: rewrite-matview-new | none | 15
-- [up]
CREATE MATERIALIZED VIEW fresh AS SELECT id FROM users WHERE id < 5; REFRESH MATERIALIZED VIEW fresh;
-- case: rewrite-of-type | none | 15
-- [up]
ALTER TABLE loose ENABLE TRIGGER ALL;
-- case: rewrite-inherit | none | 15
-- [given]
CREATE TABLE lone (id bigint);
-- [up]
ALTER TABLE loose INHERIT lone;
-- case: part-attach | block | 15
-- [up]
ALTER TABLE events ATTACH PARTITION loose FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
-- case: part-attach-no-default | block | 15
-- [given]
DROP TABLE events_rest;
-- [up]
ALTER TABLE events ATTACH PARTITION loose FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
-- case: part-attach-proven | none | 15
-- [given]
DROP TABLE events_rest;
-- [up]
ALTER TABLE loose ADD CONSTRAINT c CHECK (at >= '2022-01-01' AND at < '2023-01-01') NOT VALID;
-- [up]
ALTER TABLE loose VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE events ATTACH PARTITION loose FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
-- case: part-attach-unproven | block | 15
-- [given]
DROP TABLE events_rest;
-- [up]
ALTER TABLE loose ADD CONSTRAINT c CHECK (at >= '2019-01-01') NOT VALID;
-- [up]
ALTER TABLE loose VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE events ATTACH PARTITION loose FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
-- case: part-attach-new | none | 15
-- [up]
CREATE TABLE regions_us (id bigint, region text NOT NULL, v integer); ALTER TABLE regions ATTACH PARTITION regions_us FOR VALUES IN ('us');
-- case: part-of-default | block | 15
-- [up]
CREATE TABLE events_2022 PARTITION OF events FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
-- case: part-of | none | 15
-- [up]
CREATE TABLE regions_us PARTITION OF regions FOR VALUES IN ('us');
-- case: part-of-if-not-exists | none | 15
-- [up]
CREATE TABLE IF NOT EXISTS regions_us PARTITION OF public.regions FOR VALUES IN ('us') PARTITION BY RANGE (v);
-- case: part-default-of | none | 15
-- [up]
CREATE TABLE regions_rest PARTITION OF regions DEFAULT;
-- case: part-detach | none | 15
-- [up]
ALTER TABLE events DETACH PARTITION events_2020;
-- case: part-detach-conc | none | 15
-- [given]
CREATE TABLE regions_us PARTITION OF regions FOR VALUES IN ('us');
-- [up]
ALTER TABLE regions DETACH PARTITION regions_us CONCURRENTLY;
-- case: part-drop | loss by hand | 15
-- [up]
DROP TABLE events_2020;
-- case: part-like-indexes | none | 15
-- [up]
CREATE TABLE events_2024 (LIKE events_2020 INCLUDING ALL);
-- case: drop-table | break | 15
-- [up]
DROP TABLE app.accounts;
-- case: drop-table-if-exists | break | 15
-- [up]
DROP TABLE IF EXISTS "Big Table";
-- case: drop-table-two | break | 15
-- [up]
DROP TABLE cache, stats;
-- case: drop-table-unknown | loss by hand | 15
-- [up]
DROP TABLE IF EXISTS nothing_there;
-- case: drop-table-new | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY); DROP TABLE fresh;
-- case: drop-table-recreate | loss by hand | 15
-- [up]
DROP TABLE IF EXISTS cache; CREATE TABLE cache (id bigint PRIMARY KEY, v text);
-- case: drop-temp | none | 15
-- [up]
CREATE TEMP TABLE t (id int); DROP TABLE t;
-- case: drop-view | break | 15
-- [up]
DROP VIEW people;
-- case: drop-view-recreate | none | 15
-- [up]
DROP VIEW people; CREATE VIEW people AS SELECT id, name, email FROM users;
-- case: drop-view-recreate-less | break | 15
-- [up]
DROP VIEW people; CREATE VIEW people AS SELECT id FROM users;
-- case: drop-matview | break | 15
-- [up]
DROP MATERIALIZED VIEW totals;
-- case: drop-function | break | 15
-- [up]
DROP FUNCTION shaky();
-- case: drop-function-overload | break | 15
-- [up]
DROP FUNCTION steady(integer);
-- case: drop-trigger-function | none | 15
-- [up]
DROP FUNCTION app.touch();
-- case: drop-sequence | break | 15
-- [up]
DROP SEQUENCE ticket;
-- case: drop-type | break | 15
-- [up]
DROP TYPE pair;
-- case: drop-domain | break | 15
-- [up]
DROP DOMAIN amount CASCADE;
-- case: drop-domain-used | fail | 15
-- [up]
DROP DOMAIN amount;
-- case: drop-schema | break | 15
-- [up]
DROP SCHEMA app CASCADE;
-- case: drop-schema-empty | none | 15
-- [given]
CREATE SCHEMA lone;
-- [up]
DROP SCHEMA lone;
-- case: drop-trigger | none | 15
-- [given]
CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION app.touch();
-- [up]
DROP TRIGGER t ON users;
-- case: drop-owned | loss by hand | 15
-- [given]
CREATE ROLE lint_panel_gone;
-- [up]
DROP OWNED BY lint_panel_gone;
-- case: rename-table | break | 15
-- [up]
ALTER TABLE app.accounts RENAME TO ledger;
-- case: rename-table-view | none | 15
-- [up]
ALTER TABLE app.accounts RENAME TO ledger; CREATE VIEW app.accounts AS SELECT * FROM app.ledger;
-- case: rename-matview | break | 15
-- [up]
ALTER MATERIALIZED VIEW totals RENAME TO sums;
-- case: rename-view | break | 15
-- [up]
ALTER VIEW people RENAME TO persons;
-- case: rename-sequence | break | 15
-- [up]
ALTER SEQUENCE ticket RENAME TO tickets;
-- case: rename-sequence-as-table | break | 15
-- [up]
ALTER TABLE ticket RENAME TO tickets;
-- case: rename-function | break | 15
-- [up]
ALTER FUNCTION shaky() RENAME TO firm;
-- case: rename-type | break | 15
-- [up]
ALTER TYPE pair RENAME TO couple;
-- case: rename-domain | break | 15
-- [up]
ALTER DOMAIN amount RENAME TO sum_of;
-- case: rename-schema | break | 15
-- [up]
ALTER SCHEMA app RENAME TO application;
-- case: rename-enum-value | break | 15
-- [up]
ALTER TYPE tier RENAME VALUE 'low' TO 'lower';
-- case: rename-constraint | none | 15
-- [up]
ALTER TABLE bills RENAME CONSTRAINT bills_state TO bills_state_check;
-- case: rename-trigger | none | 15
-- [given]
CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION app.touch();
-- [up]
ALTER TRIGGER t ON users RENAME TO tt;
-- case: rename-attr | break | 15
-- [up]
ALTER TYPE pair RENAME ATTRIBUTE l TO left_one;
-- [application]
SELECT ((1,2)::pair).l;
-- case: schema-move | break | 15
-- [up]
ALTER TABLE cache SET SCHEMA app;
-- case: schema-move-view | break | 15
-- [up]
ALTER VIEW people SET SCHEMA app;
-- case: schema-move-function | break | 15
-- [up]
ALTER FUNCTION steady(integer) SET SCHEMA app;
-- case: schema-move-type | break | 15
-- [up]
ALTER TYPE pair SET SCHEMA app;
-- case: owner | none | 15
-- [up]
ALTER TABLE users OWNER TO CURRENT_USER;
-- case: enum-add | none | 15
-- [up]
ALTER TYPE tier ADD VALUE IF NOT EXISTS 'middle' BEFORE 'high';
-- case: enum-add-use | fail | 15
-- [up]
ALTER TYPE tier ADD VALUE 'middle'; UPDATE bills SET grade = 'middle' WHERE id = 1;
-- case: enum-add-default | fail | 15
-- [up]
ALTER TYPE tier ADD VALUE 'middle'; ALTER TABLE bills ALTER grade SET DEFAULT 'middle';
-- case: enum-new-use | none | 15
-- [up]
CREATE TYPE mood AS ENUM ('sad'); ALTER TYPE mood ADD VALUE 'ok'; CREATE TABLE fresh (id bigint PRIMARY KEY, m mood DEFAULT 'ok');
-- case: domain-check | block | 15
-- [up]
ALTER DOMAIN amount ADD CONSTRAINT c CHECK (VALUE > 0);
-- case: domain-check-nv | none | 15
-- [up]
ALTER DOMAIN amount ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID;
-- case: domain-unused | none | 15
-- [up]
ALTER DOMAIN positive ADD CONSTRAINT c CHECK (VALUE > 1);
-- case: domain-not-null | block | 15
-- [up]
ALTER DOMAIN amount SET NOT NULL;
-- case: domain-default | none | 15
-- [up]
ALTER DOMAIN amount SET DEFAULT 5;
-- case: domain-drop | none | 15
-- [up]
ALTER DOMAIN positive DROP CONSTRAINT positive_check;
-- case: domain-validate | block | 15
-- [given]
ALTER DOMAIN amount ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID;
-- [up]
ALTER DOMAIN amount VALIDATE CONSTRAINT c;
-- case: rows-update | rows | 15
-- [up]
UPDATE app.accounts SET balance = 0;
-- case: rows-update-where | rows | 15
-- [up]
UPDATE app.accounts SET balance = 0 WHERE balance IS NOT NULL;
-- case: rows-update-key | none | 15
-- [up]
UPDATE app.accounts SET balance = 0 WHERE id = 5;
-- case: rows-update-unique | none | 15
-- [up]
UPDATE app.accounts SET balance = 0 WHERE owner = '5';
-- case: rows-update-in | none | 15
-- [up]
UPDATE users SET city = 'y' WHERE id IN (1, 2, 3);
-- case: rows-update-any | none | 15
-- [up]
UPDATE users SET city = 'y' WHERE id = ANY (ARRAY[1, 2, 3]);
-- case: rows-update-between | none | 15
-- [up]
UPDATE users SET city = 'y' WHERE id BETWEEN 1 AND 500;
-- case: rows-update-between-all | rows | 15
-- [up]
UPDATE users SET city = 'y' WHERE id BETWEEN 1 AND 10000000;
-- case: rows-update-range-all | rows | 15
-- [up]
UPDATE users SET city = 'y' WHERE id >= 1 AND id < 10000000;
-- case: rows-update-lower | rows | 15
-- [up]
UPDATE users SET city = 'y' WHERE id > 0;
-- case: rows-update-limit | none | 15
-- [up]
UPDATE users SET city = 'y' WHERE id IN (SELECT id FROM users WHERE city = 'x' LIMIT 1000);
-- case: rows-update-limit-ctid | none | 15
-- [up]
UPDATE users SET city = 'y' WHERE ctid = ANY (ARRAY(SELECT ctid FROM users LIMIT 1000));
-- case: rows-update-from | rows | 15
-- [up]
UPDATE orders o SET total = u.age FROM users u WHERE u.id = o.user_id;
-- case: rows-update-exists | rows | 15
-- [up]
UPDATE orders SET total = 1 WHERE EXISTS (SELECT 1 FROM users WHERE users.id = user_id);
-- case: rows-update-from-limit | none | 15
-- [up]
WITH b AS (SELECT id FROM users LIMIT 100) UPDATE users SET city = 'y' FROM b WHERE users.id = b.id;
-- case: rows-update-quoted | rows | 15
-- [up]
UPDATE "Big Table" SET "Col" = 'z';
-- case: rows-update-only | rows | 15
-- [up]
UPDATE ONLY base SET a = 1;
-- case: rows-update-partitioned | rows | 15
-- [up]
UPDATE events SET kind = 'z';
-- case: rows-update-partition-range | rows | 15
-- [up]
UPDATE events SET kind = 'z' WHERE at >= '2020-01-01' AND at < '2021-01-01';
-- case: rows-update-new-table | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY, v int); INSERT INTO fresh VALUES (1, 2); UPDATE fresh SET v = 3;
-- case: rows-update-temp | none | 15
-- [up]
CREATE TEMP TABLE t (id int); INSERT INTO t VALUES (1); UPDATE t SET id = 3;
-- case: rows-update-or | rows | 15
-- [up]
UPDATE users SET city = 'y' WHERE id = 5 OR city = 'x';
-- case: rows-update-not-key | rows | 15
-- [up]
UPDATE users SET city = 'y' WHERE id <> 5;
-- case: rows-update-false | none | 15
-- [up]
UPDATE users SET city = 'y' WHERE false;
-- case: rows-delete | rows | 15
-- [up]
DELETE FROM orders;
-- case: rows-delete-using | rows | 15
-- [up]
DELETE FROM orders USING users WHERE users.id = orders.user_id;
-- case: rows-delete-key | none | 15
-- [up]
DELETE FROM orders WHERE id = 5;
-- case: rows-delete-not-exists | rows | 15
-- [up]
DELETE FROM orders WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = user_id AND age > 100);
-- case: rows-delete-cte | rows | 15
-- [up]
WITH gone AS (DELETE FROM orders RETURNING *) SELECT count(*) FROM gone;
-- case: rows-insert-select | none | 15
-- [up]
INSERT INTO cache SELECT id + 1000000, city FROM users;
-- case: rows-insert-values | none | 15
-- [up]
INSERT INTO cache VALUES (1000001, 'v'), (1000002, 'w');
-- case: rows-insert-conflict | rows | 15
-- [up]
INSERT INTO cache SELECT id, city FROM users ON CONFLICT (id) DO UPDATE SET v = excluded.v;
-- case: rows-insert-new | none | 15
-- [up]
CREATE TABLE fresh AS SELECT id, city FROM users;
-- case: rows-insert-new-lock | block | 15
-- [up]
ALTER TABLE users ADD k int; CREATE TABLE fresh AS SELECT id, city FROM users;
-- case: rows-insert-new-lock-limit | none | 15
-- [up]
ALTER TABLE users ADD k int; CREATE TABLE fresh AS SELECT id, city FROM users LIMIT 10;
-- case: rows-merge | rows | 15
-- [up]
MERGE INTO cache c USING users u ON c.id = u.id WHEN MATCHED THEN UPDATE SET v = u.city;
-- case: rows-do-update | rows | 15
-- [up]
DO $$ BEGIN UPDATE users SET city = 'y'; END $$;
-- case: rows-do-loop | none | 15
-- [up]
-- turnback: no-transaction
DO $$ DECLARE n int; BEGIN LOOP UPDATE users SET city = 'y' WHERE id IN (SELECT id FROM users WHERE city = 'x' LIMIT 5000); GET DIAGNOSTICS n = ROW_COUNT; COMMIT; EXIT WHEN n = 0; END LOOP; END $$;
-- case: rows-do-loop-no-commit | rows | 15
-- [up]
DO $$ DECLARE n int; BEGIN LOOP UPDATE users SET city = 'y' WHERE id IN (SELECT id FROM users WHERE city = 'x' LIMIT 5000); GET DIAGNOSTICS n = ROW_COUNT; EXIT WHEN n = 0; END LOOP; END $$;
-- case: rows-do-for | rows | 15
-- [up]
DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM users LOOP UPDATE users SET city = 'y' WHERE id = r.id; END LOOP; END $$;
-- case: rows-truncate | rewrite | 15
-- [up]
TRUNCATE cache;
-- case: rows-truncate-only | rewrite | 15
-- [up]
TRUNCATE ONLY base RESTART IDENTITY;
-- case: rows-truncate-new | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY); TRUNCATE fresh;
-- case: rows-copy-config | none | 15
-- [up]
UPDATE bills SET state = 'x' WHERE id = 1 AND state = 'new';
-- case: tx-two-alters | none | 15
-- [up]
ALTER TABLE users ADD k int; ALTER TABLE orders ADD k int;
-- case: tx-alter-index-new | none | 15
-- [up]
ALTER TABLE users ADD k int; CREATE TABLE fresh (id bigint PRIMARY KEY); CREATE INDEX ON fresh (id);
-- case: tx-alter-update-key | none | 15
-- [up]
ALTER TABLE users ADD k int; UPDATE users SET k = 1 WHERE id = 1;
-- case: tx-alter-update | block,rows | 15
-- [up]
ALTER TABLE users ADD k int; UPDATE users SET k = 1;
-- case: tx-alter-update-other | block,rows | 15
-- [up]
ALTER TABLE users ADD k int; UPDATE orders SET total = 1;
-- case: tx-update-alter | rows | 15
-- [up]
UPDATE orders SET total = 1 WHERE id < 18000; ALTER TABLE users ADD k int;
-- case: tx-trigger-update | block,rows | 15
-- [up]
CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION app.touch(); UPDATE users SET city = 'y';
-- case: tx-lock-table | block,rows | 15
-- [up]
LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE; UPDATE orders SET total = 1;
-- case: tx-lock-share-select | block | 15
-- [up]
LOCK TABLE users IN ACCESS EXCLUSIVE MODE; SELECT count(*) FROM orders;
-- case: tx-alter-select-count | block | 15
-- [up]
ALTER TABLE users ADD k int; SELECT count(*) FROM orders;
-- case: tx-alter-do-check | block | 15
-- [up]
ALTER TABLE users ADD k int; DO $$ BEGIN IF EXISTS (SELECT 1 FROM orders WHERE total < 0) THEN RAISE 'no'; END IF; END $$;
-- case: tx-alter-setval | none | 15
-- [up]
ALTER TABLE users ADD k int; SELECT setval('ticket', (SELECT max(id) FROM users));
-- case: tx-select-function | none | 15
-- [up]
ALTER TABLE users ADD k int; SELECT shaky();
-- case: tx-trigger-create | none | 15
-- [up]
CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION app.touch();
-- case: tx-fk-nv-two | none | 15
-- [up]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID; ALTER TABLE users ADD k int;
-- case: tx-analyze | none | 15
-- [up]
ANALYZE users;
-- case: tx-alter-analyze | none | 15
-- [up]
ALTER TABLE users ADD k int; ANALYZE users;
-- case: tx-comment | none | 15
-- [up]
COMMENT ON TABLE users IS 'people'; COMMENT ON COLUMN users.city IS 'where';
-- case: tx-grant | none | 15
-- [up]
GRANT SELECT ON users TO CURRENT_USER;
-- case: tx-view | none | 15
-- [up]
CREATE OR REPLACE VIEW people AS SELECT id, name, city FROM users;
-- case: tx-function | none | 15
-- [up]
CREATE OR REPLACE FUNCTION shaky() RETURNS integer LANGUAGE sql AS 'SELECT 2';
-- case: tx-mixed | retry by hand | 15
-- [up]
CREATE INDEX CONCURRENTLY a ON users (city); ALTER TABLE users ADD k int;
-- case: fail-index-conc-partitioned | fail | 15
-- [up]
-- turnback: no-transaction
ALTER TABLE events ADD k int; ALTER TABLE events DROP nothing_there;
-- case: fail-two-columns | fail | 15
-- [up]
INSERT INTO cache (id, id) VALUES (1, 2);
-- case: fail-type-view | fail | 15
-- [up]
ALTER TABLE users ALTER name TYPE text;
-- case: fail-drop-table-view | fail | 15
-- [up]
DROP TABLE users;
-- case: fail-table-exists-other | fail | 15
-- [up]
CREATE TABLE IF NOT EXISTS cache (id bigint PRIMARY KEY, w text); INSERT INTO cache (id, w) VALUES (1000001, 'x');
-- case: fail-table-exists-same | none | 15
-- [up]
CREATE TABLE IF NOT EXISTS cache (id bigint PRIMARY KEY, v text);
-- case: fail-or-replace-view | fail | 15
-- [up]
CREATE OR REPLACE VIEW people AS SELECT id FROM users;
-- case: fail-or-replace-function | fail | 15
-- [up]
CREATE OR REPLACE FUNCTION shaky() RETURNS text LANGUAGE sql AS 'SELECT ''a''';
-- case: do-variable | none | 15
-- [up]
DO $$ DECLARE v bigint := 5; BEGIN UPDATE users SET city = 'y' WHERE id = v; END $$;
-- case: do-variable-two | none | 15
-- [up]
DO $$ DECLARE v bigint := 5; BEGIN SELECT 6 INTO v; UPDATE users SET city = 'y' WHERE id = v; DELETE FROM orders WHERE id = v; END $$;
-- case: do-new-table | none | 15
-- [up]
DO $$ BEGIN CREATE TABLE fresh (id bigint PRIMARY KEY, v text); CREATE INDEX fresh_v ON fresh (v); END $$;
-- case: do-new-table-then | none | 15
-- [up]
DO $$ BEGIN CREATE TABLE fresh (id bigint PRIMARY KEY, v text); END $$; CREATE INDEX fresh_v ON fresh (v);
-- case: do-new-enum | none | 15
-- [up]
DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN NULL; END $$; ALTER TABLE users ADD COLUMN m mood;
-- case: do-check-nv | none | 15
-- [up]
DO $$ BEGIN ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
-- case: do-add-column-if | none | 15
-- [up]
DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'users' AND column_name = 'k') THEN ALTER TABLE users ADD COLUMN k int; END IF; END $$;
-- case: do-add-default-if | block | 15
-- [up]
DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'users' AND column_name = 'k') THEN ALTER TABLE users ADD COLUMN k uuid DEFAULT gen_random_uuid(); END IF; END $$;
-- case: do-fk | block | 15
-- [up]
DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'f') THEN ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users (id); END IF; END $$;
-- case: do-two-partitions | none | 15
-- [up]
DO $$ BEGIN FOR i IN 1..3 LOOP EXECUTE format('CREATE TABLE regions_%s PARTITION OF regions FOR VALUES IN (%L)', i, i); END LOOP; END $$;
-- case: do-alter-then-update | block,rows | 15
-- [up]
DO $$ BEGIN ALTER TABLE users ADD k int; UPDATE orders SET total = 1; END $$;
-- case: do-rename | break | 15
-- [up]
DO $$ BEGIN ALTER TABLE users RENAME COLUMN city TO town; END $$;
-- case: do-drop-column | break | 15
-- [up]
DO $$ BEGIN ALTER TABLE users DROP COLUMN city; END $$;
-- case: do-drop-table | break | 15
-- [up]
DO $$ BEGIN DROP TABLE IF EXISTS cache; END $$;
-- case: do-required | fail | 15
-- [up]
DO $$ BEGIN ALTER TABLE users ADD COLUMN k int NOT NULL; END $$;
-- case: tx-select-alone | none | 15
-- [up]
SELECT count(*) FROM orders;
-- case: tx-alter-select-max | none | 15
-- [up]
ALTER TABLE users ADD k int; SELECT max(id) FROM orders;
-- case: tx-alter-select-indexed | none | 15
-- [up]
ALTER TABLE users ADD k int; SELECT total FROM orders WHERE user_id = 5;
-- case: tx-alter-select-unindexed | block | 15
-- [up]
ALTER TABLE users ADD k int; SELECT id FROM orders WHERE total = 6;
-- case: tx-alter-select-limit | none | 15
-- [up]
ALTER TABLE users ADD k int; SELECT id FROM orders LIMIT 5;
-- case: tx-alter-select-exists | none | 15
-- [up]
ALTER TABLE users ADD k int; SELECT EXISTS (SELECT 1 FROM orders);
-- case: tx-alter-select-catalog | none | 15
-- [up]
ALTER TABLE users ADD k int; SELECT count(*) FROM pg_catalog.pg_class;
-- case: tx-alter-function-update | block,rows | 15
-- [given]
CREATE FUNCTION fill_city() RETURNS void LANGUAGE sql AS 'UPDATE orders SET total = 7';
-- [up]
ALTER TABLE users ADD k int; SELECT fill_city();
-- case: rows-function | rows | 15
-- [given]
CREATE FUNCTION fill_city() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET city = 'z'; END $$;
-- [up]
SELECT fill_city();
-- case: rows-function-new | rows | 15
-- [up]
CREATE FUNCTION fill_city() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET city = 'z'; END $$; SELECT fill_city(); DROP FUNCTION fill_city();
-- case: rows-function-not-called | none | 15
-- [up]
CREATE FUNCTION fill_city() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET city = 'z'; END $$;
-- case: rows-call | rows | 15
-- [given]
CREATE PROCEDURE fill_city() LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET city = 'z'; END $$;
-- [up]
CALL fill_city();
-- case: rows-update-one-day | none | 15
-- [up]
UPDATE events SET kind = 'z' WHERE at >= '2020-06-02' AND at < '2020-06-03';
-- case: rows-update-one-day-cast | none | 15
-- [up]
UPDATE events SET kind = 'z' WHERE at BETWEEN DATE '2020-06-02' AND DATE '2020-06-04';
-- case: rows-update-year-cast | rows | 15
-- [up]
UPDATE events SET kind = 'z' WHERE at BETWEEN '2020-01-01'::date AND '2020-12-31'::date;
-- case: path-update | rows | 15
-- [up]
SET search_path = app, public; UPDATE accounts SET balance = 1;
-- case: path-index | block | 15
-- [up]
SET search_path TO app; CREATE INDEX accounts_ref ON accounts (ref);
-- case: path-local-new | none | 15
-- [up]
SET LOCAL search_path TO app; CREATE TABLE fresh (id bigint PRIMARY KEY, ref bigint NOT NULL); ALTER TABLE fresh ALTER ref TYPE text;
-- case: path-temp-same-name | none | 15
-- [up]
CREATE TEMP TABLE cache AS SELECT 1 AS id; UPDATE cache SET id = 2; DROP TABLE cache;
-- case: path-set-config | none | 15
-- [up]
SELECT set_config('search_path', 'app', true); CREATE TABLE fresh (id bigint PRIMARY KEY); CREATE INDEX ON fresh (id);
-- case: idx-hash | block | 15
-- [up]
CREATE INDEX users_code_hash ON users USING hash (code);
-- case: idx-brin | block | 15
-- [up]
CREATE INDEX users_created ON users USING brin (created);
-- case: idx-unique-conc | none | 15
-- [up]
CREATE UNIQUE INDEX CONCURRENTLY users_email ON users (email);
-- case: idx-tablespace | none | 15
-- [up]
CREATE INDEX CONCURRENTLY users_email ON users (email) TABLESPACE fast;
-- case: idx-foreign-schema-drop | none | 15
-- [up]
DROP INDEX IF EXISTS app.nothing_there;
-- case: idx-drop-cascade | none | 15
-- [up]
DROP INDEX orders_user_id_idx CASCADE;
-- case: idx-drop-pk | fail | 15
-- [up]
DROP INDEX users_pkey;
-- case: idx-two-conc-one-file | none | 15
-- [up]
CREATE INDEX CONCURRENTLY a1 ON users (city); CREATE INDEX CONCURRENTLY a2 ON orders (total);
-- case: idx-unlogged-conc | none | 15
-- [up]
CREATE INDEX CONCURRENTLY cache_v ON cache (v);
-- case: idx-like-new | none | 15
-- [up]
CREATE TABLE fresh (LIKE users INCLUDING ALL); CREATE INDEX fresh_city ON fresh (city);
-- case: idx-ctas | none | 15
-- [up]
CREATE TABLE fresh AS SELECT id FROM users LIMIT 10; CREATE INDEX ON fresh (id);
-- case: idx-ctas-all | none | 15
-- [up]
CREATE TABLE fresh AS SELECT id, city FROM users; CREATE INDEX ON fresh (id);
-- case: idx-select-into | none | 15
-- [up]
SELECT id INTO fresh FROM users LIMIT 10; CREATE INDEX ON fresh (id);
-- case: idx-inherit-new | none | 15
-- [up]
CREATE TABLE fresh () INHERITS (base); CREATE INDEX ON fresh (a);
-- case: idx-partition-new | none | 15
-- [up]
CREATE TABLE regions_us PARTITION OF regions FOR VALUES IN ('us'); CREATE INDEX ON regions_us (v);
-- case: idx-partitioned-new | none | 15
-- [up]
CREATE TABLE logs (id bigint, at date) PARTITION BY RANGE (at); CREATE INDEX ON logs (id); CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
-- case: idx-expression-conc | none | 15
-- [up]
CREATE INDEX CONCURRENTLY users_lower ON users (lower(email) text_pattern_ops);
-- case: reindex-schema-conc | none | 15
-- [up]
REINDEX SCHEMA CONCURRENTLY app;
-- case: reindex-schema | rewrite | 15
-- [up]
REINDEX SCHEMA app;
-- case: col-notnull-default-func | none | 15
-- [up]
ALTER TABLE users ADD k timestamptz NOT NULL DEFAULT transaction_timestamp();
-- case: col-current-date | none | 15
-- [up]
ALTER TABLE users ADD k date NOT NULL DEFAULT CURRENT_DATE, ADD k2 text DEFAULT CURRENT_USER;
-- case: col-localtime | none | 15
-- [up]
ALTER TABLE users ADD k time DEFAULT LOCALTIME;
-- case: col-interval | none | 15
-- [up]
ALTER TABLE users ADD k interval NOT NULL DEFAULT '1 hour'::interval * 2;
-- case: col-concat | none | 15
-- [up]
ALTER TABLE users ADD k text DEFAULT 'a' || 'b' || 3;
-- case: col-to-char-now | none | 15
-- [up]
ALTER TABLE users ADD k text DEFAULT to_char(now(), 'YYYY');
-- case: col-md5-clock | block | 15
-- [up]
ALTER TABLE users ADD k text DEFAULT md5(clock_timestamp()::text);
-- case: col-currval | fail | 15
-- [given]
SELECT nextval('ticket');
-- [up]
ALTER TABLE users ADD k bigint DEFAULT lastval();
-- case: col-uuidv7 | block | 18
-- [up]
ALTER TABLE users ADD k uuid DEFAULT uuidv7();
-- case: col-gen-random-uuid-later | none | 15
-- [up]
ALTER TABLE users ADD k uuid;
-- [up]
ALTER TABLE users ALTER k SET DEFAULT gen_random_uuid();
-- case: col-row-default | block | 15
-- [up]
ALTER TABLE users ADD k int[] DEFAULT ARRAY[1, (random() * 5)::int];
-- case: col-setseed | none | 15
-- [up]
ALTER TABLE users ADD k text DEFAULT current_setting('server_version');
-- case: col-inet | none | 15
-- [up]
ALTER TABLE users ADD k inet DEFAULT inet_client_addr();
-- case: col-pg-backend | none | 15
-- [up]
ALTER TABLE users ADD k int DEFAULT pg_backend_pid();
-- case: col-txid | none | 15
-- [up]
ALTER TABLE users ADD k xid8 DEFAULT pg_current_xact_id();
-- case: col-collate | none | 15
-- [up]
ALTER TABLE users ADD k text COLLATE "C" NOT NULL DEFAULT '';
-- case: col-storage-too | none | 16
-- [up]
ALTER TABLE users ADD k text STORAGE EXTERNAL;
-- case: col-compression | none | 15
-- [up]
ALTER TABLE users ADD k text COMPRESSION pglz;
-- case: col-pk | block | 15
-- [up]
ALTER TABLE loose ADD k bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
-- case: col-pk-serial-new | none | 15
-- [up]
CREATE TABLE fresh (v int); ALTER TABLE fresh ADD id bigserial PRIMARY KEY;
-- case: col-identity-quoted | block | 15
-- [up]
ALTER TABLE "Big Table" ADD "N" int GENERATED BY DEFAULT AS IDENTITY (START 5);
-- case: col-domain-of-domain | block | 15
-- [given]
CREATE DOMAIN nested AS positive;
-- [up]
ALTER TABLE users ADD k nested;
-- case: col-domain-notnull-default | block | 15
-- [given]
CREATE DOMAIN must AS text NOT NULL;
-- [up]
ALTER TABLE users ADD k must DEFAULT 'x';
-- case: col-domain-default-volatile | block | 15
-- [given]
CREATE DOMAIN gen AS uuid DEFAULT gen_random_uuid();
-- [up]
ALTER TABLE users ADD k gen;
-- case: col-domain-default-const | none | 15
-- [given]
CREATE DOMAIN con AS text DEFAULT 'x';
-- [up]
ALTER TABLE users ADD k con;
-- case: col-enum-default-new | none | 15
-- [up]
CREATE TYPE mood AS ENUM ('sad', 'ok'); ALTER TABLE users ADD k mood NOT NULL DEFAULT 'ok';
-- case: col-unique-null | fail | 15
-- [up]
ALTER TABLE users ADD k text UNIQUE NULLS NOT DISTINCT;
-- case: col-check-named | block | 15
-- [up]
ALTER TABLE users ADD k int CONSTRAINT k_pos CHECK (k > 0) NOT NULL DEFAULT 1;
-- case: col-notnull-dropdefault | break | 15
-- [up]
ALTER TABLE users ADD k int NOT NULL DEFAULT 1; ALTER TABLE users ALTER k DROP DEFAULT;
-- case: col-foreign-table | none | 15
-- [given]
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE far (id int) SERVER s;
-- [up]
ALTER FOREIGN TABLE far ADD k int;
-- case: col-of-view | none | 15
-- [up]
ALTER VIEW people ALTER COLUMN name SET DEFAULT 'x';
-- case: col-only-parent | fail | 15
-- [up]
ALTER TABLE ONLY base ADD k int;
-- case: col-child-only | block | 15
-- [up]
ALTER TABLE child ADD k uuid DEFAULT gen_random_uuid();
-- case: col-drop-two | break | 15
-- [up]
ALTER TABLE users DROP age, DROP credit;
-- case: col-drop-pk | break | 15
-- [up]
ALTER TABLE orders DROP COLUMN id;
-- case: col-drop-partitioned | break | 15
-- [up]
ALTER TABLE events DROP COLUMN kind;
-- case: col-drop-schema | break | 15
-- [up]
ALTER TABLE app.accounts DROP COLUMN ref;
-- case: col-drop-expression-virtual | none | 15
-- [up]
ALTER TABLE stats ALTER twice DROP EXPRESSION IF EXISTS;
-- case: col-drop-identity | break | 15
-- [given]
CREATE TABLE idt (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int);
-- [up]
ALTER TABLE idt ALTER id DROP IDENTITY;
-- [application]
INSERT INTO idt (v) VALUES (1);
-- case: col-set-generated | none | 15
-- [given]
CREATE TABLE idt (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int);
-- [up]
ALTER TABLE idt ALTER id SET GENERATED BY DEFAULT;
-- [application]
INSERT INTO idt (v) VALUES (1);
-- case: null-two-columns | block | 15
-- [up]
ALTER TABLE users ALTER city SET NOT NULL, ALTER created SET NOT NULL;
-- case: null-schema | block | 15
-- [up]
ALTER TABLE app.accounts ALTER owner SET NOT NULL;
-- case: null-if-exists | block | 15
-- [up]
ALTER TABLE IF EXISTS app.accounts ALTER COLUMN balance SET NOT NULL;
-- case: null-pk-column | none | 15
-- [up]
ALTER TABLE orders ALTER id SET NOT NULL;
-- case: null-check-partition-parent | none | 15
-- [up]
ALTER TABLE events ADD CONSTRAINT c CHECK (user_id IS NOT NULL) NOT VALID;
-- [up]
ALTER TABLE events VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE events ALTER user_id SET NOT NULL;
-- case: null-check-inherit | none | 15
-- [up]
ALTER TABLE base ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID;
-- [up]
ALTER TABLE base VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE base ALTER a SET NOT NULL;
-- case: null-check-not-null-fn | block | 15
-- [up]
ALTER TABLE users ADD CONSTRAINT c CHECK (coalesce(city, '') <> '') NOT VALID;
-- [up]
ALTER TABLE users VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE users ALTER city SET NOT NULL;
-- case: null-check-double | none | 15
-- [up]
ALTER TABLE users ADD CONSTRAINT c CHECK (NOT city IS NULL) NOT VALID;
-- [up]
ALTER TABLE users VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE users ALTER city SET NOT NULL;
-- case: null-not-null-18-inherit | none | 18
-- [up]
ALTER TABLE base ADD CONSTRAINT n NOT NULL a NOT VALID;
-- case: null-18-validate | none | 18
-- [given]
ALTER TABLE users ADD CONSTRAINT n NOT NULL city NOT VALID;
-- [up]
ALTER TABLE users VALIDATE CONSTRAINT n;
-- case: null-18-set-after | block | 18
-- [given]
ALTER TABLE users ADD CONSTRAINT n NOT NULL city NOT VALID;
-- [up]
ALTER TABLE users ALTER city SET NOT NULL;
-- case: null-18-partition-nv | none | 18
-- [up]
ALTER TABLE events ADD CONSTRAINT n NOT NULL user_id NOT VALID;
-- case: null-add-pk-nullable | block | 15
-- [up]
ALTER TABLE loose ADD PRIMARY KEY (id);
-- case: check-schema | block | 15
-- [up]
ALTER TABLE app.accounts ADD CONSTRAINT pos CHECK (balance >= 0);
-- case: check-new-column-nv | none | 15
-- [up]
ALTER TABLE users ADD k int, ADD CONSTRAINT kpos CHECK (k > 0) NOT VALID;
-- case: check-new-column | block | 15
-- [up]
ALTER TABLE users ADD k int, ADD CONSTRAINT kpos CHECK (k > 0);
-- case: check-only | none | 15
-- [up]
ALTER TABLE ONLY base ADD CONSTRAINT c CHECK (a > 0) NO INHERIT NOT VALID;
-- case: check-new-table | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY, v int); ALTER TABLE fresh ADD CHECK (v > 0);
-- case: check-rename-then-add | block | 15
-- [up]
ALTER TABLE cache RENAME TO cash; CREATE VIEW cache AS SELECT * FROM cash; ALTER TABLE cash ADD CHECK (v <> 'q');
-- case: check-validate-two | none | 15
-- [given]
ALTER TABLE orders ADD CONSTRAINT orders_note CHECK (note <> '') NOT VALID;
-- [up]
ALTER TABLE orders VALIDATE CONSTRAINT orders_total_there, VALIDATE CONSTRAINT orders_note;
-- case: check-18-enforced | fail | 18
-- [up]
ALTER TABLE users ALTER CONSTRAINT users_age_there NOT ENFORCED;
-- case: fk-self | block by hand | 15
-- [up]
CREATE INDEX CONCURRENTLY ua ON users (age);
-- [up]
ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (age) REFERENCES users;
-- case: fk-schema | block | 15
-- [up]
CREATE INDEX CONCURRENTLY ar ON app.accounts (ref);
-- [up]
ALTER TABLE app.accounts ADD FOREIGN KEY (ref) REFERENCES public.users (id) ON DELETE CASCADE;
-- case: fk-partitioned-nv | block | 15
-- [up]
CREATE INDEX ei ON events (user_id);
-- [up]
ALTER TABLE events ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users;
-- case: fk-partitioned-nv18 | design by hand | 18
-- [up]
ALTER TABLE events ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID;
-- case: fk-new-to-new | none | 15
-- [up]
CREATE TABLE p (id bigint PRIMARY KEY); CREATE TABLE c (id bigint PRIMARY KEY, p_id bigint REFERENCES p); CREATE INDEX ON c (p_id);
-- case: fk-no-index | design by hand | 15
-- [up]
ALTER TABLE bills ADD CONSTRAINT f FOREIGN KEY (sum) REFERENCES users NOT VALID;
-- case: fk-new-no-index | design by hand | 15
-- [up]
CREATE TABLE c (id bigint PRIMARY KEY, user_id bigint REFERENCES users);
-- case: fk-composite-index-second | design by hand | 15
-- [up]
CREATE TABLE c (id bigint PRIMARY KEY, x int, user_id bigint REFERENCES users); CREATE INDEX ON c (x, user_id);
-- case: fk-pk-prefix | none | 15
-- [up]
CREATE TABLE c (user_id bigint REFERENCES users, x int, PRIMARY KEY (user_id, x));
-- case: fk-type-mismatch | design by hand | 15
-- [up]
CREATE TABLE c (id bigint PRIMARY KEY, user_id integer REFERENCES users); CREATE INDEX ON c (user_id);
-- case: fk-drop-add-nv | none | 15
-- [given]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID;
-- [up]
ALTER TABLE orders DROP CONSTRAINT f, ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE NOT VALID;
-- case: unique-schema | block,break | 15
-- [up]
ALTER TABLE app.accounts ADD UNIQUE (ref);
-- case: unique-deferrable | block | 15
-- [up]
ALTER TABLE bills ADD CONSTRAINT u UNIQUE (id, sum) DEFERRABLE INITIALLY DEFERRED;
-- case: unique-new-table | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY, v int); ALTER TABLE fresh ADD UNIQUE (v);
-- case: unique-drop-add-using | none | 15
-- [up]
CREATE UNIQUE INDEX CONCURRENTLY users_pk2 ON users (id);
-- [up]
ALTER TABLE users DROP CONSTRAINT users_pkey, ADD CONSTRAINT users_pkey PRIMARY KEY USING INDEX users_pk2;
-- case: pk-partitioned | block | 15
-- [up]
ALTER TABLE events ADD PRIMARY KEY (id, at);
-- case: pk-drop | break by hand | 15
-- [up]
ALTER TABLE bills DROP CONSTRAINT bills_pkey;
-- case: exclude-new-table | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY, r int4range, EXCLUDE USING gist (r WITH &&));
-- case: type-bigint-int | fail | 15
-- [up]
ALTER TABLE users ALTER id TYPE integer;
-- case: type-int-smallint | block | 15
-- [up]
ALTER TABLE users ALTER age TYPE smallint;
-- case: type-text-varchar | none | 15
-- [up]
ALTER TABLE users ALTER city TYPE varchar;
-- case: type-text-citext-like | block | 15
-- [up]
ALTER TABLE users ALTER city TYPE name;
-- case: type-varchar-char | block | 15
-- [up]
ALTER TABLE users ALTER code TYPE char(20);
-- case: type-timestamp-tz-at | block | 15
-- [up]
ALTER TABLE users ALTER created TYPE timestamptz USING created AT TIME ZONE 'UTC';
-- case: type-timestamp-date | block | 15
-- [up]
ALTER TABLE users ALTER created TYPE date;
-- case: type-timestamp-less | block | 15
-- [up]
ALTER TABLE users ALTER created TYPE timestamp(0);
-- case: type-numeric-unbounded | none | 15
-- [up]
ALTER TABLE users ALTER credit TYPE numeric;
-- case: type-numeric-float | block | 15
-- [up]
ALTER TABLE users ALTER credit TYPE double precision;
-- case: type-bool-int | block,break | 15
-- [up]
ALTER TABLE users ALTER active DROP DEFAULT, ALTER active TYPE integer USING active::int;
-- case: type-jsonb-json | block | 15
-- [up]
ALTER TABLE stats ALTER doc TYPE json;
-- case: type-int-text | fail | 15
-- [up]
ALTER TABLE stats ALTER n TYPE text;
-- case: type-array-text | block | 15
-- [up]
ALTER TABLE stats ALTER ids TYPE text;
-- case: type-enum-text | block | 15
-- [up]
ALTER TABLE bills ALTER grade TYPE text;
-- case: type-text-enum | block | 15
-- [up]
ALTER TABLE bills ALTER grade TYPE tier USING grade::text::tier;
-- case: type-enum-same | none | 15
-- [up]
ALTER TABLE bills ALTER grade TYPE tier;
-- case: type-two | block | 15
-- [up]
ALTER TABLE users ALTER code TYPE varchar(60), ALTER age TYPE bigint;
-- case: type-two-good | none | 15
-- [up]
ALTER TABLE users ALTER code TYPE varchar(60), ALTER seen TYPE timestamptz;
-- case: type-only-child | block | 15
-- [up]
ALTER TABLE child ALTER c TYPE bigint;
-- case: type-partition-key | fail | 15
-- [up]
ALTER TABLE events ALTER at TYPE timestamp;
-- case: type-collate-unindexed | none | 15
-- [up]
ALTER TABLE users ALTER city TYPE text COLLATE "C";
-- case: type-with-index-int | fail | 15
-- [up]
ALTER TABLE orders ALTER user_id TYPE int;
-- case: type-fk-column | fail | 15
-- [given]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID;
-- [up]
ALTER TABLE orders ALTER user_id TYPE numeric;
-- case: type-indexed-text-varchar | none | 15
-- [given]
CREATE TABLE kk (id bigint PRIMARY KEY, v text); CREATE INDEX kk_v ON kk (v); INSERT INTO kk SELECT i, 'x' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kk ALTER v TYPE varchar;
-- case: type-indexed-expr | block | 15
-- [given]
CREATE TABLE kk (id bigint PRIMARY KEY, v text); CREATE INDEX kk_v ON kk (lower(v)); INSERT INTO kk SELECT i, 'x' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kk ALTER v TYPE varchar;
-- case: type-indexed-wider | none | 15
-- [given]
CREATE TABLE kk (id bigint PRIMARY KEY, v varchar(10)); CREATE INDEX kk_v ON kk (v); INSERT INTO kk SELECT i, 'x' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kk ALTER v TYPE varchar(20);
-- case: type-check-wider | block | 15
-- [given]
CREATE TABLE kk (id bigint PRIMARY KEY, v varchar(10) CHECK (v <> '')); INSERT INTO kk SELECT i, 'x' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kk ALTER v TYPE varchar(20);
-- case: type-not-null-wider | none | 15
-- [given]
CREATE TABLE kk (id bigint PRIMARY KEY, v varchar(10) NOT NULL DEFAULT 'x'); INSERT INTO kk SELECT i, 'x' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kk ALTER v TYPE varchar(20);
-- case: type-trigger-of | fail | 15
-- [given]
CREATE TRIGGER t BEFORE UPDATE OF code ON users FOR EACH ROW EXECUTE FUNCTION app.touch();
-- [up]
ALTER TABLE users ALTER code TYPE varchar(40);
-- case: type-policy | fail | 15
-- [given]
CREATE POLICY p ON users USING (code <> 'x'); ALTER TABLE users ENABLE ROW LEVEL SECURITY;
-- [up]
ALTER TABLE users ALTER code TYPE varchar(40);
-- case: type-rule-view | fail | 15
-- [given]
CREATE VIEW codes AS SELECT code FROM users;
-- [up]
ALTER TABLE users ALTER code TYPE varchar(40);
-- case: type-function-body | none | 15
-- [given]
CREATE FUNCTION cd() RETURNS text LANGUAGE sql AS 'SELECT code FROM users LIMIT 1';
-- [up]
ALTER TABLE users ALTER code TYPE varchar(40);
-- case: type-stat | none | 15
-- [given]
CREATE STATISTICS st ON code, city FROM users;
-- [up]
ALTER TABLE users ALTER code TYPE varchar(40);
-- case: rw-tablespace-matview | rewrite | 15
-- [up]
ALTER MATERIALIZED VIEW totals SET TABLESPACE fast;
-- case: rw-vacuum-full-two | rewrite | 15
-- [up]
VACUUM (FULL, ANALYZE) cache, stats;
-- case: rw-vacuum-freeze | none | 15
-- [up]
VACUUM (FREEZE) cache;
-- case: rw-vacuum-full-false | none | 15
-- [up]
VACUUM (FULL false) cache;
-- case: rw-analyze-all | none | 15
-- [up]
ANALYZE;
-- case: rw-cluster-all | block by hand | 15
-- [up]
CLUSTER;
-- case: rw-oids | none | 15
-- [up]
ALTER TABLE users SET WITHOUT OIDS;
-- case: rw-of-notof | none | 15
-- [up]
ALTER TABLE ONLY users SET (autovacuum_vacuum_scale_factor = 0.01);
-- case: rw-toast | none | 15
-- [up]
ALTER TABLE users SET (toast.autovacuum_enabled = false), RESET (fillfactor);
-- case: rw-unlogged-new | none | 15
-- [up]
CREATE UNLOGGED TABLE fresh (id bigint PRIMARY KEY); ALTER TABLE fresh SET LOGGED;
-- case: rw-generated-expr | block | 17
-- [up]
ALTER TABLE stats ALTER COLUMN twice SET EXPRESSION AS (n + 1);
-- case: part-attach-multi | none | 15
-- [given]
DROP TABLE events_rest;
-- [up]
ALTER TABLE loose ADD CONSTRAINT c CHECK (at BETWEEN '2022-01-01' AND '2022-12-31') NOT VALID;
-- [up]
ALTER TABLE loose VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE events ATTACH PARTITION loose FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
-- case: part-attach-equal | none | 15
-- [given]
CREATE TABLE rus (id bigint, region text NOT NULL, v int); INSERT INTO rus SELECT i, 'us', i FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE rus ADD CONSTRAINT c CHECK (region = 'us') NOT VALID;
-- [up]
ALTER TABLE rus VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE regions ATTACH PARTITION rus FOR VALUES IN ('us');
-- case: part-attach-list-unproven | block | 15
-- [given]
CREATE TABLE rus (id bigint, region text NOT NULL, v int); INSERT INTO rus SELECT i, 'us', i FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE regions ATTACH PARTITION rus FOR VALUES IN ('us');
-- case: part-attach-list-wrong | block | 15
-- [given]
CREATE TABLE rus (id bigint, region text NOT NULL, v int); INSERT INTO rus SELECT i, 'us', i FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE rus ADD CONSTRAINT c CHECK (region IN ('us', 'ca')) NOT VALID;
-- [up]
ALTER TABLE rus VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE regions ATTACH PARTITION rus FOR VALUES IN ('us');
-- case: part-attach-nullable | fail | 15
-- [given]
DROP TABLE events_rest; ALTER TABLE loose ALTER at DROP NOT NULL;
-- [up]
ALTER TABLE loose ADD CONSTRAINT c CHECK (at >= '2022-01-01' AND at < '2023-01-01') NOT VALID;
-- [up]
ALTER TABLE loose VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE events ATTACH PARTITION loose FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
-- case: part-attach-nullable-proven | none | 15
-- [given]
CREATE TABLE st (id bigint, at date) PARTITION BY RANGE (at); CREATE TABLE st1 (id bigint, at date); INSERT INTO st1 SELECT i, '2022-03-03' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE st1 ADD CONSTRAINT c CHECK (at IS NOT NULL AND at >= '2022-01-01' AND at < '2023-01-01') NOT VALID;
-- [up]
ALTER TABLE st1 VALIDATE CONSTRAINT c;
-- [up]
ALTER TABLE st ATTACH PARTITION st1 FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
-- case: part-of-default-proven | none | 15
-- [up]
ALTER TABLE events_rest ADD CONSTRAINT c CHECK (NOT (at >= '2022-01-01' AND at < '2023-01-01')) NOT VALID;
-- [up]
ALTER TABLE events_rest VALIDATE CONSTRAINT c;
-- [up]
CREATE TABLE events_2022 PARTITION OF events FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
-- case: part-hash | none | 15
-- [up]
CREATE TABLE h (id bigint PRIMARY KEY, v int) PARTITION BY HASH (id); CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1);
-- case: part-drop-if-exists | loss by hand | 15
-- [up]
DROP TABLE IF EXISTS events_2020;
-- case: part-truncate | rewrite | 15
-- [up]
TRUNCATE events_2020;
-- case: part-detach-then-drop | loss by hand | 15
-- [up]
ALTER TABLE events DETACH PARTITION events_2020;
-- [up]
DROP TABLE events_2020;
-- case: drop-cascade-view | break | 15
-- [up]
DROP TABLE users CASCADE;
-- case: drop-schema-tables | break | 15
-- [up]
DROP SCHEMA IF EXISTS app CASCADE;
-- case: drop-type-cascade | break | 15
-- [up]
DROP TYPE tier CASCADE;
-- case: drop-function-cascade | break | 15
-- [up]
DROP FUNCTION IF EXISTS steady(integer) CASCADE;
-- case: drop-procedure | break | 15
-- [given]
CREATE PROCEDURE pr() LANGUAGE sql AS 'SELECT 1';
-- [up]
DROP PROCEDURE pr();
-- [application]
CALL pr();
-- case: drop-function-recreate | none | 15
-- [up]
DROP FUNCTION shaky(); CREATE FUNCTION shaky() RETURNS integer LANGUAGE sql AS 'SELECT 3';
-- case: drop-function-recreate-other | break | 15
-- [up]
DROP FUNCTION shaky(); CREATE FUNCTION shaky(a integer) RETURNS integer LANGUAGE sql AS 'SELECT 3';
-- case: drop-trigger-recreate | none | 15
-- [up]
DROP TRIGGER IF EXISTS t ON users; CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION app.touch();
-- case: drop-policy | none | 15
-- [up]
DROP POLICY IF EXISTS p ON users;
-- case: drop-index-if | none | 15
-- [up]
DROP INDEX IF EXISTS orders_user_id_idx, nothing_idx;
-- case: drop-statistics | none | 15
-- [given]
CREATE STATISTICS st ON code, city FROM users;
-- [up]
DROP STATISTICS st;
-- case: drop-role | none | 15
-- [given]
CREATE ROLE lint_panel_r;
-- [up]
DROP ROLE lint_panel_r;
-- case: drop-matview-recreate | block | 15
-- [up]
DROP MATERIALIZED VIEW totals; CREATE MATERIALIZED VIEW totals AS SELECT user_id, count(*) AS n FROM orders GROUP BY user_id;
-- case: drop-view-two | break | 15
-- [up]
DROP VIEW IF EXISTS people, nothing_view;
-- case: drop-rule | none | 15
-- [given]
CREATE RULE r AS ON DELETE TO users DO INSTEAD NOTHING;
-- [up]
DROP RULE r ON users;
-- case: drop-default-table | loss by hand | 15
-- [up]
DROP TABLE events_rest;
-- case: drop-constraint-if-unknown | none | 15
-- [up]
ALTER TABLE users DROP CONSTRAINT IF EXISTS nothing_there;
-- case: rename-table-schema-view | none | 15
-- [up]
ALTER TABLE users RENAME TO clients; CREATE VIEW users AS SELECT * FROM clients;
-- case: rename-table-view-later-file | break by hand | 15
-- [up]
ALTER TABLE cache RENAME TO cash;
-- [up]
CREATE VIEW cache AS SELECT * FROM cash;
-- case: rename-swap | break by hand | 15
-- [up]
ALTER TABLE cache RENAME TO cache_old; CREATE TABLE cache (id bigint PRIMARY KEY, v text);
-- case: rename-column-view | none | 15
-- [up]
ALTER TABLE cache RENAME TO cash; ALTER TABLE cash RENAME v TO val; CREATE VIEW cache AS SELECT id, val AS v FROM cash;
-- case: rename-if-exists | break | 15
-- [up]
ALTER TABLE IF EXISTS cache RENAME TO cash;
-- case: rename-partition | none | 15
-- [up]
ALTER TABLE events_2020 RENAME TO events_y2020;
-- case: rename-pk | none | 15
-- [up]
ALTER INDEX users_pkey RENAME TO users_pk;
-- case: rename-constraint-pk | none | 15
-- [up]
ALTER TABLE users RENAME CONSTRAINT users_pkey TO users_pk;
-- case: rename-role | break by hand | 15
-- [given]
CREATE ROLE lint_panel_r;
-- [up]
ALTER ROLE lint_panel_r RENAME TO lint_panel_q;
-- case: rename-procedure | break | 15
-- [given]
CREATE PROCEDURE pr() LANGUAGE sql AS 'SELECT 1';
-- [up]
ALTER PROCEDURE pr() RENAME TO prr;
-- [application]
CALL pr();
-- case: rename-type-attr-drop | break | 15
-- [up]
ALTER TYPE pair RENAME ATTRIBUTE r TO rr CASCADE;
-- [application]
SELECT ((1,2)::pair).r;
-- case: set-schema-sequence | break | 15
-- [up]
ALTER SEQUENCE ticket SET SCHEMA app;
-- case: set-schema-domain | break | 15
-- [up]
ALTER DOMAIN amount SET SCHEMA app;
-- case: rls-enable | break by hand | 15
-- [up]
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
-- case: rls-enable-policy | none | 15
-- [up]
ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON users USING (id > 0) WITH CHECK (id > 0);
-- case: rls-policy-before | none | 15
-- [up]
CREATE POLICY p ON users USING (id > 0); ALTER TABLE users ENABLE ROW LEVEL SECURITY;
-- case: rls-new-table | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY); ALTER TABLE fresh ENABLE ROW LEVEL SECURITY;
-- case: rls-force | none | 15
-- [up]
ALTER TABLE users FORCE ROW LEVEL SECURITY;
-- case: rls-disable | security by hand | 15
-- [given]
CREATE POLICY p ON users USING (true); ALTER TABLE users ENABLE ROW LEVEL SECURITY;
-- [up]
ALTER TABLE users DISABLE ROW LEVEL SECURITY;
-- case: sec-alter-system | design by hand | 15
-- [up]
ALTER SYSTEM SET work_mem = '8MB';
-- case: sec-password | security by hand | 15
-- [up]
CREATE ROLE lint_panel_p LOGIN PASSWORD 'secret';
-- case: sec-role-nologin | none | 15
-- [up]
CREATE ROLE lint_panel_p NOLOGIN;
-- case: sec-grant-all-public | security by hand | 15
-- [up]
GRANT ALL ON users TO PUBLIC;
-- case: sec-grant-role | none | 15
-- [given]
CREATE ROLE lint_panel_p;
-- [up]
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA app TO lint_panel_p;
-- case: sec-revoke-public | none | 15
-- [up]
REVOKE ALL ON SCHEMA public FROM PUBLIC;
-- case: sec-definer | security by hand | 15
-- [up]
CREATE FUNCTION sd() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';
-- case: sec-definer-path | none | 15
-- [up]
CREATE FUNCTION sd() RETURNS int SECURITY DEFINER SET search_path = pg_catalog, pg_temp LANGUAGE sql AS 'SELECT 1';
-- case: sec-definer-later | none | 15
-- [up]
CREATE FUNCTION sd() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION sd() SET search_path = '';
-- case: sec-trigger-disable | design by hand | 15
-- [up]
ALTER TABLE users DISABLE TRIGGER ALL;
-- case: sec-trigger-disable-enable | none | 15
-- [up]
ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET city = 'x' WHERE id = 1; ALTER TABLE users ENABLE TRIGGER USER;
-- case: sec-replica | design by hand | 15
-- [up]
SET session_replication_role = replica; UPDATE users SET city = 'x' WHERE id = 1; SET session_replication_role = DEFAULT;
-- case: enum-add-after | none | 15
-- [up]
ALTER TYPE tier ADD VALUE 'middle' AFTER 'low';
-- case: enum-add-schema | none | 15
-- [up]
ALTER TYPE public.tier ADD VALUE IF NOT EXISTS 'low';
-- case: enum-drop-recreate | block | 15
-- [up]
ALTER TABLE bills ALTER grade TYPE text; DROP TYPE tier; CREATE TYPE tier AS ENUM ('low', 'high', 'top'); ALTER TABLE bills ALTER grade TYPE tier USING grade::tier;
-- case: seq-restart | none | 15
-- [up]
ALTER SEQUENCE ticket RESTART WITH 100;
-- case: seq-owned | none | 15
-- [up]
ALTER SEQUENCE ticket OWNED BY users.id;
-- case: seq-type | none | 15
-- [up]
ALTER SEQUENCE ticket AS integer;
-- case: seq-cycle | none | 15
-- [up]
ALTER SEQUENCE ticket INCREMENT BY 10 CACHE 5;
-- case: rows-insert-where | none | 15
-- [up]
INSERT INTO cache SELECT id + 1000000, city FROM users WHERE id = 5;
-- case: rows-insert-generate | none | 15
-- [up]
INSERT INTO cache SELECT i + 1000000, 'x' FROM generate_series(1, 100) i;
-- case: rows-insert-generate-many | none | 15
-- [up]
INSERT INTO cache SELECT i + 1000000, 'x' FROM generate_series(1, 20000) i;
-- case: rows-insert-conflict-nothing | none | 15
-- [up]
INSERT INTO cache VALUES (1, 'x') ON CONFLICT DO NOTHING;
-- case: rows-insert-conflict-one | none | 15
-- [up]
INSERT INTO cache VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = 'y';
-- case: rows-update-in-select | rows | 15
-- [up]
UPDATE users SET city = 'y' WHERE id IN (SELECT user_id FROM orders);
-- case: rows-update-in-select-small | none | 15
-- [up]
UPDATE users SET city = 'y' WHERE id = (SELECT max(user_id) FROM orders);
-- case: rows-update-is-null | rows | 15
-- [up]
UPDATE users SET city = 'y' WHERE name IS NOT NULL;
-- case: rows-update-bool | rows | 15
-- [up]
UPDATE users SET city = 'y' WHERE active;
-- case: rows-update-like | rows | 15
-- [up]
UPDATE users SET email = lower(email) WHERE email LIKE 'e%';
-- case: rows-update-returning | rows | 15
-- [up]
UPDATE users SET city = 'y' RETURNING id;
-- case: rows-update-composite-key | none | 15
-- [given]
CREATE TABLE kk (a int, b int, v int, PRIMARY KEY (a, b)); INSERT INTO kk SELECT 1, i, i FROM generate_series(1, 20000) i;
-- [up]
UPDATE kk SET v = 2 WHERE a = 1 AND b = 2;
-- case: rows-update-half-key | rows | 15
-- [given]
CREATE TABLE kk (a int, b int, v int, PRIMARY KEY (a, b)); INSERT INTO kk SELECT 1, i, i FROM generate_series(1, 20000) i;
-- [up]
UPDATE kk SET v = 2 WHERE a = 1;
-- case: rows-update-alias | none | 15
-- [up]
UPDATE users AS u SET city = 'y' WHERE u.id = 7;
-- case: rows-update-alias-all | rows | 15
-- [up]
UPDATE users AS u SET city = 'y';
-- case: rows-update-view | none | 15
-- [up]
UPDATE people SET name = 'z' WHERE id = 7;
-- case: rows-update-view-all | rows | 15
-- [up]
UPDATE people SET name = 'z';
-- case: rows-delete-limit | none | 15
-- [up]
DELETE FROM orders WHERE ctid IN (SELECT ctid FROM orders LIMIT 100);
-- case: rows-delete-old | rows | 15
-- [up]
DELETE FROM orders WHERE total < 100;
-- case: rows-delete-id-below | none | 15
-- [up]
DELETE FROM orders WHERE id < 100;
-- case: rows-delete-partitioned | rows | 15
-- [up]
DELETE FROM events WHERE at < '2021-01-01';
-- case: rows-delete-empty-range | none | 15
-- [up]
DELETE FROM orders WHERE id BETWEEN -10 AND -5;
-- case: rows-merge-values | none | 15
-- [up]
MERGE INTO cache c USING (VALUES (1, 'a'), (2, 'b')) AS u (id, v) ON c.id = u.id WHEN MATCHED THEN UPDATE SET v = u.v WHEN NOT MATCHED THEN INSERT VALUES (u.id, u.v);
-- case: rows-merge-delete | rows | 15
-- [up]
MERGE INTO cache c USING users u ON c.id = u.id WHEN MATCHED THEN DELETE;
-- case: rows-update-values | none | 15
-- [up]
UPDATE users u SET city = v.c FROM (VALUES (1, 'a'), (2, 'b')) AS v (id, c) WHERE u.id = v.id;
-- case: rows-truncate-cascade | rewrite | 15
-- [up]
TRUNCATE users CASCADE;
-- case: rows-truncate-restart | rewrite | 15
-- [up]
TRUNCATE TABLE cache, stats RESTART IDENTITY;
-- case: tx-index-drop-create | none | 15
-- [up]
DROP INDEX orders_user_id_idx; CREATE TABLE fresh (id int PRIMARY KEY);
-- case: tx-create-view-then-slow | none | 15
-- [up]
CREATE VIEW v2 AS SELECT * FROM users; UPDATE orders SET total = 1 WHERE id = 3;
-- case: tx-lock-timeout | none | 15
-- [up]
SET lock_timeout = '2s'; ALTER TABLE users ADD k int;
-- case: tx-begin-commit | none | 15
-- [up]
BEGIN; ALTER TABLE users ADD k int; COMMIT;
-- case: tx-many-comments | none | 15
-- [up]
COMMENT ON COLUMN users.city IS 'x'; ALTER TABLE users ADD k int; COMMENT ON COLUMN users.k IS 'y';
-- case: tx-insert-then-alter | none | 15
-- [up]
INSERT INTO cache VALUES (1000001, 'x'); ALTER TABLE cache ADD k int;
-- case: tx-copy-then-alter | retry by hand | 15
-- [up]
INSERT INTO cache SELECT id + 1000000, city FROM users; ALTER TABLE users ADD k int;
-- case: tx-new-table-fill-index | none | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY, u bigint); INSERT INTO fresh SELECT id, id FROM users; CREATE INDEX ON fresh (u);
-- case: tx-new-table-fill-fk | block | 15
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY, u bigint); INSERT INTO fresh SELECT id, id FROM users; CREATE INDEX ON fresh (u); ALTER TABLE fresh ADD FOREIGN KEY (u) REFERENCES users;
-- case: tx-trigger-then-copy | block | 15
-- [up]
CREATE TRIGGER t AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION app.touch(); CREATE TABLE fresh AS SELECT id FROM orders;
-- case: tx-alter-then-matview | block | 15
-- [up]
ALTER TABLE users ADD k int; CREATE MATERIALIZED VIEW mv AS SELECT id FROM users;
-- case: tx-alter-then-matview-nodata | none | 15
-- [up]
ALTER TABLE users ADD k int; CREATE MATERIALIZED VIEW mv AS SELECT id FROM users WITH NO DATA;
-- case: tx-alter-then-ctas-nodata | none | 15
-- [up]
ALTER TABLE users ADD k int; CREATE TABLE fresh AS SELECT * FROM users WITH NO DATA;
-- case: tx-alter-then-explain | none | 15
-- [up]
ALTER TABLE users ADD k int; EXPLAIN SELECT count(*) FROM orders;
-- case: tx-savepoint | none | 15
-- [up]
SAVEPOINT a; ALTER TABLE users ADD k int; RELEASE SAVEPOINT a;
-- case: name-long-index | design by hand | 15
-- [up]
CREATE INDEX CONCURRENTLY a23456789012345678901234567890123456789012345678901234567890123456 ON users (city);
-- case: name-long-quoted | design by hand | 15
-- [up]
ALTER TABLE users ADD COLUMN "a23456789012345678901234567890123456789012345678901234567890123456" int;
-- case: name-63 | none | 15
-- [up]
ALTER TABLE users ADD COLUMN "a23456789012345678901234567890123456789012345678901234567890123" int;
-- case: extension | none | 15
-- [up]
CREATE EXTENSION IF NOT EXISTS plpgsql;
-- case: publication | none | 15
-- [up]
CREATE PUBLICATION pub FOR TABLE users;
-- case: statistics | none | 15
-- [up]
CREATE STATISTICS st (dependencies) ON city, code FROM users;
-- case: view-star | none | 15
-- [up]
CREATE VIEW everyone AS SELECT * FROM users;
-- case: view-recursive | none | 15
-- [up]
CREATE RECURSIVE VIEW r (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 5;
-- case: event-trigger | none | 15
-- [given]
CREATE FUNCTION evf() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
-- [up]
CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION evf();
-- case: fk-alter-initially | none | 15
-- [given]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users DEFERRABLE NOT VALID;
-- [up]
ALTER TABLE orders ALTER CONSTRAINT f NOT DEFERRABLE;
-- case: fail-dup-column | fail | 15
-- [up]
ALTER TABLE users ADD COLUMN city text;
-- case: fail-dup-table | fail | 15
-- [up]
CREATE TABLE cache (id int);
-- case: fail-missing-column | fail | 15
-- [up]
ALTER TABLE users DROP COLUMN citi;
-- case: fail-notnull-null | fail | 15
-- [up]
ALTER TABLE users ADD k int NOT NULL DEFAULT NULL;
-- case: fail-drop-fn-used | fail | 15
-- [given]
ALTER TABLE cache ADD k integer DEFAULT steady(1);
-- [up]
DROP FUNCTION steady(integer);
-- case: fail-drop-type-used | fail | 15
-- [up]
DROP TYPE tier;
-- case: fail-drop-col-index-fk | fail | 15
-- [given]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID;
-- [up]
ALTER TABLE users DROP COLUMN id;
-- case: fail-fk-no-unique | fail | 15
-- [up]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (total) REFERENCES users (age) NOT VALID;
-- case: fail-unique-partition | fail | 15
-- [up]
ALTER TABLE events ADD UNIQUE (id);
-- case: fail-conc-in-tx | fail | 15
-- [up]
BEGIN; CREATE INDEX CONCURRENTLY a ON users (city); COMMIT;
-- case: fail-generated-update | fail | 15
-- [up]
UPDATE stats SET twice = 4 WHERE id = 1;
-- case: fail-null-into-notnull | fail | 15
-- [up]
UPDATE users SET email = NULL WHERE id = 1;
-- case: col-serial-unique | block | 15
-- [up]
ALTER TABLE users ADD COLUMN n serial UNIQUE;
-- case: col-uuid-pk | block | 15
-- [up]
ALTER TABLE loose ADD COLUMN uid uuid PRIMARY KEY DEFAULT gen_random_uuid();
-- case: col-generated-immutable | block | 15
-- [up]
ALTER TABLE users ADD COLUMN d date GENERATED ALWAYS AS (created::date) STORED;
-- case: col-bit | none | 15
-- [up]
ALTER TABLE users ADD COLUMN k bit(3) NOT NULL DEFAULT B'101';
-- case: col-json-default | break | 15
-- [up]
ALTER TABLE users ADD COLUMN k json DEFAULT '{}';
-- [application]
SELECT DISTINCT * FROM users;
-- case: col-jsonb-default | none | 15
-- [up]
ALTER TABLE users ADD COLUMN k jsonb NOT NULL DEFAULT '{}';
-- [application]
SELECT DISTINCT * FROM users;
-- case: col-numeric-expr | none | 15
-- [up]
ALTER TABLE users ADD COLUMN k numeric DEFAULT 1.0 / 3;
-- case: col-array-gen | none | 15
-- [up]
ALTER TABLE users ADD COLUMN k int[] NOT NULL DEFAULT array_fill(0, ARRAY[3]);
-- case: col-date-trunc | none | 15
-- [up]
ALTER TABLE users ADD COLUMN k timestamptz DEFAULT date_trunc('day', now());
-- case: col-timezone | none | 15
-- [up]
ALTER TABLE users ADD COLUMN k timestamp DEFAULT (now() AT TIME ZONE 'utc');
-- case: col-nextval-quoted | block | 15
-- [up]
ALTER TABLE users ADD COLUMN k bigint DEFAULT nextval('public.ticket'::regclass);
-- case: null-add-default-set | block | 15
-- [up]
ALTER TABLE users ADD COLUMN k int DEFAULT 0; ALTER TABLE users ALTER COLUMN k SET NOT NULL;
-- case: null-update-set | block,rows,break | 15
-- [up]
ALTER TABLE users ADD COLUMN k int; UPDATE users SET k = 0; ALTER TABLE users ALTER COLUMN k SET NOT NULL;
-- case: check-domain-col | block | 15
-- [up]
ALTER TABLE bills ADD CONSTRAINT c CHECK (sum > 0) NOT VALID; ALTER TABLE bills VALIDATE CONSTRAINT c;
-- case: fk-add-column-nv | none | 15
-- [up]
ALTER TABLE orders ADD COLUMN acc bigint;
-- [up]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (acc) REFERENCES app.accounts (id) NOT VALID;
-- [up]
ALTER TABLE orders VALIDATE CONSTRAINT f;
-- [up]
CREATE INDEX CONCURRENTLY oa ON orders (acc);
-- case: fk-to-partitioned | none | 15
-- [given]
CREATE TABLE pt (id bigint, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); CREATE TABLE pt1 PARTITION OF pt FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
-- [up]
CREATE TABLE fresh (id bigint PRIMARY KEY, e bigint, at date, FOREIGN KEY (e, at) REFERENCES pt (id, at)); CREATE INDEX ON fresh (e, at);
-- case: fk-on-update | none | 15
-- [up]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users ON UPDATE CASCADE ON DELETE SET DEFAULT NOT VALID;
-- case: pk-bigint-new | none | 15
-- [up]
CREATE TABLE fresh (id int); ALTER TABLE fresh ALTER COLUMN id TYPE bigint; ALTER TABLE fresh ADD PRIMARY KEY (id);
-- case: unique-index-then-constraint-one-file | block | 15
-- [up]
CREATE UNIQUE INDEX u ON users (email); ALTER TABLE users ADD CONSTRAINT u UNIQUE USING INDEX u;
-- case: type-text-json | block | 15
-- [up]
ALTER TABLE users ALTER COLUMN city TYPE json USING to_json(city);
-- case: type-varchar-same | none | 15
-- [up]
ALTER TABLE users ALTER COLUMN code TYPE varchar(20);
-- case: type-varbit | none | 15
-- [given]
CREATE TABLE kb (id bigint PRIMARY KEY, b varbit(10)); INSERT INTO kb SELECT i, B'1' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kb ALTER b TYPE varbit(20);
-- case: type-interval | none | 15
-- [given]
CREATE TABLE kb (id bigint PRIMARY KEY, b interval(3)); INSERT INTO kb SELECT i, '1 day' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kb ALTER b TYPE interval;
-- case: type-cidr-inet | none | 15
-- [given]
CREATE TABLE kb (id bigint PRIMARY KEY, b cidr); INSERT INTO kb SELECT i, '10.0.0.0/8' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kb ALTER b TYPE inet;
-- case: type-inet-cidr | block | 15
-- [given]
CREATE TABLE kb (id bigint PRIMARY KEY, b inet); INSERT INTO kb SELECT i, '10.0.0.0/8' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kb ALTER b TYPE cidr;
-- case: type-bpchar-text | block | 15
-- [given]
CREATE TABLE kb (id bigint PRIMARY KEY, b char(5)); INSERT INTO kb SELECT i, 'x' FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kb ALTER b TYPE text;
-- case: type-oid-int | none | 15
-- [given]
CREATE TABLE kb (id bigint PRIMARY KEY, b oid); INSERT INTO kb SELECT i, 5 FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kb ALTER b TYPE int;
-- case: type-money | block | 15
-- [up]
ALTER TABLE users ALTER credit TYPE money USING credit::money;
-- case: type-float4-float8 | block | 15
-- [given]
CREATE TABLE kb (id bigint PRIMARY KEY, b float4); INSERT INTO kb SELECT i, 5 FROM generate_series(1, 20000) i;
-- [up]
ALTER TABLE kb ALTER b TYPE float8;
-- case: type-date-timestamp | block | 15
-- [up]
ALTER TABLE loose ALTER at TYPE timestamptz;
-- case: rows-update-self-join | none | 15
-- [up]
UPDATE users u SET city = o.note FROM orders o WHERE o.user_id = u.id AND o.id = 5;
-- case: rows-update-subselect-key | none | 15
-- [up]
UPDATE users SET city = 'y' WHERE id IN (SELECT user_id FROM orders WHERE id BETWEEN 1 AND 100);
-- case: rows-delete-in-values | none | 15
-- [up]
DELETE FROM users WHERE id IN (VALUES (1), (2));
-- case: rows-delete-any-array | none | 15
-- [up]
DELETE FROM orders WHERE id = ANY ('{1,2,3}');
-- case: rows-update-and-more | none | 15
-- [up]
UPDATE users SET city = 'y' WHERE id = 5 AND active;
-- case: rows-update-order-limit | none | 15
-- [up]
UPDATE users SET city = 'y' WHERE id = (SELECT id FROM users ORDER BY created LIMIT 1);
-- case: rows-insert-select-limit | none | 15
-- [up]
INSERT INTO cache SELECT id + 1000000, city FROM users LIMIT 10;
-- case: rows-insert-select-key | none | 15
-- [up]
INSERT INTO cache SELECT id + 1000000, city FROM users WHERE id BETWEEN 1 AND 50;
-- case: rows-insert-returning-cte | none | 15
-- [up]
WITH n AS (INSERT INTO cache VALUES (1000001, 'a') RETURNING id) INSERT INTO stats (id) SELECT id + 5000000 FROM n;
-- case: tx-insert-select-after-alter-key | none | 15
-- [up]
ALTER TABLE users ADD k int; INSERT INTO cache SELECT id + 1000000, city FROM users WHERE id = 5;
-- case: tx-view-create-after-alter | none | 15
-- [up]
ALTER TABLE users ADD k int; CREATE OR REPLACE VIEW people AS SELECT id, name, k FROM users;
-- case: tx-create-function-after | none | 15
-- [up]
ALTER TABLE users ADD k int; CREATE FUNCTION f2() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM orders';
-- case: tx-drop-index-alter | none | 15
-- [up]
DROP INDEX orders_user_id_idx; ALTER TABLE orders ADD k int;
-- case: tx-set-role | none | 15
-- [up]
SET ROLE NONE; ALTER TABLE users ADD k int; RESET ROLE;
-- case: tx-select-join | block | 15
-- [up]
ALTER TABLE users ADD k int; SELECT count(*) FROM orders o JOIN users u ON u.id = o.user_id;
-- case: tx-select-key | none | 15
-- [up]
ALTER TABLE users ADD k int; SELECT total FROM orders WHERE id = 5;
-- case: drop-table-restrict-fk | fail | 15
-- [given]
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID;
-- [up]
DROP TABLE users;
-- case: drop-column-index | break | 15
-- [up]
ALTER TABLE users DROP COLUMN email;
-- case: drop-not-null | none | 15
-- [up]
ALTER TABLE users ALTER COLUMN email DROP NOT NULL;
-- case: rename-index-if | none | 15
-- [up]
ALTER INDEX IF EXISTS orders_user_id_idx RENAME TO oidx;
-- case: rename-child | break | 15
-- [up]
ALTER TABLE child RENAME TO kids;
-- case: trigger-new | none | 15
-- [up]
CREATE OR REPLACE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION app.touch();
-- case: rule-new | none | 15
-- [up]
CREATE RULE r AS ON DELETE TO cache DO INSTEAD NOTHING;
-- case: comment-index | none | 15
-- [up]
COMMENT ON INDEX orders_user_id_idx IS 'x';
-- case: security-label | none | 15
-- [up]
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO CURRENT_USER;
-- case: enum-if-not-exists-use-later | none | 15
-- [up]
ALTER TYPE tier ADD VALUE IF NOT EXISTS 'middle';
-- [up]
UPDATE bills SET grade = 'middle' WHERE id = 1;
-- case: inherit-add-child | none | 15
-- [up]
CREATE TABLE third () INHERITS (base); ALTER TABLE base ADD COLUMN z int;
-- case: like-including | none | 15
-- [up]
CREATE TABLE fresh (LIKE users INCLUDING ALL); ALTER TABLE fresh ALTER age TYPE bigint;
