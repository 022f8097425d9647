"""Each state of the definition that can go wrong, with each fault: how does the run end?

The real definition, the real functions and a real Postgres; moto is what executes them. No fault
may leave a database in between, unless the run says exactly what stands in it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from turnback.local.server import EmbeddedServer

from tests.conftest import ProjectFactory
from tests.faults.recovery_cells import COURSES, DEFINITION, Course, retries_of, tasks
from tests.faults.recovery_databases import Databases
from tests.faults.recovery_faults import MOMENTS, Fault, failures_of
from tests.faults.recovery_judge import untrue
from tests.faults.recovery_stack import Ended, Ground, ground
from tests.faults.table import Table
from tests.integration.conftest import postgres_layer, shared_clients

__all__ = ["postgres_layer", "shared_clients"]


def projects_in(folder: Path) -> ProjectFactory:
    """Writes migrations folders, as the fixture ``project_factory``."""
    numbers = itertools.count(1)

    def write(files: Mapping[str, str]) -> Path:
        made = folder / f"migrations-{next(numbers)}"
        lines = []
        for name, text in sorted(files.items()):
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            lines.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n")
        (made / "SHA256SUMS").write_text("".join(lines))
        return made

    return write


WORDS = {
    "Succeeded": "succeeded",
    "Superseded": "superseded",
    "Refused": "refused",
    "RolledBack": "rolled back",
    "Restored": "restored",
    "NeedsAPerson": "a person",
}
ROOT = Path(__file__).resolve().parents[2]
_met: set[str] = set()


@pytest.fixture(scope="module")
def databases(
    server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Databases]:
    made = Databases(server, projects_in(tmp_path_factory.mktemp("bases")))
    yield made
    made.drop()


@pytest.fixture(scope="module")
def ground_of(
    databases: Databases, postgres_layer: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Course], Ground]]:
    """The stack of a course; the last one is kept, as tests of the same course follow each other.

    A parameter cannot do that: with others beside it, pytest makes its fixture for each test.
    """
    made: list[Ground] = []
    with ExitStack() as opened:

        def get(course: Course) -> Ground:
            if not made or made[-1].course is not course:
                opened.close()
                folder = tmp_path_factory.mktemp("course")
                new = ground(course, databases, postgres_layer, projects_in(folder), folder)
                made.append(opened.enter_context(new))
            return made[-1]

        yield get


@pytest.fixture
def on(request: pytest.FixtureRequest, ground_of: Callable[[Course], Ground]) -> Ground:
    return ground_of(request.param)


ROWS = [(course, state) for course in COURSES for state in course.states]
FAULTS = list(Fault)


def some_faults(row: int, state: str) -> list[Fault]:
    """One of the faults, by turns, so that each is met several times; some states have a second.

    What touches the database is killed, and a question whose end nobody heard of has a state of its
    own. Where announcing fails, the run is compared with the same one where only the state failed.
    """
    chosen = {FAULTS[row % len(FAULTS)]}
    if state in MOMENTS:
        chosen.add(Fault.KILLED)
    if state.startswith("Ask"):
        chosen.update((Fault.LOST, Fault.DUMB))
    if Fault.DUMB in chosen:
        chosen.add(Fault.ERROR)
    return [fault for fault in FAULTS if fault in chosen]


@pytest.mark.parametrize(
    ("on", "state", "faults"),
    [
        *((*row, some_faults(number, row[1])) for number, row in enumerate(ROWS)),
        *(pytest.param(*row, FAULTS, marks=pytest.mark.slow) for row in ROWS),
    ],
    indirect=["on"],
    ids=[f"{state}, {course}, {which}" for which in ("some", "every") for course, state in ROWS],
)
def test_whatever_fails_the_database_is_as_before_or_after_or_a_person_knows_what_stands(
    on: Ground, state: str, faults: list[Fault], table: Table
) -> None:
    assert on.undisturbed.end == on.course.ends, str(on.undisturbed.run)
    _met.update(on.undisturbed.run.states)
    row, problems, ends = f"{state}, {on.course}", [], dict[Fault, Ended]()
    for fault in faults:
        ended = ends[fault] = on.run(state, fault)
        _met.update(ended.run.states)
        wrong = [
            *wrong_end(on, ended),
            *wrong_path(on, state, fault, ends),
            *wrong_retries(on, state, fault, ended),
            *wrong_redrive(on, ended),
        ]
        _, retries = failures_of(state, fault, 0)
        table.cell(row, fault, f"{WORDS[ended.end]}, {retries}", held=not wrong)
        problems += [f"{fault}: {text}" for text in wrong]
    assert not problems, "\n".join(problems)


def named(*names: str) -> list[Course]:
    """The courses of these names."""
    known = {str(course): course for course in COURSES}
    return [known[name] for name in names]


@pytest.mark.parametrize("on", named("stuck"), indirect=True, ids=str)
@pytest.mark.parametrize("state", ["Apply", "RollBack"])
def test_of_a_function_that_is_killed_each_time_before_it_reports_a_person_knows_what_it_did(
    on: Ground, state: str, table: Table
) -> None:
    retries = retries_of(state, "Runtime.ExitError")
    with table.row(f"{state} killed at each try, before its report", "a person knows what stands"):
        ended = on.run(state, Fault.KILLED, [MOMENTS[state][1]] * (retries + 1))
        assert ended.end == "NeedsAPerson"
        assert ended.failures == [retries + 1]
        assert wrong_end(on, ended) == []


STOPPED = [
    ("good", "Apply", None, "Succeeded"),
    ("good", "Apply", MOMENTS["Apply"][0], "Succeeded"),
    ("broken", "RollBack", None, "RolledBack"),
    ("broken", "RollBack", MOMENTS["RollBack"][0], "RolledBack"),
    ("stuck, with a snapshot", "Restore", None, "Restored"),
    ("stuck, with a snapshot", "Restore", MOMENTS["Restore"][0], "RolledBack"),
]


@pytest.mark.parametrize(
    ("on", "state", "moment", "end"),
    [(*named(name), *rest) for name, *rest in STOPPED],
    indirect=["on"],
    ids=[f"{state}, {'half done' if moment else 'done'}" for _, state, moment, _ in STOPPED],
)
def test_after_a_run_that_was_stopped_from_outside_the_next_one_judges_the_database(
    on: Ground, state: str, moment: str | None, end: str, table: Table
) -> None:
    what = "the next run sees what stands, and ends as before or after"
    with table.row(f"stop-execution during {state}", what):
        stopped = on.stopped(state, [moment] if moment else None)
        # Of what was stopped, no other state is entered, whatever moto calls its end.
        assert stopped.end == state
        ended = on.ended(on.start())
        assert ended.end == end
        assert ended.found.is_as(on.after if end == "Succeeded" else stopped.found)


@pytest.mark.usefixtures("sweep")
def test_every_state_of_the_definition_was_met() -> None:
    """Those that call a function with each fault, the others on the way."""
    assert {state for course in COURSES for state in course.states} == tasks()
    # A dump and an application of this process make nobody wait; RDS and ECS do, in
    # tests/integration.
    waits = {name for name, state in DEFINITION.items() if state["Type"] == "Wait"}
    assert set(DEFINITION) - waits == _met - waits


@pytest.mark.usefixtures("sweep")
def test_the_docs_show_the_table_as_it_is(table: Table) -> None:
    text = (ROOT / "tests/faults/README.md").read_text()
    shown = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    rows = {line[0]: line for line in shown}
    head, *found = table.grid()
    for name, *cells in found:
        columns = zip(head[1:], cells, strict=True)
        assert {column: cell for column, cell in columns if cell}.items() <= dict(
            zip(rows[head[0]][1:], rows[name][1:], strict=True)
        ).items(), name


def wrong_end(on: Ground, ended: Ended) -> list[str]:
    """What is wrong with where a run ended, with the database, or with what was reported."""
    wrong = []
    is_before, is_after = ended.found.is_as(on.before), ended.found.is_as(on.after)
    match ended.end:
        case "Succeeded" if not is_after:
            wrong.append("succeeded, and the database is not as after the release")
        case "Refused" | "Superseded" | "RolledBack" | "Restored" if not is_before:
            wrong.append(f"{ended.end}, and the database is not as before the release")
    report = on.report(ended.name)
    if ended.message:
        wrong += untrue(ended.message, report, ended.found, on.without)
    if on.service is not None and on.service.desired_count != 3:
        telling = ended.message["application"] if ended.message else None
        if ended.message and not (telling and telling["error"] and not telling["started"]):
            wrong.append("the application is not started, and nobody is informed")
    return wrong


def wrong_path(on: Ground, state: str, fault: Fault, ends: dict[Fault, Ended]) -> list[str]:
    """Without announcements a run goes the way that it goes with them."""
    # The question that follows cannot be put either, which is a row of its own.
    if fault is not Fault.DUMB or state == "PassTurnToAsk":
        return []
    as_if = on.undisturbed if state.startswith("Announce") else ends[Fault.ERROR]
    path = ends[fault].run.states
    return [] if path == as_if.run.states else [f"with announce down it goes {path}"]


def wrong_retries(on: Ground, state: str, fault: Fault, ended: Ended) -> list[str]:
    """The definition says how often a state is tried again."""
    own = on.failures(on.undisturbed.name, state)
    expected = []
    for entry in range(len(ended.failures)):
        failures, retries = failures_of(state, fault, entry)
        # Tried again often enough, it does what it does undisturbed; which may be to fail.
        expected.append(failures + (sum(own[entry : entry + 1]) if failures == retries else 0))
    same = bool(expected) and ended.failures == expected
    return [] if same else [f"failed {ended.failures} times, the definition says {expected}"]


def wrong_redrive(on: Ground, ended: Ended) -> list[str]:
    """Of a run that failed, the step that failed may be called again with the same state."""
    if ended.run.status == "SUCCEEDED":
        return []
    found = on.redrive()
    same = any(found.is_as(other) for other in (on.before, on.after, ended.found))
    return [] if same else ["called again, the step leaves the database in between"]
