"""A rehearsal on a copy of the target: its rows, on its own server, and gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from turnback.engine.session.connection import connect
from turnback.engine.session.events import Options
from turnback.errors import ConfigurationError, OutOfSpace
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.copy import look_at, refuse_outside

from tests.conftest import ProjectFactory
from tests.integration.command_line import PROGRAM, turnback

FILES = {
    "sql/0001_t.sql": "CREATE TABLE t (a int PRIMARY KEY, b text);",
    "rollback/0001_rollback.sql": "DROP TABLE t;",
}
# Runs on an empty table, and fails on the rows of the target; the second one loses values.
UNIQUE = {
    "sql/0002_unique.sql": "ALTER TABLE t ADD CONSTRAINT u UNIQUE (b);",
    "rollback/0002_rollback.sql": "ALTER TABLE t DROP CONSTRAINT u;",
}
NARROW = {
    "sql/0003_c.sql": "ALTER TABLE t DROP COLUMN b;",
    "rollback/0003_rollback.sql": "ALTER TABLE t ADD COLUMN b text;",
    "sql/0004_d.sql": "ALTER TABLE t ADD COLUMN d int DEFAULT 1; CREATE INDEX ON t (d);"
    "SELECT pg_sleep(0.1);",
    "rollback/0004_rollback.sql": "ALTER TABLE t DROP COLUMN d;",
}


@pytest.fixture
def target(database: str, project_factory: ProjectFactory) -> str:
    """A database with one migration and rows; its own settings, and an extension."""
    assert turnback("up", url=database, folder=project_factory(FILES)).code == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO t SELECT n, n % 5 FROM generate_series(1, 1000) n")
        connection.execute("CREATE EXTENSION citext")
    return database


@pytest.fixture
def copies(admin: psycopg.Connection) -> Callable[[], list[str]]:
    """The copies that are on the server."""

    def found() -> list[str]:
        query = "SELECT datname FROM pg_database WHERE datname ~ '^turnback_copy_'"
        return [str(name) for (name,) in admin.execute(query).fetchall()]

    return found


def test_it_fails_on_the_rows_of_the_target_and_leaves_nothing(
    target: str, project_factory: ProjectFactory, copies: Callable[[], list[str]]
) -> None:
    folder = project_factory({**FILES, **UNIQUE})
    assert turnback("rehearse", url=target, folder=folder).code == 0
    answer = turnback("rehearse", "--on", "copy", url=target, folder=folder)
    assert answer.code == 3
    assert 'could not create unique index "u"' in answer.out
    assert "Copying" in answer.err
    assert copies() == []
    with psycopg.connect(target) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1000,)
        assert connection.execute("SELECT count(*) FROM migrations").fetchone() == (1,)


@pytest.mark.parametrize("busy", [False, True], ids=["template", "dump"])
def test_a_copy_is_a_template_or_a_dump_and_what_is_measured_is_reported(
    target: str, project_factory: ProjectFactory, copies: Callable[[], list[str]], busy: bool
) -> None:
    folder = project_factory({**FILES, **NARROW})
    arguments = ("rehearse", "--on", "copy", "--json")
    if busy:
        with psycopg.connect(target):
            answer = turnback(*arguments, url=target, folder=folder)
    else:
        answer = turnback(*arguments, url=target, folder=folder)
    assert answer.code == 3, answer.err
    document = json.loads(answer.out)
    assert document["on"] == "copy"
    assert document["copy"]["made_by"] == ("dump" if busy else "template")
    assert document["copy"]["bytes"] > 7_000_000
    first, second = document["migrations"]
    assert first["rollback"] == "exact" or first["rollback"] == "column_order"
    assert first["rows"] == ["rows of public.t: the same number, other rows"]
    assert (second["rollback"], second["rows"]) == ("exact", [])
    assert max(one["ms"] for one in second["statements"]) >= 100
    assert copies() == []


def test_the_time_of_a_statement_is_shown(target: str, project_factory: ProjectFactory) -> None:
    files = {name: text for name, text in NARROW.items() if "0004" in name}
    answer = turnback(
        "rehearse", "--on", "copy", url=target, folder=project_factory({**FILES, **files})
    )
    assert answer.code == 0, answer.out + answer.err
    assert "ms, measured on the copy" in answer.out


def test_a_copy_that_a_killed_rehearsal_left_is_dropped_by_the_next_one(
    target: str, project_factory: ProjectFactory, copies: Callable[[], list[str]]
) -> None:
    slow = {"sql/0002_s.sql": "SELECT pg_sleep(60);", "rollback/0002_rollback.sql": "SELECT 1;"}
    with subprocess.Popen(
        [
            *(PROGRAM, "rehearse", "--on", "copy", "--database-url", target),
            *("--dir", project_factory({**FILES, **slow})),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        while not copies():
            assert running.poll() is None
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGKILL)
    [left] = copies()
    with psycopg.connect(target, autocommit=True) as connection:
        # As when the server has seen that its client is gone.
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s "
            "OR application_name = 'turnback-shadow'",
            [left],
        )
    answer = turnback(
        "rehearse", "--on", "copy", url=target, folder=project_factory({**FILES, **UNIQUE})
    )
    assert answer.code == 3
    assert copies() == []
    assert not list(Path(tempfile.gettempdir()).glob("turnback-copy-*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--all",), "leave out --all"),
        (("--shadow-url", "postgresql://h/d"), "leave out --all and --shadow-url"),
        (("0001",), "0001 is applied to the target"),
    ],
)
def test_only_what_is_pending_on_a_named_target_is_rehearsed_on_a_copy(
    target: str, project_factory: ProjectFactory, arguments: tuple[str, ...], message: str
) -> None:
    folder = project_factory({**FILES, **UNIQUE})
    answer = turnback("rehearse", "--on", "copy", *arguments, url=target, folder=folder)
    assert answer.code == 2
    assert message in answer.err


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE ROLE r;",
        "SELECT 1; GRANT pg_monitor TO CURRENT_USER;",
        "ALTER DATABASE app SET work_mem = '1MB';",
        "GRANT CONNECT ON DATABASE app TO PUBLIC;",
        "COMMENT ON DATABASE app IS 'x';",
        "ALTER DATABASE app OWNER TO postgres;",
        "DO $$ BEGIN EXECUTE format('ALTER ROLE %I SET a.b = 1', current_user); END $$;",
        "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p;",
    ],
)
def test_what_would_change_the_server_of_the_target_is_refused(
    project_factory: ProjectFactory, sql: str
) -> None:
    rolled_back = {"sql/0001_a.sql": sql, "rollback/0001_rollback.sql": "SELECT 1;"}
    with pytest.raises(ConfigurationError, match="belongs to the server") as caught:
        refuse_outside(load_project(project_factory(rolled_back)).migrations)
    assert caught.value.file == "sql/0001_a.sql"


def test_what_belongs_to_the_database_is_not_refused(project_factory: ProjectFactory) -> None:
    harmless = "CREATE TABLE role (database text); CREATE USER MAPPING FOR public SERVER s;"
    files = {"sql/0001_a.sql": harmless, "rollback/0001_rollback.sql": "DROP TABLE role;"}
    refuse_outside(load_project(project_factory(files)).migrations)


def test_a_target_larger_than_the_disk_of_its_server_is_refused(
    server: EmbeddedServer, database: str
) -> None:
    url = server.socket_url(conninfo_to_dict(database)["dbname"] or "")
    with connect(url, application_name="test", options=Options()) as session:
        target = look_at(session, url, ())
    target.refuse_if_too_large()
    assert target.folder == str(server.data_dir)
    with pytest.raises(OutOfSpace, match=r"a copy of .* needs [0-9,]+ bytes in .*, which has"):
        replace(target, bytes=2**60).refuse_if_too_large()
