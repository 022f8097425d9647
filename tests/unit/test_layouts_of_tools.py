"""The fixtures of other tools as turnback reads them, and what it refuses of their formats.

The files are the tools' own (tests/fixtures/adopt); their formats are those of their sources.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from turnback.errors import TurnbackError
from turnback.migrations.artifact import open_artifact, pack
from turnback.migrations.checksums import checksums_of, compare, write_sums
from turnback.migrations.discovery import load_project, scan
from turnback.migrations.files import Folder
from turnback.migrations.layouts import layout
from turnback.migrations.layouts.layout import Recorded, Scripts
from turnback.migrations.scaffold import new_migration
from turnback.sql.statements import split

from tests.adopted import ALL, BY_TOOL, Fixture

each = pytest.mark.parametrize("fixture", ALL, ids=str)


@each
def test_the_migrations_are_read_in_the_order_of_the_tool(fixture: Fixture, tmp_path: Path) -> None:
    folder = fixture.copy(tmp_path)
    found = load_project(folder).migrations
    assert [one.name.replace("-", "_") for one in found] == list(fixture.names)
    outside = [one.forward.directives.no_transaction for one in found]
    assert outside == [fixture.outside and name == "email_index" for name in fixture.names]
    known = layout(fixture.tool).recognise(Folder(folder))
    assert known is not None


@each
def test_a_new_migration_is_in_the_form_of_the_tool_and_the_artifact_has_it(
    fixture: Fixture, tmp_path: Path
) -> None:
    folder = fixture.copy(tmp_path)
    before = load_project(folder)
    write_sums(folder, checksums_of(before))
    version, files = new_migration(folder, "Add city")
    after = load_project(folder)
    assert after.migrations[:-1] == before.migrations
    assert after.migrations[-1].version == version
    assert after.migrations[-1].name.replace("-", "_") == "add_city"
    assert not compare(after)
    assert all((folder / path).is_file() for path in files)
    opened = open_artifact(pack(folder, "1.0.0", tmp_path / "a.zip"))
    assert opened.project.migrations == after.migrations


@each
def test_scripts_that_are_given_are_written_in_the_form_of_the_tool_and_read_back(
    fixture: Fixture, tmp_path: Path
) -> None:
    folder = fixture.copy(tmp_path)
    write_sums(folder, checksums_of(load_project(folder)))
    function = (
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n    RETURN 1;\nEND\n$$;\n"
    )
    new_migration(folder, "f", scripts=Scripts(function, "DROP FUNCTION f();\n"))
    change = "-- turnback: backfill table=a key=id\nUPDATE a SET id = 1 WHERE {batch};\n"
    back = "-- turnback: keep-rows because the column goes\n"
    new_migration(folder, "fill", scripts=Scripts(change, back, "SELECT 1;\n"))
    last = "-- turnback: irreversible because its rows are gone\nDROP TABLE a;\n"
    new_migration(folder, "drop", scripts=Scripts(last, ""))
    project = load_project(folder)
    made, fill, drop = project.migrations[-3:]
    assert [one.sql for one in split(made.forward.code)] == [function.strip().rstrip(";")]
    assert made.rollback and "DROP FUNCTION f();" in made.rollback.code
    assert fill.forward.directives.backfill and fill.rollback and fill.verify
    assert fill.rollback.directives.keep_rows == "the column goes"
    assert drop.forward.directives.irreversible == "its rows are gone" and drop.rollback is None
    assert project.sums == checksums_of(project)


def findings(tool: str, folder: Path, path: str, old: str, new: str) -> list[TurnbackError]:
    """What is found in a file of a fixture that has other text."""
    fixture = BY_TOOL[tool]
    file = fixture.copy(folder) / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return scan(folder / "project" / fixture.folder)[1]


AUDIT = "002-audit.sql"
GRAPHILE = "committed/000002-audit.sql"


@pytest.mark.parametrize(
    ("tool", "path", "old", "new", "line", "message"),
    [
        (
            "node-pg-migrate",
            "1767603600001_accounts.sql",
            "-- Up Migration\n",
            "",
            7,
            "there is '-- Down Migration', and no line '-- Up Migration'",
        ),
        (
            "node-pg-migrate",
            "1767603600001_accounts.sql",
            "-- Up Migration",
            "SELECT 1;\n-- Up Migration",
            1,
            "a statement precedes '-- Up Migration'",
        ),
        ("graphile-migrate", GRAPHILE, "--! Hash", "-- Hash", 1, "no line '--! Hash"),
        ("graphile-migrate", GRAPHILE, "Previous: sha1:b", "Previous: sha1:a", 1, "it follows"),
        ("graphile-migrate", GRAPHILE, "note_change()", ":APP_USER()", 7, "placeholder :APP_USER"),
        (
            "graphile-migrate",
            GRAPHILE,
            "'; '",
            "':DATABASE_NAME'",
            9,
            "the placeholder :DATABASE_NAME",
        ),
        ("drizzle", "meta/_journal.json", "0001_audit", "0001_gone", None, "lists 0001_gone"),
        ("drizzle", "meta/_journal.json", '"when"', '"at"', None, "the journal cannot be read"),
        (
            "atlas",
            "20260105090002_audit.sql",
            "-- atlas:delimiter",
            "-- atlas:txtar\n-- atlas:delimiter",
            1,
            "the directive 'atlas:txtar ' is not obeyed",
        ),
        (
            "flyway",
            "V1_2__audit.sql",
            "'; '",
            "'${prefix}'",
            5,
            "turnback does not fill in the placeholder ${prefix}",
        ),
        (
            "flyway",
            "V1_3__email_index.sql.conf",
            "executeInTransaction=false",
            "\nshouldExecute=${x}",
            2,
            "the setting 'shouldExecute=${x}' is not obeyed",
        ),
        ("yoyo", "0002.audit.sql", "0001.accounts", "0001.gone", None, "0001.gone, which is not"),
        ("yoyo", "0001.accounts.sql", "\n\n", "\n-- depends: 0002.audit\n\n", None, "on itself"),
        ("yoyo", "0003.email-index.sql", "l: false", "l: maybe", None, "'transactional: maybe'"),
        ("liquibase", AUDIT, "splitStatements:false", "runOnChange:true", 3, "'runonchange:true'"),
        ("liquibase", AUDIT, "splitStatements:false", "context:test", 3, "'context:test'"),
        (
            "liquibase",
            AUDIT,
            "--comment",
            "--preconditions onFail:HALT\n--",
            4,
            "'--preconditions'",
        ),
        ("liquibase", AUDIT, "'; '", "'${mark}'", 9, "turnback does not fill in properties"),
        (
            "liquibase",
            AUDIT,
            "DROP TRIGGER note_change ON",
            "changeSetId:1 changeSetAuthor:a",
            16,
            "names another changeset",
        ),
        ("sqitch", "sqitch.plan", "2026-", "26-", 5, "this line of the plan cannot be read"),
        ("sqitch", "sqitch.plan", "email_index [", "phone [", 7, "there is no deploy/phone.sql"),
        ("sqitch", "sqitch.plan", "\n@v1", "\n#", 11, "active_accounts is in the plan twice"),
    ],
)
def test_what_the_tool_or_turnback_does_not_obey_is_refused_with_its_line(
    tool: str, path: str, old: str, new: str, line: int | None, message: str, tmp_path: Path
) -> None:
    found = findings(tool, tmp_path, path, old, new)[0]
    assert message in str(found)
    assert (found.file, found.line) == (path, line)


def test_a_file_that_the_journal_of_drizzle_does_not_list_is_refused(tmp_path: Path) -> None:
    fixture = BY_TOOL["drizzle"]
    folder = fixture.copy(tmp_path)
    (folder / "0009_more.sql").write_text("SELECT 1;\n")
    [found] = scan(folder)[1]
    assert found.file == "0009_more.sql"


def test_the_delimiter_of_atlas_becomes_a_semicolon_on_the_same_line(tmp_path: Path) -> None:
    fixture = BY_TOOL["atlas"]
    folder = fixture.copy(tmp_path)
    text = "-- atlas:delimiter \\n\\n\\n\n\nSELECT 1 -- one\n\n\nSELECT '\n\n\n'\n"
    (folder / "20270101000000_cut.sql").write_text(text)
    script = load_project(folder).migrations[-1].forward
    assert script.sql.splitlines()[1:] == ["", "SELECT 1 -- one", ";", "", "SELECT '", "", "", "'"]
    assert script.checksum == hashlib.sha256(text.encode()).hexdigest()


def test_a_new_migration_has_the_sums_that_atlas_itself_would_write(tmp_path: Path) -> None:
    fixture = BY_TOOL["atlas"]
    folder = fixture.copy(tmp_path)
    before = (folder / "atlas.sum").read_text().splitlines()
    new_migration(folder, "Add city")
    after = (folder / "atlas.sum").read_text().splitlines()
    # The judge: the lines that its library wrote are as they were.
    assert after[1:-1] == before[1:]
    names = b"".join(line.replace(" h1:", "").encode() for line in before[1:])
    assert before[0] == f"h1:{base64.b64encode(hashlib.sha256(names).digest()).decode()}"


def copied(tool: str, tmp_path: Path) -> Path:
    return BY_TOOL[tool].copy(tmp_path)


@pytest.mark.parametrize(
    ("tool", "path", "what"),
    [
        ("flyway", "B2__all.sql", "a baseline migration of Flyway"),
        ("flyway", "afterMigrate.sql", "a callback of Flyway"),
        ("flyway", "U9__gone.sql", "there is no migration 9"),
        ("node-pg-migrate", "1767603600009_more.ts", "this migration is JavaScript"),
        ("yoyo", "0009.more.py", "this file of yoyo is Python"),
        ("yoyo", "post-apply.sql", "this file of yoyo is a hook"),
        ("liquibase", "more.xml", "changesets that are not SQL"),
    ],
)
def test_a_file_that_the_tool_would_run_and_turnback_does_not_is_refused(
    tool: str, path: str, what: str, tmp_path: Path
) -> None:
    folder = copied(tool, tmp_path)
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text("<databaseChangeLog><changeSet/></databaseChangeLog>")
    [found] = scan(folder)[1]
    assert what in str(found) and found.file == path


def test_versions_of_flyway_are_compared_by_their_parts_in_all_folders(tmp_path: Path) -> None:
    folder = copied("flyway", tmp_path)
    (folder / "v1").mkdir()
    for version in ("1.10", "1.2.1", "01_9"):
        (folder / "v1" / f"V{version}__more.sql").write_text("SELECT 1;\n")
    versions = [one.version for one in load_project(folder).migrations]
    assert versions == ["1.1", "1.2", "1.2.1", "1.3", "1.4", "1.5", "1.6", "01.9", "1.10"]


def test_repeatable_migrations_of_flyway_are_repeatables(tmp_path: Path) -> None:
    folder = copied("flyway", tmp_path)
    (folder / "views").mkdir()
    (folder / "views" / "R__cities.sql").write_text("CREATE OR REPLACE VIEW v AS SELECT 1 AS n;\n")
    project = load_project(folder)
    assert [one.name for one in project.migrations] == list(BY_TOOL["flyway"].names)
    [found] = project.repeatables
    assert (found.version, found.name) == ("views/R__cities.sql", "cities")


def test_changesets_of_one_file_are_migrations_with_checksums_of_their_own(tmp_path: Path) -> None:
    folder = copied("liquibase", tmp_path)
    text = (
        "--liquibase formatted sql\n"
        "--changeset ada:one dbms:postgresql\nSELECT 1;\n--rollback SELECT\n--rollback 2;\n"
        "--changeset ada:two dbms:mysql\nSELECT 3;\n"
        '--changeset "A B":"th ree" endDelimiter://\nSELECT 4//\n--rollback not required\n'
        "--changeset ada:four\nSELECT 5;\n/* liquibase rollback\nSELECT 6;\n*/\n"
    )
    (folder / "900.sql").write_text(text)
    one, three, four = load_project(folder).migrations[-3:]
    assert [m.version for m in (one, three, four)] == [
        "ada:one:900.sql",
        "A B:th ree:900.sql",
        "ada:four:900.sql",
    ]
    assert one.rollback is not None and four.rollback is not None
    assert one.rollback.sql.split("\n") == ["", "", "", " " * 11 + "SELECT", " " * 11 + "2;"]
    assert one.forward.position(one.forward.sql.index("SELECT")) == (3, 1)
    assert three.rollback is None and three.forward.directives.irreversible is not None
    assert three.forward.sql.strip() == "SELECT 4;"
    assert four.rollback.position(four.rollback.sql.index("SELECT")) == (14, 1)
    assert len({m.forward.checksum for m in (one, three, four)}) == 3
    sums = checksums_of(load_project(folder))
    # The judge: sha256sum, which reads whole files.
    assert sums["900.sql"] == hashlib.sha256(text.encode()).hexdigest()


CHANGESETS = """\
--liquibase formatted sql

--changeset ada:one
--comment hello
-- a plain comment
CREATE TABLE one (id int); -- behind
/* block
   comment */
CREATE TABLE one_b (t text DEFAULT 'x -- y');
--rollback DROP TABLE one;
--rollback DROP TABLE one_b;

-- between

--changeset ada:two stripComments:false splitStatements:false
CREATE TABLE two (id int);
-- keep
--rollback empty

--changeset "A B":"th ree" endDelimiter://
CREATE TABLE three (id int)//
CREATE TABLE three_b (id int)//
/* liquibase rollback
DROP TABLE three;
DROP TABLE three_b;
*/

-- changeset ada:four dbms:postgresql,h2 runInTransaction:false
-- comment: spaced
CREATE INDEX CONCURRENTLY four ON one (id);
-- rollback DROP INDEX four;
--changeset ada:five
--validCheckSum: ANY
CREATE TABLE five (id int)
;



--changeset ada:six endDelimiter:\\nGO
CREATE TABLE six (id int)
GO
CREATE TABLE six_b (id int)
GO
--rollback not required
--changeset ada:seven dbms:mysql
CREATE TABLE seven (id int);
--changeset ada:eight
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1;';
--rollback DROP FUNCTION f();
--not a directive
SELECT 'ünïcode;';
"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_checksum_of_a_changeset_is_that_of_liquibase(line_end: str, tmp_path: Path) -> None:
    folder = copied("liquibase", tmp_path)
    (folder / "900.sql").write_bytes(CHANGESETS.replace("\n", line_end).encode())
    migrations = load_project(folder).migrations
    # The judge: what Liquibase 4.28 recorded of this file, with either line end.
    recorded = {
        ("ada", "one"): "9:8986cf334e6d87d8cda8e6bba7735e91",
        ("ada", "two"): "9:39d241ef5bdad65927c4d1d3de934344",
        ("A B", "th ree"): "9:c6f265b287da281c9fab0bb0c008117f",
        ("ada", "four"): "9:c34a3b6a15ac8819770eb1f71e28cce4",
        ("ada", "five"): "9:25624fe7dced45c2290086692087ba94",
        ("ada", "six"): "9:b5bbb658ea08e6135672422a2293d78d",
        ("ada", "eight"): "9:6cedfeae8fdc342ac21e313a042c4bf1",
    }
    rows = [
        {
            "author": author,
            "id": name,
            "filename": "db/900.sql",
            "md5sum": md5,
            "dateexecuted": None,
        }
        for (author, name), md5 in recorded.items()
    ]
    history = layout("liquibase").history
    assert history is not None
    applied = history.read(Recorded(rows, migrations, Folder(folder))).applied
    assert [one.version for one in applied] == [
        one.version for one in migrations if one.forward.path == "900.sql"
    ]
    # Where --validCheckSum says that any will do, it is not compared with another.
    assert all(one.same for one in applied)
    rows = [{**row, "md5sum": "9:" + "0" * 32} for row in rows]
    edited = history.read(Recorded(rows, migrations, Folder(folder))).applied
    assert [one.name for one in edited if one.same] == ["five"]


def test_the_changelog_of_liquibase_gives_the_order(tmp_path: Path) -> None:
    folder = copied("liquibase", tmp_path)
    names = ["002-audit.sql", "001-accounts.sql"]
    lines = "".join(f"  - include:\n      file: changelog/{name}\n" for name in names)
    (folder / "master.yaml").write_text(f"databaseChangeLog:\n{lines}")
    found = [one.forward.path for one in load_project(folder).migrations]
    assert found[:3] == [*names, "003-email_index.sql"]


def test_yoyo_runs_what_a_migration_depends_on_first(tmp_path: Path) -> None:
    folder = copied("yoyo", tmp_path)
    (folder / "0000.first.sql").write_text("-- depends: 0009.last 0001.accounts\nSELECT 1;\n")
    (folder / "0009.last.sql").write_text("SELECT 1;\n")
    found = [one.version for one in load_project(folder).migrations]
    # The judge: the order in which yoyo-migrations 9.0.0 applies the same files.
    assert found[:2] == ["0001.accounts", "0002.audit"]
    assert found[-2:] == ["0009.last", "0000.first"]


def test_a_reworked_change_of_sqitch_is_a_migration_for_each_of_its_scripts(tmp_path: Path) -> None:
    found = {one.version: one for one in load_project(copied("sqitch", tmp_path)).migrations}
    first, second = found["active_accounts"], found["active_accounts#2"]
    assert first.forward.path == "deploy/active_accounts@v1.sql"
    assert second.forward.path == "deploy/active_accounts.sql"
    # BEGIN and ROLLBACK around a verify script say what turnback does anyway.
    assert first.verify is not None and first.verify.sql.split() == [
        "--",
        "Verify",
        "active_accounts",
        "SELECT",
        "1;",
    ]
