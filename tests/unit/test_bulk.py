"""A large script is read in passing, and says of its statements what reading it whole says.

The judge is PostgreSQL's own parser on the whole text (``split``). The sizes are made small, so
that every text is cut at many places.
"""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from turnback.errors import ChecksumMismatch, InvalidMigration
from turnback.migrations import large
from turnback.migrations.discovery import load_project
from turnback.migrations.large import LargeScript, OpenFile
from turnback.migrations.model import Script
from turnback.migrations.text import position
from turnback.sql import bulk, bulk_reader
from turnback.sql.bulk import BulkStatements, statements_of
from turnback.sql.destroys import Judge
from turnback.sql.parser import SqlSyntaxError
from turnback.sql.script import prepare
from turnback.sql.statements import Statement, split
from turnback.sql.tree import strings, walk

from tests.unit.migrations import script as small_script

TEXTS = {
    "rows": "INSERT INTO t VALUES (1, 'a'), (2, 'b'),\n(3, NULL);\nINSERT INTO t VALUES (4, 'd');",
    "no semicolon at the end": "INSERT INTO t VALUES (1), (2)",
    "signs, fractions, casts": "INSERT INTO t VALUES (-1, +2.5e-3, .5, '1'::int, 'x'::varchar(3)[]"
    "), (1., 'a''b', E'it\\'s \\\\', 'c', 'd');",
    "names": 'insert into "a;b" . "c""d" ("x;", y)\nvalues (DEFAULT, true), (false, null) ;',
    "comments": "-- INSERT INTO x VALUES (1);\n/* ; */ INSERT INTO t -- ; (\nVALUES (1), -- ';\n"
    "(2) /* ( */, (3) -- ;\n; SELECT 1 -- '; \n;",
    "functions in rows": "INSERT INTO t VALUES (1, now()), (2, lower('B')), (3, f((SELECT 1))), "
    "(ARRAY['(', ']'], (1 - 2) / 3), (5, now());",
    "what a string hides": "INSERT INTO t VALUES (1, ');\nINSERT INTO t VALUES (2'), (3, '--'), "
    "(4, '/*');",
    "on conflict": "INSERT INTO t (a) VALUES (1), (2) ON CONFLICT (a) DO UPDATE SET b = 'x;' "
    "RETURNING a;\nSELECT 1;",
    "rows and a query": "INSERT INTO t VALUES (1), (2) UNION ALL SELECT 3;",
    "dollar quotes": "DO $$ BEGIN\nINSERT INTO t VALUES (1);\nDELETE FROM t;\nEND $$;\n"
    "INSERT INTO t VALUES ($a$;$a$), (1);",
    "atomic body": "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC\nSELECT 1;\n"
    "INSERT INTO t VALUES (1);\nSELECT 2;\nEND;\nINSERT INTO t VALUES (1), (2);",
    "rule": "CREATE RULE r AS ON INSERT TO t DO ALSO (\nDELETE FROM a;\nINSERT INTO b VALUES (1);\n"
    ");\nSELECT 3;",
    "a nested comment": "/* /* ;\n */ ;\nINSERT INTO x VALUES (1);\n */ SELECT 1;",
    "other letters": "INSERT INTO städte VALUES ('Köln', '😀'), ('日本', 'é');\nSELECT 'ü';\n"
    "INSERT INTO städte VALUES ('x', 'y');",
    "line ends": "SELECT 1;\r\nINSERT INTO t VALUES (1),\r\n(2);\r\nSELECT 2;\r\n-- end\r\n",
    "empty statements": ";;\nSELECT 1;;\n;INSERT INTO t VALUES (1);;",
    "strings in two parts": "INSERT INTO t VALUES ('a'\n'b', 1), ('c', 2);",
    "numbers of other kinds": "INSERT INTO t VALUES (0x1f, 1_000), (2, 3);",
    "prefixed strings": "INSERT INTO t VALUES (B'01', N'x'), (U&'\\0041', X'1F'), "
    "(E'\\u0041', 'y');",
    "one line": "SELECT ';' -- ; not here\n; INSERT INTO t VALUES (1); SELECT 2; SELECT '--'; DROP "
    "TABLE x; SELECT 3",
    "an insert of a query": "INSERT INTO t SELECT * FROM u;\nWITH a AS (SELECT 1) INSERT INTO t "
    "VALUES (1);\nINSERT INTO t DEFAULT VALUES;",
    "overriding": "INSERT INTO t (a) OVERRIDING SYSTEM VALUE VALUES (1), (2);",
    "only comments": "-- nothing\n/* at all */\n",
}
WRONG = {
    "a word": "SELECT 1;\nINSERT INTO t VALUES (1);\nSELEC 2;\nSELECT 3;",
    "in the rows": "SELECT 'ü';\nINSERT INTO t VALUES (1, 2), (3 4);\nSELECT 1;",
    "an open string": "INSERT INTO t VALUES (1);\nSELECT 'a;\nSELECT 1;\n",
    "an open body": "SELECT 1;\nDO $$ BEGIN\nSELECT 1;\nSELECT 2;\n",
    "an open parenthesis": "INSERT INTO t VALUES (1), (2;\nINSERT INTO t VALUES (1);\n",
    "an end too early": "SELECT 1;\nINSERT INTO t VALUES (1),",
    "a comma too many": "INSERT INTO t VALUES (1), (2),;\nSELECT 1;",
    "one form, but not one grammar": "INSERT INTO t VALUES (f(1), 2), (f(), 2), (f(), );",
    "a type that is no type": "INSERT INTO t VALUES (1::int), (2::int), (3::select);",
    "a sign that is missing": "INSERT INTO t VALUES (a -1), (a 1);",
    "half a cast": "INSERT INTO t VALUES (1::), (2);\nSELECT 1;",
}

Reader = Callable[[str], LargeScript]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    numbers = iter(range(10_000))

    def large_script(sql: str) -> LargeScript:
        file = tmp_path / f"{next(numbers)}.sql"
        file.write_bytes(sql.encode())
        return LargeScript("sql/0001_a.sql", OpenFile(file))

    return large_script


@pytest.fixture(params=[7, 30, 200, 100_000])
def _sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_reader, "_PIECE_BYTES", request.param)
    monkeypatch.setattr(bulk, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(bulk_reader, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(large, "BLOCK_BYTES", request.param)


def places(statements: list[Statement]) -> list[tuple[str, int, int, str]]:
    return [(one.sql, one.offset, one.end, one.kind) for one in statements]


def functions(statement: Statement) -> set[str]:
    return {
        strings(node["funcname"])[-1] for kind, node in walk(statement.tree) if kind == "FuncCall"
    }


def same_tree(one: Statement, whole: Statement) -> bool:
    """Whether two trees have the same places and nodes; of rows, the same functions."""
    if one.kind == "InsertStmt":
        names = one.tree["relation"]["relname"], whole.tree["relation"]["relname"]
        where = one.place(one.tree["relation"]["location"])
        return (
            names[0] == names[1]
            and functions(one) == functions(whole)
            and where == whole.place(whole.tree["relation"]["location"])
            and one.tree.keys() == whole.tree.keys()
        )
    return _moved(one.tree, one) == _moved(whole.tree, whole)


def _moved(node: object, statement: Statement) -> object:
    if isinstance(node, dict):
        return {
            key: statement.place(value) if key == "location" else _moved(value, statement)
            for key, value in node.items()
            if not key.startswith("list_")
        }
    return [_moved(value, statement) for value in node] if isinstance(node, list) else node


def agree(script: LargeScript, sql: str) -> None:
    whole = split(sql)
    found = list(statements_of(script))
    assert places(found) == places(whole)
    assert all(map(same_tree, found, whole))
    messages = [message.take("").decode() for message in statements_of(script).messages()]
    parts = [one for text in messages for one in split(text)]
    assert [one.sql for one in parts] == [one.sql for one in whole]


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("name", TEXTS)
def test_its_statements_are_those_of_the_whole_text(read: Reader, name: str) -> None:
    agree(read(TEXTS[name]), TEXTS[name])


@pytest.mark.usefixtures("_sizes")
def test_so_are_those_of_texts_put_together_at_random(read: Reader) -> None:
    chance = random.Random(14)
    texts = [text for name, text in TEXTS.items() if not name.startswith("no semi")]
    for _ in range(20):
        sql = ";\n".join(chance.choices(texts, k=12))
        agree(read(sql), sql)


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("name", WRONG)
def test_its_error_is_that_of_the_whole_text(read: Reader, name: str) -> None:
    with pytest.raises(SqlSyntaxError) as whole:
        split(WRONG[name])
    with pytest.raises(SqlSyntaxError) as found:
        statements_of(read(WRONG[name]))
    assert (found.value.message, found.value.offset) == (whole.value.message, whole.value.offset)


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN;\nINSERT INTO t VALUES (1), (2);\nCOMMIT;\n",
        "INSERT INTO t VALUES (1);\nCOMMIT;\nSELECT 1;",
        "INSERT INTO t VALUES (1);\nSELECT pg_advisory_unlock_all();",
        "INSERT INTO t VALUES (1), (pg_advisory_unlock_all());",
        "INSERT INTO t VALUES (1);\nCOPY t FROM stdin;\n1\n\\.\nSELECT 1;\n",
        "INSERT INTO t VALUES (1);\nCOPY t FROM stdin;\n1\n",
        "INSERT INTO t VALUES (1);\nCOPY t FROM stdin; SELECT 1;\n1\n\\.\n",
        "INSERT INTO t VALUES (1);\nCOPY t TO stdout;",
        "INSERT INTO t VALUES (1);\n\\echo done\n",
        "INSERT INTO t VALUES (1);\nCREATE INDEX CONCURRENTLY i ON t (a);",
        "INSERT INTO t VALUES (1);\nSAVEPOINT s;",
        "-- turnback: lock-timeout 3s\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\n"
        "-- turnback: waive TB101 because it is small\nDROP TABLE t;",
    ],
)
def test_a_large_script_is_judged_as_a_small_one(read: Reader, sql: str) -> None:
    def verdict(script: Script) -> object:
        try:
            runnable = prepare(script)
        except InvalidMigration as error:
            return error.message, error.line, error.column
        return (
            runnable.written,
            runnable.one_by_one,
            runnable.needs_begin,
            script.directives,
            script.checksum,
            [one.sql for one in runnable.statements or ()],
            Judge().losses(script),
        )

    assert verdict(read(sql)) == verdict(small_script("sql/0001_a.sql", sql))


def test_rows_of_constants_take_no_memory(read: Reader) -> None:
    rows = ",\n".join(f"({n}, 'name {n}', {n}.5, now())" for n in range(1000))
    script = read("".join(f"INSERT INTO t VALUES\n{rows};\n" for _ in range(200)))
    tracemalloc.start()
    statements = statements_of(script)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(statements) == 200
    # The text alone has 7 MB, and its trees twenty times that.
    assert peak < script.size


def test_files_are_large_from_a_size_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "LARGE_BYTES", 100)
    (tmp_path / "sql").mkdir()
    for number, size in enumerate((99, 100, 101), 1):
        sql = b"\xef\xbb\xbfSELECT 1;" + b" " * (size - 12)
        (tmp_path / f"sql/000{number}_a.sql").write_bytes(sql)
    found = [migration.forward for migration in load_project(tmp_path).migrations]
    assert [isinstance(script, LargeScript) for script in found] == [False, True, True]
    assert [script.sql.strip() for script in found] == ["SELECT 1;"] * 3


@pytest.mark.parametrize("text", [b"SELECT '\xff';", b"SELECT 1;\0", b"\xff\xfeS\0"])
def test_a_large_file_that_is_no_text_is_refused_as_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/0001_a.sql").write_bytes(b"SELECT 1;\n" * 3 + text if text[0] != 255 else text)
    refusals = []
    for size in (1, 1_000_000):
        monkeypatch.setattr(large, "LARGE_BYTES", size)
        with pytest.raises(InvalidMigration) as caught:
            load_project(tmp_path)
        refusals.append(caught.value.to_dict())
    assert refusals[0] == refusals[1]


def test_a_file_that_changes_while_it_is_sent_is_refused(read: Reader, tmp_path: Path) -> None:
    script = read("SELECT 1;\nSELECT 2;\n")
    statements = statements_of(script)
    assert isinstance(statements, BulkStatements)
    (tmp_path / "0.sql").write_bytes(b"SELECT 1;\nSELECT 3;\n")
    with pytest.raises(ChecksumMismatch):
        list(statements.messages())


def test_a_place_in_a_large_script_is_the_same_line_and_column_as_in_its_text(
    read: Reader,
) -> None:
    sql = "-- é🐘\n" + "".join(f"INSERT INTO t VALUES ({n}, 'é\n');\r\n" for n in range(40))
    script = read(sql)
    assert [script.position(at) for at in range(len(sql))] == [
        position(sql, at) for at in range(len(sql))
    ]


def test_the_places_of_all_statements_of_a_large_script_cost_one_reading(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = read("SELECT 1;\n" * 500)
    readings = 0
    read_bytes = LargeScript.read_bytes

    def counted(one: LargeScript, start: int, end: int) -> bytes:
        nonlocal readings
        readings += 1
        return read_bytes(one, start, end)

    monkeypatch.setattr(LargeScript, "read_bytes", counted)
    assert script.position(0) == (1, 1)
    first = readings
    assert [script.position(10 * n)[0] for n in range(500)] == list(range(1, 501))
    assert readings == first


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES (1, 'a row');\n" * 40_000 + "CREATE TABEL t ();\n",
        "INSERT INTO t VALUES\n" + "(1, 'ä row'),\n" * 100_000 + "(2, 3 TABEL);\n",
        "INSERT INTO t VALUES\n" + "(1, now()),\n" * 100_000 + "(2, 'b') TABEL (1, '');\n",
    ],
    ids=["after many statements", "in a row of many", "between two rows"],
)
def test_an_error_at_the_end_of_a_large_script_is_found_once_and_without_all_that_is_before_it(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/0001_a.sql").write_text(text)
    script = load_project(tmp_path).migrations[0].forward
    assert isinstance(script, LargeScript)
    with pytest.raises(SqlSyntaxError) as found:
        statements_of(script)
    assert found.value.offset == text.index("TABEL")
    assert len(found.value.before) < len(text) / 10

    # What explains the error neither reads the script again nor parses all that is before it.
    monkeypatch.setattr(bulk, "split", pytest.fail)
    assert prepare(script).statements is None


def test_a_command_of_psql_in_a_large_script_is_named(tmp_path: Path) -> None:
    text = "INSERT INTO t VALUES (1, 'a row');\n" * 40_000 + "\\i other.sql\n"
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/0001_a.sql").write_text(text)
    with pytest.raises(InvalidMigration, match=r"'\\i' is a command of psql") as found:
        prepare(load_project(tmp_path).migrations[0].forward)
    assert (found.value.line, found.value.column) == (40_001, 1)


COPIED = {
    "text": "-- a\nCOPY t (a, b) FROM stdin;\n1\tit's\n2\t\\N;\n\\.\nSELECT 1;\n",
    "two": "COPY t FROM stdin;\n\\.\n\n\ncopy u from STDIN;\nü\n\\.\nSELECT 'ü';",
    "a semicolon in an option": "COPY t FROM stdin (DELIMITER ';', NULL ''''); -- rows\n1;2\n\\.",
    "comments": "COPY t /* ; */ FROM -- stdin;\n  stdin;\nCOPY u FROM stdin;\n\\.\nSELECT 2;",
    "line ends": "SELECT 1;\r\nCOPY t FROM stdin;\r\n1\r\n\\.\r\nSELECT 2;\r\n",
    "the beginning of an end": "COPY t FROM stdin (FORMAT csv);\n\\.x\nx\\.\n \\.\n\\.\nSELECT 2;",
    "a long row": f"COPY t FROM stdin;\n{'x' * 700}\n{'ü;' * 400}\n\\.\nSELECT 2;",
    "a function": "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$\nCOPY t FROM stdin;\n1\n$$;",
    "a string": "SELECT '\nCOPY t FROM stdin;\n', 1;\nSELECT 2; -- COPY t FROM stdin;\nSELECT 3;",
    "other tables": "COPY t FROM '/a';\nCOPY stdin FROM '/a';\nSELECT 1 FROM stdin;",
    "pg_dump": "-- d\n\n\\restrict aB3\n\nSET x = 1;\nCOPY t FROM stdin;\n1\n\\.\n\n"
    "\\unrestrict aB3\n\n",
}
COPIED_ROWS = {
    "text": ["1\tit's\n2\t\\N;\n"],
    "two": ["", "ü\n"],
    "a semicolon in an option": ["1;2\n"],
    "comments": ["COPY u FROM stdin;\n"],
    "line ends": ["1\r\n"],
    "the beginning of an end": ["\\.x\nx\\.\n \\.\n"],
    "a long row": [f"{'x' * 700}\n{'ü;' * 400}\n"],
    "pg_dump": ["1\n"],
}


@pytest.mark.parametrize("name", COPIED)
def test_rows_under_copy_are_those_that_psql_takes(read: Reader, name: str) -> None:
    text = COPIED[name]
    for script in (small_script("sql/0001_a.sql", text), read(text)):
        statements = prepare(script).statements or ()
        rows = [one for statement in statements for one in statement.rows]
        found = [b"".join(one).decode() for one in rows]
        assert found == COPIED_ROWS.get(name, [])
        for one, expected in zip(rows, found, strict=True):
            assert text[one.offset :].startswith(f"{expected}\\.")
        for statement in statements:
            assert text[statement.offset : statement.end] == statement.sql


@pytest.mark.parametrize("name", COPIED)
def test_what_is_sent_has_no_rows_and_every_place_in_it_is_known(name: str) -> None:
    text = COPIED[name]
    runnable = prepare(small_script("sql/0001_a.sql", text))
    assert len(split(runnable.text)) == len(runnable.statements or ())
    assert [text[runnable.in_file(at)] for at in range(len(runnable.text))] == list(runnable.text)
