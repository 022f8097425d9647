-- Trusted extensions, which an owner makes; one of another version, one moved to another schema.
-- announced: extension hstore: a restore makes version 1.8, and the database has 1.4
-- differs: ^$
CREATE SCHEMA ext;
CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION hstore VERSION '1.4';
CREATE EXTENSION pg_trgm SCHEMA ext;
CREATE TABLE t (c ext.citext UNIQUE, h hstore);
CREATE INDEX ON t USING gin (c ext.gin_trgm_ops);
INSERT INTO t VALUES ('A', 'a=>b');
-- changed
DROP EXTENSION hstore CASCADE; DELETE FROM t;
