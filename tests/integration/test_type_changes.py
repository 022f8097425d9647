"""Which changes of type keep every value: each pair of types is tried on PostgreSQL."""

from __future__ import annotations

import psycopg
import pytest
from turnback.sql.definitions import column_of
from turnback.sql.parser import parse_tree
from turnback.sql.tables import Type
from turnback.sql.tree import Node
from turnback.sql.types import keeps_values

# Type → values that show what a change loses.
SAMPLES = {
    "int2": ["7", "-32768"],
    "int4": ["7", "16777217", "-5"],
    "int8": ["7", "9007199254740993", "5000000001"],
    "numeric": ["7", "1.255", "12345678901234567890.123", "0.123456789012345678901", "1.50"],
    "numeric(10,2)": ["7", "1.25", "12345678.91"],
    "numeric(5,1)": ["7", "1.2"],
    "float4": ["7", "0.1", "16777216"],
    "float8": ["7", "0.1", "1.000000059604645", "9007199254740992"],
    "text": [
        "7",
        "007",
        " a ",
        "1e3",
        "yes",
        "2026-01-02 03:04:05.678901",
        '{"a":  1}',
        "abcdef",
        "{1,  2}",
        "12:00",
        "1 day 02:00:00.5",
        "A-B",
        "192.168.0.1",
        "101",
    ],
    "varchar": ["7", "007", " a ", "abcdef", "yes", "2026-1-2", '{"a":  1}'],
    "varchar(20)": ["7", "007", " a ", "abcdefghijklmno", "yes"],
    "varchar(3)": ["7", "007", "a ", "yes"],
    "char(5)": ["7", "ab", "007"],
    "bool": ["true", "false"],
    "date": ["2026-01-02"],
    "timestamp": ["2026-01-02 03:04:05.678901"],
    "timestamp(0)": ["2026-01-02 03:04:05"],
    "timestamp(3)": ["2026-01-02 03:04:05.678"],
    "timestamptz": ["2026-01-02 03:04:05.678901+00"],
    "timestamptz(0)": ["2026-01-02 03:04:05+00"],
    "time": ["03:04:05.678901"],
    "time(0)": ["03:04:05"],
    "interval": ["1 mon 2 days 03:04:05.678901"],
    "interval(0)": ["1 day 03:04:05"],
    "json": ['{"a":  1, "a": 2}'],
    "jsonb": ['{"b": 1, "a": 2}'],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "inet": ["192.168.0.1/16", "10.0.0.1"],
    "cidr": ["192.168.0.0/16"],
    "bytea": ["\\xdeadbeef"],
    "name": ["a", "7"],
    "bit(3)": ["101"],
    "varbit": ["101", "10"],
    "citext": ["Ab", "7"],
    "int4[]": ["{1,2}"],
    "int8[]": ["{1,5000000001}"],
    "text[]": ["{a,007}"],
    "mood": ["ok"],
}
# One value to a column of the new type and back: same, lost, or fails.
TRIP = """
CREATE FUNCTION trip(old text, new text, value text, explicit bool) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE before text; back text; changed text;
BEGIN
    EXECUTE format('SELECT %L::%s::text', value, old) INTO before;
    BEGIN
        EXECUTE format('INSERT INTO %I SELECT %L::%s%s RETURNING a::text', 'to ' || new, value, old,
                       CASE WHEN explicit THEN '::' || new ELSE '' END) INTO changed;
    EXCEPTION WHEN others THEN
        RETURN 'fails';
    END;
    FOR way IN 1..2 LOOP
        BEGIN
            EXECUTE format('SELECT %L::%s%s::text', changed,
                           CASE way WHEN 1 THEN new || '::' ELSE '' END, old) INTO back;
        EXCEPTION WHEN others THEN back := NULL;
        END;
        IF back IS NOT DISTINCT FROM before THEN RETURN 'same'; END IF;
    END LOOP;
    RETURN 'lost';
END $$
"""


def type_named(text: str) -> Type:
    [statement] = parse_tree(f"CREATE TABLE t (a {text})")
    return column_of(statement["stmt"]["CreateStmt"]["tableElts"][0]["ColumnDef"]).type


def change_to(text: str, *, explicit: bool) -> Node:
    using = f" USING a::{text}" if explicit else ""
    [statement] = parse_tree(f"ALTER TABLE t ALTER a TYPE {text}{using}")
    command: Node = statement["stmt"]["AlterTableStmt"]["cmds"][0]["AlterTableCmd"]
    found: Node = command["def"]["ColumnDef"]
    return found


@pytest.mark.parametrize("explicit", [False, True], ids=["assignment", "cast"])
def test_a_change_of_type_is_judged_as_the_server_makes_it(database: str, explicit: bool) -> None:
    wrong = []
    with psycopg.connect(database) as connection:
        connection.execute("CREATE EXTENSION citext")
        connection.execute("CREATE TYPE mood AS ENUM ('ok', 'yes')")
        connection.execute(TRIP)
        for new in SAMPLES:
            connection.execute(f'CREATE TABLE "to {new}" (a {new})'.encode())
        for old, values in SAMPLES.items():
            rows = connection.execute(
                "SELECT new, array_agg(DISTINCT trip(%s, new, value, %s)) "
                "FROM unnest(%s::text[]) AS new, unnest(%s::text[]) AS value GROUP BY 1",
                [old, explicit, list(SAMPLES), values],
            )
            for new, results in rows.fetchall():
                keeps = keeps_values(type_named(old), change_to(new, explicit=explicit))
                if keeps and "lost" in results:
                    wrong.append(f"{old} → {new} loses values")
                elif keeps is False and "lost" not in results and "same" in results:
                    wrong.append(f"{old} → {new} keeps values")
    assert "\n".join(wrong) == ""


def test_without_its_old_type_or_with_a_computed_value_a_column_may_lose() -> None:
    assert keeps_values(None, change_to("int", explicit=False)) is None
    [statement] = parse_tree("ALTER TABLE t ALTER a TYPE int USING length(a)")
    command = statement["stmt"]["AlterTableStmt"]["cmds"][0]["AlterTableCmd"]
    assert keeps_values(type_named("text"), command["def"]["ColumnDef"]) is False
    assert keeps_values(None, command["def"]["ColumnDef"]) is False
