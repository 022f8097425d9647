"""Why a release needs approval: what its scripts destroy, with file and line."""

from __future__ import annotations

import pytest
from turnback.engine.run.plan import Plan, step_down, step_up
from turnback.errors import ConfigurationError
from turnback.migrations.discovery import load_project
from turnback.migrations.model import Project
from turnback.runs.approvals.risk import gate, reasons
from turnback.settings.approvals import ApprovalSettings

from tests.asking import ANN, BOB
from tests.conftest import ProjectFactory

BEFORE = {
    "sql/0001_before.sql": "CREATE TABLE users (id int PRIMARY KEY, name varchar(50), seen date);\n"
    "CREATE TABLE edges (a int);\nCREATE TYPE mood AS ENUM ('ok');\n",
    "rollback/0001_rollback.sql": "DROP TABLE edges;\nDROP TABLE users;\nDROP TYPE mood;\n",
}


def plan_of(project: Project, versions: int = 1, *, down: bool = False) -> Plan:
    """The last so many migrations."""
    chosen = project.migrations[-versions:]
    if down:
        found = [step for step in map(step_down, reversed(chosen)) if step]
        return Plan("down", tuple(found))
    return Plan("up", tuple(map(step_up, chosen)))


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("DROP TABLE edges", ":1 table edges, with its rows (DROP TABLE)"),
        ("DROP TABLE IF EXISTS edges CASCADE", ":1 table edges, with its rows (DROP TABLE CASCADE"),
        ("SELECT 1;\n\n  DROP TABLE edges", ":3 table edges"),
        # Perhaps it was there before, made by hand.
        ("CREATE TABLE IF NOT EXISTS old (a int); DROP TABLE old", ":1 table old"),
        ("DROP SCHEMA old CASCADE", ":1 schema old (DROP SCHEMA CASCADE)"),
        ("DROP TYPE mood", ":1 type mood (DROP TYPE)"),
        ("DROP SEQUENCE s", ":1 values of s (DROP SEQUENCE)"),
        ("DROP EXTENSION citext", ":1 extension citext (DROP EXTENSION)"),
        ("DROP OWNED BY bob", ":1 possibly all that bob owns (DROP OWNED)"),
        ("DROP DATABASE other", ":1 all of database other (DROP DATABASE)"),
        ("TRUNCATE users, edges", ":1 rows of users (TRUNCATE)"),
        ("DELETE FROM edges", ":1 rows of edges (DELETE)"),
        ("DELETE FROM edges WHERE a = 1", ":1 rows of edges (DELETE)"),
        ("UPDATE users SET name = NULL", ":1 values of users.name (UPDATE)"),
        ("DELETE FROM edges WHERE true", ":1 rows of edges (DELETE)"),
        ("UPDATE users SET name = NULL WHERE 1 = 1", ":1 values of users.name (UPDATE)"),
        ("WITH x AS (DELETE FROM edges RETURNING a) SELECT * FROM x", ":1 rows of edges (DELETE)"),
        (
            "ALTER TABLE users DROP COLUMN name",
            ":1 column users.name, with its values (",
        ),
        ("ALTER TABLE users ALTER seen TYPE int USING 1", ":1 values of users.seen (ALTER"),
        (
            "ALTER TABLE users ALTER name TYPE varchar(9) USING name::varchar(9)",
            ":1 values of users.name (ALTER COLUMN TYPE)",
        ),
        ("ALTER TABLE stranger ALTER x TYPE int", ":1 possibly values of stranger.x"),
        (
            "DO $$ BEGIN drop  table edges; END $$",
            ":1 table edges, with its rows (DROP",
        ),
        ("DO $$ BEGIN EXECUTE x; END $$", ":1 possibly data of unknown tables (EXECUTE in a"),
    ],
)
def test_what_destroys_is_a_reason(project_factory: ProjectFactory, sql: str, reason: str) -> None:
    files = {**BEFORE, "sql/0002_x.sql": sql + ";\n", "rollback/0002_rollback.sql": "SELECT 1;\n"}
    project = load_project(project_factory(files))
    found = reasons(project, plan_of(project).steps)
    assert [text for text in found if text.startswith(f"sql/0002_x.sql{reason}")], found


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE more (id int)",
        "DROP INDEX users_i",
        "DROP VIEW v",
        "DROP FUNCTION f()",
        "INSERT INTO users (id) VALUES (7); DELETE FROM users WHERE id = 7",
        "ALTER TABLE users ALTER COLUMN id TYPE smallint",
        "UPDATE users SET name = 'x' WHERE name IS NULL",
        "ALTER TABLE users ALTER COLUMN name TYPE varchar(80)",
        "ALTER TABLE users ALTER COLUMN name TYPE text",
        "ALTER TABLE users ADD COLUMN age int",
        "DO $$ BEGIN PERFORM 1; END $$",
        "CREATE TABLE t (id int); TRUNCATE t; ALTER TABLE t DROP COLUMN id; DROP TABLE t",
        "-- nothing but a word",
    ],
)
def test_what_keeps_everything_needs_no_approval(project_factory: ProjectFactory, sql: str) -> None:
    files = {**BEFORE, "sql/0002_x.sql": sql + "\n;\n", "rollback/0002_rollback.sql": "SELECT 1;\n"}
    project = load_project(project_factory(files))
    assert reasons(project, plan_of(project).steps) == []


def test_a_table_that_the_same_release_made_is_no_loss(project_factory: ProjectFactory) -> None:
    files = {
        **BEFORE,
        "sql/0002_a.sql": "CREATE TABLE helper (a int);\n",
        "rollback/0002_rollback.sql": "DROP TABLE helper;\n",
        "sql/0003_b.sql": "DROP TABLE helper;\n",
        "rollback/0003_rollback.sql": "CREATE TABLE helper (a int);\n",
    }
    project = load_project(project_factory(files))
    assert reasons(project, plan_of(project, 2).steps) == []
    assert reasons(project, plan_of(project, 1).steps) == [
        "sql/0003_b.sql:1 table helper, with its rows (DROP TABLE)"
    ]


def test_no_rollback_script_is_a_reason(project_factory: ProjectFactory) -> None:
    one_way = "-- turnback: irreversible because the old codes are nowhere\nSELECT 1;\n"
    files = {**BEFORE, "sql/0002_x.sql": one_way, "sql/0003_y.sql": "SELECT 2;\n"}
    project = load_project(project_factory(files))
    assert reasons(project, plan_of(project, 2).steps) == [
        "sql/0002_x.sql is irreversible: the old codes are nowhere",
        "sql/0003_y.sql has no rollback script",
    ]


def test_a_waiver_of_a_rule_about_data_is_a_reason(project_factory: ProjectFactory) -> None:
    waived = "-- turnback: waive TB501 because nobody reads it\nSELECT 1;\n"
    waived += "-- turnback: waive TB101 because it is small\nCREATE INDEX i ON users (seen);\n"
    files = {**BEFORE, "sql/0002_x.sql": waived, "rollback/0002_rollback.sql": "SELECT 1;\n"}
    project = load_project(project_factory(files))
    [reason] = reasons(project, plan_of(project).steps)
    assert reason.startswith("sql/0002_x.sql:1 waives TB501")
    assert reason.endswith("nobody reads it")


def test_a_script_that_nobody_here_can_read_is_a_reason(project_factory: ProjectFactory) -> None:
    strange = {"sql/0002_x.sql": "CREATE GALAXY g;\n", "rollback/0002_rollback.sql": "SELECT 1;\n"}
    project = load_project(project_factory({**BEFORE, **strange}))
    [reason] = reasons(project, plan_of(project).steps)
    assert reason == "sql/0002_x.sql:1 possibly data of unknown tables (SQL that cannot be read)"


@pytest.mark.parametrize("known", [True, False], ids=["project", "no project"])
def test_a_run_downwards_tells_what_its_rollback_scripts_drop(
    project_factory: ProjectFactory, known: bool
) -> None:
    project = load_project(project_factory(BEFORE))
    plan = plan_of(project, down=True)
    assert reasons(project if known else None, plan.steps) == [
        "rollback/0001_rollback.sql:1 table edges, with its rows (DROP TABLE)",
        "rollback/0001_rollback.sql:2 table users, with its rows (DROP TABLE)",
        "rollback/0001_rollback.sql:3 type mood (DROP TYPE)",
    ]


def test_of_a_thousand_reasons_a_hundred_are_shown(project_factory: ProjectFactory) -> None:
    drops = "".join(f"DROP TABLE t{number};\n" for number in range(1000))
    files = {**BEFORE, "sql/0002_x.sql": drops, "rollback/0002_rollback.sql": "SELECT 1;\n"}
    project = load_project(project_factory(files))
    found = reasons(project, plan_of(project).steps)
    assert len(found) == 101
    assert found[-1] == "and 900 more"


def test_the_gate_is_shut_by_a_reason_and_open_without(project_factory: ProjectFactory) -> None:
    drop = {"sql/0002_x.sql": "DROP TABLE edges;\n", "rollback/0002_rollback.sql": "SELECT 1;\n"}
    project = load_project(project_factory({**BEFORE, **drop}))
    one = gate(ApprovalSettings(1, approvers=(ANN, BOB)))
    people, why = one(project, plan_of(project))
    assert people == 1
    assert why == ["sql/0002_x.sql:1 table edges, with its rows (DROP TABLE)"]
    assert gate(ApprovalSettings(0))(project, plan_of(project)) == (0, [])
    assert one(project, Plan("up", ())) == (0, [])
    with pytest.raises(ConfigurationError, match="the approvers are 0"):
        gate(ApprovalSettings(1))(project, plan_of(project))


@pytest.mark.parametrize("off", ["TB110", "TB1xx"])
def test_a_rule_of_lost_data_that_is_turned_off_is_a_reason_where_it_finds_something(
    off: str, project_factory: ProjectFactory
) -> None:
    files = BEFORE | {"sql/0002_next.sql": "TRUNCATE edges CASCADE;\n"}
    folder = project_factory(files)
    (folder.parent / "turnback.toml").write_text(
        f'[lint.off]\nTB501 = "small"\nTB201 = "small"\n{off} = "edges are made again"\n'
    )
    project = load_project(folder)
    plan = plan_of(project)
    found = [one for one in reasons(project, plan.steps) if "turned off" in one]
    assert found == [
        "sql/0002_next.sql:1 TB110 (TRUNCATE of tables in use) is turned off in turnback.toml: "
        "edges are made again"
    ]
    assert not any(
        "turned off" in one for one in reasons(project, plan_of(project, down=True).steps)
    )
