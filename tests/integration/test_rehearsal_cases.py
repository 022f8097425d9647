"""Small projects that were once judged wrongly: what is right for each."""

from __future__ import annotations

import pytest
from turnback.local.server import EmbeddedServer
from turnback.migrations.discovery import load_project
from turnback.rehearsal.proof import rehearse
from turnback.rehearsal.shadow import Shadow
from turnback.rehearsal.verdict import Rehearsed

from tests.conftest import ProjectFactory

NOTES = ("CREATE TABLE notes (id int, a text, b text);", "DROP TABLE notes;")


@pytest.fixture
def shadow(server: EmbeddedServer) -> Shadow:
    return Shadow(server.url())


def files(*pairs: tuple[str, str]) -> dict[str, str]:
    """A project of these forward and rollback scripts, numbered from 1."""
    found = {}
    for number, (forward, rollback) in enumerate(pairs, 1):
        found[f"sql/{number:04}_m.sql"] = forward
        found[f"rollback/{number:04}_rollback.sql"] = rollback
    return found


@pytest.fixture
def judged(project_factory: ProjectFactory, shadow: Shadow) -> Judge:
    def judge(*pairs: tuple[str, str], only: tuple[str, ...] = ()) -> Rehearsed:
        project = load_project(project_factory(files(*pairs)))
        chosen = project.choose(only) if only else project.migrations
        return rehearse(project, chosen, shadow)

    return judge


class Judge:
    """Rehearses a project of pairs of scripts, or some of its versions."""

    def __call__(self, *pairs: tuple[str, str], only: tuple[str, ...] = ()) -> Rehearsed: ...


def words(found: Rehearsed) -> list[str]:
    return [verdict.rollback for verdict in found.migrations]


def test_an_option_that_the_server_keeps_for_itself_is_no_difference(judged: Judge) -> None:
    def marked(options: str) -> str:
        return (
            f"UPDATE pg_attribute SET attoptions = '{{{options}}}' "
            "WHERE attname = 'a' AND attrelid = 'notes'::regclass;"
            "UPDATE pg_class SET reloptions = '{pg_x=1}' WHERE relname = 'notes';"
        )

    found = judged(
        NOTES,
        (marked("pg_attver=2"), marked("pg_attver=3")),
        (marked("pg_attver=2,n_distinct=5"), "SELECT 1;"),
    )
    assert words(found) == ["exact", "exact", "differs"]
    assert [str(one) for one in found.migrations[2].differences] == [
        "column public.notes.a: options none ≠ n_distinct=5"
    ]


def test_a_row_that_the_first_time_made_is_not_the_fault_of_the_next_migration(
    judged: Judge,
) -> None:
    found = judged(
        (
            "CREATE TABLE plans (id serial, name text, made timestamptz DEFAULT now());",
            "DROP TABLE plans;",
        ),
        ("INSERT INTO plans (name) VALUES ('free');", "DELETE FROM plans WHERE name = 'free';"),
        NOTES,
    )
    assert words(found) == ["exact", "exact", "exact"]
    assert found.proven


def test_a_row_that_a_rollback_changes_is_still_found(judged: Judge) -> None:
    found = judged(
        ("CREATE TABLE plans (name text);", "DROP TABLE plans;"),
        ("INSERT INTO plans VALUES ('free');", "DELETE FROM plans;"),
        (NOTES[0], f"{NOTES[1]} UPDATE plans SET name = 'paid';"),
    )
    assert found.migrations[-1].rows == ["rows of public.plans: the same number, other rows"]
    assert not found.proven


@pytest.mark.parametrize("only", [("0001",), ("0002",), ("0001", "0002"), ("0001", "0003")])
def test_some_versions_of_a_project_are_proven_without_the_others(
    judged: Judge, only: tuple[str, ...]
) -> None:
    found = judged(
        ("CREATE TABLE t (id int);", "DROP TABLE t;"),
        ("CREATE TABLE u (id int);", "DROP TABLE u;"),
        ("CREATE TABLE v (id int);", "DROP TABLE v;"),
        only=only,
    )
    assert [verdict.version for verdict in found.migrations] == list(only)
    assert (found.release, found.proven) == ("exact", True)


def test_what_lies_between_chosen_versions_is_rolled_back_with_them(judged: Judge) -> None:
    found = judged(
        ("CREATE TABLE t (id int);", "DROP TABLE t;"),
        ("CREATE TABLE u (id int);", "SELECT 1;"),
        ("CREATE TABLE v (id int);", "DROP TABLE v;"),
        only=("0001", "0003"),
    )
    assert words(found) == ["exact", "exact"]
    assert found.release == "differs"
    assert [str(one) for one in found.release_differences] == [
        "table public.u: left over after rollback"
    ]
