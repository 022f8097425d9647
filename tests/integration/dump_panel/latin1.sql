-- Another encoding than UTF-8.
-- database: ENCODING 'LATIN1' LOCALE 'C'
SET client_encoding = 'UTF8';
CREATE TABLE "tëst" (id int, word text DEFAULT 'ü');
INSERT INTO "tëst" VALUES (1, 'é'), (2, '§ ß ÿ');
CREATE FUNCTION umlaut() RETURNS text LANGUAGE sql AS 'SELECT ''ä''::text';
COMMENT ON TABLE "tëst" IS 'naïve';
-- changed
SET client_encoding = 'UTF8'; DELETE FROM "tëst"; DROP FUNCTION umlaut();
