"""Small projects that were once judged wrongly: what is right for each."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psycopg
import pytest
from turnback.errors import CodeNotAllowed
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.lock import Lock
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import PREFIX, Shadow
from turnback.rehearsal.verdict import Rehearsed
from turnback.settings.environment import CodeRule
from turnback.sql.quoting import identifier

from tests.conftest import ProjectFactory
from tests.integration.leftovers import make_leftover

NOTES_MORE = ("ALTER TABLE notes ADD more text;", "ALTER TABLE notes DROP more;")
NOTES = ("CREATE TABLE notes (id int, a text, b text);", "DROP TABLE notes;")


@pytest.fixture
def shadow(server: EmbeddedServer) -> Shadow:
    return Shadow(server.url())


def files(*pairs: tuple[str, str]) -> dict[str, str]:
    """A project of these forward and rollback scripts, numbered from 1."""
    found = {}
    for number, (forward, rollback) in enumerate(pairs, 1):
        found[f"sql/{number:04}_m.sql"] = forward
        found[f"rollback/{number:04}_rollback.sql"] = rollback
    return found


@pytest.fixture
def judged(project_factory: ProjectFactory, shadow: Shadow) -> Judge:
    def judge(*pairs: tuple[str, str], only: tuple[str, ...] = ()) -> Rehearsed:
        project = load_project(project_factory(files(*pairs)))
        chosen = project.choose(only) if only else project.migrations
        return rehearse(project, chosen, shadow)

    return judge


class Judge:
    """Rehearses a project of pairs of scripts, or some of its versions."""

    def __call__(self, *pairs: tuple[str, str], only: tuple[str, ...] = ()) -> Rehearsed: ...


def words(found: Rehearsed) -> list[str]:
    return [verdict.rollback for verdict in found.migrations]


def test_an_option_that_the_server_keeps_for_itself_is_no_difference(judged: Judge) -> None:
    def marked(options: str) -> str:
        return (
            f"UPDATE pg_attribute SET attoptions = '{{{options}}}' "
            "WHERE attname = 'a' AND attrelid = 'notes'::regclass;"
            "UPDATE pg_class SET reloptions = '{pg_x=1}' WHERE relname = 'notes';"
        )

    found = judged(
        NOTES,
        (marked("pg_attver=2"), marked("pg_attver=3")),
        (marked("pg_attver=2,n_distinct=5"), "SELECT 1;"),
    )
    assert words(found) == ["exact", "exact", "differs"]
    assert [str(one) for one in found.migrations[2].differences] == [
        "column public.notes.a: options none ≠ n_distinct=5"
    ]


def test_a_row_that_the_first_time_made_is_not_the_fault_of_the_next_migration(
    judged: Judge,
) -> None:
    found = judged(
        (
            "CREATE TABLE plans (id serial, name text, made timestamptz DEFAULT now());",
            "DROP TABLE plans;",
        ),
        ("INSERT INTO plans (name) VALUES ('free');", "DELETE FROM plans WHERE name = 'free';"),
        NOTES,
    )
    assert words(found) == ["exact", "exact", "exact"]
    assert found.proven


def test_a_row_that_a_rollback_changes_is_still_found(judged: Judge) -> None:
    found = judged(
        ("CREATE TABLE plans (name text);", "DROP TABLE plans;"),
        ("INSERT INTO plans VALUES ('free');", "DELETE FROM plans;"),
        (NOTES[0], f"{NOTES[1]} UPDATE plans SET name = 'paid';"),
    )
    assert found.migrations[-1].rows == ["rows of public.plans: the same number, other rows"]
    assert not found.proven


@pytest.mark.parametrize("only", [("0001",), ("0002",), ("0001", "0002"), ("0001", "0003")])
def test_some_versions_of_a_project_are_proven_without_the_others(
    judged: Judge, only: tuple[str, ...]
) -> None:
    found = judged(
        ("CREATE TABLE t (id int);", "DROP TABLE t;"),
        ("CREATE TABLE u (id int);", "DROP TABLE u;"),
        ("CREATE TABLE v (id int);", "DROP TABLE v;"),
        only=only,
    )
    assert [verdict.version for verdict in found.migrations] == list(only)
    assert (found.release, found.proven) == ("exact", True)


def test_what_lies_between_chosen_versions_is_rolled_back_with_them(judged: Judge) -> None:
    found = judged(
        ("CREATE TABLE t (id int);", "DROP TABLE t;"),
        ("CREATE TABLE u (id int);", "SELECT 1;"),
        ("CREATE TABLE v (id int);", "DROP TABLE v;"),
        only=("0001", "0003"),
    )
    assert words(found) == ["exact", "exact"]
    assert found.release == "differs"
    assert [str(one) for one in found.release_differences] == [
        "table public.u: left over after rollback"
    ]


def test_a_step_that_fails_does_not_end_the_rehearsal(judged: Judge) -> None:
    found = judged(
        NOTES,
        ("CREATE TABLE tags (id int); SELECT 1/0;", "DROP TABLE tags;"),
        # Outside a transaction a part of it remains.
        (
            "CREATE TABLE left_over (id int); CREATE INDEX CONCURRENTLY i ON notes (id);"
            "CREATE INDEX CONCURRENTLY j ON nowhere (id);",
            "SELECT 1;",
        ),
        ("COMMIT; CREATE TABLE never (id int);", "DROP TABLE never;"),
        ("ALTER TABLE tags ADD a int;", "ALTER TABLE tags DROP a;"),
        ("CREATE TABLE left_over (id int);", "DROP TABLE left_over;"),
        ("CREATE TABLE u (id int);", "DROP TABLE wrong;"),
        ("ALTER TABLE u ADD a int;", "ALTER TABLE u DROP a;"),
    )
    assert [(one.forward, one.rollback) for one in found.migrations] == [
        ("applied", "exact"),
        ("failed", "failed"),
        ("failed", "failed"),
        ("failed", "failed"),
        ("failed", "failed"),
        ("applied", "exact"),
        ("applied", "failed"),
        ("applied", "exact"),
    ]
    assert [one.error.sqlstate for one in found.migrations if one.error] == [
        *("22012", "42P01", None, "42P01", "42P01")
    ]
    assert found.release is None


def test_what_the_server_lacks_is_not_the_fault_of_the_file(judged: Judge) -> None:
    needed = {
        "CREATE TABLE t (id int); GRANT SELECT ON t TO case_nobody;": "--database-url",
        "CREATE EXTENSION nowhere_at_all;": "--shadow-url",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'nowhere', 'f';": "--shadow-url",
        "DO $$ BEGIN RAISE insufficient_privilege; END $$;": "--shadow-url",
        "DO $$ BEGIN RAISE disk_full; END $$;": "disk is full",
    }
    found = judged(*((forward, "SELECT 1;") for forward in needed))
    hints = [one.error.hint or "" for one in found.migrations if one.error]
    assert len(hints) == len(needed)
    for hint, remedy in zip(hints, needed.values(), strict=True):
        assert remedy in hint
        assert "fix" not in hint


@pytest.mark.parametrize(
    ("kept", "word"), [("u_backup", "exact"), ('public."u_backup"', "exact"), ("u", "differs")]
)
def test_a_table_that_the_rollback_keeps_is_no_difference(
    judged: Judge, kept: str, word: str
) -> None:
    found = judged(
        NOTES,
        (
            "CREATE TABLE u AS SELECT 1 AS id;",
            f"-- turnback: keep {kept} because its rows are not to be lost\n"
            "CREATE TABLE u_backup AS SELECT * FROM u; DROP TABLE u;",
        ),
        NOTES_MORE,
    )
    assert words(found) == ["exact", word, "exact"]
    # Nor is there one of all of them, whose rollbacks make the table once more.
    assert found.release == word
    reason = ["public.u_backup: its rows are not to be lost"]
    assert found.migrations[1].kept == (reason if word == "exact" else [])


FILL = "-- turnback: backfill table=t key=id\nUPDATE t SET a = {} WHERE {{batch}};"


@pytest.mark.parametrize(
    ("back", "proven", "kept"),
    [
        (FILL.format("NULL"), True, []),
        (FILL.format("7"), False, []),
        ("-- turnback: keep-rows because 0001 drops t\n", True, ["the rows: 0001 drops t"]),
    ],
)
def test_a_backfill_is_proven_on_rows_or_says_why_they_stay(
    judged: Judge, back: str, proven: bool, kept: list[str]
) -> None:
    table = "CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1), (2);"
    _, fill = judged((table, "DROP TABLE t;"), (FILL.format("id"), back)).migrations
    assert (fill.forward, fill.rollback, fill.proven, fill.kept) == (
        "applied",
        "exact",
        proven,
        kept,
    )


SWAP = "-- turnback: swap table=t\nALTER TABLE t ALTER COLUMN a TYPE {};"


def test_a_swap_is_proven_on_rows(judged: Judge) -> None:
    table = "CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 2), (3, NULL);"
    scripts = (SWAP.format("bigint"), SWAP.format("int"))
    _, swap = judged((table, "DROP TABLE t;"), scripts).migrations
    assert (swap.forward, swap.rollback, swap.proven) == ("applied", "exact", True)
    assert swap.loses_data == ["values of column public.t.a that fit bigint and not integer"]


def test_a_migration_in_python_is_proven_on_rows_where_it_may_run(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    code = (
        "# turnback: backfill table=t key=id columns=id\ndef transform(rows):\n"
        "    return [('UPDATE t SET a = %s WHERE id = %s', ({}, row['id'])) for row in rows]\n"
    )
    table = "CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1), (2);"
    written = {
        **files((table, "DROP TABLE t;")),
        "sql/0002_fill.py": code.format("row['id']"),
        "rollback/0002_rollback.py": code.format("None"),
    }
    project = load_project(project_factory(written))
    refused = rehearse(project, project.migrations, shadow).migrations[1]
    assert refused.forward == "failed" and isinstance(refused.error, CodeNotAllowed)
    shadow.code = CodeRule.CLOSED
    _, fill = rehearse(project, project.migrations, shadow).migrations
    assert (fill.forward, fill.rollback, fill.proven) == ("applied", "exact", True)
    assert fill.loses_data == ["possibly data of unknown tables"]
    written["rollback/0002_rollback.py"] = code.format("7")
    project = load_project(project_factory(written))
    assert not rehearse(project, project.migrations, shadow).migrations[1].proven


def test_the_trace_names_a_table_as_others_know_it(judged: Judge) -> None:
    base = ("CREATE TABLE notes (a int); INSERT INTO notes VALUES (1);", "DROP TABLE notes;")
    renamed = (
        "ALTER TABLE notes RENAME TO pages; ALTER TABLE pages ALTER a TYPE bigint;"
        "CREATE INDEX ON pages (a);"
    )
    replaced = (
        "CREATE TABLE other AS SELECT * FROM notes; DROP TABLE notes;"
        "ALTER TABLE other RENAME TO notes; UPDATE notes SET a = 2 WHERE a > 0;"
        "ALTER TABLE notes ADD id int GENERATED ALWAYS AS IDENTITY;"
    )
    _, rename = judged(base, (renamed, "SELECT 1;")).migrations
    locks = [[(lock.relation, lock.mode) for lock in trace.locks] for trace in rename.statements]
    # The second and the third work on it under the lock of the first.
    assert locks == [[("notes", "AccessExclusiveLock")]] * 3
    assert [trace.rewrites for trace in rename.statements] == [(), ("notes",), ()]
    # A table with the name of one that is gone is in nobody's way.
    _, replace = judged(base, (replaced, "SELECT 1;")).migrations
    assert [trace.scans for trace in replace.statements] == [("notes",), (), (), (), ()]
    assert replace.statements[1].locks == (Lock("notes", "AccessExclusiveLock"),)
    for trace in replace.statements[2:]:
        assert (trace.locks, trace.rewrites, trace.writes) == ((), (), ())


READER = (
    "CREATE ROLE case_reader; CREATE TABLE notes (id int); GRANT SELECT ON notes TO case_reader;",
    "DROP TABLE notes; DROP ROLE case_reader;",
)


def roles(admin: psycopg.Connection) -> set[str]:
    found = admin.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^case_'").fetchall()
    return {name for (name,) in found}


def test_a_role_does_not_outlive_the_shadow(judged: Judge, admin: psycopg.Connection) -> None:
    found = judged(
        READER,
        ("ALTER TABLE notes ADD title text;", "ALTER TABLE notes DROP COLUMN titel;"),
        ("CREATE TABLE tags (id int);", "DROP TABLE tags;"),
    )
    assert words(found) == ["exact", "failed", "exact"]
    assert roles(admin) == set()


def test_a_role_that_existed_before_or_that_no_script_makes_is_kept(
    judged: Judge, admin: psycopg.Connection
) -> None:
    admin.execute("CREATE ROLE case_kept")
    admin.execute("ALTER ROLE case_kept SET search_path = a, b")
    try:
        found = judged(
            (
                "CREATE ROLE case_mine; GRANT case_kept TO case_mine; "
                "ALTER ROLE case_kept SET work_mem = '5MB'; "
                "ALTER ROLE case_kept SET search_path = c; CREATE TABLE notes ();",
                "SELECT 1;",
            ),
            ("CREATE TABLE a ();", "DROP TABLE nowhere;"),
        )
        assert words(found) == ["differs", "failed"]
        assert roles(admin) == {"case_kept"}
        settings = admin.execute("SELECT rolconfig FROM pg_roles WHERE rolname = 'case_kept'")
        assert settings.fetchall() == [(["search_path=a, b"],)]
    finally:
        admin.execute("DROP ROLE case_kept")


def test_a_role_of_a_killed_rehearsal_is_removed_by_the_next(
    judged: Judge, admin: psycopg.Connection
) -> None:
    name = f"{PREFIX}0123456789ab"
    folder = Path(tempfile.gettempdir()) / f"turnback-shadows-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / f"{name}.json").write_text('[["ROLE", "case_left"]]')
    make_leftover(admin, name)
    admin.execute("CREATE ROLE case_left")
    assert words(judged(NOTES)) == ["exact"]
    assert roles(admin) == set()
    assert not (folder / f"{name}.json").exists()


# What belongs to the server, as another session sees it.
SHARED = """
SELECT 'role', rolname FROM pg_roles UNION ALL SELECT 'database', datname FROM pg_database
UNION ALL SELECT 'slot', slot_name FROM pg_replication_slots
UNION ALL SELECT 'origin', roname FROM pg_replication_origin
UNION ALL SELECT 'member', roleid::regrole || ' ' || member::regrole FROM pg_auth_members
UNION ALL SELECT 'setting', setdatabase || ' ' || setrole::regrole || setconfig::text
  FROM pg_db_role_setting
UNION ALL SELECT 'parameter', parname || paracl::text FROM pg_parameter_acl
UNION ALL SELECT 'comment', description FROM pg_shdescription WHERE classoid = 'pg_authid'::regclass
UNION ALL SELECT 'attributes', a::text FROM (SELECT * FROM pg_roles) a
UNION ALL SELECT 'tablespace', spcname FROM pg_tablespace ORDER BY 1, 2
"""


def shared(admin: psycopg.Connection) -> list[tuple[str, str]]:
    return admin.execute(SHARED).fetchall()


@pytest.mark.parametrize(
    "forward",
    [
        "CREATE ROLE case_a; CREATE ROLE case_b IN ROLE case_a; COMMENT ON ROLE case_b IS 'b';",
        'CREATE USER "case C"; GRANT pg_monitor TO "case C"; COMMENT ON ROLE "case C" IS \'x\';',
        "DO $$ BEGIN EXECUTE 'CREATE ROLE ' || quote_ident('case_dynamic'); END $$;",
        "DO $$ BEGIN EXECUTE format('CREATE ROLE %I', 'case_format'); END $$;",
        "DO $$ BEGIN EXECUTE format('CREATE ROLE %I', 'case_' || current_database()); END $$;",
        "ALTER ROLE case_kept CREATEDB CONNECTION LIMIT 3 VALID UNTIL '2030-01-01';",
        "COMMENT ON ROLE case_kept IS 'changed';",
        "ALTER ROLE case_kept SET work_mem = 64; ALTER ROLE case_kept RESET search_path;",
        "ALTER ROLE ALL SET work_mem = 64;",
        "GRANT pg_monitor TO case_kept;",
        "GRANT SET ON PARAMETER log_statement TO case_kept;",
        "SELECT pg_create_physical_replication_slot('case_slot', true);",
        "SELECT pg_replication_origin_create('case_origin');",
        "-- turnback: no-transaction\nCREATE DATABASE case_database;",
    ],
)
def test_what_a_migration_makes_on_the_server_is_removed_or_set_back(
    judged: Judge, admin: psycopg.Connection, forward: str
) -> None:
    admin.execute("CREATE ROLE case_kept VALID UNTIL '2031-01-01'")
    admin.execute("ALTER ROLE case_kept SET search_path = a, b")
    admin.execute("COMMENT ON ROLE case_kept IS 'before'")
    before = shared(admin)
    try:
        found = judged((forward, "SELECT nothing;"), NOTES)
        assert found.migrations[0].forward == "applied", found.migrations[0].error
        assert shared(admin) == before
    finally:
        admin.execute("DROP ROLE case_kept")


def test_what_others_make_on_the_server_meanwhile_is_kept(
    judged: Judge, admin: psycopg.Connection
) -> None:
    # Another session, in the middle of the rehearsal: the names are words of the migration.
    other = (
        "CREATE TABLE case_table (case_column int);"
        "DO $$ BEGIN PERFORM set_config('case.x', 'CREATE DATABASE case_table', false); END $$;"
    )
    project = (other, "DROP TABLE case_table;")
    original = Shadow._create

    def create(self: Shadow, *arguments: object) -> None:
        original(self, *arguments)  # type: ignore[arg-type]
        admin.execute("CREATE ROLE case_table")
        admin.execute("CREATE ROLE case_column")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shadow, "_create", create)
        judged(project)
    try:
        assert roles(admin) == {"case_table", "case_column"}
    finally:
        admin.execute("DROP ROLE case_table, case_column")


def test_a_subscription_does_not_keep_the_shadow(judged: Judge, admin: psycopg.Connection) -> None:
    found = judged(
        (
            "CREATE SUBSCRIPTION s CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false);",
            "ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s;",
        ),
        ("CREATE TABLE a ();", "DROP TABLE nowhere;"),
        NOTES,
    )
    assert words(found) == ["exact", "failed", "exact"]
    left = admin.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
    assert left.fetchall() == []


def comment_on_database(text: str) -> str:
    command = f"format('COMMENT ON DATABASE %I IS {text}', current_database())"
    return f"DO $$BEGIN EXECUTE {command}; END$$;"


def test_the_mark_of_the_shadow_is_no_difference_and_a_comment_on_the_database_is_one(
    judged: Judge,
) -> None:
    shop, none = comment_on_database("''the shop''"), comment_on_database("NULL")
    assert words(judged((shop, none))) == ["exact"]
    assert words(judged((shop, "SELECT 1;"))) == ["differs"]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("IS_TEMPLATE true", "database: template none ≠ yes"),
        ("CONNECTION LIMIT 7", "database: connection limit none ≠ 7"),
    ],
)
def test_the_properties_of_the_database_are_compared_and_it_can_be_dropped(
    judged: Judge, admin: psycopg.Connection, change: str, difference: str
) -> None:
    found = judged(
        (
            f"DO $$BEGIN EXECUTE format('ALTER DATABASE %I {change}', current_database()); END$$;",
            "SELECT 1;",
        )
    )
    assert [str(one) for one in found.migrations[0].differences] == [difference]
    left = admin.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
    assert left.fetchall() == []


def test_a_view_follows_the_order_of_its_tables_columns(judged: Judge) -> None:
    found = judged(
        (
            f"{NOTES[0]} CREATE VIEW all_notes AS SELECT * FROM notes;",
            f"DROP VIEW all_notes; {NOTES[1]}",
        ),
        (
            "DROP VIEW all_notes; ALTER TABLE notes DROP COLUMN a;",
            "ALTER TABLE notes ADD COLUMN a text; CREATE VIEW all_notes AS SELECT * FROM notes;",
        ),
    )
    assert words(found) == ["exact", "column_order"]
    assert found.migrations[1].suggestions == []
    assert found.proven


def test_a_view_of_other_columns_differs(judged: Judge) -> None:
    view = "CREATE VIEW v AS SELECT a, b FROM notes;"
    found = judged(
        (NOTES[0] + view, "DROP VIEW v; DROP TABLE notes;"),
        ("DROP VIEW v;", "CREATE VIEW v AS SELECT b AS a, a AS b FROM notes;"),
    )
    assert words(found) == ["exact", "differs"]


def test_a_suggestion_is_shown_only_if_it_brings_the_schema_back(judged: Judge) -> None:
    found = judged(
        (
            f"{NOTES[0]} CREATE VIEW v AS SELECT a FROM notes; CREATE VIEW w AS SELECT a FROM v;",
            "DROP VIEW w; DROP VIEW v; DROP TABLE notes;",
        ),
        # CREATE OR REPLACE cannot take a column from a view.
        ("DROP VIEW w; DROP VIEW v; CREATE VIEW v AS SELECT a, b FROM notes;", "SELECT 1;"),
    )
    verdict = found.migrations[1]
    assert verdict.rollback == "differs"
    assert [one.object for one in verdict.differences] == ["view public.v", "view public.w"]
    assert [sql.split(" AS")[0] for sql in verdict.suggestions] == ["CREATE VIEW public.w"]


def test_a_name_forges_no_line_of_the_verdict_and_no_other_suggestion(judged: Judge) -> None:
    name = identifier("a\nDROP TABLE keep; --\u202e")
    found = judged(("CREATE TABLE keep ();", "DROP TABLE keep;"), (f"CREATE TABLE {name} ();", ""))
    verdict = found.migrations[1]
    shown = r'U&"a\+00000aDROP TABLE keep; --\+00202e"'
    assert verdict.suggestions == [f"DROP TABLE public.{shown};"]
    assert [str(one) for one in verdict.differences] == [
        f"table public.{shown}: left over after rollback"
    ]


def test_suggestions_come_in_an_order_in_which_they_run(judged: Judge) -> None:
    found = judged(
        (
            "CREATE TABLE z (id int PRIMARY KEY); CREATE TABLE a (z int REFERENCES z);",
            "DROP TABLE a, z;",
        ),
        ("DROP TABLE a, z;", "SELECT 1;"),
    )
    assert [sql.split(" (")[0] for sql in found.migrations[1].suggestions] == [
        "CREATE TABLE public.z",
        "CREATE TABLE public.a",
    ]


@pytest.mark.parametrize("fraction", ["9", "999", "999999", "123456"])
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_a_literal_with_a_fraction_of_a_second_is_not_now(
    judged: Judge, kind: str, fraction: str
) -> None:
    old, new = (f"'{year}-12-31 23:59:59.{fraction}'" for year in (2024, 2025))
    found = judged(
        (f"CREATE TABLE t (until {kind} DEFAULT {old} CHECK (until <= {old}));", "DROP TABLE t;"),
        (
            f"ALTER TABLE t ALTER until SET DEFAULT {new}; ALTER TABLE t "
            f"DROP CONSTRAINT t_until_check, ADD CONSTRAINT t_until_check CHECK (until <= {new});",
            "SELECT 1;",
        ),
    )
    assert words(found) == ["exact", "differs"]
    assert [one.object for one in found.migrations[1].differences] == [
        "column public.t.until",
        "constraint public.t.t_until_check",
    ]


def test_what_the_server_wrote_for_now_is_no_difference(judged: Judge) -> None:
    table = (
        "CREATE TABLE t (a timestamp DEFAULT 'now'::timestamp, b timestamptz DEFAULT "
        "'now'::timestamptz, c time DEFAULT 'now'::time); "
        "CREATE VIEW v AS SELECT a FROM t WHERE b > 'now'::timestamptz;"
    )
    found = judged(
        ("SET timezone = 'Asia/Tokyo'; " + table, "DROP VIEW v; DROP TABLE t;"),
        ("DROP VIEW v; DROP TABLE t;", table),
    )
    assert words(found) == ["exact", "exact"]
    assert found.proven


def test_an_option_is_compared_though_its_name_looks_like_a_secret(judged: Judge) -> None:
    mapping = "USER MAPPING FOR PUBLIC SERVER s OPTIONS"
    found = judged(
        (
            "CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw; "
            f"CREATE {mapping} (user 'a', password 'hunter2', password_required 'true');",
            "DROP EXTENSION postgres_fdw CASCADE;",
        ),
        (f"ALTER {mapping} (SET password_required 'false');", "SELECT 1;"),
        (f"ALTER {mapping} (SET password 'hunter3');", "SELECT 1;"),
    )
    assert words(found) == ["exact", "differs", "differs"]
    texts = [str(one) for verdict in found.migrations for one in verdict.differences]
    assert "option password_required true ≠ false" in texts[0]
    assert "option password (hidden, " in texts[1]
    assert "hunter" not in "".join(texts)


DOUBLE = (
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN NEW.a := NEW.a * 2; RETURN NEW; END$$;"
)
PLUS = DOUBLE.replace("f()", "g()").replace("* 2", "+ 1")


@pytest.mark.parametrize(
    ("event", "word"),
    [("BEFORE INSERT", "differs"), ("BEFORE UPDATE", "names"), ("AFTER INSERT", "names")],
)
def test_another_name_of_a_trigger_matters_where_others_fire_with_it(
    judged: Judge, event: str, word: str
) -> None:
    def trigger(name: str) -> str:
        return f"CREATE TRIGGER {name} BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"

    found = judged(
        (
            f"CREATE TABLE t (a int); {DOUBLE} {PLUS} {trigger('a_double')} CREATE TRIGGER b_plus "
            f"{event} ON t FOR EACH ROW EXECUTE FUNCTION g();",
            "DROP TABLE t; DROP FUNCTION f, g;",
        ),
        ("DROP FUNCTION f() CASCADE;", DOUBLE + trigger("z_double")),
    )
    assert words(found) == ["exact", word]
    if word == "differs":
        assert found.migrations[1].suggestions == [
            "ALTER TRIGGER z_double ON public.t RENAME TO a_double;"
        ]


@pytest.mark.parametrize(("used", "word"), [("t_key", "differs"), ("t_keys", "names")])
def test_another_name_of_a_constraint_matters_where_a_function_uses_it(
    judged: Judge, used: str, word: str
) -> None:
    found = judged(
        (
            "CREATE TABLE t (a int CONSTRAINT t_key UNIQUE); CREATE FUNCTION f() RETURNS void "
            "LANGUAGE plpgsql AS $$BEGIN INSERT INTO t VALUES (1) "
            f"ON CONFLICT ON CONSTRAINT {used} DO NOTHING; END$$;",
            "DROP FUNCTION f; DROP TABLE t;",
        ),
        (
            "ALTER TABLE t DROP CONSTRAINT t_key;",
            "ALTER TABLE t ADD CONSTRAINT t_unique UNIQUE (a);",
        ),
    )
    assert words(found) == ["exact", word]


FILLED = (
    "CREATE TABLE t (a int, b text CHECK (b <> '')); CREATE INDEX t_b ON t (b); "
    "INSERT INTO t VALUES (1, 'x');",
    "DROP TABLE t;",
)


@pytest.mark.parametrize(
    ("forward", "suggestion"),
    [
        ("ALTER TABLE t RENAME b TO c;", "ALTER TABLE public.t RENAME COLUMN c TO b;"),
        ("ALTER TABLE t RENAME TO u;", "ALTER TABLE public.u RENAME TO t;"),
        ("CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s;", "ALTER TABLE s.t SET SCHEMA public;"),
        ("CREATE VIEW v AS SELECT 1; ALTER INDEX t_b RENAME TO i;", "DROP VIEW public.v;"),
    ],
)
def test_a_forgotten_rename_is_renamed_back(judged: Judge, forward: str, suggestion: str) -> None:
    verdict = judged(FILLED, (forward, "SELECT 1;")).migrations[1]
    assert verdict.rollback == "differs"
    assert suggestion in verdict.suggestions
    assert not any("DROP TABLE" in sql or "DROP COLUMN" in sql for sql in verdict.suggestions)
    assert not any("CREATE" in sql for sql in verdict.suggestions)


@pytest.mark.parametrize(
    "forward",
    [
        "ALTER TABLE t RENAME TO u; CREATE TABLE t (a int);",
        "CREATE TABLE u AS SELECT * FROM t; DROP TABLE t;",
        "ALTER TABLE t RENAME b TO c; ALTER TABLE t ADD b text;",
    ],
)
def test_no_suggestion_drops_what_holds_rows(judged: Judge, forward: str) -> None:
    verdict = judged(FILLED, (forward, "SELECT 1;")).migrations[1]
    assert verdict.rollback == "differs"
    assert not any("DROP TABLE" in sql or "DROP COLUMN" in sql for sql in verdict.suggestions)


@pytest.mark.parametrize(
    "check",
    [
        "status IN ('a', 'b')",
        "n BETWEEN 1 AND 5 AND n <> 3",
        "status IN ('a') OR (n > 1 AND n > 2)",
    ],
)
def test_a_rollback_made_from_a_dump_is_exact(
    judged: Judge, admin: psycopg.Connection, check: str
) -> None:
    table = f"CREATE TABLE t (status varchar(10), n int, CONSTRAINT c CHECK ({check}));"
    view = f"CREATE VIEW v AS SELECT 1 AS one FROM t WHERE {check};"
    with admin.transaction(force_rollback=True):
        admin.execute(table + view)
        texts = admin.execute(
            "SELECT pg_get_constraintdef(oid), pg_get_viewdef('v'::regclass) "
            "FROM pg_constraint WHERE conname = 'c'"
        ).fetchone()
    assert texts is not None
    found = judged(
        (table + view, "DROP VIEW v; DROP TABLE t;"),
        (
            "DROP VIEW v; ALTER TABLE t DROP CONSTRAINT c;",
            f"ALTER TABLE t ADD CONSTRAINT c {texts[0]}; CREATE VIEW v AS {texts[1]}",
        ),
    )
    assert words(found) == ["exact", "exact"]
    assert (found.release, found.proven) == ("exact", True)


def test_a_check_of_other_values_still_differs(judged: Judge) -> None:
    found = judged(
        ("CREATE TABLE t (s varchar(10) CONSTRAINT c CHECK (s IN ('a', 'b')));", "DROP TABLE t;"),
        (
            "ALTER TABLE t DROP CONSTRAINT c;",
            "ALTER TABLE t ADD CONSTRAINT c CHECK (s IN ('a', 'c'));",
        ),
    )
    assert words(found) == ["exact", "differs"]
