"""Migrations in Python as files: what is read of them, and that nothing of them is run."""

from __future__ import annotations

from pathlib import Path

import pytest
from turnback.engine.look.history import Entry, StoredScript
from turnback.engine.run.plan import plan_down_stored, plan_up
from turnback.errors import ChecksumMismatch, InvalidMigration, TurnbackError
from turnback.migrations.artifact import open_artifact, pack
from turnback.migrations.checksums import compare
from turnback.migrations.discovery import load_project, scan
from turnback.migrations.headers import read_directives
from turnback.migrations.model import Backfill, Script
from turnback.sql.check import check_migration
from turnback.sql.destroys import Judge
from turnback.sql.lint.linter import lint
from turnback.sql.script import prepare

from tests.conftest import ProjectFactory

PATH = "sql/0002_profiles.py"
DIRECTIVE = "# turnback: backfill table=users key=id columns=id,email into=profiles\n"
HEADER = f"# Version: 0002\n\n{DIRECTIVE}"
CODE = f"{HEADER}import json\n\ndef transform(rows):\n    return []\n"


def script(text: str, path: str = PATH) -> Script:
    return Script(path, text, "0" * 64, read_directives(path, text))


def files(code: str = CODE) -> dict[str, str]:
    return {
        "sql/0001_users.sql": "CREATE TABLE users (id int PRIMARY KEY);",
        "rollback/0001_rollback.sql": "DROP TABLE users;",
        PATH: code,
        "rollback/0002_profiles.py": code.replace("into=profiles", ""),
    }


def test_its_header_says_which_rows_it_gets() -> None:
    found = script(CODE)
    assert found.directives.backfill == Backfill(
        ("users",),
        ("id",),
        columns=("id", "email"),
        into=("profiles",),
        line=3,
    )
    ranged = prepare(found).ranged
    assert ranged and ranged.over("K") == (
        'SELECT "read"."id", "read"."email" FROM "users" AS "read" WHERE (K)'
    )
    assert ranged.code and (ranged.code.line, ranged.code.imports) == (6, ("json",))
    more = HEADER.rstrip() + " parallel=2 conflict=skip memory=64MB time=3s\n"
    options = read_directives(PATH, more).backfill
    assert options and (options.parallel, options.skip_conflicts) == (2, True)
    assert (options.memory, options.time_ms) == (64 * 2**20, 3000)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (f"{HEADER}def transform(rows)\n    pass\n", (4, 20), "expected ':'"),
        (f"{HEADER}def transfrom(rows): ...\n", (1, 1), "there is no function transform"),
        (f"{HEADER}if 1:\n    def transform(rows): ...\n", (1, 1), "there is no function"),
        (f"{HEADER}async def transform(rows): ...\n", (4, 1), "takes one argument"),
        (f"{HEADER}def transform(rows, more): ...\n", (4, 1), "takes one argument"),
        (f"{HEADER}def transform(): ...\n", (4, 1), "takes one argument"),
        (f"{HEADER}def transform(r):\n    import requests.x\n", (5, 5), "the module requests.x is"),
        (f"{HEADER}from . import a\ndef transform(r): ...\n", (4, 1), "not of Python's standard"),
        ("def transform(rows): ...\n", (1, 1), "does not say which rows transform gets"),
    ],
)
def test_what_is_wrong_with_it_is_found_with_its_place(
    text: str, place: tuple[int, int], said: str
) -> None:
    with pytest.raises(InvalidMigration) as caught:
        prepare(script(text))
    assert said in caught.value.message
    assert (caught.value.file, caught.value.line, caught.value.column) == (PATH, *place)


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        (PATH, "alias=u", "no option alias="),
        (PATH, "memory=lots", "memory= needs a size"),
        (PATH, "time=1h", "time= needs a time in seconds"),
        (PATH, "into=a,b,c", "into= needs a table"),
        (PATH, "conflict=skip", "is for the rows of into="),
        ("sql/0002_a.sql", "into=profiles", "no option into="),
    ],
)
def test_options_of_the_other_language_and_wrong_values_are_refused(
    path: str, options: str, said: str
) -> None:
    mark = "#" if path == PATH else "--"
    with pytest.raises(InvalidMigration, match=said) as caught:
        read_directives(path, f"{mark} turnback: backfill table=t key=id {options}\n")
    assert caught.value.hint and caught.value.hint.startswith(f"write for example: {mark} turnback")


def test_a_directive_after_the_header_is_refused() -> None:
    with pytest.raises(InvalidMigration, match="after the first statement") as caught:
        script(f"import json\n{HEADER}def transform(rows): ...\n")
    assert caught.value.line == 4


def test_it_is_checked_planned_packed_and_compared_and_never_run(
    project_factory: ProjectFactory, tmp_path: Path
) -> None:
    mark = tmp_path / "it ran"
    folder = project_factory(files(CODE.replace("import json\n", f"open({str(mark)!r}, 'w')\n")))
    project = load_project(folder)
    _, migration = project.migrations
    assert (migration.forward.path, migration.rollback and migration.rollback.path) == (
        PATH,
        "rollback/0002_profiles.py",
    )
    assert check_migration(migration) == []
    assert [one for one in lint(project).findings if one.file == PATH] == []
    up = plan_up(project, [])
    assert [step.runnable.in_one_transaction for step in up.steps] == [True, False]
    artifact = open_artifact(pack(folder, "1.0.0", tmp_path / "a.zip"))
    assert artifact.project.migrations[1].forward.sql == migration.forward.sql
    (folder / PATH).write_text(CODE)
    [difference] = compare(load_project(folder))
    assert isinstance(difference, ChecksumMismatch) and difference.file == PATH
    assert not mark.exists()


def test_a_stored_rollback_script_is_python_as_its_file_was() -> None:
    entry = Entry("0002", "profiles", "0" * 64, "", 0, True, None, None)
    stored = {"0002": StoredScript("rollback/0002_profiles.py", CODE)}
    [step] = plan_down_stored([entry], stored).steps
    assert step.runnable.ranged and step.runnable.ranged.code


def test_rows_of_a_table_destroy_nothing_and_statements_may() -> None:
    judge = Judge()
    assert judge.losses(script(CODE)) == []
    [loss] = judge.losses(script(CODE.replace(" into=profiles", "")))
    assert loss.with_place == (
        f"{PATH}:1 possibly data of unknown tables (statements of transform)"
    )


def test_other_python_files_are_left_alone_and_a_verify_script_is_sql(
    project_factory: ProjectFactory,
) -> None:
    more = {"sql/helper.py": "x", "verify/notes.py": "x", "verify/0002_verify.py": CODE}
    found, findings = scan(project_factory({**files(), **more}))
    assert [one.version for one in found.migrations] == ["0001", "0002"]
    assert [(one.file, one.message) for one in findings] == [
        ("verify/0002_verify.py", "a verify script is SQL")
    ]
    assert isinstance(findings[0], TurnbackError)
