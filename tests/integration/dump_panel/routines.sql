-- Functions and procedures of every form.
CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY, word text);
INSERT INTO app.t VALUES (1, 'one');
CREATE FUNCTION app.count_all() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM app.t; END;
CREATE FUNCTION app.short(i int, OUT w text, OUT n bigint) STABLE STRICT PARALLEL SAFE COST 7
    RETURN (SELECT ROW(word, app.count_all()) FROM app.t WHERE id = i);
CREATE PROCEDURE app.add(INOUT i int, w text DEFAULT 'x')
    BEGIN ATOMIC INSERT INTO app.t VALUES (i, w) RETURNING id; END;
CREATE FUNCTION app.rows(VARIADIC anyarray) RETURNS TABLE (a anyelement, b int) ROWS 7
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp SET work_mem = '8MB'
    AS $$ BEGIN RETURN QUERY SELECT $1[1], 1; END $$;
SET check_function_bodies = off;
CREATE FUNCTION app.later() RETURNS SETOF app.t LANGUAGE sql AS 'SELECT * FROM no_such_table';
CREATE FUNCTION app."odd ""name"(a int, b app.t[] DEFAULT '{}') RETURNS int LANGUAGE sql IMMUTABLE CALLED ON NULL INPUT AS $x$ SELECT 1 -- '; $$ $x$;
CREATE PROCEDURE app.commits() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
-- changed
DROP PROCEDURE app.add; CREATE OR REPLACE FUNCTION app.count_all() RETURNS bigint RETURN 0;
