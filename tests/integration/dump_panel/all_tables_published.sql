-- Publications of all tables and of schemas, which only a superuser can make.
-- superuser
CREATE TABLE t (id int PRIMARY KEY);
CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY);
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION schemas FOR TABLES IN SCHEMA app;
INSERT INTO t VALUES (1);
-- changed
DROP PUBLICATION everything; DROP SCHEMA app CASCADE;
