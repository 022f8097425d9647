"""The proof: which rollbacks it believes, which it does not, and what it says of each statement."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.impact import Size, judge
from turnback.rehearsal.lock import Lock
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import PREFIX, Shadow
from turnback.rehearsal.verdict import Rehearsed, Verdict
from turnback.sql.types import holds_as_much

from tests.conftest import ProjectFactory
from tests.integration.command_line import Answer, turnback
from tests.integration.leftovers import make_leftover, wait_until_empty

USERS = {
    "sql/0001_users.sql": "CREATE TABLE users (id int PRIMARY KEY, email text DEFAULT 'none');\n",
    "rollback/0001_rollback.sql": "DROP TABLE users;\n",
}


@pytest.fixture
def shadow(server: EmbeddedServer) -> Shadow:
    return Shadow(server.url())


def second(sql: str, rollback: str | None, **more: str) -> dict[str, str]:
    files = USERS | {"sql/0002_second.sql": sql} | more
    return files | ({"rollback/0002_rollback.sql": rollback} if rollback is not None else {})


def rehearsed(folder: Path, shadow: Shadow) -> Rehearsed:
    project = load_project(folder)
    return rehearse(project, project.migrations, shadow)


def last(folder: Path, shadow: Shadow) -> Verdict:
    return rehearsed(folder, shadow).migrations[-1]


def test_a_rollback_that_restores_the_schema_is_exact(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    files = second("CREATE INDEX users_email ON users (email);", "DROP INDEX users_email;")
    found = rehearsed(project_factory(files), shadow)
    assert found.proven
    assert [verdict.rollback for verdict in found.migrations] == ["exact", "exact"]
    assert [verdict.reapply for verdict in found.migrations] == ["exact", "exact"]
    assert found.release == "exact"


def test_what_the_rollback_forgot_is_reported_object_by_object_with_the_sql_for_it(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    files = second(
        "ALTER TABLE users ALTER COLUMN email DROP DEFAULT;\nDROP INDEX IF EXISTS nothing;", ""
    )
    found = last(project_factory(files), shadow)
    assert not found.proven
    assert found.rollback == "differs"
    assert [str(d) for d in found.differences] == [
        "column public.users.email: default 'none'::text ≠ none"
    ]
    assert found.suggestions == [
        "ALTER TABLE public.users ALTER COLUMN email SET DEFAULT 'none'::text;"
    ]


def test_a_rollback_that_does_not_run_is_failed_and_the_next_migration_is_still_judged(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    files = second("CREATE TABLE a (id int);", "DROP TABLE nowhere;\n")
    files |= {"sql/0003_b.sql": "CREATE TABLE b ();", "rollback/0003_rollback.sql": "DROP TABLE b;"}
    found = rehearsed(project_factory(files), shadow)
    assert [verdict.rollback for verdict in found.migrations] == ["exact", "failed", "exact"]
    assert found.release == "failed"
    error = found.migrations[1].error
    assert error is not None
    assert (error.file, error.line) == ("rollback/0002_rollback.sql", 1)


UNRUNNABLE = {
    **USERS,
    # As one message, outside of a transaction, and not sent at all.
    "sql/0002_by_hand.sql": "CREATE TABLE kept_out (id int);\nALTER TABLE by_hand ADD x int;\n",
    "sql/0003_index.sql": "CREATE INDEX CONCURRENTLY nothing ON nowhere (id);\n",
    "sql/0004_psql.sql": "\\gexec\n",
    "sql/0005_plain.sql": "CREATE TABLE plain (id int);\n",
    "sql/0006_between.sql": "ALTER TABLE by_hand ADD y int;\n",
    "rollback/0006_rollback.sql": "ALTER TABLE by_hand DROP y;\n",
    "sql/0007_last.sql": "ALTER TABLE plain ADD z int;\n",
    "rollback/0007_rollback.sql": "ALTER TABLE plain DROP z;\n",
}
UNRUNNABLE["rollback/0005_rollback.sql"] = "DROP TABLE plain;\n"


def test_what_does_not_run_before_and_between_the_chosen_ones_is_left_out_and_named(
    project_factory: ProjectFactory, server: EmbeddedServer
) -> None:
    folder = project_factory(UNRUNNABLE)
    options = ("rehearse", "0005", "0007", "--shadow-url", server.url())
    answer = turnback(*options, "--json", folder=folder)
    found = answer.document
    # The target has what was left out: nothing is proven of it.
    assert (answer.code, found["status"]) == (3, "unproven")
    assert [(one["version"], one["rollback"], one["reapply"]) for one in found["migrations"]] == [
        ("0005", "exact", "exact"),
        ("0007", "exact", "exact"),
    ]
    assert found["release"]["rollback"] == "exact"
    left_out = {one["version"]: one for one in found["not_applied"]}
    assert sorted(left_out) == ["0002", "0003", "0004", "0006"]
    assert left_out["0002"]["line"] == 2
    assert left_out["0004"]["type"] == "InvalidMigration"

    said = turnback(*options, folder=folder)
    assert "0002 was not chosen, cannot be applied, and was left out:" in said.out
    assert "4 before them cannot be applied" in said.out
    annotated = turnback(*options, "--format", "github", folder=folder).out
    assert "sql/0002_by_hand.sql,line=2" in annotated


def test_a_missing_rollback_is_missing_and_one_with_a_reason_irreversible(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    assert last(project_factory(second("SELECT 1;", None)), shadow).rollback == "missing"
    why = "-- turnback: irreversible because the rows are gone\nDELETE FROM users;"
    found = last(project_factory(second(why, None)), shadow)
    assert found.rollback == "irreversible"
    assert found.proven


def test_a_migration_that_cannot_run_a_second_time_is_reported(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    files = second("CREATE TABLE a (); CREATE TYPE mood AS ENUM ('ok');", "DROP TABLE a;")
    found = last(project_factory(files), shadow)
    assert (found.rollback, found.reapply) == ("differs", "failed")


def test_seed_rows_that_the_rollback_leaves_behind_are_reported(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    files = second("INSERT INTO users VALUES (1, 'a');", "SELECT 1;")
    found = last(project_factory(files), shadow)
    assert found.rollback == "exact"
    assert found.rows == ["rows of public.users: 0 → 1"]
    assert not found.proven


def test_what_a_rollback_destroys_is_reported(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    files = second(
        "ALTER TABLE users ADD COLUMN theme text;", "ALTER TABLE users DROP COLUMN theme;"
    )
    found = last(project_factory(files), shadow)
    assert found.loses_data == ["column users.theme, with its values"]
    assert found.proven


def test_a_rollback_to_a_narrower_type_destroys_values(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    files = second(
        "ALTER TABLE users ALTER COLUMN id TYPE bigint;",
        "ALTER TABLE users ALTER COLUMN id TYPE int;",
    )
    found = last(project_factory(files), shadow)
    assert found.rollback == "exact"
    assert found.loses_data == ["values of column public.users.id that fit bigint and not integer"]


@pytest.mark.parametrize(
    ("sql", "mode", "rewrites", "scans"),
    [
        ("ALTER TABLE users ADD COLUMN a int DEFAULT 1;", "AccessExclusiveLock", False, False),
        (
            "ALTER TABLE users ADD COLUMN a float DEFAULT random();",
            "AccessExclusiveLock",
            True,
            False,
        ),
        ("ALTER TABLE users ALTER COLUMN id TYPE bigint;", "AccessExclusiveLock", True, False),
        ("ALTER TABLE users ALTER COLUMN email SET NOT NULL;", "AccessExclusiveLock", False, True),
        ("CREATE INDEX users_email ON users (email);", "ShareLock", False, True),
    ],
)
def test_the_trace_shows_locks_rewrites_and_scans_on_an_empty_table(
    project_factory: ProjectFactory,
    shadow: Shadow,
    sql: str,
    mode: str,
    rewrites: bool,
    scans: bool,
) -> None:
    (statement,) = last(project_factory(second(sql, "SELECT 1;")), shadow).statements
    assert Lock("users", mode) in statement.locks
    assert ("users" in statement.rewrites) is rewrites
    assert rewrites or ("users" in statement.scans) is scans


def test_a_table_that_the_migration_makes_is_in_nobodys_way(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    files = second("CREATE TABLE a (id int); CREATE INDEX ON a (id);", "DROP TABLE a;")
    assert [trace.locks for trace in last(project_factory(files), shadow).statements] == [(), ()]


def test_a_verify_script_that_fails_on_the_shadow_stops_the_rehearsal(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    files = second(
        "CREATE TABLE a ();",
        "DROP TABLE a;",
        **{"verify/0002_verify.sql": "DO $$ BEGIN ASSERT false, 'not so'; END $$;"},
    )
    found = last(project_factory(files), shadow)
    assert found.forward == "failed"
    assert found.error is not None
    assert found.error.file == "verify/0002_verify.sql"


def test_concurrent_statements_are_rehearsed_in_both_directions(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    files = second(
        "CREATE INDEX CONCURRENTLY users_email ON users (email);",
        "DROP INDEX CONCURRENTLY users_email;",
    )
    found = last(project_factory(files), shadow)
    assert (found.rollback, found.reapply) == ("exact", "exact")
    assert found.statements[0].locks == (Lock("users", "ShareUpdateExclusiveLock"),)
    assert found.statements[0].scans == ("users",)


def test_outside_a_transaction_each_statement_has_the_locks_of_the_manual(
    project_factory: ProjectFactory, shadow: Shadow
) -> None:
    forward = """-- turnback: no-transaction
        ALTER TABLE s.base ADD x int;
        CREATE TABLE s.made (id int);
        DROP INDEX CONCURRENTLY s.base_a;
        REINDEX INDEX s.base_pkey;
        ALTER TABLE s.p DETACH PARTITION s.p1 CONCURRENTLY;
        VACUUM s.base;
        CREATE INDEX CONCURRENTLY ON s.made (id);"""
    tables = """CREATE SCHEMA s; CREATE TABLE s.base (id int PRIMARY KEY, a int);
        CREATE INDEX base_a ON s.base (a); CREATE TABLE s.heir () INHERITS (s.base);
        CREATE TABLE s.p (id int) PARTITION BY LIST (id);
        CREATE TABLE s.p1 PARTITION OF s.p FOR VALUES IN (1);"""
    files = {"sql/0001_tables.sql": tables, "sql/0002_more.sql": forward}
    exclusive, weak = "AccessExclusiveLock", "ShareUpdateExclusiveLock"
    assert [trace.locks for trace in last(project_factory(files), shadow).statements] == [
        (Lock("s.base", exclusive), Lock("s.heir", exclusive)),
        (),
        (Lock("s.base", weak), Lock("s.base_a", weak, "index", "s.base")),
        (Lock("s.base_pkey", exclusive, "index", "s.base"),),
        (Lock("s.p", weak), Lock("s.p1", exclusive)),
        (Lock("s.base", weak),),
        (),
    ]


LEFTOVER = f"{PREFIX}0123456789ab"


def shadows(admin: psycopg.Connection) -> list[str]:
    found = admin.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1", [PREFIX[:-1]]
    )
    return [name for (name,) in found]


def test_the_shadow_leaves_no_database_and_removes_those_of_a_killed_rehearsal(
    project_factory: ProjectFactory, shadow: Shadow, admin: psycopg.Connection
) -> None:
    make_leftover(admin, LEFTOVER)
    rehearsed(project_factory(USERS), shadow)
    assert shadows(admin) == []


@pytest.mark.parametrize("name", [f"{PREFIX}db", PREFIX, f"{PREFIX}0123456789abc", PREFIX[:-1]])
def test_a_database_whose_name_only_begins_like_ours_is_kept(
    name: str, project_factory: ProjectFactory, shadow: Shadow, admin: psycopg.Connection
) -> None:
    make_leftover(admin, name)
    try:
        assert rehearsed(project_factory(USERS), shadow).proven
        assert shadows(admin) == [name]
    finally:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")


@pytest.mark.parametrize(
    "change",
    [
        "COMMENT ON DATABASE {} IS NULL",
        "COMMENT ON DATABASE {} IS 'the shop'",
        "ALTER DATABASE {} OWNER TO pg_monitor",
    ],
)
def test_a_database_without_our_mark_or_of_another_owner_is_kept(
    change: str, project_factory: ProjectFactory, shadow: Shadow, admin: psycopg.Connection
) -> None:
    make_leftover(admin, LEFTOVER)
    admin.execute(change.format(LEFTOVER))
    try:
        assert rehearsed(project_factory(USERS), shadow).proven
        assert shadows(admin) == [LEFTOVER]
    finally:
        admin.execute(f"DROP DATABASE IF EXISTS {LEFTOVER}")


def test_a_leftover_in_which_somebody_works_is_kept_until_they_have_gone(
    project_factory: ProjectFactory,
    shadow: Shadow,
    admin: psycopg.Connection,
    server: EmbeddedServer,
) -> None:
    make_leftover(admin, LEFTOVER)
    folder = project_factory(USERS)
    with psycopg.connect(server.url(LEFTOVER)) as somebody:
        assert rehearsed(folder, shadow).proven
        assert somebody.execute("SELECT 1").fetchone() == (1,)
    assert shadows(admin) == [LEFTOVER]
    wait_until_empty(admin, LEFTOVER)
    rehearsed(folder, shadow)
    assert shadows(admin) == []


def test_a_rehearsal_from_another_database_of_the_server_is_not_disturbed(
    project_factory: ProjectFactory, shadow: Shadow, admin: psycopg.Connection, database: str
) -> None:
    with Shadow(database).database():
        (running,) = shadows(admin)
        assert rehearsed(project_factory(USERS), shadow).proven
        assert shadows(admin) == [running]
    assert shadows(admin) == []


def test_the_command_rehearses_what_is_pending_and_changes_nothing(
    project_factory: ProjectFactory, server: EmbeddedServer, database: str
) -> None:
    folder = project_factory(second("CREATE TABLE a ();", "DROP TABLE a;"))
    assert turnback("up", "1", url=database, folder=folder).code == 0
    answer = turnback(
        "rehearse", "--json", "--shadow-url", server.url(), url=database, folder=folder
    )
    assert answer.code == 0
    assert answer.document["status"] == "proven"
    (found,) = answer.document["migrations"]
    assert (found["version"], found["rollback"], found["reapply"]) == ("0002", "exact", "exact")
    assert found["statements"][0]["line"] == 1
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('a')").fetchone() == (None,)


def test_the_command_leaves_with_3_when_a_rollback_is_not_proven(
    project_factory: ProjectFactory, server: EmbeddedServer
) -> None:
    folder = project_factory(second("CREATE TABLE a ();", "SELECT 1;"))
    answer = turnback("rehearse", "--all", "--shadow-url", server.url(), folder=folder)
    assert answer.code == 3
    assert "table public.a: left over after rollback" in answer.out
    assert "DROP TABLE public.a;" in answer.out


def test_the_sizes_of_the_named_database_are_shown_with_the_locks(
    project_factory: ProjectFactory, server: EmbeddedServer, database: str
) -> None:
    folder = project_factory(
        second("ALTER TABLE users ADD COLUMN a int;", "ALTER TABLE users DROP COLUMN a;")
    )
    assert turnback("up", "1", url=database, folder=folder).code == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO users SELECT generate_series(1, 2000)")
        connection.execute("ANALYZE users")
    answer = turnback("rehearse", "--shadow-url", server.url(), url=database, folder=folder)
    assert "AccessExclusiveLock on users (about 2.0 thousand rows" in answer.out


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("integer", "bigint", True),
        ("bigint", "integer", False),
        ("character varying(20)", "character varying(40)", True),
        ("character varying(40)", "character varying(20)", False),
        ("character varying(40)", "text", True),
        ("text", "integer", False),
    ],
)
def test_a_change_of_type_keeps_every_value_or_does_not(old: str, new: str, kept: bool) -> None:
    assert holds_as_much(old, new) is kept


@pytest.mark.parametrize(
    ("mode", "size", "long_work", "says"),
    [
        ("ShareLock", Size(0, 0), True, "no risk: it is empty"),
        ("ShareUpdateExclusiveLock", Size(10**8, 10**10), True, "no risk: reads and writes go on"),
        ("AccessExclusiveLock", Size(10**8, 10**10), False, "low risk: blocks reads and writes"),
        ("AccessExclusiveLock", Size(900, 10**5), True, "low risk: blocks reads and writes"),
        ("AccessExclusiveLock", Size(10**8, 10**10), True, "HIGH RISK: blocks reads and writes"),
        ("ShareLock", Size(10**8, 10**10), True, "HIGH RISK: blocks writes"),
    ],
)
def test_a_lock_is_judged_by_the_size_of_its_table(
    mode: str, size: Size, long_work: bool, says: str
) -> None:
    assert judge(mode, size, long_work=long_work).startswith(says)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for each shadow database that is made."""
    found = list[int]()
    create = Shadow._create
    monkeypatch.setattr(
        Shadow, "_create", lambda *arguments: (found.append(1), create(*arguments))[1]
    )
    return found


def test_a_rollback_whose_faults_are_corrected_costs_no_new_shadow(
    project_factory: ProjectFactory, shadow: Shadow, made: list[int]
) -> None:
    files = dict(USERS)
    for number in range(2, 5):
        files[f"sql/000{number}_t.sql"] = f"CREATE TABLE t{number} (a int, b int);"
        files[f"rollback/000{number}_rollback.sql"] = f"ALTER TABLE t{number} DROP b;"
    found = rehearsed(project_factory(files), shadow)
    assert [verdict.rollback for verdict in found.migrations] == ["exact", *["differs"] * 3]
    assert [verdict.reapply for verdict in found.migrations] == ["exact", *["failed"] * 3]
    assert found.migrations[3].suggestions == ["DROP TABLE public.t4;"]
    assert len(made) == 1


def test_one_that_leaves_a_row_behind_does(
    project_factory: ProjectFactory, shadow: Shadow, made: list[int]
) -> None:
    files = second("CREATE TABLE a (); INSERT INTO users VALUES (1);", "ALTER TABLE a ADD x int;")
    found = rehearsed(project_factory(files), shadow)
    assert [verdict.rollback for verdict in found.migrations] == ["exact", "differs"]
    assert len(made) == 2


def test_a_rollback_that_fails_in_its_transaction_costs_no_new_shadow(
    project_factory: ProjectFactory, shadow: Shadow, made: list[int]
) -> None:
    files = second("ALTER TABLE users ADD a int;", "ALTER TABLE users DROP a;\nDROP TABLE nowhere;")
    for number in range(3, 6):
        files[f"sql/000{number}_t.sql"] = f"CREATE TABLE t{number} ();"
        files[f"rollback/000{number}_rollback.sql"] = f"DROP TABLE t{number}, nowhere;"
    found = rehearsed(project_factory(files), shadow)
    assert [verdict.rollback for verdict in found.migrations] == ["exact", *["failed"] * 4]
    assert len(made) == 1


FAULTS = {
    "sql/0002_nick.sql": "ALTER TABLE users ADD nick text;\n",
    "rollback/0002_rollback.sql": "-- nothing yet\nSELECT 1;\n\n",
    "sql/0003_city.sql": "ALTER TABLE users ADD city text;\n",
    "rollback/0003_rollback.sql": "SELECT 1;\nSELECT town FROM users;\n",
    "sql/0004_age.sql": "ALTER TABLE users ADD age int;\n",
}


def test_each_format_shows_what_is_not_proven_beside_the_line_to_change(
    server: EmbeddedServer, project_factory: ProjectFactory
) -> None:
    """A rollback that lacks something at its last statement, one that fails where it fails."""
    folder = project_factory(USERS | FAULTS)

    def rehearsed_as(form: str) -> Answer:
        where = ("--shadow-url", server.url())
        answer = turnback("rehearse", "--all", "--format", form, *where, folder=folder)
        assert answer.code == 3
        assert "3 cannot be rolled back as written" in answer.err
        return answer

    lines = rehearsed_as("github").out.splitlines()
    places = [re.findall(r"file=(\S+?),line=(\d+),col=(\d+),title=(.*?)::", line) for line in lines]
    assert places == [
        [("migrations/rollback/0002_rollback.sql", "2", "9", "rollback differs")],
        [("migrations/rollback/0003_rollback.sql", "2", "8", "rollback failed")],
        [("migrations/sql/0004_age.sql", "1", "30", "rollback missing")],
    ]
    assert "ALTER TABLE public.users DROP COLUMN nick;" in lines[0]
    issues = json.loads(rehearsed_as("gitlab").out)
    assert [issue["location"]["lines"]["begin"] for issue in issues] == [2, 2, 1]
    comment = rehearsed_as("markdown").out
    assert comment.startswith("<!-- turnback rehearse -->\n### turnback rehearse: 3 of 4 migra")
    assert "| error | rollback | `migrations/rollback/0003_rollback.sql:2` |" in comment


def test_a_file_that_cannot_be_used_is_annotated_by_each_command_that_reads_it(
    project_factory: ProjectFactory,
) -> None:
    wrong = {"sql/0002_x.sql": "-- turnback: no-such-word\nSELECT 1;\n"}
    folder = project_factory(USERS | wrong, sums=False)
    for command in ("check", "lint", "rehearse"):
        answer = turnback(command, "--format", "github", folder=folder)
        assert answer.code == 3
        assert answer.out.startswith("::error file=migrations/sql/0002_x.sql,line=1,col=")
        assert "no-such-word" in answer.out.splitlines()[0]
