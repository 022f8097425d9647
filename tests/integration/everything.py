"""A schema with one of everything, and changes of it, each with the differences that it makes."""

from __future__ import annotations

from typing import NamedTuple

ROLES = ("fingerprint_alice", "fingerprint_bob")
# One of everything.
SCHEMA = """
CREATE SCHEMA app;
COMMENT ON SCHEMA app IS 'the application';
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE app.address AS (street text, zip varchar(5));
CREATE DOMAIN app.email AS text DEFAULT 'nobody' NOT NULL CONSTRAINT at CHECK (VALUE ~ '@');
CREATE TYPE app.floats AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
CREATE COLLATION app.german (PROVIDER = libc, LOCALE = 'C');
CREATE TABLE app.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email app.email,
    theme text DEFAULT 'light',
    mood app.mood,
    born date,
    full_name text GENERATED ALWAYS AS (name || '!') STORED,
    CONSTRAINT users_name_key UNIQUE (name),
    CONSTRAINT users_born CHECK (born > '1900-01-01')
);
CREATE INDEX users_theme ON app.users (theme, lower(name));
CREATE TABLE app.orders (
    id serial PRIMARY KEY,
    user_id bigint REFERENCES app.users (id) ON DELETE CASCADE,
    amount numeric(12, 2),
    placed timestamptz DEFAULT now(),
    note varchar(20)
);
CREATE TABLE app.events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE app.events_2024 PARTITION OF app.events
    FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE INDEX events_what ON app.events (what);
CREATE TABLE app.animals (name text, legs integer);
CREATE TABLE app.dogs (breed text) INHERITS (app.animals);
CREATE SEQUENCE app.tickets INCREMENT BY 5;
CREATE VIEW app.names AS SELECT name, theme FROM app.users;
CREATE MATERIALIZED VIEW app.totals AS SELECT user_id, sum(amount) FROM app.orders GROUP BY user_id;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Said so that it is known.
    NEW.placed := now();
    RETURN NEW;
END $$;
CREATE FUNCTION app.plus(a integer, b integer DEFAULT 1) RETURNS integer
    LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE PROCEDURE app.nothing(n integer) LANGUAGE plpgsql AS 'BEGIN END';
CREATE AGGREGATE app.total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE FUNCTION app.event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE TRIGGER touch BEFORE UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER seen AFTER INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON app.orders DEFERRABLE
    FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE RULE quiet AS ON DELETE TO app.dogs DO INSTEAD NOTHING;
ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON app.orders FOR SELECT TO fingerprint_alice USING (user_id = 1);
CREATE STATISTICS app.users_stats (ndistinct) ON name, theme FROM app.users;
CREATE CAST (app.address AS text) WITH INOUT;
CREATE OPERATOR app.<+> (FUNCTION = app.plus, LEFTARG = integer, RIGHTARG = integer);
CREATE OPERATOR FAMILY app.ints USING btree;
CREATE OPERATOR CLASS app.int_ops FOR TYPE integer USING btree FAMILY app.ints AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
    FUNCTION 1 btint4cmp(integer, integer);
CREATE TEXT SEARCH DICTIONARY app.simple (TEMPLATE = pg_catalog.simple);
CREATE TEXT SEARCH CONFIGURATION app.english (COPY = pg_catalog.english);
CREATE EXTENSION pg_trgm;
CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'there', dbname 'x');
CREATE USER MAPPING FOR fingerprint_alice SERVER elsewhere
    OPTIONS (user 'alice', password 'hunter2');
CREATE FOREIGN TABLE app.remote (id integer) SERVER elsewhere OPTIONS (table_name 'far');
CREATE PUBLICATION news FOR TABLE app.users (id, name);
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION app.event();
ALTER EVENT TRIGGER watch DISABLE;
ALTER DEFAULT PRIVILEGES FOR ROLE fingerprint_bob IN SCHEMA app
    GRANT SELECT ON TABLES TO fingerprint_alice;
GRANT SELECT, UPDATE ON app.orders TO fingerprint_bob;
COMMENT ON COLUMN app.users.theme IS 'light or dark';
"""


class Case(NamedTuple):
    """A change, and every difference that it makes.

    Attributes:
        mends: whether the suggested statements undo it.
    """

    sql: str
    seen: tuple[str, ...]
    mends: bool = True


def case(sql: str, *seen: str, mends: bool = True) -> Case:
    return Case(sql, seen, mends)


# fmt: off
CASES = [
    # tables
    case("CREATE TABLE app.more (id integer)", "table app.more: left over after rollback"),
    case("DROP TABLE app.orders CASCADE",
         "materialized view app.totals: missing after rollback",
         "table app.orders: missing after rollback",
         mends=False),
    case("DROP TABLE app.dogs", "table app.dogs: missing after rollback", mends=False),
    case("DROP TABLE app.events_2024", "table app.events_2024: missing after rollback"),
    case("ALTER TABLE app.events DETACH PARTITION app.events_2024",
         "column app.events_2024.at: inherited yes ≠ none",
         "column app.events_2024.at: not null yes, inherited ≠ yes",
         "column app.events_2024.what: inherited yes ≠ none",
         "index app.events_2024_what_idx: parent app.events_what ≠ none",
         "table app.events_2024: partition bounds "
         "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') ≠ none",
         "table app.events_2024: partition of app.events ≠ none", mends=False),
    case("ALTER TABLE app.dogs NO INHERIT app.animals",
         "column app.dogs.legs: inherited yes ≠ none",
         "column app.dogs.name: inherited yes ≠ none",
         "table app.dogs: inherits app.animals ≠ none", mends=False),
    case("ALTER TABLE app.dogs SET UNLOGGED", "table app.dogs: persistence none ≠ unlogged"),
    case("ALTER TABLE app.users SET (fillfactor = 70, autovacuum_enabled = false)",
         "table app.users: storage parameters none ≠ autovacuum_enabled=false, fillfactor=70"),
    case("ALTER TABLE app.users SET (toast.autovacuum_enabled = false)",
         "table app.users: toast storage parameters none ≠ toast.autovacuum_enabled=false",
         mends=False),
    case("ALTER TABLE app.users REPLICA IDENTITY FULL",
         "table app.users: replica identity none ≠ full"),
    case("ALTER TABLE app.users REPLICA IDENTITY USING INDEX users_name_key",
         "constraint app.users.users_name_key: replica identity none ≠ yes",
         "table app.users: replica identity none ≠ index", mends=False),
    case("ALTER TABLE app.orders DISABLE ROW LEVEL SECURITY",
         "table app.orders: row security enabled ≠ none"),
    case("ALTER TABLE app.orders FORCE ROW LEVEL SECURITY",
         "table app.orders: row security forced none ≠ yes"),
    case("ALTER TABLE app.users OWNER TO fingerprint_bob",
         "sequence app.users_id_seq: owner postgres ≠ fingerprint_bob",
         "table app.users: owner postgres ≠ fingerprint_bob", mends=False),
    # columns
    case("ALTER TABLE app.users ADD COLUMN extra integer",
         "column app.users.extra: left over after rollback"),
    case("ALTER TABLE app.orders DROP COLUMN note",
         "column app.orders.note: missing after rollback"),
    case("ALTER TABLE app.orders DROP COLUMN id",
         "column app.orders.id: missing after rollback",
         "constraint app.orders.orders_pkey: missing after rollback",
         "sequence app.orders_id_seq: missing after rollback", mends=False),
    case("ALTER TABLE app.users ALTER COLUMN theme DROP DEFAULT",
         "column app.users.theme: default 'light'::text ≠ none"),
    case("ALTER TABLE app.users ALTER COLUMN born SET DEFAULT current_date",
         "column app.users.born: default none ≠ CURRENT_DATE"),
    case("ALTER TABLE app.users ALTER COLUMN born SET NOT NULL",
         "column app.users.born: not null none ≠ yes"),
    case("ALTER TABLE app.orders ALTER COLUMN note TYPE varchar(30)",
         "column app.orders.note: type character varying(20) ≠ character varying(30)"),
    case("ALTER TABLE app.orders ALTER COLUMN note TYPE varchar(20) COLLATE app.german",
         "column app.orders.note: collation none ≠ app.german"),
    case("ALTER TABLE app.users ALTER COLUMN id DROP IDENTITY",
         "column app.users.id: identity always ≠ none"),
    case("ALTER TABLE app.users ALTER COLUMN id SET GENERATED BY DEFAULT",
         "column app.users.id: identity always ≠ by default"),
    case("ALTER TABLE app.users ALTER COLUMN id SET INCREMENT BY 2",
         "sequence app.users_id_seq: increment 1 ≠ 2"),
    case("ALTER TABLE app.users ALTER COLUMN full_name DROP EXPRESSION",
         "column app.users.full_name: generated stored (name || '!'::text) ≠ none", mends=False),
    case("ALTER TABLE app.users ALTER COLUMN theme SET STORAGE external",
         "column app.users.theme: storage none ≠ external", mends=False),
    case("ALTER TABLE app.users ALTER COLUMN theme SET COMPRESSION pglz",
         "column app.users.theme: compression none ≠ pglz"),
    case("ALTER TABLE app.users ALTER COLUMN theme SET STATISTICS 500",
         "column app.users.theme: statistics target none ≠ 500"),
    case("ALTER TABLE app.users ALTER COLUMN theme SET (n_distinct = 5)",
         "column app.users.theme: options none ≠ n_distinct=5", mends=False),
    case("ALTER TABLE app.users RENAME COLUMN born TO birthday",
         "column app.users.birthday: left over after rollback",
         "column app.users.born: missing after rollback",
         "constraint app.users.users_born: definition "
         "CHECK ((born > '1900-01-01'::date)) ≠ CHECK ((birthday > '1900-01-01'::date))",
         mends=False),
    case("ALTER TABLE app.orders DROP COLUMN note; ALTER TABLE app.orders ADD note varchar(20)"),
    case("ALTER TABLE app.orders DROP COLUMN amount CASCADE;"
         "ALTER TABLE app.orders ADD amount numeric(12, 2);"
         "CREATE MATERIALIZED VIEW app.totals AS "
         "SELECT user_id, sum(amount) FROM app.orders GROUP BY user_id",
         "table app.orders: column order amount after user_id ≠ amount after note"),
    case("ALTER TABLE app.users ADD COLUMN initial text GENERATED ALWAYS AS (upper(name)) VIRTUAL",
         "column app.users.initial: left over after rollback"),
    case("ALTER TABLE app.users ADD CONSTRAINT born NOT NULL born NOT VALID",
         "column app.users.born: not null none ≠ yes, not valid"),
    # constraints
    case("ALTER TABLE app.users DROP CONSTRAINT users_name_key",
         "constraint app.users.users_name_key: missing after rollback"),
    case("ALTER TABLE app.users ADD CONSTRAINT named CHECK (name <> '') NOT VALID",
         "constraint app.users.named: left over after rollback"),
    case("ALTER TABLE app.users DROP CONSTRAINT users_born;"
         "ALTER TABLE app.users ADD CONSTRAINT users_born CHECK (born > '1900-01-01') NOT VALID",
         "constraint app.users.users_born: validated yes ≠ no"),
    case("ALTER TABLE app.orders ALTER CONSTRAINT orders_user_id_fkey DEFERRABLE",
         "constraint app.orders.orders_user_id_fkey: definition … CASCADE ≠ … CASCADE DEFERRABLE"),
    case("ALTER TABLE app.orders ALTER CONSTRAINT orders_user_id_fkey NOT ENFORCED",
         "constraint app.orders.orders_user_id_fkey: definition … CASCADE ≠ … CASCADE NOT ENFORCED",
         "constraint app.orders.orders_user_id_fkey: validated yes ≠ none"),
    case("ALTER TABLE app.orders DISABLE TRIGGER ALL",
         "constraint app.orders.orders_user_id_fkey: enforcement none ≠ app.orders disabled",
         "trigger app.orders.later: enabled yes ≠ no",
         "trigger app.orders.touch: enabled yes ≠ no", mends=False),
    case("ALTER DOMAIN app.email DROP CONSTRAINT at",
         "constraint app.email.at: missing after rollback"),
    case("CLUSTER app.users USING users_name_key",
         "constraint app.users.users_name_key: clustered none ≠ yes"),
    case("ALTER TABLE app.users DROP CONSTRAINT users_name_key; "
         "ALTER TABLE app.users ADD UNIQUE (name) WITH (fillfactor = 50)",
         "constraint app.users.users_name_key: storage parameters none ≠ fillfactor=50",
         mends=False),
    # indexes
    case("DROP INDEX app.users_theme", "index app.users_theme: missing after rollback"),
    case("DROP INDEX app.users_theme; CREATE INDEX users_theme ON app.users (theme)",
         "index app.users_theme: definition CREATE INDEX ON app.users USING btree "
         "(theme, lower(name)) ≠ CREATE INDEX ON app.users USING btree (theme)"),
    case("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.users_theme'::regclass",
         "index app.users_theme: valid yes ≠ no"),
    case("ALTER INDEX app.users_theme ALTER COLUMN 2 SET STATISTICS 300",
         "index app.users_theme: statistics targets none ≠ 2 300", mends=False),
    # names
    case("ALTER TABLE app.users RENAME CONSTRAINT users_name_key TO users_name_key1",
         "constraint app.users.users_name_key: name users_name_key ≠ users_name_key1"),
    case("ALTER INDEX app.users_theme RENAME TO users_look",
         "index app.users_theme: name users_theme ≠ users_look"),
    case("ALTER TRIGGER touch ON app.orders RENAME TO tick",
         "trigger app.orders.touch: name touch ≠ tick"),
    case("ALTER SEQUENCE app.orders_id_seq RENAME TO orders_id_seq1",
         "sequence app.orders_id_seq: name orders_id_seq ≠ orders_id_seq1"),
    case("ALTER TABLE app.users RENAME CONSTRAINT users_name_not_null TO needed",
         "column app.users.name: not null name none ≠ needed"),
    case("ALTER INDEX app.events_what RENAME TO events_that",
         "index app.events_what: name events_what ≠ events_that"),
    # views
    case("CREATE OR REPLACE VIEW app.names AS SELECT name, theme, born FROM app.users",
         "view app.names: definition theme ≠ theme, born", mends=False),
    case("DROP VIEW app.names", "view app.names: missing after rollback"),
    case("ALTER VIEW app.names SET (security_barrier = true)",
         "view app.names: storage parameters none ≠ security_barrier=true"),
    case("ALTER VIEW app.names ALTER COLUMN theme SET DEFAULT 'x'",
         "column app.names.theme: default none ≠ 'x'::text"),
    case("COMMENT ON COLUMN app.names.theme IS 'theirs'",
         "column app.names.theme: comment none ≠ theirs"),
    case("REFRESH MATERIALIZED VIEW app.totals WITH NO DATA",
         "materialized view app.totals: populated yes ≠ no"),
    # functions
    case("CREATE OR REPLACE FUNCTION app.plus(a integer, b integer DEFAULT 1) RETURNS integer "
         "LANGUAGE sql STABLE AS 'SELECT a + b'",
         "function app.plus(integer, integer): definition IMMUTABLE ≠ STABLE"),
    case("CREATE OR REPLACE FUNCTION app.plus(a integer, b integer DEFAULT 1) RETURNS integer "
         "LANGUAGE sql IMMUTABLE AS 'SELECT a - b'",
         "function app.plus(integer, integer): definition "
         "AS $function$SELECT a + b$function$ ≠ AS $function$SELECT a - b$function$"),
    case("CREATE OR REPLACE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$\n"
         "  begin NEW.placed :=now();  RETURN NEW; END $$",
         "function app.touch(): definition BEGIN -- Said so that it is known. NEW.placed := now(); "
         "RETURN NEW; END $function$ ≠ begin NEW.placed :=now(); RETURN NEW; END $function$"),
    case("DROP PROCEDURE app.nothing", "procedure app.nothing(integer): missing after rollback"),
    case("DROP AGGREGATE app.total(integer)",
         "aggregate app.total(integer): missing after rollback"),
    case("REVOKE EXECUTE ON FUNCTION app.touch() FROM PUBLIC",
         "function app.touch(): grants to PUBLIC as usual ≠ revoked"),
    # triggers, rules, policies
    case("ALTER TABLE app.orders DISABLE TRIGGER touch",
         "trigger app.orders.touch: enabled yes ≠ no"),
    case("ALTER TABLE app.events_2024 DISABLE TRIGGER seen",
         "trigger app.events_2024.seen: enabled none ≠ no", mends=False),
    case("DROP TRIGGER seen ON app.events", "trigger app.events.seen: missing after rollback"),
    case("DROP TRIGGER later ON app.orders", "trigger app.orders.later: missing after rollback"),
    case("CREATE OR REPLACE TRIGGER touch AFTER UPDATE ON app.orders "
         "FOR EACH ROW EXECUTE FUNCTION app.touch()",
         "trigger app.orders.touch: definition … TRIGGER BEFORE UPDATE … ≠ "
         "… TRIGGER AFTER UPDATE …"),
    case("DROP RULE quiet ON app.dogs", "rule app.dogs.quiet: missing after rollback"),
    case("ALTER TABLE app.dogs DISABLE RULE quiet",
         "rule app.dogs.quiet: enabled yes ≠ no", mends=False),
    case("ALTER POLICY mine ON app.orders USING (user_id = 2)",
         "policy app.orders.mine: using (user_id = 1) ≠ (user_id = 2)"),
    case("DROP POLICY mine ON app.orders", "policy app.orders.mine: missing after rollback"),
    # sequences
    case("ALTER SEQUENCE app.tickets MAXVALUE 100 CYCLE",
         "sequence app.tickets: cycle none ≠ yes",
         "sequence app.tickets: maximum 9223372036854775807 ≠ 100"),
    case("ALTER SEQUENCE app.orders_id_seq OWNED BY NONE",
         "sequence app.orders_id_seq: owned by app.orders.id ≠ none"),
    case("DROP SEQUENCE app.tickets", "sequence app.tickets: missing after rollback"),
    # types
    case("ALTER TYPE app.mood ADD VALUE 'great' AFTER 'ok'",
         "type app.mood: values 'sad', 'ok', 'happy' ≠ 'sad', 'ok', 'great', 'happy'",
         mends=False),
    case("ALTER TYPE app.address ADD ATTRIBUTE city text",
         "column app.address.city: left over after rollback"),
    case("ALTER TYPE app.address ALTER ATTRIBUTE zip TYPE text",
         "column app.address.zip: type character varying(5) ≠ text"),
    case("DROP TYPE app.address CASCADE",
         "cast (app.address AS text): missing after rollback",
         "type app.address: missing after rollback", mends=False),
    case("ALTER DOMAIN app.email DROP DEFAULT", "domain app.email: default 'nobody'::text ≠ none"),
    case("ALTER DOMAIN app.email DROP NOT NULL", "domain app.email: not null yes ≠ none"),
    case("DROP TYPE app.floats", "type app.floats: missing after rollback"),
    # what few databases have
    case("DROP CAST (app.address AS text)", "cast (app.address AS text): missing after rollback"),
    case("DROP OPERATOR app.<+> (integer, integer)",
         "operator app.<+> (integer, integer): missing after rollback"),
    case("DROP OPERATOR CLASS app.int_ops USING btree",
         "operator class app.int_ops USING btree: missing after rollback",
         "operator family app.ints USING btree: definition OPERATOR 1 <(integer,integer), "
         "OPERATOR 2 <=(integer,integer), OPERATOR 3 =(integer,integer), OPERATOR 4 "
         ">=(integer,integer), OPERATOR 5 >(integer,integer), FU… ≠ none", mends=False),
    case("DROP COLLATION app.german", "collation app.german: missing after rollback"),
    case("DROP STATISTICS app.users_stats", "statistics app.users_stats: missing after rollback"),
    case("ALTER STATISTICS app.users_stats SET STATISTICS 50",
         "statistics app.users_stats: statistics target none ≠ 50", mends=False),
    case("ALTER TEXT SEARCH DICTIONARY app.simple (StopWords = english)",
         "text search dictionary app.simple: definition TEMPLATE = pg_catalog.simple ≠ "
         "TEMPLATE = pg_catalog.simple, stopwords = 'english'", mends=False),
    case("ALTER TEXT SEARCH CONFIGURATION app.english DROP MAPPING FOR email",
         "text search configuration app.english: mapping "
         "… simple; email with simple; url … ≠ … simple; url …",
         mends=False),
    case("DROP EVENT TRIGGER watch", "event trigger watch: missing after rollback", mends=False),
    case("ALTER EVENT TRIGGER watch ENABLE REPLICA",
         "event trigger watch: enabled no ≠ replica", mends=False),
    case("ALTER PUBLICATION news SET TABLE app.users (id), app.orders",
         "publication news: tables app.users (id, name) ≠ app.orders, app.users (id)",
         mends=False),
    case("DROP PUBLICATION news", "publication news: missing after rollback"),
    case("ALTER SERVER elsewhere OPTIONS (SET host 'nowhere')",
         "server elsewhere: option host there ≠ nowhere", mends=False),
    case("ALTER FOREIGN TABLE app.remote OPTIONS (SET table_name 'near')",
         "foreign table app.remote: option table_name far ≠ near", mends=False),
    case("DROP USER MAPPING FOR fingerprint_alice SERVER elsewhere",
         "user mapping for fingerprint_alice server elsewhere: missing after rollback",
         mends=False),
    case("DROP EXTENSION pg_trgm", "extension pg_trgm: missing after rollback"),
    case("ALTER EXTENSION pg_trgm SET SCHEMA app", "extension pg_trgm: schema public ≠ app"),
    case("CREATE TYPE app.shell", "type app.shell: left over after rollback"),
    case("CREATE TRANSFORM FOR integer LANGUAGE sql ("
         "FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal))",
         "transform for integer language sql: left over after rollback"),
    case("CREATE CONVERSION app.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
         "conversion app.conv: left over after rollback"),
    case("CREATE LANGUAGE mine HANDLER plpgsql_call_handler",
         "language mine: left over after rollback"),
    case("CREATE TEXT SEARCH TEMPLATE app.tmpl (LEXIZE = dsimple_lexize)",
         "text search template app.tmpl: left over after rollback"),
    case("CREATE TEXT SEARCH PARSER app.pars (START = prsd_start, GETTOKEN = prsd_nexttoken, "
         "END = prsd_end, LEXTYPES = prsd_lextype)",
         "text search parser app.pars: left over after rollback"),
    case("CREATE FOREIGN DATA WRAPPER wrap",
         "foreign data wrapper wrap: left over after rollback"),
    case("CREATE SUBSCRIPTION sub CONNECTION 'dbname=x password=hunter2' PUBLICATION news "
         "WITH (connect = false, slot_name = NONE)",
         "subscription sub: left over after rollback"),
    case("CREATE UNLOGGED SEQUENCE app.fast", "sequence app.fast: left over after rollback"),
    case("CREATE SCHEMA other", "schema other: left over after rollback"),
    case("CREATE ACCESS METHOD mine TYPE TABLE HANDLER heap_tableam_handler",
         "access method mine: left over after rollback"),
    # what is said of objects
    case("COMMENT ON COLUMN app.users.theme IS NULL",
         "column app.users.theme: comment light or dark ≠ none"),
    case("COMMENT ON CONSTRAINT users_born ON app.users IS 'grown up'",
         "constraint app.users.users_born: comment none ≠ grown up"),
    case("COMMENT ON INDEX app.users_name_key IS 'of a constraint'",
         "constraint app.users.users_name_key: index comment none ≠ of a constraint",
         mends=False),
    case("COMMENT ON CONSTRAINT users_name_not_null ON app.users IS 'needed'",
         "column app.users.name: not null comment none ≠ needed", mends=False),
    case("COMMENT ON TRIGGER touch ON app.orders IS 'ticks'",
         "trigger app.orders.touch: comment none ≠ ticks"),
    case("COMMENT ON CONSTRAINT at ON DOMAIN app.email IS 'at'",
         "constraint app.email.at: comment none ≠ at"),
    case("COMMENT ON SCHEMA public IS NULL",
         "schema public: comment standard public schema ≠ none"),
    case("COMMENT ON FUNCTION app.plus(integer, integer) IS 'adds'",
         "function app.plus(integer, integer): comment none ≠ adds"),
    case("ALTER FUNCTION app.touch() DEPENDS ON EXTENSION pg_trgm",
         "function app.touch(): depends on extension pg_trgm none ≠ yes", mends=False),
    # privileges
    case("REVOKE UPDATE ON app.orders FROM fingerprint_bob",
         "table app.orders: grants to fingerprint_bob SELECT, UPDATE ≠ SELECT"),
    case("GRANT SELECT (name) ON app.users TO fingerprint_bob",
         "column app.users.name: grants to fingerprint_bob as usual ≠ SELECT"),
    case("GRANT SELECT ON app.users TO fingerprint_bob WITH GRANT OPTION",
         "table app.users: grants to fingerprint_bob as usual ≠ SELECT (grantable)"),
    case("GRANT USAGE ON SCHEMA app TO PUBLIC", "schema app: grants to PUBLIC as usual ≠ USAGE"),
    case("GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO fingerprint_bob",
         "foreign data wrapper postgres_fdw: grants to fingerprint_bob as usual ≠ USAGE"),
    case("GRANT SELECT (rolname) ON pg_catalog.pg_authid TO fingerprint_bob",
         "column pg_authid.rolname: grants to fingerprint_bob as usual ≠ SELECT"),
    case("REVOKE SELECT (subname) ON pg_catalog.pg_subscription FROM PUBLIC",
         "column pg_subscription.subname: grants to PUBLIC as usual ≠ revoked", mends=False),
    case("CREATE EXTENSION pg_stat_statements;"
         "GRANT UPDATE (calls) ON pg_stat_statements TO fingerprint_bob",
         "column public.pg_stat_statements.calls: grants to fingerprint_bob as usual ≠ UPDATE",
         "extension pg_stat_statements: left over after rollback", mends=False),
    case("REVOKE EXECUTE ON FUNCTION pg_catalog.now() FROM PUBLIC",
         "function now(): grants to PUBLIC as usual ≠ revoked"),
    case("ALTER DEFAULT PRIVILEGES FOR ROLE fingerprint_bob IN SCHEMA app "
         "REVOKE SELECT ON TABLES FROM fingerprint_alice",
         "default privileges for role fingerprint_bob in schema app on tables: "
         "missing after rollback",
         mends=False),
    case("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
         "default privileges for role postgres on functions: left over after rollback",
         mends=False),
    case("GRANT SELECT ON app.users TO fingerprint_bob;"
         "REVOKE SELECT ON app.users FROM fingerprint_bob"),
]
# fmt: on
