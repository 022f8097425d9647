"""A connection is cut, refused, made read-only or its login rotated, at any message of a command.

``backup``, ``restore``, ``up`` and ``down`` are called again while the server is out of reach, as
the state machine and a person do. Nothing may be lost, done twice or thrown away for that, and
what ``status`` shows afterwards must be true.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from turnback.engine import Engine, Options, RunContext
from turnback.errors import DatabaseUnreachable, RunnerBusy, TurnbackError
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.recovery.dumps import successor
from turnback.recovery.dumps.dump import DumpSnapshots
from turnback.recovery.dumps.restore import RestoreDump
from turnback.recovery.endpoint import Endpoint
from turnback.recovery.model import RestoreState

from tests.conftest import ProjectFactory
from tests.dumps import RUN, Memory, contents, others, request
from tests.faults.proxy import Fault, Link, Proxy, When
from tests.faults.table import Table
from tests.standby import set_read_only

Admin = psycopg.Connection[Any]
FILES = {
    "sql/0001_ledger.sql": "CREATE TABLE ledger (entry int);\nINSERT INTO ledger VALUES (1);\n",
    "rollback/0001_rollback.sql": "DROP TABLE ledger;\n",
    "sql/0002_users.sql": "CREATE TABLE users (id int PRIMARY KEY);\n"
    "INSERT INTO users SELECT generate_series(1, 500);\nINSERT INTO ledger VALUES (2);\n",
    "rollback/0002_rollback.sql": "DROP TABLE users;\nDELETE FROM ledger WHERE entry = 2;\n",
    "sql/0003_index.sql": "CREATE INDEX CONCURRENTLY users_id ON users (id);\n",
    "rollback/0003_rollback.sql": "DROP INDEX CONCURRENTLY users_id;\n",
    "sql/0004_orders.sql": "CREATE TABLE orders (id int REFERENCES users);\n"
    "INSERT INTO orders SELECT id FROM users;\nINSERT INTO ledger VALUES (4);\n",
    "rollback/0004_rollback.sql": "DROP TABLE orders;\nDELETE FROM ledger WHERE entry = 4;\n",
}
VERSIONS = ["0001", "0002", "0003", "0004"]
TROUBLES = ["cut", "refused", "read-only", "rotated"]
# A connection that is refused, or a secret that is behind the password: so often.
_TIMES = 2
_CALLS = 20


@dataclass
class Scene:
    """A database, reached through a proxy as a role whose password changes.

    Attributes:
        filled: how often a restore has noted that all its rows are there.
    """

    server: EmbeddedServer
    admin: Admin
    name: str
    folder: Path
    proxy: Proxy
    store: Memory = field(default_factory=Memory)
    stale: int = 0
    filled: int = 0

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    @property
    def endpoint(self) -> Endpoint:
        found = Endpoint.from_url(self.proxy.url(self.name))
        return replace(found, user="r_conn", password="", login=self.login)

    def login(self, _: Endpoint) -> tuple[str, str]:
        """The secret, which for a while has the password from before."""
        if self.stale > 0:
            self.stale -= 1
            return "r_conn", "before"
        return "r_conn", "one"

    def trouble(self, kind: str) -> Callable[[Link], None]:
        def act(link: Link) -> None:
            match kind:
                case "cut":
                    link.cut()
                case "refused":
                    self.proxy.refusing = _TIMES
                    link.cut()
                case "read-only":
                    set_read_only(self.server.url(), on=True)
                case "rotated":
                    # Whoever is in remains in, and new sessions come with the old password.
                    self.stale = _TIMES

        return act

    def repeat(self, step: Callable[[], bool]) -> list[str]:
        """Call until it is done, and again after what passes; what was wrong, as sentences."""
        for _ in range(_CALLS):
            try:
                if step():
                    return []
            except (DatabaseUnreachable, RunnerBusy) as error:
                if "password" in error.message + (error.hint or ""):
                    return [f"a connection is no matter of a password: {error.message}"]
                set_read_only(self.server.url(), on=False)
            except TurnbackError as error:
                return [f"it ended with {error!r}: {error.hint}"]
        return ["it never ended"]

    def migrate(self, direction: str) -> bool:
        context = RunContext(run=f"r-{direction}")
        options = Options(runner_wait_s=30, lock_retry_s=30)
        with Engine(self.endpoint.conninfo, context=context, options=options) as engine:
            project = load_project(self.folder)
            plan = (
                engine.plan_down(project, target="0")
                if direction == "down"
                else (engine.plan_up(project))
            )
            report = engine.run(plan)
        if report.error:
            raise report.error
        return True

    def shown(self) -> list[tuple[str, str]]:
        """What status shows."""
        with Engine(self.url, context=RunContext(run="r-look")) as engine:
            return [
                (item.version, item.status) for item in engine.status(load_project(self.folder))
            ]

    def backup(self) -> bool:
        snapshots = DumpSnapshots(self.endpoint, self.store, lambda: 60)
        self.record = snapshots.record("orders", RUN, {"run": RUN})
        return True

    def restore(self) -> bool:
        progress = RestoreDump(self.endpoint, self.store, lambda: 120).advance(request(self.record))
        return progress.state is RestoreState.RESTORED


class Course:
    """One command: what is there before it, what it does, and what must be true after it."""

    def before(self, scene: Scene) -> None: ...

    def step(self, scene: Scene) -> bool: ...

    def wrong(self, scene: Scene) -> list[str]: ...


class Up(Course):
    def step(self, scene: Scene) -> bool:
        return scene.migrate("up")

    def wrong(self, scene: Scene) -> list[str]:
        with psycopg.connect(scene.url) as connection:
            ledger = connection.execute("SELECT entry FROM ledger ORDER BY 1").fetchall()
        found = [] if ledger == [(1,), (2,), (4,)] else [f"the ledger is {ledger}"]
        if scene.shown() != [(version, "applied") for version in VERSIONS]:
            found.append(f"status shows {scene.shown()}")
        return found


class Down(Course):
    def before(self, scene: Scene) -> None:
        scene.migrate("up")

    def step(self, scene: Scene) -> bool:
        return scene.migrate("down")

    def wrong(self, scene: Scene) -> list[str]:
        with psycopg.connect(scene.url) as connection:
            left = connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                "AND relname !~ '^migration'"
            ).fetchall()
        found = [f"left in the database: {left}"] if left else []
        if scene.shown() != [(version, "rolled_back") for version in VERSIONS]:
            found.append(f"status shows {scene.shown()}")
        return found


class Backup(Down):
    def step(self, scene: Scene) -> bool:
        return scene.backup()

    def wrong(self, scene: Scene) -> list[str]:
        [key] = [key for key in scene.store.objects if key.endswith(".dump")]
        whole = hashlib.sha256(scene.store.objects[key]).hexdigest() == scene.record.sha256
        beside = [name for name, _ in others(scene.admin, scene.url)]
        return ([] if whole else ["the dump is not the one of its record"]) + (
            [f"left beside it: {beside}"] if beside else []
        )


class Restore(Down):
    def before(self, scene: Scene) -> None:
        super().before(scene)
        scene.backup()
        self.whole = contents(scene.url)
        with psycopg.connect(scene.url) as connection:
            connection.execute("DELETE FROM orders; DROP INDEX users_id")
        scene.filled = 0

    def step(self, scene: Scene) -> bool:
        return scene.restore()

    def wrong(self, scene: Scene) -> list[str]:
        found = [] if scene.filled == 1 else [f"all rows were restored {scene.filled} times"]
        if contents(scene.url) != self.whole:
            found.append("it is not as it was dumped")
        beside = [name for name, _ in others(scene.admin, scene.url)]
        if len(beside) != 1 or "_before_" not in beside[0]:
            found.append(f"left beside it: {beside}")
        if scene.shown() != [(version, "applied") for version in VERSIONS]:
            found.append(f"status shows {scene.shown()}")
        return found


COURSES = {"up": Up, "down": Down, "backup": Backup, "restore": Restore}
_numbers = itertools.count(1)
_counts: dict[str, int] = {}


@pytest.fixture
def stage(
    server: EmbeddedServer,
    admin: Admin,
    project_factory: ProjectFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[], Scene]]:
    """Makes scenes, and clears them away."""
    admin.execute("CREATE ROLE r_conn LOGIN CREATEDB PASSWORD 'one'")
    folder, made = project_factory(FILES), list[Scene]()
    monkeypatch.setattr("turnback.recovery.endpoint.LOGIN_PAUSES_S", (0.0,) * 4)
    note = successor._marked

    def counted(connection: Admin, name: str, mark: successor.Mark, record: Any) -> Any:
        noted = note(connection, name, mark, record)
        made[-1].filled += mark.state == successor.ROWS
        return noted

    monkeypatch.setattr(successor, "_marked", counted)

    def make() -> Scene:
        name = f"conn_{next(_numbers)}"
        admin.execute(f"CREATE DATABASE {name} OWNER r_conn STRATEGY file_copy".encode())
        made.append(Scene(server, admin, name, folder, Proxy(server.url())))
        return made[-1]

    yield make
    set_read_only(server.url(), on=False)
    for scene in made:
        scene.proxy.close()
        for name, _ in others(admin, scene.url):
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        admin.execute(f"DROP DATABASE {scene.name} WITH (FORCE)".encode())
    admin.execute("DROP ROLE r_conn")


def undisturbed(scene: Scene, course: Course) -> int:
    """How many messages the command sends."""
    course.before(scene)
    scene.proxy.arm()
    assert scene.repeat(lambda: course.step(scene)) == []
    assert course.wrong(scene) == []
    return len(scene.proxy.seen)


def try_at(scene: Scene, course: Course, kind: str, at: int) -> list[str]:
    """What was wrong when this came before the message of that number, as sentences."""
    course.before(scene)
    scene.proxy.arm(Fault(at, When.BEFORE, scene.trouble(kind)))
    found = scene.repeat(lambda: course.step(scene))
    set_read_only(scene.server.url(), on=False)
    scene.stale = scene.proxy.refusing = 0
    if not found and not scene.proxy.fired:
        found = ["it did not come to the fault"]
    found = found or course.wrong(scene)
    scene.proxy.close()
    return [f"{kind}, message {at}: {text}" for text in found]


@pytest.mark.parametrize("kind", TROUBLES)
@pytest.mark.parametrize("command", COURSES)
@pytest.mark.parametrize("places", ["some", pytest.param("every", marks=pytest.mark.slow)])
def test_a_connection_in_trouble_costs_one_more_attempt_and_nothing_else(
    command: str, kind: str, places: str, stage: Callable[[], Scene], table: Table
) -> None:
    if command not in _counts:
        _counts[command] = undisturbed(stage(), COURSES[command]())
    count = _counts[command]
    # In the middle: of a restore, that is behind its rows.
    chosen: Sequence[int] = [2 * count // 3]
    if places == "every":
        # Of the hundreds of a dump or a restore one in eleven, each kind at others.
        first, each = (TROUBLES.index(kind) + 1, 11) if count > 100 else (1, 1)
        chosen = range(first, count + 1, each)
    found = [try_at(stage(), COURSES[command](), kind, at) for at in chosen]
    held = sum(not texts for texts in found)
    table.add(f"{command}: {kind}", "ends as if nothing was", tried=len(chosen), held=held)
    assert not any(found), "\n".join(itertools.chain(*found))
