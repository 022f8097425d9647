"""Backfills in the background, whose migrations a release has applied."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from turnback.engine import Engine, Plan
from turnback.engine.backfill import background
from turnback.engine.backfill import run as background_run
from turnback.engine.backfill.background import Outcome
from turnback.engine.backfill.records import Records
from turnback.engine.session.events import Options, RunContext
from turnback.errors import BackfillNotDone, ChecksumMismatch, InvalidMigration, RunnerBusy
from turnback.migrations.discovery import load_project
from turnback.settings.pace import Pace

from tests.conftest import ProjectFactory
from tests.integration.command_line import turnback
from tests.integration.terminal import until
from tests.integration.test_backfill import COLUMNS, counted, files
from tests.integration.test_engine import query

AFTER = {
    "sql/0003_required.sql": (
        "-- turnback: after 0002\nALTER TABLE users ALTER display_name SET NOT NULL;"
    ),
    "rollback/0003_rollback.sql": "ALTER TABLE users ALTER display_name DROP NOT NULL;",
}


@contextmanager
def release(url: str, run: str = "r-1") -> Iterator[Engine]:
    context = RunContext(run=run, release="1.0.0")
    options = Options(detachable=True, backfills_later=True, runner_wait_s=0.5)
    with Engine(url, context=context, options=options) as engine:
        yield engine


def do(url: str, plan: Callable[[Engine], Plan], run: str = "r-1"):
    with release(url, run) as engine:
        return engine.run(plan(engine))


def apply(url: str, folder: Path, run: str = "r-1"):
    return do(url, lambda engine: engine.plan_up(load_project(folder)), run)


def go_on(
    url: str, folder: Path, seconds: float = 60, pace: Pace | None = None, run: str = "r-1"
) -> Outcome:
    migration = load_project(folder).find("0002")
    assert migration
    end = time.monotonic() + seconds
    with release(url) as engine:
        return engine.go_on(migration, run, pace or Pace(), lambda: time.monotonic() < end)


def in_small_batches(url: str, pause_ms: int = 0, announced: int = 0) -> None:
    """Batches that begin with 25 rows and grow, of which so much counts as announced."""
    with release(url) as engine:
        engine.steer(Records("public", "0002").set_speed(60_000, pause_ms))
        engine.steer("UPDATE public.migration_backfills SET batch_rows = 25")
        engine.steer(Records("public", "0002").announced(announced))


def statuses(url: str, folder: Path) -> list[str]:
    answer = turnback("status", "--dir", str(folder), "--json", url=url)
    return [one["status"] for one in answer.document["migrations"]]


@pytest.mark.parametrize("more", ["", " parallel=3"])
def test_a_release_does_not_wait_and_calls_after_it_change_each_row_once(
    database: str, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    # Each batch is reported, however fast they are.
    monkeypatch.setattr(background_run, "_SAY_EVERY_S", 0.0)
    folder = project_factory(files(more=more))
    report = apply(database, folder)
    assert (report.error, report.remaining) == (None, [])
    assert counted(database) == [(0, 5000, 0)]
    assert statuses(database, folder) == ["applied", "backfilling"]
    in_small_batches(database)
    announced, calls = [], 0
    while (found := go_on(database, folder)).state == "running":
        calls += 1
        if found.percent:
            announced.append(found.percent)
            with release(database) as engine:
                engine.steer(Records("public", "0002").announced(found.percent))
    assert (found.state, found.percent) == ("done", 100)
    assert calls == len(announced)
    assert announced == sorted(set(announced)) and set(announced) <= {25, 50, 75}
    assert more or announced == [25, 50, 75]
    assert counted(database) == [(1, 5000, 5000)]
    assert statuses(database, folder) == ["applied", "applied"]
    assert go_on(database, folder).state == "gone"


def test_a_migration_after_it_is_refused_until_it_is_done(
    database: str, project_factory: ProjectFactory
) -> None:
    folder = project_factory({**files(), **AFTER})
    with pytest.raises(BackfillNotDone, match="begins with this release"):
        apply(database, folder)
    assert query(database, "SELECT to_regclass('users')") == [(None,)]
    with release(database) as engine:
        first = engine.plan_up(load_project(folder), target="0002")
        assert engine.run(first).error is None
    with pytest.raises(BackfillNotDone, match="0002, which is not done: running, 0 %"):
        apply(database, folder, "r-2")
    answer = turnback("up", "--dir", str(folder), "--json", url=database)
    assert (answer.code, answer.document["error"]["type"]) == (4, "BackfillNotDone")
    while go_on(database, folder).state == "running":
        with release(database) as engine:
            engine.steer(Records("public", "0002").announced(75))
    assert apply(database, folder, "r-2").error is None


@pytest.mark.parametrize(
    ("sql", "in_its_release", "in_the_next"),
    [
        ("ALTER TABLE users ALTER display_name SET NOT NULL", True, True),
        ("ALTER TABLE public.users DROP email", True, True),
        ("ALTER TABLE users RENAME email TO mail", True, True),
        ("DROP TABLE users", True, True),
        ("UPDATE users SET changes = 0", True, False),
        ("CREATE TABLE names AS SELECT display_name FROM users", True, False),
        ("ALTER TABLE users ADD note text", False, False),
        ("CREATE TABLE others ()", False, False),
    ],
)
def test_what_needs_its_rows_waits_without_saying_so(
    database: str,
    project_factory: ProjectFactory,
    sql: str,
    in_its_release: bool,
    in_the_next: bool,
) -> None:
    folder = project_factory({**files(), **AFTER, "sql/0003_required.sql": f"{sql};"})
    project = load_project(folder)

    def refused(engine: Engine) -> bool:
        try:
            engine.plan_up(project)
        except BackfillNotDone:
            return True
        return False

    with release(database) as engine:
        assert refused(engine) is in_its_release
        assert engine.run(engine.plan_up(project, target="0002")).error is None
    with release(database, "r-2") as engine:
        assert refused(engine) is in_the_next


def test_after_names_a_migration_before_it(database: str, project_factory: ProjectFactory) -> None:
    after = {"sql/0003_required.sql": "-- turnback: after 0004\nSELECT 1;"}
    folder = project_factory({**files(), **AFTER, **after})
    with pytest.raises(InvalidMigration, match="no migration 0004 before it"):
        apply(database, folder)
    assert "no migration 0004 before it" in turnback("check", "--dir", str(folder)).out


@pytest.mark.parametrize("other", ["UPDATE users SET email = NULL WHERE {batch};", None])
def test_another_file_or_run_than_it_was_applied_by_changes_nothing(
    database: str, project_factory: ProjectFactory, other: str | None
) -> None:
    folder = project_factory(files())
    assert apply(database, folder).error is None
    note = turnback("up", "--dir", str(folder), url=database).err
    assert "the backfill of 0002 goes on: running, 0 %" in note
    if other:
        mark = "-- turnback: backfill table=users key=id\n"
        (folder / "sql/0002_fill.sql").write_text(mark + other)
        found = go_on(database, folder)
        assert (found.state, type(found.error)) == ("failed", ChecksumMismatch)
    else:
        assert go_on(database, folder, run="r-other").state == "gone"
    assert counted(database) == [(0, 5000, 0)]


@pytest.mark.parametrize("own", [True, False])
def test_a_rollback_stops_it_and_waits_for_its_worker(
    database: str, project_factory: ProjectFactory, own: bool
) -> None:
    made = files(more=" parallel=2")
    if not own:
        made["rollback/0002_rollback.sql"] = "UPDATE users SET display_name = NULL;"
    folder = project_factory(made)
    assert apply(database, folder).error is None
    found: list[object] = []

    def work() -> None:
        try:
            found.append(go_on(database, folder).state)
        except Exception as error:
            found.append(type(error))

    in_small_batches(database, pause_ms=300, announced=75)
    worker = threading.Thread(target=work)
    worker.start()
    until(lambda: query(database, "SELECT count(*) > 9 FROM users WHERE changes > 0") == [(True,)])
    report = do(database, lambda engine: engine.plan_down_run("r-1", lambda: load_project(folder)))
    worker.join()
    assert (report.error, report.remaining, report.running) == (None, [], None)
    assert found[0] in ("cancelled", RunnerBusy)
    assert query(database, "SELECT to_regclass('users')") == [(None,)]
    assert go_on(database, folder).state == "gone"


def test_a_rollback_ends_a_session_whose_client_is_gone(
    database: str, project_factory: ProjectFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It does not leave, however long it is waited for.
    monkeypatch.setattr(background, "_PATIENCE_S", 0.2)
    folder = project_factory(files(setup=files()["sql/0001_users.sql"]))
    assert apply(database, folder).error is None
    with psycopg.connect(database, autocommit=True) as frozen:
        from turnback.engine.backfill.run import lock_name
        from turnback.engine.session.lock import lock_key

        frozen.execute(f"SELECT pg_advisory_lock({lock_key(lock_name('public', '0002'))})")
        with pytest.raises(RunnerBusy):
            go_on(database, folder)
        plan = lambda engine: engine.plan_down(load_project(folder), target="0001")  # noqa: E731
        assert do(database, plan, "r-2").error is None
        with pytest.raises(psycopg.OperationalError):
            frozen.execute("SELECT 1")
    assert statuses(database, folder) == ["applied", "rolled_back"]


def test_what_stops_it_is_shown_and_it_goes_on_when_that_is_corrected(
    database: str, project_factory: ProjectFactory
) -> None:
    bad = f"CREATE TABLE users (id bigint PRIMARY KEY, {COLUMNS}, CHECK (display_name <> 'user7'));"
    setup = files()["sql/0001_users.sql"]
    folder = project_factory(files(setup=bad + setup[setup.index("INSERT") :]))
    assert apply(database, folder).error is None
    found = go_on(database, folder)
    while found.state == "running":
        with release(database) as engine:
            engine.steer(Records("public", "0002").announced(found.percent or 0))
        found = go_on(database, folder)
    assert found.state == "failed"
    assert "id = 7" in str(found.error)
    assert go_on(database, folder).state == "failed"
    answer = turnback("health", "--dir", str(folder), "--json", url=database)
    assert any("0002" in one and "failed" in one for one in answer.document["problems"])
    query(database, "UPDATE users SET email = 'other@example.org' WHERE id = 7 RETURNING 1")
    assert turnback("backfill", "resume", "0002", "--dir", str(folder), url=database).code == 0
    assert go_on(database, folder).state == "done"
    assert query(database, "SELECT count(*) FROM users WHERE display_name IS NULL") == [(0,)]


def test_what_holds_it_up_is_said_once(database: str, project_factory: ProjectFactory) -> None:
    folder = project_factory(files())
    assert apply(database, folder).error is None
    held = Pace(query="SELECT true")
    first, second = (go_on(database, folder, 0.5, held) for _ in range(2))
    assert (first.state, first.held_up) == ("running", "waits: the query of [backfill] says so")
    assert (second.state, second.held_up) == ("running", None)
