"""What the judge of loss says: kind, object, place, certainty and origin."""

from __future__ import annotations

import pytest
from turnback.migrations.model import Script
from turnback.sql.destroys import Certainty, Judge, Kind, Loss, drops_with_rows
from turnback.sql.statements import split

CERTAIN, POSSIBLE = Certainty.CERTAIN, Certainty.POSSIBLE


def judged(sql: str, *before: str, history: str = "public") -> list[Loss]:
    judge = Judge(history=history)
    for number, text in enumerate(before):
        judge.learn(Script(f"sql/000{number}_before.sql", text, ""))
    return judge.losses(Script("sql/0009_x.sql", sql, ""))


def test_a_loss_says_what_where_and_by_what() -> None:
    [loss] = judged("SELECT 1;\n\n  UPDATE app.users SET email = 'gone';")
    assert loss == Loss(Kind.VALUES, "app.users.email", "sql/0009_x.sql", 3, CERTAIN, "UPDATE")
    assert loss.words == "values of app.users.email"
    assert loss.with_place == "sql/0009_x.sql:3 values of app.users.email (UPDATE)"


def test_a_loss_in_a_block_is_on_its_own_line() -> None:
    [loss] = judged("SELECT 'é';\nDO $$\nBEGIN\n  -- x\n  DELETE FROM users;\nEND $$;")
    assert (loss.line, loss.origin) == (5, "DELETE in a DO block")


@pytest.mark.parametrize(
    ("sql", "kind", "thing", "certainty"),
    [
        # What no transaction can undo, or what is not the database's own.
        ("ALTER SYSTEM SET fsync = off", Kind.PROTECTIONS, "fsync", CERTAIN),
        ("ALTER SYSTEM RESET ALL", Kind.PROTECTIONS, "all settings", CERTAIN),
        ("DROP DATABASE other", Kind.TABLES, "all of database other", CERTAIN),
        ("DROP ROLE bob", Kind.PROTECTIONS, "role bob", CERTAIN),
        ("DROP OWNED BY bob", Kind.TABLES, "all that bob owns", POSSIBLE),
        ("DROP EVENT TRIGGER audit", Kind.PROTECTIONS, "audit", CERTAIN),
        ("DROP SERVER far CASCADE", Kind.TABLES, "all tables of far", POSSIBLE),
        ("DROP FOREIGN TABLE far", Kind.TABLES, "far", CERTAIN),
        ("DROP FUNCTION f() CASCADE", Kind.COLUMNS, "what depends on f", POSSIBLE),
        ("DROP EXTENSION strange CASCADE", Kind.EXTENSIONS, "strange", CERTAIN),
        ("DROP RULE r ON t", Kind.PROTECTIONS, "t.r", CERTAIN),
        ("CREATE TABLE u AS SELECT cleanup()", Kind.ROWS, "unknown tables", POSSIBLE),
        ("COPY t FROM PROGRAM 'x'", Kind.PROTECTIONS, "the server itself", CERTAIN),
        (
            "SET session_replication_role = replica",
            Kind.PROTECTIONS,
            "triggers and foreign keys",
            CERTAIN,
        ),
        (
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
            Kind.PRIVILEGES,
            "what is made from now on",
            CERTAIN,
        ),
        (
            "GRANT SELECT ON ALL TABLES IN SCHEMA app TO PUBLIC",
            Kind.PRIVILEGES,
            "everything in schema app",
            CERTAIN,
        ),
        ("GRANT EXECUTE ON FUNCTION app.f() TO PUBLIC", Kind.PRIVILEGES, "app.f", CERTAIN),
        (
            "SELECT set_config('session_replication_role', 'replica', true)",
            Kind.PROTECTIONS,
            "triggers and foreign keys",
            CERTAIN,
        ),
        ("EXPLAIN (ANALYZE, COSTS off) DELETE FROM t", Kind.ROWS, "t", CERTAIN),
        ("ALTER TABLE t DISABLE TRIGGER ALL", Kind.PROTECTIONS, "t", CERTAIN),
        ("ALTER TABLE t DISABLE TRIGGER USER", Kind.PROTECTIONS, "t", CERTAIN),
        ("ALTER TABLE t DISABLE RULE r", Kind.PROTECTIONS, "t.r", CERTAIN),
        # What cannot be read, or not here.
        ("CREATE GALAXY g", Kind.TABLES, "unknown tables", POSSIBLE),
        ("DO LANGUAGE plpython3u $$ x() $$", Kind.ROWS, "unknown tables", POSSIBLE),
        ("SELECT app.cleanup()", Kind.ROWS, "unknown tables", POSSIBLE),
        ("SELECT cleanup()", Kind.ROWS, "unknown tables", POSSIBLE),
        ("CALL cleanup()", Kind.ROWS, "unknown tables", POSSIBLE),
        ("SELECT app.now()", Kind.ROWS, "unknown tables", POSSIBLE),
        ("SELECT lo_unlink(1)", Kind.ROWS, "large objects", POSSIBLE),
        ("ALTER TABLE t ALTER x TYPE int", Kind.VALUES, "t.x", POSSIBLE),
        ("DO $$ BEGIN EXECUTE x; END $$", Kind.ROWS, "unknown tables", POSSIBLE),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE '||x; END $$", Kind.TABLES, "unknown tables", POSSIBLE),
        ("DO $$ BEGIN EXECUTE 'DROP SCHEMA '||x; END $$", Kind.SCHEMAS, "unknown tables", POSSIBLE),
        ("DO $$ BEGIN EXECUTE 'UPDATE '||x; END $$", Kind.VALUES, "unknown tables", POSSIBLE),
        ("DO $$ BEGIN DROP SOMETHING odd; END $$", Kind.COLUMNS, "unknown tables", POSSIBLE),
        ("DO $$ BEGIN IF a THEN DELETE FROM t; END IF; END $$", Kind.ROWS, "t", POSSIBLE),
        ("DO $$ BEGIN IF a THEN NULL; END IF; DELETE FROM t; END $$", Kind.ROWS, "t", CERTAIN),
        ("DO $$ DECLARE v s.t; BEGIN DELETE FROM t; END $$", Kind.ROWS, "t", CERTAIN),
    ],
)
def test_what_no_panel_can_run_is_judged_by_its_text(
    sql: str, kind: Kind, thing: str, certainty: Certainty
) -> None:
    first = judged(sql)[0]
    assert (first.kind, first.object, first.certainty) == (kind, thing, certainty)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*), now(), jsonb_build_object('a', 1) FROM t",
        "SELECT pg_catalog.now(), st_area(g), uuid_generate_v4() FROM t",
        "DO $$ BEGIN RAISE NOTICE '%', format('DROP TABLE %s', x); END $$",
        "DO $$ DECLARE n numeric(10, 2) := 1; BEGIN n := CASE WHEN n IN (1) THEN 2 END; END $$",
        "DO $$ BEGIN IF EXISTS (SELECT FROM t) THEN INSERT INTO t VALUES (1); END IF; END $$",
        "GRANT SELECT ON t TO bob",
        "GRANT bob TO ann",
        "REVOKE ALL ON t FROM PUBLIC",
        "SET session_replication_role = origin",
        "ALTER SEQUENCE s INCREMENT 2",
        "EXPLAIN (ANALYZE false) DELETE FROM t",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2 WHERE false",
        "SELECT set_config('search_path', 'app', true)",
        "INSERT INTO t AS x VALUES (1) ON CONFLICT (a) DO UPDATE SET a = x.a",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN UPDATE SET a = t.a",
    ],
)
def test_what_destroys_nothing_is_no_loss(sql: str) -> None:
    assert judged(sql) == []


@pytest.mark.parametrize(
    ("sql", "origin"),
    [
        ("DROP FOREIGN TABLE a", "DROP FOREIGN TABLE"),
        ("DROP EVENT TRIGGER a", "DROP EVENT TRIGGER"),
        ("DROP ACCESS METHOD a CASCADE", "DROP ACCESS METHOD CASCADE"),
        ("DROP FOREIGN DATA WRAPPER a CASCADE", "DROP FOREIGN DATA WRAPPER CASCADE"),
        ("DROP SERVER a CASCADE", "DROP SERVER CASCADE"),
        ("DROP ROUTINE a CASCADE", "DROP ROUTINE CASCADE"),
        ("DROP COLLATION a CASCADE", "DROP COLLATION CASCADE"),
        ("DROP LANGUAGE a CASCADE", "DROP LANGUAGE CASCADE"),
        ("DROP OPERATOR + (int, int) CASCADE", "DROP OPERATOR CASCADE"),
        ("DROP CAST (int AS text) CASCADE", "DROP CAST CASCADE"),
    ],
)
def test_the_origin_is_the_command(sql: str, origin: str) -> None:
    assert [loss.origin for loss in judged(sql)] == [origin]


@pytest.mark.parametrize(
    ("extension", "type_"),
    [
        ("citext", "citext"),
        ("hstore", "hstore"),
        ("ltree", "ltree"),
        ("ltree", "lquery"),
        ("ltree", "ltxtquery"),
        ("postgis", "geometry"),
        ("postgis", "geography"),
        ("vector", "vector"),
        ("vector", "halfvec"),
        ("vector", "sparsevec"),
    ],
)
def test_an_extension_takes_the_columns_of_its_types_along(extension: str, type_: str) -> None:
    found = judged(f"DROP EXTENSION {extension} CASCADE", f"CREATE TABLE t (a {type_}, b int);")
    assert [(loss.kind, loss.object) for loss in found] == [
        (Kind.EXTENSIONS, extension),
        (Kind.COLUMNS, "t.a"),
    ]


def test_a_schema_takes_the_columns_of_its_types_along() -> None:
    made = "CREATE TABLE t (a s.mood, b int);"
    found = judged("DROP SCHEMA s CASCADE", made)
    assert [(loss.kind, loss.object) for loss in found] == [
        (Kind.SCHEMAS, "s"),
        (Kind.COLUMNS, "t.a"),
    ]
    assert [loss.kind for loss in judged("DROP TYPE s CASCADE", made)] == [Kind.TYPES]


@pytest.mark.parametrize(
    ("event", "sql"),
    [
        ("INSERT", "INSERT INTO u VALUES (1)"),
        ("INSERT OR UPDATE", "WITH x AS (UPDATE u SET a = a RETURNING a) SELECT * FROM x"),
        ("DELETE", "DELETE FROM u WHERE a = 1"),
        ("UPDATE", "MERGE INTO u USING v ON true WHEN MATCHED THEN UPDATE SET a = u.a"),
        ("TRUNCATE", "TRUNCATE v, u"),
    ],
)
def test_a_statement_may_destroy_what_its_triggers_do(event: str, sql: str) -> None:
    function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; END';"
    trigger = f"CREATE TRIGGER x AFTER {event} ON u EXECUTE FUNCTION f();"
    origin = "DELETE in f() in a trigger"
    assert origin in [loss.origin for loss in judged(sql, function + trigger)]
    other = trigger.replace("ON u", "ON w")
    gone = trigger + "DROP TRIGGER x ON u;"
    for before in (function, function + other, function + gone, trigger):
        assert origin not in [loss.origin for loss in judged(sql, before)]


def test_an_unknown_extension_may_take_any_column_along() -> None:
    _, second = judged("DROP EXTENSION strange CASCADE")
    assert (second.kind, second.certainty) == (Kind.COLUMNS, POSSIBLE)
    assert second.words == "possibly what depends on strange"
    assert len(judged("DROP TYPE strange CASCADE")) == 1
    assert len(judged("DROP EXTENSION strange")) == 1


def test_possible_losses_say_so() -> None:
    [loss] = judged("SELECT cleanup()")
    assert loss.words == "possibly data of unknown tables"
    assert loss.origin == "a call of cleanup()"


def test_names_in_another_schema_are_other_objects() -> None:
    made = "CREATE TABLE app.t (id int);"
    assert judged(f"{made} DROP TABLE app.t") == []
    assert [loss.object for loss in judged(f"{made} DROP TABLE t")] == ["t"]
    assert [loss.object for loss in judged("DROP TABLE public.t, other.t")] == ["t", "other.t"]


def test_a_table_that_no_script_made_is_lost_with_the_new_schema_it_was_moved_to() -> None:
    found = judged("CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s; DROP SCHEMA s CASCADE;")
    assert [(loss.kind, loss.object) for loss in found] == [(Kind.TABLES, "t")]


def test_each_script_begins_with_its_own_search_path_and_temporary_tables() -> None:
    judge = Judge()
    first = "SET search_path = app; CREATE TEMP TABLE t (id int); DELETE FROM t; DELETE FROM u;"
    assert [loss.object for loss in judge.losses(Script("1", first, ""))] == ["app.u"]
    second = Script("2", "DELETE FROM t; DELETE FROM u;", "")
    assert [loss.object for loss in judge.losses(second)] == ["t", "u"]


def test_what_an_earlier_script_of_the_release_made_is_no_loss() -> None:
    judge = Judge()
    judge.learn(Script("1", "CREATE TABLE old (id int);", ""))
    assert judge.losses(Script("2", "CREATE TABLE t (id int); CREATE SCHEMA s;", "")) == []
    third = Script("3", "DROP TABLE t, old; DROP SCHEMA s CASCADE;", "")
    assert [loss.object for loss in judge.losses(third)] == ["old"]


def test_turnbacks_own_tables_are_never_the_releases_own() -> None:
    made = "CREATE TABLE turnback.migrations (id int);"
    for sql in ("DELETE FROM", "INSERT INTO", "DROP TABLE"):
        text = f"{made} {sql} turnback.migrations{' SELECT 1' if 'INSERT' in sql else ''}"
        [loss] = judged(text, history="turnback")
        assert loss.object == "turnback.migrations"
    assert judged(f"{made} DELETE FROM turnback.migrations") == []


def test_each_call_of_a_function_is_a_loss_of_its_own() -> None:
    made = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM t';"
    assert [loss.line for loss in judged("SELECT f();\nSELECT f();", made)] == [1, 2]


def test_scripts_that_ran_before_have_their_own_search_path_too() -> None:
    before = ("SET search_path = app; CREATE TABLE a (id int);", "CREATE TABLE b (id int);")
    found = judged("SET search_path = app, public; DELETE FROM a; DELETE FROM b;", *before)
    assert [loss.object for loss in found] == ["app.a", "b"]


def test_a_protection_is_no_data() -> None:
    assert [loss.is_data for loss in judged("ALTER TABLE t SET UNLOGGED; DROP TABLE t")] == [
        False,
        True,
    ]


def test_a_function_that_calls_itself_is_read_once() -> None:
    made = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM t; SELECT f()';"
    [loss] = judged(f"{made} SELECT f()")
    assert (loss.object, loss.certainty, loss.origin) == ("t", POSSIBLE, "DELETE in f()")


def test_a_function_that_a_trigger_calls_is_not_run_by_its_creation() -> None:
    made = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; END';"
    assert judged(f"{made} CREATE TRIGGER x AFTER INSERT ON u EXECUTE FUNCTION f()") == []


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("DROP TABLE a, s.b", ["a", "s.b"]),
        ("DROP SCHEMA s CASCADE", ["s"]),
        ("ALTER TABLE t DROP COLUMN a, DROP CONSTRAINT k", ["t.a"]),
        ("DROP INDEX i", []),
        ("DELETE FROM t", []),
    ],
)
def test_what_a_statement_drops_may_have_rows(sql: str, names: list[str]) -> None:
    [statement] = split(sql)
    assert [name for _, name in drops_with_rows(statement)] == names


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE p PARTITION OF m (v DEFAULT 0) FOR VALUES IN (1);",
        "CREATE TABLE q OF kind (id WITH OPTIONS PRIMARY KEY);",
    ],
)
def test_a_column_without_a_type_of_its_own_is_read(sql: str) -> None:
    assert judged(sql) == []


def test_a_circle_of_tables_that_the_server_refuses_ends_the_reading() -> None:
    made = "CREATE TABLE a (); CREATE TABLE b () INHERITS (a);"
    circle = "ALTER TABLE a INHERIT b; DELETE FROM a; DROP TABLE a CASCADE;"
    assert {loss.object for loss in judged(circle, made)} == {"a", "b"}
    views = "CREATE VIEW v AS TABLE w; CREATE VIEW w AS TABLE v;"
    assert judged("DELETE FROM v", views) == []


def test_functions_that_all_call_each_other_may_destroy_anything() -> None:
    # Twelve of them have a hundred million ways to be called in.
    calls = " ".join(f"PERFORM f{number}();" for number in range(12))
    made = "".join(
        f"CREATE FUNCTION f{number}() RETURNS void LANGUAGE plpgsql AS 'BEGIN {calls} END';"
        for number in range(12)
    )
    losses = judged("SELECT f0(); DELETE FROM t", made)
    assert (Kind.TABLES, "unknown tables") in {(loss.kind, loss.object) for loss in losses}
    assert (Kind.ROWS, "t") in {(loss.kind, loss.object) for loss in losses}
