"""Projects in the layouts of other tools: what is read of their files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from turnback.errors import TurnbackError
from turnback.migrations.artifact import open_artifact, pack
from turnback.migrations.checksums import checksums_of, digest, write_sums
from turnback.migrations.discovery import load_project, scan
from turnback.migrations.files import Folder
from turnback.migrations.layouts import layout, others
from turnback.migrations.model import Project
from turnback.migrations.scaffold import new_migration
from turnback.settings.project import FILE as SETTINGS

from tests.conftest import ProjectFactory

USERS = """\
-- who signs in
-- migrate:up
CREATE TABLE users (id bigint);

-- migrate:down
DROP TABLE users;
"""
DBMATE = {
    "20240101000000_users.sql": USERS,
    "20240102000000_email_index.sql": "-- migrate:up transaction:false\n"
    "CREATE INDEX CONCURRENTLY users_id ON users (id);\n"
    "-- migrate:down transaction:false\nDROP INDEX CONCURRENTLY users_id;\n",
}
GOLANG_MIGRATE = {
    "000001_users.up.sql": "CREATE TABLE users (id bigint);\n",
    "000001_users.down.sql": "DROP TABLE users;\n",
    "000002_city.up.sql": "ALTER TABLE users ADD city text;\n",
}
PROJECTS = {"dbmate": DBMATE, "golang-migrate": GOLANG_MIGRATE}


def placed(name: str, folder: Path) -> Path:
    """The folder, with a turnback.toml beside it that names the layout."""
    (folder.parent / SETTINGS).write_text(f'[layout]\nname = "{name}"\n')
    return folder


def read(name: str, folder: Path) -> Project:
    return load_project(placed(name, folder))


def refusal(name: str, folder: Path) -> TurnbackError:
    [found] = scan(placed(name, folder))[1]
    return found


def test_the_sections_of_a_file_keep_the_lines_and_the_checksum_of_the_file(
    project_factory: ProjectFactory,
) -> None:
    [first, second] = read("dbmate", project_factory(DBMATE)).migrations
    assert (first.version, first.name) == ("20240101000000", "users")
    assert first.rollback is not None and second.rollback is not None
    assert first.forward.sql.split("\n")[:3] == [
        "-- who signs in",
        "",
        "CREATE TABLE users (id bigint);",
    ]
    assert first.rollback.sql == "\n" * 5 + "DROP TABLE users;\n"
    assert first.forward.path == first.rollback.path == "20240101000000_users.sql"
    assert first.forward.checksum == first.rollback.checksum == digest(USERS.encode())
    assert not first.forward.directives.no_transaction
    assert second.forward.directives.no_transaction and second.rollback.directives.no_transaction


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("CREATE TABLE a ();\n", None, "there is no line '-- migrate:up'"),
        ("-- a\nSELECT 1;\n-- migrate:up\n", 2, "a statement precedes '-- migrate:up'"),
        ("-- migrate:down\n-- migrate:up\n", 1, "'-- migrate:down' comes before '-- migrate:up'"),
        ("-- migrate:up env:ROLE\n", 1, "the option 'env:ROLE' is not known"),
        ("-- migrate:up\nSELECT 1;\n-- migrate:down up:no\n", 3, "the option 'up:no' is not known"),
        ("-- turnback: nonsense\n-- migrate:up\n", 1, "unknown directive 'nonsense'"),
        ("-- migrate:up\n-- turnback: nonsense\n", 2, "unknown directive 'nonsense'"),
        ("-- migrate:up\n\n-- migrate:down\n-- turnback: a\n", 4, "unknown directive 'a'"),
    ],
)
def test_what_dbmate_refuses_or_turnback_does_not_obey_is_refused_with_its_line(
    text: str, line: int | None, message: str, project_factory: ProjectFactory
) -> None:
    found = refusal("dbmate", project_factory({"1_a.sql": text}))
    assert (found.file, found.line, found.message) == ("1_a.sql", line, message)


def test_a_section_without_a_statement_is_no_rollback_script(
    project_factory: ProjectFactory,
) -> None:
    files = {"1_a.sql": "-- migrate:up\nSELECT 1;\n\n-- migrate:down\n-- nothing\n\n"}
    [migration] = read("dbmate", project_factory(files)).migrations
    assert migration.rollback is None
    assert migration.write_rollback == "write it below '-- migrate:down' in 1_a.sql"


def test_pairs_beside_each_other_are_read_by_their_number(project_factory: ProjectFactory) -> None:
    [first, second] = read("golang-migrate", project_factory(GOLANG_MIGRATE)).migrations
    assert (first.version, first.name) == ("000001", "users")
    assert first.rollback is not None and first.rollback.path == "000001_users.down.sql"
    assert second.rollback is None
    assert second.write_rollback == "write 000002_city.down.sql"


@pytest.mark.parametrize("name", PROJECTS)
def test_files_of_a_tool_are_recognised_by_their_content(
    name: str, project_factory: ProjectFactory
) -> None:
    files = Folder(project_factory(PROJECTS[name]))
    assert name in [other.name for other in others() if other.recognise(files)]
    assert not layout(name).recognise(Folder(project_factory({"20240101000000_a.sql": "x"})))


@pytest.mark.parametrize("name", PROJECTS)
def test_a_new_migration_is_written_in_the_layout_and_refused_until_it_has_statements(
    name: str, project_factory: ProjectFactory
) -> None:
    folder = placed(name, project_factory(PROJECTS[name]))
    before = load_project(folder)
    version, files = new_migration(folder, "Add city")
    after = load_project(folder)
    assert [one.version for one in after.migrations] == [
        *(one.version for one in before.migrations),
        version,
    ]
    assert after.migrations[-1].name == "add_city"
    assert set(files) == checksums_of(after).keys() - checksums_of(before).keys()
    assert after.sums == checksums_of(after)


@pytest.mark.parametrize("name", PROJECTS)
def test_an_artifact_has_the_files_as_they_are_in_the_folder(
    name: str, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    folder = placed(name, project_factory(PROJECTS[name]))
    project = load_project(folder)
    write_sums(folder, checksums_of(project))
    archive = pack(folder, "1.0.0", tmp_path / "a.zip")
    opened = open_artifact(archive)
    assert opened.project.migrations == project.migrations
    for path in PROJECTS[name]:
        assert opened.files.read(path) == (folder / path).read_bytes()
