"""The words of a SQL text: what is a name, a string, a comment."""

from __future__ import annotations

import pytest
from turnback.sql.tokens import tokens


def read(sql: str) -> list[tuple[str, str]]:
    return [(token.kind, token.text) for token in tokens(sql)]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("a.b", [("word", "a"), ("sign", "."), ("word", "b")]),
        ("é🐘$1 x", [("word", "é🐘$1"), ("word", "x")]),
        ('"a""b" U&"c"', [("quoted", '"a""b"'), ("quoted", 'U&"c"')]),
        ("'it''s' E'it\\'s' x", [("string", "'it''s'"), ("string", "E'it\\'s'"), ("word", "x")]),
        ("$$a$$ $q$b $$ c$q$", [("string", "$$a$$"), ("string", "$q$b $$ c$q$")]),
        ("$1 1e5 a", [("sign", "$"), ("number", "1"), ("number", "1e5"), ("word", "a")]),
        ("a--b\nc", [("word", "a"), ("word", "c")]),
        ("DELETE/**/FROM", [("word", "DELETE"), ("word", "FROM")]),
        ("a/* /* b */ c */d", [("word", "a"), ("word", "d")]),
        ("a/* never closed", [("word", "a")]),
        ("a 'open", [("word", "a"), ("sign", "'"), ("word", "open")]),
    ],
)
def test_a_text_is_cut_as_postgresql_cuts_it(sql: str, found: list[tuple[str, str]]) -> None:
    assert read(sql) == found


def test_a_token_says_where_it_is() -> None:
    assert [(token.start, token.end) for token in tokens("/* é */ a, 'b'")] == [
        (8, 9),
        (9, 10),
        (11, 14),
    ]
    assert [token.text for token in tokens("a, b", 1)] == [",", "b"]


def test_a_keyword_is_a_word_in_any_case_and_no_name_in_quotes() -> None:
    [first, second] = tokens('where "where"')
    assert first.is_word("RETURNING", "WHERE")
    assert not second.is_word("WHERE")
