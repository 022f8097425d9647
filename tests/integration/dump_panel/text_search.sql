-- Text search: dictionaries, configurations, an index over one.
CREATE TEXT SEARCH DICTIONARY short (TEMPLATE = snowball, LANGUAGE = english, STOPWORDS = 'english');
CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = simple, ACCEPT = false);
CREATE TEXT SEARCH CONFIGURATION mine (COPY = pg_catalog.german);
ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR asciiword, word WITH plain, short, german_stem;
ALTER TEXT SEARCH CONFIGURATION mine DROP MAPPING FOR url;
CREATE TABLE t (body text, v tsvector GENERATED ALWAYS AS (to_tsvector('mine', body)) STORED);
INSERT INTO t (body) VALUES ('The houses of Häuser http://x.y'), ('running and ran');
CREATE INDEX ON t USING gin (v);
-- changed
DROP TEXT SEARCH DICTIONARY plain CASCADE; DELETE FROM t;
