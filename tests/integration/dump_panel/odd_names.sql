-- Names with quotes, newlines, format signs and 63 bytes; the database's as well.
-- named: od"d {näme} %s 'x'
CREATE SCHEMA "a.b";
CREATE TABLE "a.b"."sel""ect" ("from" int PRIMARY KEY, "%s {0} $1 \ ''" text, "é🐢" text CHECK ("é🐢" <> ''''));
CREATE TABLE "new
line" ("tab	" int);
CREATE TABLE "-- x; DROP TABLE y; --" ("/*" int);
CREATE TABLE "x123456789012345678901234567890123456789012345678901234567890é" (a int);
CREATE INDEX "TABLE DATA public new" ON "new
line" ("tab	");
CREATE FUNCTION "f "" (x)"("a b" int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE TYPE "Ty.pe" AS ENUM ('''', '"', '\', 'a,b', '');
CREATE TABLE "WITH" ("Ty" "Ty.pe"[], CONSTRAINT "c 'k'" CHECK ("f "" (x)"(1) = 1));
INSERT INTO "WITH" VALUES ('{"\"","''","\\","a,b",""}');
INSERT INTO "new
line" VALUES (1);
INSERT INTO "a.b"."sel""ect" VALUES (1, E'\t\n\\.', 'x');
-- changed
DROP TABLE "WITH"; DELETE FROM "a.b"."sel""ect"; DROP INDEX "TABLE DATA public new";
