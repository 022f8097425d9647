"""The rehearsal of a run: on a server of its own, before anything is touched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
import pytest
from turnback.rehearsal import stored

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import TARGET, Run
from tests.integration.releases import (
    BROKEN,
    FIRST,
    GOOD,
    Deploy,
    assert_untouched,
    health,
    tables,
)

THEME = "ALTER TABLE users ADD COLUMN theme text NOT NULL DEFAULT 'light';\n"
INDEXED = {
    **FIRST,
    "sql/0003_email.sql": "CREATE INDEX users_email ON users (email);\n",
    "rollback/0003_rollback.sql": "DROP INDEX users_email;\n",
}
FORGETFUL = {
    **INDEXED,
    "sql/0004_theme.sql": f"{THEME}DROP INDEX users_email;\n",
    "rollback/0004_rollback.sql": "ALTER TABLE users DROP COLUMN theme;\n",
}
LEAVES_A_LOG = {
    **FIRST,
    "sql/0003_log.sql": "CREATE TABLE IF NOT EXISTS log_1 (id serial PRIMARY KEY);\n"
    "CREATE INDEX IF NOT EXISTS by_number ON log_1 (id);\n",
    "rollback/0003_rollback.sql": "SELECT 1;\n",
}
OF_APPLICATION = {
    "sql/0005_batches.sql": "CREATE TABLE migrations (id int, batch int);\n",
    "rollback/0005_rollback.sql": "DROP TABLE migrations;\n",
}
ONE_WAY = {
    **INDEXED,
    "sql/0004_theme.sql": f"-- turnback: irreversible because the index hurts\n{THEME}",
}
SEEDED = {
    **FIRST,
    "sql/0003_admin.sql": "INSERT INTO users VALUES (1, 'admin@example.com');\n",
    "rollback/0003_rollback.sql": "SELECT 1;\n",
}


def test_a_release_whose_rollbacks_are_proven_passes(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(Environment="production", SnapshotKind="dump")
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    run = stack.release(project_factory(GOOD), "1.1.0", tmp_path)

    assert run.status == "SUCCEEDED", run.cause
    assert run.statuses == ["started", "rehearsed", "snapshot_taken", "succeeded"]
    assert tables(database) == {"users", "nodes", "edges"}
    key = f"runs/{run.messages[0]['run']}/rehearsal.json"
    body = stack.client("s3").get_object(Bucket=stack.bucket, Key=key)["Body"].read()
    assert run.messages[0]["rehearsal"] is None
    assert run.messages[1]["rehearsal"] == run.messages[-1]["rehearsal"]
    assert run.messages[1]["rehearsal"] == {
        "status": "proven",
        "migrations": 1,
        "irreversible": 0,
        "key": key,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    assert "every rollback is proven" in run.messages[1]["summary"]
    found = stack.record(run.messages[0]["run"], "rehearsal")
    # What is applied already is replayed, and not judged.
    assert [row["version"] for row in found["migrations"]] == ["0003"]
    assert found["migrations"][0]["rollback"] == "exact"
    assert found["migrations"][0]["statements"][0]["line"] == 1


def test_a_release_is_rehearsed_on_the_stored_state_of_a_release_that_succeeded(
    deploy: Deploy,
    project_factory: ProjectFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However short it takes to apply what comes before.
    monkeypatch.setattr(stored, "SLOW_S", 0)
    stack = deploy(Rehearse="always")
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)

    def begun(files: dict[str, str], release: str) -> str | None:
        run = stack.release(project_factory(files), release, tmp_path)
        assert run.status == "SUCCEEDED", run.cause
        assert "state" not in run.messages[-1]["rehearsal"]
        found = stack.record(run.messages[0]["run"], "rehearsal")["stored_state"]
        return str(found["version"]) if found else None

    assert begun(GOOD, "1.1.0") is None
    more = {
        **GOOD,
        "sql/0004_more.sql": "CREATE TABLE more (id int);\n",
        "rollback/0004_rollback.sql": "DROP TABLE more;\n",
    }
    assert begun(more, "1.2.0") == "0002"
    # Whoever may write the bucket changes what is stored.
    s3 = stack.client("s3")
    listed = s3.list_objects_v2(Bucket=stack.bucket, Prefix="states/bodies/")["Contents"]
    assert len(listed) == 2
    for one in listed:
        s3.put_object(Bucket=stack.bucket, Key=one["Key"], Body=b"another")
    last = {
        **more,
        "sql/0005_last.sql": "CREATE TABLE last (id int);\n",
        "rollback/0005_rollback.sql": "DROP TABLE last;\n",
    }
    assert begun(last, "1.3.0") is None


def test_a_rollback_that_does_not_restore_refuses_the_release_before_the_snapshot(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(Environment="production", SnapshotKind="dump")
    stack.release(project_factory(INDEXED), "1.0.0", tmp_path)
    run = stack.release(project_factory(FORGETFUL), "1.1.0", tmp_path)

    assert (run.status, run.error) == ("FAILED", "RollbackUnproven")
    assert run.statuses == ["started", "refused"]
    assert "Snapshot" not in run.states
    assert "0004" not in health(database)
    last = run.messages[-1]
    assert last["snapshot"] is None
    error = last["error"]
    assert error["file"] == "rollback/0004_rollback.sql"
    assert "users_email: missing after rollback" in error["message"]
    assert "theme" not in error["message"]
    assert "turnback rehearse 0004" in error["hint"]
    found = stack.record(last["run"], "rehearsal")
    assert (found["status"], found["migrations"][0]["rollback"]) == ("unproven", "differs")


def test_rows_that_a_rollback_leaves_behind_refuse_the_release(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = deploy(Rehearse="always").release(project_factory(SEEDED), "1.0.0", tmp_path)

    assert run.error == "RollbackUnproven"
    assert "rows of public.users" in run.messages[-1]["error"]["message"]
    assert_untouched(database)


def test_a_migration_that_says_it_is_irreversible_passes(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    # That it waits for a person in production is shown by the approvals.
    stack = deploy(Environment="production", SnapshotKind="dump", Approvals="never")
    run = stack.release(project_factory(ONE_WAY), "1.0.0", tmp_path)

    assert run.status == "SUCCEEDED", run.cause
    assert health(database)["0004"] == "applied"
    assert run.messages[1]["rehearsal"]["irreversible"] == 1
    assert "1 irreversible by intent" in run.messages[1]["summary"]


def test_a_migration_that_fails_on_the_shadow_refuses_the_release_and_says_where(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    run = deploy(Environment="staging", SnapshotKind="dump").release(
        project_factory(BROKEN), "1.0.0", tmp_path
    )

    assert run.error == "RollbackUnproven"
    assert run.statuses == ["started", "refused"]
    error = run.messages[-1]["error"]
    assert (error["file"], error["line"], error["sqlstate"]) == ("sql/0004_tags.sql", 2, "42703")
    assert "on an empty database 0004 does not run" in error["message"]
    assert_untouched(database)


@pytest.mark.parametrize(
    ("environment", "rehearse", "rehearsed"),
    [
        ("development", "auto", False),
        ("development", "always", True),
        ("staging", "auto", True),
        ("staging", "never", False),
    ],
)
def test_the_environment_or_the_parameter_decides_whether_a_release_is_rehearsed(
    environment: str,
    rehearse: str,
    rehearsed: bool,
    deploy: Deploy,
    project_factory: ProjectFactory,
    tmp_path: Path,
) -> None:
    stack = deploy(Environment=environment, SnapshotKind="dump", Rehearse=rehearse)
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    assert run.status == "SUCCEEDED", run.cause
    assert ("Rehearse" in run.states) == ("rehearsed" in run.statuses) == rehearsed


def test_a_missing_rollback_passes_where_none_is_demanded(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    one_way = {"sql/0001_users.sql": FIRST["sql/0001_users.sql"]}
    stack = deploy(Rehearse="always", RollbackRequired="no")
    run = stack.release(project_factory(one_way), "1.0.0", tmp_path)

    assert run.status == "SUCCEEDED", run.cause
    assert run.messages[1]["rehearsal"]["status"] == "unproven"
    assert tables(database) == {"users"}


@pytest.mark.parametrize(("release", "end"), [(GOOD, "SUCCEEDED"), (FORGETFUL, "FAILED")])
def test_a_dry_run_is_rehearsed_and_changes_nothing(
    release: dict[str, str],
    end: str,
    deploy: Deploy,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
) -> None:
    # The application has a table of the name of one of ours, which is in another schema.
    stack = deploy(Environment="production", SnapshotKind="dump", HistorySchema="turnback")
    (tmp_path / "turnback.toml").write_text('[history]\nschema = "public"\n')
    version = stack.upload(project_factory(release | OF_APPLICATION), "1.0.0", tmp_path)
    artifact = {"bucket": stack.bucket, "key": f"artifacts/{TARGET}/1.0.0.zip"}
    started = stack.start({"artifact": {**artifact, "version_id": version}, "dry_run": True})
    run: Run = stack.ended(started)

    assert run.status == end
    assert run.statuses == ["succeeded" if end == "SUCCEEDED" else "refused"]
    assert run.messages[0]["dry_run"] is True
    assert ("every rollback is proven" in run.messages[0]["summary"]) == (end == "SUCCEEDED")
    assert run.messages[0]["notes"][-1] == (
        "the parameter HistorySchema of the stack (turnback) takes precedence over public in "
        "turnback.toml:2"
    )
    assert_untouched(database)


def test_the_settings_of_a_release_take_effect_and_are_named(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    source = tmp_path / "turnback.toml"
    ignore = '[ignore]\nobjects = ["public.log_*"]\n'
    source.write_text(f'[database]\nurl = "postgresql://u:secret@db/x"\n{ignore}')
    stack = deploy(Environment="production", SnapshotKind="dump")
    folder = project_factory(LEAVES_A_LOG)
    source.write_text(source.read_text() + '[history]\nschema = "turnback"\n')
    run = stack.release(folder, "1.0.0", tmp_path)

    assert run.statuses == ["started", "rehearsed", "snapshot_taken", "succeeded"], run.cause
    assert run.messages[-1]["notes"] == [
        "not compared, by [ignore] in turnback.toml: object public.log_*"
    ]
    rehearsal = stack.record(run.messages[0]["run"], "rehearsal")
    # With all that belongs to it.
    assert rehearsal["not_compared"] == ["table public.log_1"]
    with psycopg.connect(database) as connection:
        [[applied]] = connection.execute("SELECT count(*) FROM turnback.migrations")
    assert applied == 3

    # A run downwards has no file, and finds the history.
    down = stack.ended(stack.start({"artifact": None, "rollback_to": "1.0.0"}))
    assert down.status == "SUCCEEDED", down.cause

    source.write_text(ignore)
    other = stack.release(folder, "1.1.0", tmp_path)
    assert other.error == "HistoryConflict"
    error = other.messages[-1]["error"]
    assert "this database has its history in turnback" in error["message"]
    assert "HistorySchema" in error["hint"]


def test_a_shadow_that_cannot_be_built_refuses_the_release(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE by_hand (id bigint)")
    needs = {
        **FIRST,
        "sql/0003_name.sql": "ALTER TABLE by_hand ADD COLUMN name text;\n",
        "rollback/0003_rollback.sql": "ALTER TABLE by_hand DROP COLUMN name;\n",
    }
    stack = deploy()
    assert stack.release(project_factory(needs), "1.0.0", tmp_path).status == "SUCCEEDED"
    stack.set_variables("validate", REHEARSE="always")
    more = {
        **needs,
        "sql/0004_edges.sql": "CREATE TABLE edges (a bigint);\n",
        "rollback/0004_rollback.sql": "DROP TABLE edges;\n",
    }
    run = stack.release(project_factory(more), "1.1.0", tmp_path)

    assert run.error == "RollbackUnproven"
    error = run.messages[-1]["error"]
    assert (error["file"], error["line"]) == ("sql/0003_name.sql", 1)
    assert "the shadow cannot be built" in error["message"]
    assert "Rehearse" in error["hint"]
    # What could be judged is in the record.
    found = stack.record(run.messages[0]["run"], "rehearsal")
    assert [(one["version"], one["rollback"]) for one in found["migrations"]] == [("0004", "exact")]
    assert [one["version"] for one in found["not_applied"]] == ["0003"]
    assert "edges" not in tables(database)


def test_the_last_word_of_a_run_and_its_report_answer_the_checklist(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy(Environment="production", SnapshotKind="dump")
    run = stack.release(project_factory(GOOD), "1.0.0", tmp_path)

    last = run.messages[-1]
    answers = {row["item"]: row["answer"] for row in last["checklist"]}
    assert answers == {
        "schema changes reviewed": "unknown",
        "migration tested": "yes",
        "rollback proven": "yes",
        "backup taken": "yes",
        "performance impact assessed": "yes",
        "alarms in place": "no",
        "documentation header present": "no",
        "stakeholders told": "yes",
    }
    report = stack.record(last["run"], "report")
    assert report["checklist"] == last["checklist"]
    assert len(report["applied"]) == 3
    assert [message["checklist"] for message in run.messages[:-1]] == [[], [], []]


def test_a_release_with_nothing_to_do_has_no_checklist(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    stack = deploy()
    stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    run = stack.release(project_factory(FIRST), "1.0.1", tmp_path)

    assert run.messages[-1]["checklist"] == []


def test_repeatables_are_rehearsed_with_their_release_and_go_back_with_it(
    deploy: Deploy, database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    view = "CREATE OR REPLACE VIEW listed AS SELECT id{} FROM users;\n"
    once = FIRST | {"repeatable/listed.sql": view.format("")}
    # Only rows that the shadow does not have make the last one fail.
    bad = INDEXED | {
        "repeatable/listed.sql": view.format(", email"),
        "repeatable/strict.sql": "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM users); END $$;\n",
        "rollback/repeatable/strict.sql": "SELECT 1;\n",
    }
    stack = deploy(Environment="production", SnapshotKind="dump")
    assert stack.release(project_factory(once), "1.0.0", tmp_path).status == "SUCCEEDED"
    with psycopg.connect(database) as session:
        session.execute("INSERT INTO users VALUES (1, 'a@example.com')")
    run = stack.release(project_factory(bad), "1.1.0", tmp_path)

    assert run.statuses == ["started", "rehearsed", "snapshot_taken", "rolled_back"], run.cause
    rehearsal = stack.record(run.messages[0]["run"], "rehearsal")
    assert [(row["version"], row["rollback"]) for row in rehearsal["migrations"]] == [
        ("0003", "exact"),
        ("repeatable/listed.sql", "exact"),
        ("repeatable/strict.sql", "exact"),
    ]
    assert (run.messages[-1]["verified"], run.messages[-1]["rolled_back"]) == (
        "exact",
        ["repeatable/listed.sql", "0003"],
    )
    with psycopg.connect(database) as session:
        [(columns,)] = session.execute(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'listed'::regclass AND attnum > 0"
        )
    assert columns == 1
