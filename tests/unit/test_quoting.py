"""Text as SQL: a literal means the same to the server as the text does to us."""

from __future__ import annotations

import psycopg
import pytest
from turnback.sql.quoting import identifier, literal, printed

TEXTS = [
    "plain",
    "",
    "it's",
    "'';--",
    "\\",
    "\\'",
    "back\\slash and 'quote'",
    "ends with \\",
    "E'\\x41'",
    "$$ dollar $tag$",
    "two\nlines\r\n\ttab",
    "/* open",
    "-- comment",
    "%s %(name)s",
    "🐘 é ñ",
    "\u2028",
    "U&'\\0041'",
]


@pytest.mark.parametrize("conforming", ["on", "off"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_literal_gives_the_server_exactly_the_text(
    text: str, conforming: str, admin: psycopg.Connection
) -> None:
    sql = f"SELECT {literal(text)}"
    if conforming == "off":
        if "\\" in text:
            admin.execute("SET escape_string_warning = off")
        admin.execute("SET standard_conforming_strings = off")
    try:
        row = admin.execute(sql.encode()).fetchone()
    finally:
        admin.execute("RESET standard_conforming_strings")
        admin.execute("RESET escape_string_warning")
    assert row == (text,)


def test_a_number_and_nothing_are_literals_too(admin: psycopg.Connection) -> None:
    sql = f"SELECT {literal(42)}, {literal(-1)}, {literal(None)}"
    assert admin.execute(sql.encode()).fetchone() == (42, -1, None)


@pytest.mark.parametrize(
    "name", ["plain", "UPPER", "select", 'quo"te', '";--', "with space", "é🐘"]
)
def test_an_identifier_names_exactly_that_column(name: str, admin: psycopg.Connection) -> None:
    cursor = admin.execute(f"SELECT 1 AS {identifier(name)}".encode())
    assert cursor.description is not None
    assert cursor.description[0].name == name


@pytest.mark.parametrize(
    "name", ["a\nb", "a\u202eb", 'q"\u2028\\', "a\x1b[2K", "tab\t", "\\+000041\u0085", "🐘\u200d"]
)
def test_a_printed_name_is_one_line_and_names_the_same(
    name: str, admin: psycopg.Connection
) -> None:
    shown = printed(f"SELECT 'it''s' AS {identifier(name)}")
    assert shown.isprintable()
    cursor = admin.execute(shown)  # type: ignore[call-overload]
    assert cursor.description[0].name == name


def test_what_everybody_can_read_is_printed_as_it_is() -> None:
    sql = 'ALTER TABLE public."größe 数据" RENAME TO "a b";\nSELECT \'two\nlines\';'
    assert printed(sql) == sql
