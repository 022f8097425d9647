"""Migrations in Python on a real server; what SQL makes of the same rows is the judge."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from turnback.engine.run.report import Report
from turnback.engine.session.events import Event
from turnback.errors import CodeNotAllowed, MigrationIncomplete
from turnback.migrations.discovery import load_project
from turnback.settings.environment import CodeRule
from turnback.settings.pace import Pace

from tests.conftest import ProjectFactory
from tests.integration.bucket import POLICY, MemoryBucket, release_of
from tests.integration.command_line import PROGRAM, turnback
from tests.integration.terminal import until
from tests.integration.test_backfill import down
from tests.integration.test_engine import engine_for, query

ROWS = 10_000
TABLES = f"""
CREATE TABLE users (id bigint PRIMARY KEY, email text, name text);
CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users, display_name text NOT NULL,
    preferences jsonb NOT NULL DEFAULT '{{}}', changes int NOT NULL DEFAULT 0);
INSERT INTO users SELECT n, 'user' || n || '@example.org', nullif('User ' || n, 'User 7')
    FROM generate_series(1, {ROWS}) n;
"""
PROFILES = """# turnback: backfill table=users key=id columns=id,email,name into=profiles{more}
PREFERENCES = {{"theme": "light", "mail": {{"weekly": True}}}}


def transform(rows):
    for row in rows:
        name = row["name"] or row["email"].partition("@")[0]
        preferences = PREFERENCES | {{"language": "ΕΛ" if row["id"] % 2 else None}}
        yield {{"user_id": row["id"], "display_name": name, "preferences": preferences}}
"""
# The same in SQL.
EXPECTED = """
SELECT id, coalesce(name, split_part(email, '@', 1)), jsonb_build_object('theme', 'light', 'mail',
    jsonb_build_object('weekly', true), 'language', CASE id % 2 WHEN 1 THEN 'ΕΛ' END), 0 FROM users
"""


def files(code: str = PROFILES, setup: str = TABLES, more: str = "") -> dict[str, str]:
    return {
        "sql/0001_users.sql": setup,
        "rollback/0001_rollback.sql": "DROP TABLE profiles; DROP TABLE users;",
        "sql/0002_profiles.py": code.format(more=more) if code is PROFILES else code,
        "rollback/0002_rollback.sql": (
            "-- turnback: backfill table=profiles key=user_id\nDELETE FROM profiles WHERE {batch};"
        ),
    }


def apply(url: str, folder: Path, **options) -> Report:
    options = {"code": CodeRule.CLOSED, "lock_timeout_ms": 500, "lock_retry_s": 5} | options
    with engine_for(url, **options) as engine:
        return engine.run(engine.plan_up(load_project(folder)))


def differing(url: str, table: str = "profiles", expected: str = EXPECTED) -> list[tuple]:
    """The rows that are only in one of the two."""
    return query(
        url,
        f"(TABLE {table} EXCEPT ALL {expected}) UNION ALL ({expected} EXCEPT ALL TABLE {table})",
    )


@pytest.mark.parametrize("more", ["", " parallel=2"])
def test_rows_of_the_code_are_those_that_sql_makes(
    database: str, project_factory: ProjectFactory, more: str
) -> None:
    folder = project_factory(files(more=more))
    assert apply(database, folder).error is None
    assert differing(database) == []
    assert query(database, "SELECT sum(rows) FROM migration_backfills") == [(ROWS,)]
    assert down(database, folder, "0001").error is None
    assert query(database, "SELECT count(*) FROM profiles") == [(0,)]


TYPES = {
    "b": "bool: true",
    "i": "int: -7",
    "n": "numeric: 1.10",
    "f": "float8: NaN",
    "t": "text: é\\ \"'",
    "by": "bytea: \\x00ff",
    "u": "uuid: " + "0" * 31 + "1",
    "d": "date: 2026-01-02",
    "ti": "time: 03:04:05.000006",
    "iv": "interval: -1 day 3:00",
    "ts": "timestamp: 2026-01-02 03:04",
    "tz": "timestamptz: 2026-01-02 03:04+05",
    "j": 'jsonb: {"a": [1, null, "☃"]}',
    "js": "jsonb: 5",
    "a": 'text[]: {"a,b",NULL}',
    "at": "timestamptz[]: {2026-01-02 03:04+05}",
    "m": "int[]: {{1,2},{3,4}}",
    "ip": "inet: 10.0.0.1",
    "c": "cidr: 10.0.0.0/8",
    "ch": "char(5): a",
    "o": "oid: 7",
}


def test_a_value_of_each_type_comes_through(database: str, project_factory: ProjectFactory) -> None:
    columns = {name: text.partition(": ")[::2] for name, text in TYPES.items()}
    listed = ", ".join(f"{name} {kind}" for name, (kind, _) in columns.items())
    values = ", ".join(
        "'{}'::{}".format(value.replace("'", "''"), kind) for kind, value in columns.values()
    )
    setup = (
        f"CREATE TABLE users (id int PRIMARY KEY, {listed}); CREATE TABLE profiles (LIKE users);"
        f"INSERT INTO users SELECT 1, {values}; INSERT INTO users (id) VALUES (2);"
    )
    code = "# turnback: backfill table=users key=id into=profiles\ntransform_all = list\n"
    code += "def transform(rows):\n    return transform_all(rows)\n"
    assert apply(database, project_factory(files(code, setup))).error is None
    assert differing(database, "profiles", "TABLE users") == []


STATEMENTS = """# turnback: backfill table=users key=id columns=id,email
def transform(rows):
    for row in rows:
        yield "UPDATE users SET name = %s WHERE id = %s", (row["email"].upper(), row["id"])
    print("read")
"""


def test_a_row_that_another_session_changes_meanwhile_is_read_again(
    database: str, project_factory: ProjectFactory
) -> None:
    changed, said = [], []

    def change(event: Event) -> None:
        said.append(event.text)
        # The code has read its rows, and nothing is sent yet.
        if event.kind == "notice" and not changed:
            changed.append(event.whole)
            query(database, "UPDATE users SET email = 'new' WHERE id = 5")

    assert apply(database, project_factory(files(STATEMENTS)), listener=change).error is None
    assert changed == ["transform prints: read"]
    assert said.count("another session has changed a row of the batch; it is tried again") == 1
    wrong = query(database, "SELECT id FROM users WHERE name IS DISTINCT FROM upper(email)")
    assert wrong == []
    assert query(database, "SELECT rows FROM migration_backfills") == [(ROWS,)]


def test_a_row_that_fails_is_named_with_its_place_and_tried_again_later(
    database: str, project_factory: ProjectFactory
) -> None:
    setup = TABLES + "UPDATE users SET name = NULL, email = NULL WHERE id IN (7, 4999);"
    setup += "INSERT INTO profiles VALUES (9, 'known');"
    folder = project_factory(files(setup=setup))
    report = apply(database, folder)
    assert isinstance(report.error, MigrationIncomplete)
    assert "3 rows of public.users could not be changed, 9,997 rows were" in report.error.message
    assert "id = 7: AttributeError (sql/0002_profiles.py:7); id = 9: dup" in report.error.message
    query(database, "UPDATE users SET email = 'a@b' WHERE id IN (7, 4999)")
    query(database, "DELETE FROM profiles WHERE user_id = 9")
    assert apply(database, folder).error is None
    assert differing(database) == []


def test_a_row_that_is_there_may_be_skipped(database: str, project_factory: ProjectFactory) -> None:
    setup = TABLES + "INSERT INTO profiles VALUES (9, 'known');"
    report = apply(database, project_factory(files(setup=setup, more=" conflict=skip")))
    assert report.error is None
    found = query(database, "SELECT user_id FROM profiles WHERE display_name = 'known'")
    assert found == [(9,)]
    assert query(database, "SELECT rows FROM migration_backfills") == [(ROWS - 1,)]


@pytest.mark.parametrize("into", ["", " into=profiles"])
@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("('DROP TABLE users', ())", "it is not one INSERT, UPDATE, DELETE or MERGE"),
        ("('DELETE FROM users; COMMIT', ())", "would end the transaction"),
        ("('DELETE FROM users; DELETE FROM users', ())", "it is not one INSERT"),
        ("('DELETE FROM', ())", "it is not one INSERT"),
        ("('DELETE FROM users WHERE id = %s', ())", "the parameters do not fit"),
        ("{'user_id': 1}", "the directive names no table for it"),
    ],
)
def test_what_the_code_may_not_return_is_refused_and_nothing_is_changed(
    database: str, project_factory: ProjectFactory, result: str, said: str, into: str
) -> None:
    if into:
        said = "no such column" if result[0] == "{" else "into= public.profiles is for rows"
        result = result.replace("user_id", "user")
    code = f"# turnback: backfill table=users key=id{into}\ndef transform(rows):\n"
    report = apply(database, project_factory(files(f"{code}    return [{result}]\n")))
    assert isinstance(report.error, MigrationIncomplete)
    assert said in report.error.message
    assert (report.error.file, report.error.line) == ("sql/0002_profiles.py", 2)
    assert query(database, "SELECT count(*), sum(rows) FROM users, migration_backfills") == [
        (ROWS, 0)
    ]


@pytest.mark.slow
def test_a_process_that_is_killed_repeats_nothing_and_loses_nothing(
    database: str, project_factory: ProjectFactory
) -> None:
    slowly = PROFILES.format(more="").replace("    for row", "    import time\n    for row")
    slowly = slowly.replace("        yield", "        time.sleep(0.00005)\n        yield")
    folder = project_factory(files(slowly))
    command = [PROGRAM, "up", "--allow-code", "--dir", str(folder)]
    environment = {**os.environ, "DATABASE_URL": database, "SECRET": "of turnback"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        until(lambda: made(database) > 0)
        [child] = children(process.pid)
        assert b"SECRET" not in Path(f"/proc/{child}/environ").read_bytes()
        os.kill(child, signal.SIGKILL)
        until(lambda: children(process.pid) not in ([], [child]))
        [child], before = children(process.pid), made(database)
        until(lambda: made(database) > before)
        process.kill()
    until(lambda: not Path(f"/proc/{child}").exists())
    assert 0 < made(database) < ROWS
    assert turnback("up", "--allow-code", url=database, folder=folder).code == 0
    # Another one of a user would break the key, so each is there once.
    assert differing(database) == []


def made(url: str) -> int:
    if query(url, "SELECT to_regclass('profiles')") == [(None,)]:
        return 0
    ((count,),) = query(url, "SELECT count(*) FROM profiles")
    return count


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in found for child in path.read_text().split()]


MARK = "# turnback: backfill table=users key=id\n"
DISK = "open({path!r}, 'w').close()\ndef transform(rows): ...\n"


def test_it_runs_only_where_that_is_allowed(
    database: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    mark = tmp_path / "it ran"
    folder = project_factory(files(MARK + DISK.format(path=str(mark))))
    error = apply(database, folder, code=CodeRule.REFUSED).error
    assert isinstance(error, CodeNotAllowed)
    assert "--allow-code" in str(error.hint) and "AllowCode" in str(error.hint)
    # Not even what precedes it.
    assert query(database, "SELECT to_regclass('users')") == [(None,)]
    answer = turnback("up", url=database, folder=folder)
    assert "Python is not allowed to run here" in answer.err and answer.code == 2
    (folder.parent / "turnback.toml").write_text(
        f'[environments.development]\nurl = "{database}"\nallow-code = true\n'
    )
    answer = turnback("up", "--env", "development", folder=folder)
    assert "PermissionError" in answer.err and answer.code == 6
    assert not mark.exists()


def test_where_the_network_cannot_be_closed_it_says_so_and_runs_on_an_own_database(
    database: str, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine whose system calls are not known here.
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    folder, said = project_factory(files()), []
    assert isinstance(apply(database, folder).error, CodeNotAllowed)
    report = apply(database, folder, code=CodeRule.OWN, listener=lambda e: said.append(e.text))
    assert report.error is None
    assert "on this system the code of the migration has network and files" in said
    assert differing(database) == []


def test_in_the_background_it_goes_on_where_it_may_run(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory(files())
    later = {"detachable": True, "backfills_later": True}
    assert apply(database, folder, **later).error is None
    assert query(database, "SELECT count(*) FROM profiles") == [(0,)]
    migration = load_project(folder).migrations[1]
    with engine_for(database, **later) as engine:
        outcome = engine.go_on(migration, "r-test", Pace(), lambda: True)
    assert isinstance(outcome.error, CodeNotAllowed)
    query(database, "UPDATE migration_backfills SET state = 'running', announced = 100")
    with engine_for(database, **later, code=CodeRule.CLOSED) as engine:
        outcome = engine.go_on(migration, "r-test", Pace(), lambda: True)
    assert (outcome.state, outcome.error) == ("done", None)
    assert differing(database) == []


def test_a_release_with_code_is_refused_when_it_is_validated(
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = project_factory(files())
    release = release_of(database, MemoryBucket(), "r-1", folder, "1.0.0", tmp_path)
    with pytest.raises(CodeNotAllowed) as caught:
        release.validate()
    assert caught.value.file == "sql/0002_profiles.py"
    monkeypatch.setitem(POLICY, "ALLOW_CODE", "true")
    assert release.validate().migration_count == 2
