"""Statements written anew from their trees. The judge is protobuf itself."""

from __future__ import annotations

import postgast
import pytest
from google.protobuf.json_format import ParseDict
from postgast import pg_query_pb2
from turnback.sql.deparse import deparse, encoded, without_places
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.statements import Statement, split

STATEMENTS = """
SELECT 0, -1, 2147483648, 1.50, '', E'a\\nb', NULL, true, $1, B'101', x'ff' FROM "Ü" AS "t 1";
UPDATE t SET a[1:2] = ARRAY[1, NULL], (b, c) = (SELECT 1, 2) FROM u WHERE x IS NOT DISTINCT FROM y;
INSERT INTO t (a) VALUES (DEFAULT) ON CONFLICT (a) WHERE b DO UPDATE SET a = excluded.a + 1;
MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1);
WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 2) SELECT count(*) OVER (ORDER BY 1 ROWS 3 PRECEDING)
  FROM r, LATERAL f(r) WHERE a BETWEEN SYMMETRIC 1 AND 2 OR b LIKE ANY ('{x}') LIMIT 5 FOR UPDATE;
CREATE TABLE t (a numeric(10,2) DEFAULT 0 CHECK (a > 0) NO INHERIT, b text COLLATE "C" NOT NULL,
  c int GENERATED ALWAYS AS (1) STORED, FOREIGN KEY (a, b) REFERENCES u (x, y) MATCH FULL
  ON DELETE SET NULL (b) DEFERRABLE INITIALLY DEFERRED) PARTITION BY RANGE (a, lower(b));
CREATE TABLE p PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
ALTER TABLE ONLY t ADD CONSTRAINT c UNIQUE NULLS NOT DISTINCT (a) INCLUDE (b),
  ALTER a SET STATISTICS -1;
CREATE UNIQUE INDEX CONCURRENTLY i ON t USING gin (a jsonb_path_ops DESC NULLS LAST) WITH (x = 1);
CREATE FUNCTION f(VARIADIC a int[]) RETURNS int LANGUAGE sql BEGIN ATOMIC; SELECT 1; END;
GRANT SELECT (a), UPDATE ON t TO PUBLIC WITH GRANT OPTION;
COMMENT ON COLUMN t.a IS 'it''s';
"""


@pytest.mark.parametrize("statement", split(STATEMENTS), ids=lambda one: one.sql[:40])
def test_a_statement_is_given_to_the_library_as_protobuf_encodes_it(statement: Statement) -> None:
    document = {"stmts": [{"stmt": {statement.kind: statement.tree}}]}
    wanted = ParseDict(without_places(document), pg_query_pb2.ParseResult())
    found = pg_query_pb2.ParseResult()
    found.ParseFromString(encoded("ParseResult", document))
    assert found == wanted
    assert deparse(statement.kind, statement.tree) == postgast.deparse(wanted)


def test_a_field_that_no_statement_has_is_not_left_out_unseen() -> None:
    with pytest.raises(KeyError, match="relname_"):
        deparse("SelectStmt", {"fromClause": [{"RangeVar": {"relname_": "t"}}]})


def test_a_statement_that_is_nested_too_deeply_is_refused() -> None:
    node: dict[str, object] = {"A_Const": {"isnull": True}}
    for _ in range(2000):
        node = {"BoolExpr": {"boolop": "NOT_EXPR", "args": [node]}}
    with pytest.raises(SqlSyntaxError, match="nested too deeply"):
        deparse("SelectStmt", {"targetList": [{"ResTarget": {"val": node}}]})
