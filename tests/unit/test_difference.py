"""Differences: what is reported, in which words, how much it matters, and what would fix it."""

from __future__ import annotations

import json

import pytest
from turnback.schema.compare import compare, cosmetic, verdict
from turnback.schema.difference import Difference
from turnback.schema.model import Fingerprint, last, split, without_last
from turnback.schema.read import granted
from turnback.schema.suggest import suggest

USERS = {
    "table public.users": {"owner": "app"},
    "column public.users.id": {"type": "bigint", "not null": "yes", "position": "1"},
    "column public.users.email": {"type": "text", "position": "2"},
    "column public.users.theme": {"type": "text", "default": "'light'", "position": "3"},
    "constraint public.users.users_pkey": {"definition": "PRIMARY KEY (id)"},
    "index public.idx_users_email": {
        "table": "public.users",
        "definition": "CREATE INDEX ON public.users USING btree (email)",
        "valid": "yes",
    },
}
Changes = dict[str, dict[str, str] | None]


def changed(changes: Changes, of: dict[str, dict[str, str]] = USERS) -> Fingerprint:
    """The schema with some objects changed; None takes an object away."""
    objects = {**of, **{thing: new for thing, new in changes.items() if new is not None}}
    gone = {thing for thing, new in changes.items() if new is None}
    return Fingerprint({thing: objects[thing] for thing in objects if thing not in gone})


def described(changes: Changes) -> list[str]:
    return [str(difference) for difference in compare(Fingerprint(USERS), changed(changes))]


def test_the_same_schema_has_no_difference() -> None:
    assert compare(Fingerprint(USERS), changed({})) == []
    assert verdict([]) == "exact"


def test_differences_read_as_sentences() -> None:
    assert described({"index public.idx_users_email": None}) == [
        "index public.idx_users_email: missing after rollback"
    ]
    assert described({"table public.more": {"owner": "app"}}) == [
        "table public.more: left over after rollback"
    ]
    assert described({"column public.users.theme": {"type": "text", "position": "3"}}) == [
        "column public.users.theme: default 'light' ≠ none"
    ]
    assert described({"table public.users": {"owner": "app", "grants to bob": "SELECT"}}) == [
        "table public.users: grants to bob as usual ≠ SELECT"
    ]


def test_a_long_text_is_described_by_its_first_difference() -> None:
    lines = [f"    line {number};" for number in range(100)]
    before = Fingerprint({"view public.v": {"definition": "\n".join(lines)}})
    lines[50] = "    another line;"
    after = Fingerprint({"view public.v": {"definition": "\n".join(lines)}})
    (difference,) = compare(before, after)
    assert str(difference) == "view public.v: definition line 50; ≠ another line;"
    long = Difference("function f()", "changed", "definition", "a " * 500, "b " * 500)
    assert len(str(long)) < 400


def test_the_parts_of_a_missing_table_are_not_reported() -> None:
    missing = compare(Fingerprint(USERS), Fingerprint({}))
    assert [str(difference) for difference in missing] == [
        "table public.users: missing after rollback"
    ]
    extra = compare(Fingerprint({}), Fingerprint(USERS))
    assert [str(difference) for difference in extra] == [
        "table public.users: left over after rollback"
    ]


def test_what_moved_is_reported_as_column_order_and_nothing_else() -> None:
    changes: Changes = {
        "column public.users.theme": {**USERS["column public.users.theme"], "position": "2"},
        "column public.users.email": {**USERS["column public.users.email"], "position": "7"},
    }
    (difference,) = compare(Fingerprint(USERS), changed(changes))
    assert str(difference) in (
        "table public.users: column order email after id ≠ email after theme",
        "table public.users: column order theme after email ≠ theme after id",
    )
    assert (difference.expected, difference.actual) == ("id, email, theme", "id, theme, email")
    assert verdict([difference]) == "column_order"


def test_a_new_column_in_the_middle_moves_no_other() -> None:
    changes: Changes = {
        "column public.users.age": {"type": "integer", "position": "2"},
        "column public.users.email": {**USERS["column public.users.email"], "position": "3"},
        "column public.users.theme": {**USERS["column public.users.theme"], "position": "4"},
    }
    assert described(changes) == ["column public.users.age: left over after rollback"]


@pytest.mark.parametrize(
    ("old", "new", "definition"),
    [
        ("constraint public.users.users_pkey", "constraint public.users.users_pkey1", None),
        ("index public.idx_users_email", "index public.users_email_idx", None),
        (
            "constraint public.users.users_pkey",
            "constraint public.users.pk",
            "PRIMARY KEY (id) DEFERRABLE",
        ),
    ],
)
def test_another_name_is_names_when_the_definition_is_the_same(
    old: str, new: str, definition: str | None
) -> None:
    attributes = {**USERS[old], **({"definition": definition} if definition else {})}
    differences = compare(Fingerprint(USERS), changed({old: None, new: attributes}))
    if definition:
        assert {difference.kind for difference in differences} == {"missing", "extra"}
        assert verdict(differences) == "differs"
    else:
        names = [last(split(thing)[1]) for thing in (old, new)]
        assert [str(difference) for difference in differences] == [
            f"{old}: name {names[0]} ≠ {names[1]}"
        ]
        assert verdict(differences) == "names"


def test_a_renamed_sequence_is_no_difference_of_the_default_that_uses_it() -> None:
    def serial(sequence: str) -> Fingerprint:
        return Fingerprint(
            {
                "table public.t": {"owner": "app"},
                "column public.t.id": {
                    "type": "integer",
                    "default": f"nextval('public.{sequence}'::regclass)",
                    "position": "1",
                },
                f"sequence public.{sequence}": {"start": "1", "owned by": "public.t.id"},
            }
        )

    differences = compare(serial("t_id_seq"), serial('"Its"'))
    assert [difference.softness for difference in differences] == ["names"]


def test_the_name_of_a_not_null_constraint_is_a_name_at_most() -> None:
    column = {**USERS["column public.users.id"], "not null name": "users_id_not_null1"}
    differences = compare(Fingerprint(USERS), changed({"column public.users.id": column}))
    assert verdict(differences) == "names"
    del column["not null"]
    differences = compare(Fingerprint(USERS), changed({"column public.users.id": column}))
    assert [str(difference) for difference in differences] == [
        "column public.users.id: not null yes ≠ none"
    ]


@pytest.mark.parametrize(
    ("softnesses", "word"),
    [
        (["cosmetic"], "exact"),
        (["cosmetic", "column_order"], "column_order"),
        (["column_order", "names"], "names"),
        (["names", "column_order", "hard", "cosmetic"], "differs"),
    ],
)
def test_the_hardest_difference_is_the_verdict(softnesses: list[str], word: str) -> None:
    assert verdict(Difference("x", "changed", softness=kind) for kind in softnesses) == word  # type: ignore[arg-type]


HEAD = "CREATE OR REPLACE FUNCTION public.f()\n RETURNS trigger\n LANGUAGE plpgsql\nAS "


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("$$BEGIN RETURN new; END$$", "$$\n  begin\n\tRETURN  NEW;\nEND $$", True),
        ("$$BEGIN -- why\n RETURN 1; END$$", "$$BEGIN RETURN /* so */ 1; END$$", True),
        ("$$BEGIN RETURN 'a  b'; END$$", "$$BEGIN RETURN 'a b'; END$$", False),
        ("$$BEGIN RETURN 'A'; END$$", "$$BEGIN RETURN 'a'; END$$", False),
        ('$$BEGIN RETURN "A"; END$$', '$$BEGIN RETURN "a"; END$$', False),
        ("$$BEGIN RETURN E'\\' --'; END$$", "$$BEGIN RETURN E'\\' '; END$$", False),
        ("$$BEGIN RETURN 1 - -1; END$$", "$$BEGIN RETURN 1 + 1; END$$", False),
        ("$$BEGIN EXECUTE $q$a  b$q$; END$$", "$$BEGIN EXECUTE $q$a b$q$; END$$", False),
        ("$$BEGIN RETURN ab; END$$", "$$BEGIN RETURN a b; END$$", False),
        ("$$BEGIN RETURN @ -1; END$$", "$$BEGIN RETURN @-1; END$$", False),
        ("$$BEGIN RETURN 1+/* so */1; END$$", "$$BEGIN RETURN 1 + 1; END$$", True),
        ("$$BEGIN RETURN 1+-- why\n1; END$$", "$$BEGIN RETURN 1 + 1; END$$", True),
        ("$$BEGIN RETURN Ä; END$$", "$$BEGIN RETURN ä; END$$", False),
        ("$$SELECT /*+ SeqScan(t) */ 1 FROM t$$", "$$SELECT 1 FROM t$$", False),
    ],
)
def test_white_space_case_and_comments_of_a_body_are_cosmetic(
    before: str, after: str, same: bool
) -> None:
    assert cosmetic(HEAD + before, HEAD + after, "plpgsql") is same
    assert not cosmetic(HEAD + before, HEAD + after, "plpython3u")
    assert not cosmetic(HEAD + before, HEAD.replace("f()", "f(a text)") + after, "plpgsql")


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (
            "'2026-11-22 16:31:11.123456'::timestamp without time zone",
            "'2026-11-22 16:32:40.5012'::timestamp without time zone",
            True,
        ),
        (
            "'2026-11-22 16:31:11.123456+00'::timestamp(6) with time zone",
            "'2025-01-02 03:04:05.678901+00'::timestamp(6) with time zone",
            True,
        ),
        (
            "'2026-11-22 16:31:11'::timestamp without time zone",
            "'2026-11-22 16:31:12'::timestamp without time zone",
            False,
        ),
        (
            "'9999-12-31 23:59:59.999999'::timestamp without time zone",
            "'9999-12-31 23:59:59.999'::timestamp without time zone",
            False,
        ),
        (
            "'2024-12-31 23:59:59.999'::timestamp without time zone",
            "'2025-12-31 23:59:59.999'::timestamp without time zone",
            False,
        ),
        (
            "'2024-12-31 23:59:59.999999'::timestamp without time zone",
            "'2025-12-31 23:59:59.999999'::timestamp without time zone",
            False,
        ),
        ("'2026-11-22 16:31:11.123456'::text", "'2026-11-22 16:31:12.123456'::text", False),
    ],
)
def test_only_the_moment_of_making_is_cosmetic(before: str, after: str, same: bool) -> None:
    assert cosmetic(before, after) is same


def test_names_are_taken_apart_where_sql_would() -> None:
    assert split('column public."a.b"."c ""d"') == ("column", 'public."a.b"."c ""d"')
    assert split("foreign data wrapper w") == ("foreign data wrapper", "w")
    assert last('public."a.b"."c ""d"') == '"c ""d"'
    assert without_last('public."a.b"."c ""d"') == 'public."a.b"'


def test_grants_are_compared_with_the_default() -> None:
    usual = "=X/app\napp=X/app"
    assert granted("app=X/app", usual, "app") == {"grants to PUBLIC": "revoked"}
    assert granted("app=X/app\n=X/app", usual, "app") == {}
    assert granted("app=arw/app\nbob=r*w/app", None, "app") == {
        "grants to app": "SELECT, INSERT, UPDATE",
        "grants to bob": "SELECT (grantable), UPDATE",
    }
    assert granted('"my ""role"=r/bob', None, "app") == {'grants to "my ""role" by bob': "SELECT"}


def test_a_difference_is_json() -> None:
    difference = Difference("table t", "changed", "owner", "app", "bob")
    assert json.loads(json.dumps(difference.to_dict())) == {
        "object": "table t",
        "kind": "changed",
        "attribute": "owner",
        "expected": "app",
        "actual": "bob",
        "softness": "hard",
    }


@pytest.mark.parametrize(
    ("changes", "sql"),
    [
        (
            {"index public.idx_users_email": None},
            "CREATE INDEX idx_users_email ON public.users USING btree (email);",
        ),
        (
            {"column public.users.theme": None},
            "ALTER TABLE public.users ADD COLUMN theme text DEFAULT 'light';",
        ),
        (
            {"column public.users.id": {"type": "bigint", "position": "1"}},
            "ALTER TABLE public.users ALTER COLUMN id SET NOT NULL;",
        ),
        ({"table public.more": {"owner": "app"}}, "DROP TABLE public.more;"),
        (
            {"constraint public.users.named": {"definition": "CHECK (true)"}},
            "ALTER TABLE public.users DROP CONSTRAINT named;",
        ),
        (
            {"table public.users": {"owner": "bob"}},
            "ALTER TABLE public.users OWNER TO app;",
        ),
        (
            {"database": {"comment": "elsewhere it has another name"}},
            None,
        ),
    ],
)
def test_what_follows_from_the_difference_is_suggested(changes: Changes, sql: str | None) -> None:
    (difference,) = compare(Fingerprint(USERS), changed(changes))
    assert suggest(difference, Fingerprint(USERS)) == sql


def test_a_missing_table_is_made_again_with_its_parts() -> None:
    (difference,) = compare(Fingerprint(USERS), Fingerprint({}))
    assert suggest(difference, Fingerprint(USERS)) == (
        "CREATE TABLE public.users (\n"
        "    id bigint NOT NULL,\n"
        "    email text,\n"
        "    theme text DEFAULT 'light'\n"
        ");\n"
        "ALTER TABLE public.users ADD CONSTRAINT users_pkey PRIMARY KEY (id);\n"
        "CREATE INDEX idx_users_email ON public.users USING btree (email);"
    )
