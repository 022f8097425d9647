-- Operators, classes and families, in an index and a constraint.
-- superuser
CREATE TYPE money_of AS (amount int, currency text);
CREATE FUNCTION before(money_of, money_of) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1.amount < $2.amount';
CREATE FUNCTION after(money_of, money_of) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1.amount > $2.amount';
CREATE FUNCTION same(money_of, money_of) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1.amount = $2.amount';
CREATE FUNCTION compared(money_of, money_of) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1.amount - $2.amount';
CREATE OPERATOR <<< (LEFTARG = money_of, RIGHTARG = money_of, FUNCTION = before, COMMUTATOR = >>>, RESTRICT = scalarltsel);
CREATE OPERATOR >>> (LEFTARG = money_of, RIGHTARG = money_of, FUNCTION = after, COMMUTATOR = <<<);
CREATE OPERATOR ==== (LEFTARG = money_of, RIGHTARG = money_of, FUNCTION = same, COMMUTATOR = ====, MERGES);
CREATE OPERATOR FAMILY amounts USING btree;
CREATE OPERATOR CLASS by_amount FOR TYPE money_of USING btree FAMILY amounts AS
    OPERATOR 1 <<<, OPERATOR 3 ====, OPERATOR 5 >>>, FUNCTION 1 compared(money_of, money_of);
CREATE TABLE t (m money_of);
INSERT INTO t VALUES ('(3,eur)'), ('(1,usd)'), ('(2,eur)');
CREATE UNIQUE INDEX ON t (m by_amount);
COMMENT ON OPERATOR <<< (money_of, money_of) IS 'less';
-- changed
DROP OPERATOR CLASS by_amount USING btree CASCADE; DELETE FROM t;
