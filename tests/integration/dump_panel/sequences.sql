-- Sequences of every form, called and not called.
CREATE SEQUENCE down AS smallint INCREMENT -3 MINVALUE -100 MAXVALUE 100 START 50 CACHE 4 CYCLE;
CREATE SEQUENCE called START 9; SELECT nextval('called'), nextval('called');
CREATE SEQUENCE set_not_called; SELECT setval('set_not_called', 42, false);
CREATE SEQUENCE at_end MAXVALUE 3; SELECT setval('at_end', 3);
CREATE SCHEMA other; CREATE SEQUENCE other.shared START 7;
CREATE TABLE t (id int DEFAULT nextval('other.shared'), b int);
CREATE SEQUENCE owned OWNED BY t.b;
INSERT INTO t DEFAULT VALUES;
ALTER SEQUENCE down RESTART 20;
SELECT setval('owned', 2000);
-- changed
SELECT setval('called', 99); DROP SEQUENCE at_end; ALTER SEQUENCE down NO CYCLE;
