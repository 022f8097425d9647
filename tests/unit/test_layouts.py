"""Projects in the layouts of other tools: what is read of their files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from turnback.errors import ConfigurationError, TurnbackError
from turnback.migrations.artifact import open_artifact, pack
from turnback.migrations.checksums import checksums_of, digest, write_sums
from turnback.migrations.discovery import load_project, scan
from turnback.migrations.files import Folder
from turnback.migrations.headers import is_template
from turnback.migrations.layouts import layout, others
from turnback.migrations.merges import Branch
from turnback.migrations.model import Project
from turnback.migrations.scaffold import new_migration
from turnback.settings.project import FILE as SETTINGS
from turnback.sql.check import check_migration

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
UP, DOWN = "CREATE TABLE a (id bigint);\n", "DROP TABLE a;\n"
PROJECTS = {
    "dbmate": DBMATE,
    "golang-migrate": GOLANG_MIGRATE,
    "goose": {
        "00001_a.sql": f"-- +goose Up\n{UP}-- +goose Down\n{DOWN}",
        "00002_b.sql": "-- +goose NO TRANSACTION\n-- +goose Up\n-- +goose StatementBegin\n"
        "VACUUM a;\n-- +goose StatementEnd\n",
    },
    "sql-migrate": {
        "1-a.sql": f"-- +migrate Up\n{UP}-- +migrate Down\n{DOWN}",
        "10-c.sql": "-- +migrate Up notransaction\nVACUUM a;\n",
        "2-b.sql": f"-- +migrate Up\n{UP}-- +migrate Down\n{DOWN}-- +migrate Up\nSELECT 1;\n",
    },
    "sqlx": {
        "20240101000000_a.up.sql": UP,
        "20240101000000_a.down.sql": DOWN,
        "20240102000000_b.sql": "-- no-transaction\nVACUUM a;\n",
    },
    "diesel": {
        "2024-01-01-000000_a/up.sql": UP,
        "2024-01-01-000000_a/down.sql": DOWN,
        "2024-01-02-000000_b/up.sql": "VACUUM a;\n",
        "2024-01-02-000000_b/metadata.toml": "run_in_transaction = false\n",
    },
    "supabase": {
        "20240101000000_a.sql": UP,
        "rollback/20240101000000_a.sql": DOWN,
        "20240102000000_b.sql": "-- pg-delta: transaction=false\nVACUUM a;\n",
    },
    "prisma": {
        "migration_lock.toml": 'provider = "postgresql"\n',
        "0_init/migration.sql": UP,
        "0_init/down.sql": DOWN,
        "20240102000000_b/migration.sql": UP,
    },
    "plain": {"0000_a.up.sql": UP, "0000_b.up.sql": UP, "0000_a.down.sql": DOWN},
}


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
        ("-- migrate:down\n-- migrate:up\n", 1, "this section is not where it belongs"),
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
    other = layout(name).recognise(Folder(project_factory({"20240101000000_a.sql": "x"})))
    assert other is None or not other.certain


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
    assert is_template(after.migrations[-1].forward)


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


@pytest.mark.parametrize("name", PROJECTS)
def test_what_runs_outside_a_transaction_is_known_from_the_tools_own_mark(
    name: str, project_factory: ProjectFactory
) -> None:
    first, *others = read(name, project_factory(PROJECTS[name])).migrations
    assert not first.forward.directives.no_transaction
    marked = [one.version for one in others if one.forward.directives.no_transaction]
    assert len(marked) == (name not in ("golang-migrate", "prisma", "plain"))


@pytest.mark.parametrize(
    ("name", "file", "text", "line", "message"),
    [
        ("goose", "1_a.sql", "-- +goose ENVSUBST ON\n-- +goose Up\n", 1, "'+goose ENVSUBST ON' is"),
        ("goose", "1_a.sql", "-- +goose Up\n-- +goose down\n", 2, "'+goose down' is not obeyed"),
        ("goose", "1_a.sql", "SELECT 1;\n-- +goose Up\n", 1, "a statement precedes"),
        ("goose", "1_a.sql", "-- +goose Up\nSELECT 1;\n-- +goose Up\n", 3, "not where it belongs"),
        ("goose", "1_a.sql", "-- +goose Up\n-- +goose StatementBegin\n", 2, "no line that ends"),
        ("goose", "1_a.sql", "-- +goose Up\n-- +goose StatementEnd\n", 2, "no counterpart"),
        ("goose", "1_a.sql", "SELECT 1;\n", None, "there is no line '-- +goose Up'"),
        ("goose", "1_a.go", "package a\n", None, "this migration is Go code"),
        ("sql-migrate", "1.sql", "-- +migrate Up fast\n", 1, "'+migrate Up fast' is not obeyed"),
        ("sql-migrate", "1.sql", "a\n-- +migrate Up\n", 1, "a statement precedes"),
        ("diesel", "1_a/up.sql", "", None, "the file is empty"),
        ("diesel", "1_a/x.sql", "", None, "there is no up.sql in this folder"),
        ("prisma", "migration_lock.toml", 'provider = "sqlite"\n', None, "are for sqlite"),
        ("prisma", "1_a/x.sql", "", None, "there is no migration.sql in this folder"),
        ("supabase", "rollback/1_a.sql", "", None, "no migration for this rollback script"),
        ("golang-migrate", "1_a.down.sql", "", None, "no migration for this rollback script"),
    ],
)
def test_a_mark_that_is_not_obeyed_and_a_file_that_fits_nothing_are_refused(
    name: str,
    file: str,
    text: str,
    line: int | None,
    message: str,
    project_factory: ProjectFactory,
) -> None:
    found = refusal(name, project_factory({file: text}))
    assert (found.file or "").rstrip("/") in (file, file.partition("/")[0])
    assert found.line == line
    assert message in found.message


def test_diesel_takes_metadata_that_say_nothing_of_it_for_no_transaction(
    project_factory: ProjectFactory,
) -> None:
    # The default of a field that is missing (serde), not that of a file that is missing.
    files = {"1_a/up.sql": UP, "1_a/metadata.toml": "owner = 'us'\n"}
    project = read("diesel", project_factory(files))
    assert project.migrations[0].forward.directives.no_transaction
    assert set(project.besides) == {"1_a/metadata.toml"}


def test_the_versions_of_some_tools_are_names_in_the_order_of_their_numbers(
    project_factory: ProjectFactory,
) -> None:
    found = read("sql-migrate", project_factory(PROJECTS["sql-migrate"])).migrations
    assert [one.version for one in found] == ["1-a", "2-b", "10-c"]
    files = {f"{name}.up.sql": UP for name in ("9_b", "10_a", "9_a")}
    plain = read("plain", project_factory(files)).migrations
    assert [(one.version, one.name) for one in plain] == [("9_a", "a"), ("9_b", "b"), ("10_a", "a")]


@pytest.mark.parametrize(
    "verify", ["verify/20240101000000_users.sql", "verify/20240101000000_verify.sql"]
)
def test_a_verify_script_is_in_a_folder_of_its_own(
    verify: str, project_factory: ProjectFactory
) -> None:
    found = read("dbmate", project_factory({**DBMATE, verify: "SELECT 1;\n"})).migrations
    assert [one.verify and one.verify.path for one in found] == [verify, None]
    left = project_factory({**DBMATE, "verify/3_a.sql": "SELECT 1;\n"})
    assert refusal("dbmate", left).file == "verify/3_a.sql"


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("golang-migrate", ["1_a.up.sql", "01_b.up.sql"], "version 1 is taken by 01_b.up.sql"),
        ("sqlx", ["1_a.sql", "1_a.down.sql", "1_b.down.sql"], "version 1 has a rollback script"),
        ("supabase", ["1_a.sql", "1_b.sql"], "version 1 is taken by 1_a.sql"),
        ("diesel", ["1-0_a/up.sql", "10_b/up.sql"], "version 10 is taken by 1-0_a/up.sql"),
    ],
)
def test_a_version_that_is_there_twice_is_refused_as_the_tool_does(
    name: str, files: list[str], message: str, project_factory: ProjectFactory
) -> None:
    assert message in refusal(name, project_factory(dict.fromkeys(files, UP))).message


def test_only_files_in_the_own_layout_are_renumbered(project_factory: ProjectFactory) -> None:
    folder = placed("dbmate", project_factory(DBMATE))
    with pytest.raises(ConfigurationError, match="own layout is renumbered, and this is dbmate's"):
        Branch(folder, "main", load_project(folder).settings)


@pytest.mark.parametrize(
    ("last", "up", "down"),
    [
        ("1_a_up.sql", "2_b_up.sql", "2_b_down.sql"),
        ("1_a.up.sql", "2_b.up.sql", "2_b.down.sql"),
        ("up/1_a.sql", "up/2_b.sql", "down/2_b.sql"),
    ],
)
def test_a_new_pair_is_named_as_the_last_one(
    last: str, up: str, down: str, project_factory: ProjectFactory
) -> None:
    folder = placed("plain", project_factory({last: UP}))
    assert new_migration(folder, "b")[1] == [up, down]
    rollback = load_project(folder).migrations[-1].rollback
    assert rollback is not None and rollback.path == down


def test_the_transaction_that_prisma_writes_around_the_change_of_an_enum_is_left_out(
    project_factory: ProjectFactory,
) -> None:
    # As prisma@6.19 migrate diff writes it.
    enum = (
        "-- AlterEnum\nBEGIN;\nCREATE TYPE \"Role_new\" AS ENUM ('ADMIN');\n"
        'DROP TYPE "Role";\nALTER TYPE "Role_new" RENAME TO "Role";\nCOMMIT;\n\n'
    )
    files = {
        "20240101000000_a/migration.sql": f'{enum}-- AlterTable\nALTER TABLE "a" ADD b int;\n',
        "20240102000000_b/migration.sql": f"{UP}BEGIN;\n{DOWN}COMMIT;\n{UP}",
    }
    project, findings = scan(placed("prisma", project_factory(files, sums=False)))
    assert findings == []
    [first, second] = project.migrations
    written = files["20240101000000_a/migration.sql"]
    assert first.forward.sql == written.replace("BEGIN;", " " * 6).replace("COMMIT;", " " * 7)
    assert [one.message for one in check_migration(first)] == ["there is no rollback script"]
    assert first.forward.checksum == digest(written.encode())
    # What somebody has written by hand is for them to change.
    assert "BEGIN;" in second.forward.sql
    refused = check_migration(second)[-1]
    assert "would end the transaction" in refused.message
