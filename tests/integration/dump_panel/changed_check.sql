-- Rows that were right when they were written, and break a CHECK whose function is another one now.
-- unmade: CHECK CONSTRAINT fits: made for new rows only
-- differs: fits|CONSTRAINT "50 %s"|^    n integer,?$|^ALTER TABLE public\.t$|^\);$|^--|^$
CREATE FUNCTION fits(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE TABLE t (n int, CONSTRAINT fits CHECK (fits(n)), CONSTRAINT "50 %s" CHECK (n < 50));
COMMENT ON CONSTRAINT fits ON t IS '100 % sure';
INSERT INTO t VALUES (1), (9);
CREATE OR REPLACE FUNCTION fits(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN $1 > 5; END';
-- changed
DELETE FROM t;
