"""Repeatables as text: their order, whether they can run again, and what undoes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from turnback.engine.run.repeatables import steps_up
from turnback.errors import InvalidMigration, RollbackMissing
from turnback.migrations.checksums import compare
from turnback.migrations.discovery import load_project
from turnback.migrations.merges import renumber
from turnback.migrations.model import Migration, Project
from turnback.settings.project import ProjectFile
from turnback.sql.check import check_repeatables
from turnback.sql.lint.linter import lint
from turnback.sql.repeatable.order import in_order
from turnback.sql.repeatable.undo import undo

from tests.unit.migrations import migration, project, script


def repeatable(name: str, sql: str, back: str | None = None) -> Migration:
    path = f"repeatable/{name}.sql"
    own = script(f"rollback/{path}", back) if back is not None else None
    return Migration(path, name, script(path, sql), own, kind="repeatable")


def with_repeatables(*found: Migration, migrations: tuple[Migration, ...] = ()) -> Project:
    made = project(*migrations)
    return Project(made.folder, made.migrations, repeatables=found)


def undone(sql: str, before: str | None = None) -> list[str]:
    """The statements that undo a text, each on one line."""
    text = undo(repeatable("a", sql), script("repeatable/a.sql", before) if before else None)
    assert text is not None
    return [one for part in text.split("\n;") if (one := " ".join(part.split()).rstrip(";"))]


def wrong(sql: str) -> list[str]:
    return [f"{one.message}: {one.hint}" for one in check_repeatables([repeatable("a", sql)])]


@pytest.mark.parametrize(
    ("user", "used"),
    [
        ("CREATE OR REPLACE VIEW a AS SELECT * FROM z", "CREATE OR REPLACE VIEW z AS SELECT 1"),
        ("CREATE OR REPLACE VIEW a AS SELECT * FROM x.z", "CREATE OR REPLACE VIEW x.z AS SELECT 1"),
        (
            "CREATE OR REPLACE TRIGGER a AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION z()",
            "CREATE OR REPLACE FUNCTION z() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        ),
        ("GRANT SELECT ON z TO reader", "CREATE OR REPLACE VIEW z AS SELECT 1"),
        (
            "GRANT EXECUTE ON FUNCTION z(int) TO reader",
            "CREATE OR REPLACE FUNCTION z(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ),
        (
            "DROP POLICY IF EXISTS a ON t; CREATE POLICY a ON t USING (z(id))",
            "CREATE OR REPLACE FUNCTION z(int) RETURNS bool LANGUAGE sql AS 'SELECT true'",
        ),
        (
            "CREATE OR REPLACE FUNCTION a() RETURNS SETOF z LANGUAGE plpgsql AS 'BEGIN END'",
            "CREATE OR REPLACE VIEW z AS SELECT 1",
        ),
        (
            "CREATE OR REPLACE FUNCTION a() RETURNS int LANGUAGE sql AS 'SELECT id FROM z'",
            "CREATE OR REPLACE VIEW z AS SELECT 1 AS id",
        ),
        ("COMMENT ON VIEW z IS 'all'", "CREATE OR REPLACE VIEW z AS SELECT 1"),
    ],
)
def test_what_a_repeatable_needs_comes_before_it(user: str, used: str) -> None:
    found = in_order([repeatable("a", user), repeatable("b", "SELECT 1"), repeatable("z", used)])
    assert [one.name for one in found] == ["b", "z", "a"]


def test_the_body_of_a_function_in_plpgsql_is_looked_up_when_it_runs_and_makes_no_order() -> None:
    body = "BEGIN PERFORM * FROM z; END"
    first = f"CREATE OR REPLACE FUNCTION a() RETURNS void LANGUAGE plpgsql AS '{body}'"
    found = in_order(
        [repeatable("a", first), repeatable("z", "CREATE OR REPLACE VIEW z AS SELECT a()")]
    )
    assert [one.name for one in found] == ["a", "z"]


def test_repeatables_that_need_each_other_are_refused_with_their_names() -> None:
    one = repeatable("one", "CREATE OR REPLACE VIEW one AS SELECT * FROM two")
    two = repeatable("two", "CREATE OR REPLACE VIEW two AS SELECT * FROM three")
    three = repeatable("three", "CREATE OR REPLACE VIEW three AS SELECT * FROM one")
    with pytest.raises(InvalidMigration, match="in a circle") as refused:
        in_order([one, two, three])
    assert re.findall(r"repeatable/(\w+)\.sql needs", str(refused.value)) in (
        ["one", "two", "three"],
        ["two", "three", "one"],
        ["three", "one", "two"],
    )
    assert check_repeatables([one, two, three])[0].message == refused.value.message


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("CREATE VIEW v AS SELECT 1", "write CREATE OR REPLACE"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "write CREATE OR REPLACE"),
        ("CREATE POLICY p ON t", "write DROP POLICY IF EXISTS before it"),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1", "write DROP MATERIALIZED VIEW IF EXISTS"),
        ("DROP VIEW v; CREATE VIEW v AS SELECT 1", "write DROP … IF EXISTS"),
        ("DROP VIEW IF EXISTS v CASCADE; CREATE VIEW v AS SELECT 1", "drop without CASCADE"),
        ("CREATE TABLE t (id int)", "write it in a migration"),
        ("ALTER TABLE t ADD COLUMN c int", "write it in a migration"),
        ("ALTER VIEW v RENAME TO w", "write it in a migration"),
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (c)", "write it in a migration"),
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "write rollback/repeatable/a.sql"),
        ("DO $$ BEGIN END $$", "write rollback/repeatable/a.sql"),
        ("REVOKE ALL ON t FROM app", "write rollback/repeatable/a.sql"),
    ],
)
def test_check_says_what_to_write_in_place_of_what_cannot_run_again_or_is_not_undone(
    sql: str, text: str
) -> None:
    assert any(text in one for one in wrong(sql)), wrong(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE OR REPLACE VIEW v AS SELECT 1; COMMENT ON VIEW v IS 'one'; GRANT SELECT ON v TO r",
        "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1; ALTER VIEW v OWNER TO r",
        "DROP POLICY IF EXISTS p ON t; CREATE POLICY p ON t",
        "DROP FUNCTION IF EXISTS f(int); CREATE OR REPLACE FUNCTION f(text) RETURNS int "
        "LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION f(text) FROM PUBLIC",
        "DROP MATERIALIZED VIEW IF EXISTS m; CREATE MATERIALIZED VIEW m AS SELECT 1 AS id; "
        "CREATE UNIQUE INDEX ON m (id)",
        "SET search_path = app; CREATE OR REPLACE RULE r AS ON INSERT TO v DO INSTEAD NOTHING",
        "-- turnback: irreversible because the rows remain\nINSERT INTO t VALUES (1)",
    ],
)
def test_check_accepts_what_can_run_again_and_is_undone(sql: str) -> None:
    assert not wrong(sql)


def test_a_rollback_script_of_its_own_undoes_what_the_text_does_not_tell() -> None:
    one = repeatable("a", "DO $$ BEGIN END $$", "DO $$ BEGIN NULL; END $$")
    assert not check_repeatables([one])
    before = script("repeatable/a.sql", "-- turnback: lock-timeout 1s\nDO $$ BEGIN END $$")
    text = undo(one, before)
    assert text == (
        "-- turnback: lock-timeout 1s\n"
        "DO $$ BEGIN NULL; END $$\n;\n"
        "DO $$ BEGIN END $$\n;\n"
    )  # fmt: skip


def test_the_first_time_is_undone_by_dropping_what_was_made_last_first() -> None:
    sql = """
        SET search_path = app;
        CREATE OR REPLACE FUNCTION f(IN a int, OUT b text, VARIADIC c text[] DEFAULT '{}')
            LANGUAGE sql AS 'SELECT 1';
        CREATE OR REPLACE PROCEDURE p(IN a int, OUT b text) LANGUAGE sql AS 'SELECT 1';
        CREATE OR REPLACE VIEW "V" AS SELECT 1;
        GRANT SELECT ON "V" TO reader;
        GRANT SELECT ON users TO reader WITH GRANT OPTION;
        CREATE OR REPLACE TRIGGER t AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION g();
    """
    assert undone(sql) == [
        "SET search_path = app",
        "DROP TRIGGER IF EXISTS t ON users",
        "REVOKE select ON users FROM reader",
        'DROP VIEW IF EXISTS "V"',
        "DROP PROCEDURE IF EXISTS p(IN a int, OUT b text)",
        "DROP FUNCTION IF EXISTS f(IN a int, VARIADIC c text[])",
    ]


def test_a_later_text_is_undone_by_the_one_before_and_what_that_has_not_is_removed() -> None:
    before = "CREATE OR REPLACE VIEW v AS SELECT 1 AS a -- one"
    after = """
        CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE OR REPLACE VIEW v AS SELECT f() AS a;
        COMMENT ON VIEW v IS 'calls';
        GRANT SELECT ON v TO reader;
    """
    assert undone(after, before) == [
        before,
        "REVOKE select ON v FROM reader",
        "COMMENT ON VIEW v IS NULL",
        "DROP FUNCTION IF EXISTS f()",
    ]


def test_a_function_whose_result_changed_is_dropped_before_the_earlier_text() -> None:
    before = "CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    after = before.replace("RETURNS int", "RETURNS text")
    assert undone(after, before) == ["DROP FUNCTION IF EXISTS f(a int)", before]
    assert undone(before.replace("SELECT 1", "SELECT 2"), before) == [before]


def test_what_is_irreversible_is_only_so_the_first_time() -> None:
    text = "-- turnback: irreversible because the rows remain\nINSERT INTO t VALUES (1)"
    assert undo(repeatable("a", text)) is None
    assert undo(repeatable("a", text), script("repeatable/a.sql", "SELECT 1")) == "SELECT 1\n;\n"
    with pytest.raises(RollbackMissing):
        undo(repeatable("a", "INSERT INTO t VALUES (1)"))


def test_only_a_repeatable_whose_text_changed_is_applied() -> None:
    same = repeatable("same", "CREATE OR REPLACE VIEW same AS SELECT 1")
    new = repeatable("new", "CREATE OR REPLACE VIEW new AS SELECT 1")
    applied = {same.version: same.forward.checksum}
    steps, notes = steps_up(with_repeatables(same, new), (), applied)
    assert ([step.name for step in steps], notes) == (["new"], [])


@pytest.mark.parametrize(
    ("drop", "again"),
    [
        ("DROP VIEW v", True),
        ("DROP TABLE t CASCADE", True),
        ("ALTER TABLE t DROP COLUMN c CASCADE", True),
        ("ALTER TABLE t DROP COLUMN c", False),
        ("DROP VIEW w", False),
    ],
)
def test_one_is_applied_again_where_a_migration_drops_what_it_makes_or_uses(
    drop: str, again: bool
) -> None:
    view = repeatable("v", "CREATE OR REPLACE VIEW v AS SELECT * FROM t")
    first = migration("0001", drop)
    applied = {view.version: view.forward.checksum}
    steps, _ = steps_up(with_repeatables(view, migrations=(first,)), [first], applied)
    assert [step.name for step in steps] == (["v"] if again else [])
    for step in steps:
        # Right before, it was not there.
        assert step.migration.rollback
        assert step.migration.rollback.sql == "DROP VIEW IF EXISTS v\n;\n"


def test_what_a_text_no_longer_makes_is_named() -> None:
    after = repeatable("a", "CREATE OR REPLACE VIEW v AS SELECT 1")
    before = script(
        after.version, "CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    project = with_repeatables(after)
    _, notes = steps_up(project, (), {after.version: "x"}, lambda _: {after.version: before})
    assert notes == [
        "repeatable/a.sql no longer makes f(int4), which remains: drop it in a migration"
    ]


def test_lint_reads_repeatables_in_their_order_after_the_migrations() -> None:
    users = migration(
        "0001", "CREATE TABLE users (id bigint PRIMARY KEY);\n", "DROP TABLE users;\n"
    )
    body = "AS $$ BEGIN RETURN NEW; END $$"
    function = repeatable(
        "z",
        "CREATE OR REPLACE FUNCTION z() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        f"{body};\nCREATE OR REPLACE VIEW v AS SELECT id FROM users;\n",
    )
    waived = repeatable(
        "p",
        "DROP POLICY IF EXISTS p ON users;\n"
        "-- turnback: waive TB613 because it is enabled by hand\n"
        "CREATE POLICY p ON users USING (id > 0);\n",
    )
    project = with_repeatables(function, waived, migrations=(users,))
    found = lint(project)
    assert [(one.file, one.line, one.rule.id) for one in found.findings] == [
        ("repeatable/z.sql", 1, "TB611")
    ]
    assert [one.rule.id for one in found.waived] == ["TB613"]
    assert not lint(project, ["0001"]).findings


def test_rebase_keeps_repeatables_in_sums_that_two_branches_have_changed(tmp_path: Path) -> None:
    files = {
        "sql/0001_a.sql": "SELECT 1;\n",
        "repeatable/views/v.sql": "CREATE OR REPLACE VIEW v AS SELECT 1;\n",
        "rollback/repeatable/views/v.sql": "DROP VIEW v;\n",
        "SHA256SUMS": "<<<<<<< HEAD\n=======\n>>>>>>> main\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    renumber(tmp_path, [], ProjectFile().ignore)
    project = load_project(tmp_path)
    assert compare(project) == []
    assert set(project.sums or ()) == files.keys() - {"SHA256SUMS"}
