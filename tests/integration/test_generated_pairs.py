"""Random pairs of scripts: what the rehearsal says of each is what pg_dump says.

The judge works in databases of its own: it dumps the schema before all changes, after them, after
all rollbacks, after the changes once more, and after what the rehearsal suggests. Each pair has a
schema of its own, so one dump is of all pairs. A seed makes a run repeatable; it is in the test's
name, and each wrong verdict is printed with its pair.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.verdict import UNPROVEN, Verdict

from tests.conftest import ProjectFactory
from tests.dumps import pg_dump_schema
from tests.integration.pairs import ROLES, Pair, pair
from tests.other_servers import postgres

PAIRS = 200
_ENTRY = re.compile(r"^-- (?:Data for )?Name: .*\n--\n", re.MULTILINE)
_SCHEMA = re.compile(r"\bp\d+(?=\b|_)")
# The parts of a dump by schema, each a list of statements.
Dump = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge saw of a pair: its part of each dump, and whether the rollback ran."""

    before: list[str]
    applied: list[str]
    after: list[str]
    again: list[str] | None
    failed: bool

    def errors(self, verdict: Verdict) -> Iterator[str]:
        """What the rehearsal says that is not so."""
        if verdict.forward != "applied":
            yield "the change runs"
        elif self.failed or verdict.rollback == "failed":
            if self.failed != (verdict.rollback == "failed"):
                yield f"the rollback {'fails' if self.failed else 'runs'}"
        else:
            same = self.after == self.before
            believed = verdict.rollback not in UNPROVEN
            if believed and not same and not self._is_softer(verdict.rollback):
                yield f"missed: {difference(self.before, self.after)}"
            if same and not believed:
                yield "a false alarm"
            if (self.again is None) != (verdict.reapply == "failed"):
                yield f"the second time {'fails' if self.again is None else 'works'}"
            elif self.again is not None and same and verdict.reapply != "exact":
                yield "a false alarm the second time"

    def _is_softer(self, rollback: str) -> bool:
        """Whether nothing differs but the order of columns."""
        lines = (
            sorted("\n".join(one).replace(",\n", "\n").split("\n"))
            for one in (self.before, self.after)
        )
        return rollback == "column_order" and len({tuple(one) for one in lines}) == 1


class Judge:
    """Runs pairs on a server, and dumps what they make.

    Args:
        server: its address.
        name: of the databases.
    """

    def __init__(self, server: str, name: str) -> None:
        self.server = server
        self._name = name

    def pairs(self, seed: int) -> tuple[list[Pair], dict[str, Judged]]:
        """Pairs whose change runs, and what becomes of each."""
        chance = random.Random(seed)
        found: list[Pair] = []
        tried = 0
        with self._open(self._name) as connection:
            major = connection.info.server_version // 10_000
            while len(found) < PAIRS:
                one = pair(tried, chance, major)
                tried += 1
                if runs(connection, one.base + one.up, keep=False):
                    assert runs(connection, one.base)
                    found.append(one)
            before = self.dump(self._name)
            for one in found:
                assert runs(connection, one.up), one
            applied = self.dump(self._name)
            failed = {one.schema for one in found if not runs(connection, one.down)}
        after = self.dump(self._name)
        self.admin(f"CREATE DATABASE {self._name}_again TEMPLATE {self._name} STRATEGY file_copy")
        with self._open(f"{self._name}_again") as connection:
            twice = {one.schema for one in found if runs(connection, one.up)}
        again = self.dump(f"{self._name}_again")
        self.admin(f"DROP DATABASE {self._name}_again")
        return found, {
            one.schema: Judged(
                before.get(one.schema, []),
                applied.get(one.schema, []),
                after.get(one.schema, []),
                again.get(one.schema, []) if one.schema in twice else None,
                one.schema in failed,
            )
            for one in found
        }

    def after(self, suggested: dict[str, list[str]]) -> tuple[Dump, set[str]]:
        """The dump after suggestions by schema, and the schemas of those that do not run."""
        with self._open(self._name) as connection:
            failed = {
                schema
                for schema, statements in suggested.items()
                if not runs(connection, "\n".join(statements))
            }
        return self.dump(self._name), failed

    def admin(self, statement: str) -> None:
        """Run a statement outside the databases of the judge."""
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def _open(self, name: str) -> Iterator[psycopg.Connection]:
        with psycopg.connect(make_conninfo(self.server, dbname=name), autocommit=True) as opened:
            yield opened

    def dump(self, name: str) -> Dump:
        """What pg_dump says of the schema, by the schemas of the pairs."""
        url = make_conninfo(self.server, dbname=name)
        found: Dump = {}
        for entry in _ENTRY.split(pg_dump_schema(url)):
            lines = [line for line in entry.split("\n") if line and line[:2] not in ("--", "\\u")]
            for schema in set(_SCHEMA.findall(entry)):
                found.setdefault(schema, []).append("\n".join(lines))
        # Neither its order nor that of grants says anything.
        return {schema: sorted(map(in_order, entries)) for schema, entries in found.items()}


def in_order(entry: str) -> str:
    lines = entry.split("\n")
    grants = sorted(line for line in lines if line.startswith(("GRANT", "REVOKE")))
    others = [line for line in lines if line not in grants and not line.startswith("SET ")]
    return "\n".join(others + grants)


def runs(connection: psycopg.Connection, script: str, *, keep: bool = True) -> bool:
    """Run a script in a transaction; whether it runs."""
    try:
        with connection.transaction(force_rollback=not keep):
            connection.execute(script.encode())
    except psycopg.Error:
        return False
    return True


def softened(entries: Iterable[str]) -> set[str]:
    """The statements without the order of columns and parameters in them."""
    return {" ".join(sorted(re.split(r"\s*[,()\n]\s*", entry))) for entry in entries}


def difference(before: Iterable[str], after: Iterable[str]) -> str:
    """The statements of two dumps that only one has."""
    old, new = set(before), set(after)
    return f"{sorted(old - new)} ≠ {sorted(new - old)}"


@pytest.fixture
def judge(server: EmbeddedServer, admin: psycopg.Connection) -> Iterator[Judge]:
    """The judge, on the server of all tests."""
    with judging(server.url(), admin) as found:
        yield found


@pytest.fixture
def judge_15() -> Iterator[Judge]:
    """The judge on PostgreSQL 15, where its programs are installed."""
    with (
        postgres(15, {"wal_level": "logical"}) as base,
        psycopg.connect(f"{base}/postgres", autocommit=True) as admin,
        judging(f"{base}/postgres", admin) as found,
    ):
        yield found


@contextmanager
def judging(server: str, admin: psycopg.Connection) -> Iterator[Judge]:
    for role in ROLES:
        admin.execute(f"CREATE ROLE {role}".encode())
    admin.execute(b"CREATE DATABASE pairs TEMPLATE template0")
    yield Judge(server, "pairs")
    admin.execute(b"DROP DATABASE pairs WITH (FORCE)")
    for role in ROLES:
        admin.execute(f"DROP ROLE {role}".encode())


def test_the_rehearsal_says_of_random_pairs_what_pg_dump_says(
    judge: Judge, project_factory: ProjectFactory
) -> None:
    assert wrong(judge, project_factory, 1) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
@pytest.mark.parametrize("major", [15, 18])
def test_the_rehearsal_says_of_many_random_pairs_what_pg_dump_says(
    request: pytest.FixtureRequest, project_factory: ProjectFactory, major: int, seed: int
) -> None:
    judge: Judge = request.getfixturevalue("judge" if major == 18 else "judge_15")
    assert wrong(judge, project_factory, major * 100 + seed) == []


def wrong(judge: Judge, project_factory: ProjectFactory, seed: int) -> list[str]:
    """What the rehearsal says of random pairs that is not so."""
    pairs, judged = judge.pairs(seed)
    files = {
        "sql/0001_base.sql": "".join(one.base for one in pairs),
        "rollback/0001_rollback.sql": "SELECT 1;",
    }
    for number, one in enumerate(pairs, 2):
        files[f"sql/{number:04}_change.sql"] = one.up
        files[f"rollback/{number:04}_rollback.sql"] = one.down
    project = load_project(project_factory(files))
    verdicts = rehearse(project, project.migrations[1:], Shadow(judge.server)).migrations
    assert len(verdicts) == len(pairs)
    suggested = {
        one.schema: verdict.suggestions
        for one, verdict in zip(pairs, verdicts, strict=True)
        if verdict.suggestions
    }
    repaired, failed = judge.after(suggested)
    found = []
    for one, verdict in zip(pairs, verdicts, strict=True):
        errors = list(judged[one.schema].errors(verdict))
        if one.schema in suggested and not errors:
            seen = judged[one.schema]
            after, now = softened(seen.after), softened(repaired.get(one.schema, []))
            remaining = now ^ softened(seen.before)
            if one.schema in failed:
                errors.append("the suggestions do not run")
            elif not remaining < after ^ softened(seen.before):
                errors.append(f"the suggestions undo nothing: {remaining}")
        if errors:
            differences = [str(item) for item in verdict.differences]
            found.append(
                f"{one.schema} {verdict.rollback}/{verdict.reapply} {errors}\n"
                f"  base {one.base}\n  up {one.up}\n  down {one.down}\n  {differences}\n"
                f"  {verdict.suggestions} {verdict.error}"
            )
    return found
