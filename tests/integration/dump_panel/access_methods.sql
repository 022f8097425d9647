-- Access methods, conversions and base types of one's own.
-- superuser
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
CREATE ACCESS METHOD btree2 TYPE INDEX HANDLER bthandler;
CREATE TABLE t (id int) USING heap2;
INSERT INTO t VALUES (1);
CREATE CONVERSION own FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TYPE short;
CREATE FUNCTION short_in(cstring) RETURNS short IMMUTABLE STRICT LANGUAGE internal AS 'int4in';
CREATE FUNCTION short_out(short) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'int4out';
CREATE TYPE short (INPUT = short_in, OUTPUT = short_out, LIKE = int4, CATEGORY = 'N', DEFAULT = '5');
CREATE TYPE shell;
CREATE TABLE shorts (s short, ss short[]);
INSERT INTO shorts VALUES ('7', '{1,2}'), (DEFAULT, NULL);
CREATE TEXT SEARCH PARSER own (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE own (INIT = dsimple_init, LEXIZE = dsimple_lexize);
-- changed
DROP TABLE t, shorts;
